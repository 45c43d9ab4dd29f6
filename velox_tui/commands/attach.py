"""``velox-tui attach``: the dashboard on an engine that runs in another process of this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from velox_engine.config import Config, Given, Origin, Settings, resolve
from velox_tui.options import Parser, RunOptions, UsageError, add_configuration

if TYPE_CHECKING:
    from velox_engine.discovery import Found

HOST: Final = "127.0.0.1"
PORT: Final = 9465
_PORTS: Final = 65_535
_ABOUT: Final = """\
ENGINE is a name or a pid; with one engine running it may be left out, with several there is a list to choose from.
q detaches, and the engine runs on; S stops it, after asking. In browsers it is read-only.

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
    made.option(
        "--serve",
        metavar="HOST:PORT",
        nargs="?",
        const="",
        help=f"show it in browsers instead, read-only; default {HOST}:{PORT}; 0: any free port",
    )
    add_configuration(made)
    return made


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    asked = parser().read(arguments)
    if asked.serve and re.fullmatch(r"[A-Za-z][^:]*", asked.serve):  # what follows is the engine's name, no address
        asked.serve, asked.engine = "", [asked.serve, *asked.engine]
    word = engine_of(asked)
    settings = settings_of(asked)
    if asked.serve is not None:
        return serve(word, asked.serve, settings.config)

    from velox_tui.cli import no_screen
    from velox_tui.finding import engines, meant

    problem = no_screen()
    if problem is not None and not os.environ.get("TEXTUAL_DRIVER"):  # which draws elsewhere, such as in a browser
        raise UsageError(f"{problem}: attach needs one; velox-tui snapshot prints one look")
    return show(meant(word, engines()), word, settings, asked.read_only)


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


def serve(word: str | None, where: str, config: Config) -> int:
    """Serve the dashboard of the engine that is meant to browsers; return the exit code."""
    host, port = address(where)
    from velox_tui.finding import engines, listed, meant

    name = listed(meant(word, engines()))
    try:
        from velox_tui.serving import run
    except ModuleNotFoundError as error:
        raise UsageError(f"--serve: {error.name} is not installed; pip install 'velox-tui[serve]' has it") from None
    return run(word, name, host, port, config)


def address(where: str) -> tuple[str, int]:
    """Split ``HOST:PORT``, of which either may be missing; a host of IPv6 stands in brackets."""
    host, _, port = where.rpartition(":")
    if not re.fullmatch(r"\d{0,5}", port) or int(port or 0) > _PORTS or ("[" in host) != (":" in host):
        raise UsageError(f"--serve: got {where}; allowed is HOST:PORT, HOST: or PORT, with a port from 0 to {_PORTS}")
    return host.strip("[]") or HOST, int(port) if port else PORT


def show(found: list[Found], word: str | None, settings: Settings, read_only: bool) -> int:
    """Open the dashboard on one of these engines; return the exit code."""
    from velox_engine.discovery import matching
    from velox_tui.attaching import run
    from velox_tui.finding import engines

    options = RunOptions(read_only=read_only, settings=settings)
    return run(found, lambda: matching(engines(), word), settings.config, options)
