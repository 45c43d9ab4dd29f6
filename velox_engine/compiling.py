"""What a run calls in compiled code, and how it comes to be compiled: ahead, in two child processes, into the cache.

Compiling takes half a minute of one core and some hundred megabytes. Children do it side by side, so that the engine's
own process stays small and can give up at once; it then loads what they left in the cache. Where there is no cache, or
a child fails, the engine compiles for itself.

A child is this module run with a part and a kind of book: ``books`` compiles the order-book step, ``stages`` the other
steps and then, when it is told on its standard input that the books are done, the workers' loop. Each step begun is a
line on its standard output.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from velox_engine.assembly import Assembly, assemble, worker_arguments
from velox_engine.config import BookSettings, Config, PipelineSettings
from velox_engine.feeds.staging import close_staging, stage_records
from velox_engine.feeds.synthetic import synthetic_fill
from velox_engine.jit import Interrupted, cache_directory, compile_for, interruptible
from velox_engine.lockfree.clock import calibrate
from velox_engine.lockfree.seqlock import seqlock_begin, seqlock_end
from velox_engine.stages.bundle import bundle_step
from velox_engine.stages.handles import get_word, set_word
from velox_engine.stages.hiccup import run_hiccup
from velox_engine.stages.ingress import ingress_step
from velox_engine.stages.orderbook import orderbook_step
from velox_engine.stages.output import output_step
from velox_engine.stages.sinking import take_bundles
from velox_engine.stages.worker import run_worker
from velox_engine.telemetry import layout
from velox_engine.telemetry.writer import publish

Progress = Callable[[str, int, int], None]
"""``progress(what, done, total)``: called as each step of the start begins, and when all are done."""

Step = tuple[str, Callable[..., Any], tuple[Any, ...]]
"""What it is called, a compiled function, and arguments of the types that it is called with."""

_POLL_S: Final = 0.05
_BOOKS, _STAGES, _GO = "books", "stages", "go"
# the workers' loop holds their code: loaded, it makes their own entries unnecessary
_IN_LOOP: Final = (orderbook_step, ingress_step, bundle_step, output_step, synthetic_fill)


def book_steps(assembly: Assembly) -> list[Step]:
    """Return the order book's step, and what Python calls of the book."""
    stages = assembly.stages
    rings = (stages.ingress_ring, stages.bundle_ring)
    arguments = (stages.orderbook, assembly.book.state, stages.control, stages.slots, *rings, 0)
    entries: list[Step] = [("order book", function, given) for function, given in assembly.book.entries()]
    return [*entries, ("order book", orderbook_step, arguments)]


def stage_steps(assembly: Assembly) -> list[Step]:
    """Return everything else that the workers' loop is made of, and what Python calls."""
    stages = assembly.stages
    control, slots, staging, outlet = stages.control, stages.slots, assembly.source.staging, stages.output.outlet
    words = np.zeros(layout.HISTOGRAM_LENGTH + layout.GUARD_WORDS, np.int64)
    image = np.zeros(layout.HISTOGRAM_LENGTH, np.int64)
    return [
        ("control", get_word, (words, 0)),
        ("control", set_word, (words, 0, 0)),
        ("control", seqlock_begin, (words, 0)),
        ("control", seqlock_end, (words, 0)),
        ("telemetry", publish, (words, 0, image)),
        ("hiccup meter", run_hiccup, (control, image, words, 0, 1.0)),
        ("source", synthetic_fill, (stages.ingress.source, slots.records, 0, 0)),
        ("source", stage_records, (staging, staging.records, 0, 0)),
        ("source", close_staging, (staging,)),
        ("ingress", ingress_step, (stages.ingress, control, slots, stages.ingress_ring, 0)),
        ("bundle", bundle_step, (stages.bundler, control, slots, stages.bundle_ring, stages.output_ring, 0)),
        ("output", output_step, (stages.output, control, slots, stages.output_ring, 0)),
        ("output", take_bundles, (outlet, outlet.records, outlet.sizes)),
    ]


def loop_steps(assembly: Assembly) -> list[Step]:
    """Return the workers' loop."""
    return [("workers", run_worker, worker_arguments(assembly, 0))]


def compile_stages(assembly: Assembly, progress: Progress, given_up: Callable[[], bool] = lambda: False) -> None:
    """Compile everything that this assembly's run calls, or load it from the cache.

    ``progress`` is called before each step and at the end. Raises `Interrupted` soon after ``given_up()`` is true.
    """
    steps = [*book_steps(assembly), *stage_steps(assembly), *loop_steps(assembly)]
    total = len(steps)
    _compile_ahead(assembly.config.book.kind, total, progress, given_up)
    with interruptible(given_up):
        for what, function, arguments in [*loop_steps(assembly), *book_steps(assembly), *stage_steps(assembly)]:
            if function not in _IN_LOOP:
                progress(what, total - 1, total)
                compile_for(function, arguments)
    progress("done", total, total)


def _compile_ahead(kind: str, total: int, progress: Progress, given_up: Callable[[], bool]) -> None:
    """Have children fill the cache, unless that was done before; what goes wrong is left to the caller's compiler."""
    directory = cache_directory()
    if directory is None or _mark(directory, kind).exists() or not sys.executable:
        return
    try:
        with _children(kind) as children:
            _watch(children, total, progress, given_up)
            if all(child.wait() == 0 for child in children):
                _mark(directory, kind).touch()
    except OSError:
        return


def _mark(directory: Path, kind: str) -> Path:
    return directory / f"complete-{kind}"


@contextlib.contextmanager
def _children(kind: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start both children; none of them outlives the context."""
    package = str(Path(__file__).parents[1])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    children: list[subprocess.Popen[bytes]] = []
    try:
        for part in (_BOOKS, _STAGES):
            command = [sys.executable, "-m", "velox_engine.compiling", part, kind]
            # a session of their own: ctrl+c in the terminal is for us to handle, and to pass on
            children.append(subprocess.Popen(command, env=environment, start_new_session=True, **pipes))
            assert children[-1].stdout is not None
            os.set_blocking(children[-1].stdout.fileno(), False)
        yield children
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


def _watch(
    children: list[subprocess.Popen[bytes]], total: int, progress: Progress, given_up: Callable[[], bool]
) -> None:
    """Tell what the children begin, release the second when the first is done; return when both have ended."""
    books, stages = children
    begun, told = 0, False
    while any(child.poll() is None for child in children):
        if given_up():
            raise Interrupted
        for child in children:
            assert child.stdout is not None
            for line in (child.stdout.read() or b"").decode(errors="replace").splitlines():
                progress(line, min(begun, total - 1), total)
                begun += 1
        if books.poll() is not None and not told:
            told = True
            assert stages.stdin is not None
            with contextlib.suppress(OSError):
                stages.stdin.write(f"{_GO}\n".encode())
                stages.stdin.close()
        time.sleep(_POLL_S)


def _compile_part(part: str, kind: str) -> None:
    """The children's work."""
    settings: Any = BookSettings(kind=kind)  # type: ignore[arg-type]  # checked by the settings themselves
    assembly = assemble(Config(book=settings, pipeline=PipelineSettings(name="compiling")), calibrate(), attach=False)

    def compile_all(steps: list[Step]) -> None:
        for what, function, arguments in steps:
            print(what, flush=True)
            compile_for(function, arguments)

    if part == _BOOKS:
        compile_all(book_steps(assembly))
        return
    compile_all(stage_steps(assembly))
    if sys.stdin.readline().strip() == _GO:  # else whoever asked for it has gone
        compile_all(loop_steps(assembly))


if __name__ == "__main__":
    _compile_part(*sys.argv[1:3])
