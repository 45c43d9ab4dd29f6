"""``velox-tui attach``: the dashboard on an engine that runs in another process of this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from velox_engine.config import Given, Origin, Settings, resolve
from velox_tui.options import Parser, RunOptions, UsageError, add_configuration

if TYPE_CHECKING:
    from velox_engine.discovery import Found

_ABOUT: Final = """\
ENGINE is a name or a pid; with one engine running it may be left out, with several there is a list to choose from.
q detaches, and the engine runs on; S stops it, after asking.

exit codes:
  0  detached
  1  it cannot be read: damaged, or of another layout
  2  wrong use, no such engine, or no terminal
  130, 143, 129  ended by SIGINT, SIGTERM, SIGHUP; the engine runs on
"""


def parser() -> Parser:
    """Return the parser of the command's options."""
    what = "Watch and steer an engine that runs in another process of this machine."
    made = Parser("velox-tui attach", "velox-tui attach [ENGINE] [options]", what, _ABOUT)
    made.add_argument("engine", metavar="ENGINE", nargs="*", help="name or pid")
    made.option("--read-only", action="store_true", help="only watch: no key changes the engine")
    made.option("--ascii", action="store_true", help="draw with ASCII only")
    made.option("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    add_configuration(made)
    return made


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    asked = parser().read(arguments)
    word = engine_of(asked)
    settings = settings_of(asked)

    from velox_tui.cli import no_screen
    from velox_tui.finding import engines, meant

    problem = no_screen()
    if problem is not None and not os.environ.get("TEXTUAL_DRIVER"):  # which draws elsewhere, such as in a browser
        raise UsageError(f"{problem}: attach needs one; velox-tui snapshot prints one look")
    return show(meant(word, engines()), word, RunOptions(read_only=asked.read_only, settings=settings))


def engine_of(asked: Any) -> str | None:
    """Return the engine's name or pid as it was given, ``None`` without one."""
    if len(asked.engine) > 1:
        raise UsageError(f"unexpected argument {asked.engine[1]}")
    return str(asked.engine[0]) if asked.engine else None


def settings_of(asked: Any) -> Settings:
    """Return the settings in force, with what the options say of the screen."""
    for given in asked.given:
        if not given.key.startswith("ui."):
            raise UsageError(f"--set: got {given.key}; allowed is ui.*: an engine that runs has its own settings")
    shown = [Given("ui.glyphs", "ascii", Origin("--ascii"))] if asked.ascii else []
    shown += [Given("ui.mouse", False, Origin("--no-mouse"))] if asked.no_mouse else []
    return resolve(asked.config, [*asked.given, *shown], os.environ)


def show(found: list[Found], word: str | None, options: RunOptions) -> int:
    """Open the dashboard on one of these engines, which ``word`` means; return the exit code."""
    from velox_engine.discovery import matching
    from velox_tui.attaching import run
    from velox_tui.finding import engines

    assert options.settings is not None
    return run(found, lambda: matching(engines(), word), options.settings.config, options)
