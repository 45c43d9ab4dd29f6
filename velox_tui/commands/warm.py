"""``velox-tui warm``: compile the engine into the cache, so that the next start does not."""

from __future__ import annotations

from collections.abc import Sequence

from velox_tui.options import Parser
from velox_tui.progress import Progress
from velox_tui.streams import complain, put


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code, 1 where nothing can be kept."""
    what = "Compile the engine into the cache and leave; the next start finds it there."
    Parser("velox-tui warm", "velox-tui warm", what).read(arguments)

    from velox_engine import engine, jit

    with Progress("compiling") as progress:
        engine.compile_engine(progress)
    directory = jit.cache_directory()
    if directory is None:
        complain("compiled, but there is no directory to keep it in; VELOX_CACHE_DIR names one")
        return 1
    return put(f"compiled code is in {directory}\n")
