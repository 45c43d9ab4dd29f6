"""The command line: ``velox-tui [options]`` runs the pipeline, ``velox-tui COMMAND`` does something else.

Nothing here imports numba, numpy or Textual before it is known that they are needed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from velox_engine.config import Config, Given, Origin, resolve
from velox_engine.errors import ConfigError, FeedError, VeloxError
from velox_tui import __version__
from velox_tui.commands import COMMANDS
from velox_tui.options import Parser, RunOptions, UsageError, add_settings, check_report_path
from velox_tui.streams import complain, flush

_USAGE: Final = """\
velox-tui [options]           run the pipeline
       velox-tui COMMAND [options]   each command has its own --help"""
_DESCRIPTION: Final = "A lock-free transaction pipeline that one can run, watch and steer from the terminal."
_EXIT_CODES: Final = """\
exit codes:
  0  finished or stopped as asked, everything accounted for
  1  the engine, source or sink failed, or transactions are not accounted for
  2  wrong use; nothing was started
  3  the drain's deadline passed with transactions inside
  4  a limit was not met
  130, 143, 129  ended by SIGINT, SIGTERM, SIGHUP after a clean drain
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code. ``argv`` is without the program's name."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments and arguments[0] in COMMANDS:
            command: Callable[[Sequence[str]], int] = import_module(f"velox_tui.commands.{arguments[0]}").main
            return command(arguments[1:])
        return _run(arguments)
    except SystemExit as answered:  # --help and --version
        return int(answered.code or 0)
    except (UsageError, ConfigError, FeedError) as error:  # a feed that breaks later is told by the report
        complain(str(error))
        return 2
    except VeloxError as error:
        complain(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        flush()


def _run(arguments: Sequence[str]) -> int:
    asked = _parser().read(arguments, tuple(COMMANDS))
    shown = [Given("ui.glyphs", "ascii", Origin("--ascii"))] if asked.ascii else []
    shown += [Given("ui.mouse", False, Origin("--no-mouse"))] if asked.no_mouse else []
    shown += [Given("chaos.enabled", True, Origin("--chaos"))] if asked.chaos else []
    settings = resolve(asked.config, [*asked.given, *shown], os.environ)
    options = RunOptions(asked.report, asked.no_ui, asked.read_only, settings)
    if options.report is not None:
        check_report_path(options.report)
    return _start(settings.config, options)


def _start(config: Config, options: RunOptions) -> int:
    """Run with the screen, or headless where that is wanted or there can be no screen."""
    problem = None if options.no_ui else no_screen()
    if problem is not None:
        complain(f"{problem}: running as with --no-ui")
    if options.no_ui or problem is not None:
        from velox_tui.headless import run
    else:
        from velox_tui.dashboard import run

    return run(config, options)


def no_screen() -> str | None:
    """Return why there can be no screen, ``None`` where there can."""
    if os.environ.get("TEXTUAL_DRIVER"):  # drawn by something else than a terminal, such as a browser
        return None
    for name, stream in (("input", sys.stdin), ("output", sys.stdout), ("error", sys.stderr)):
        try:
            if stream is None or not stream.isatty():
                return f"standard {name} is no terminal"
        except ValueError:
            return f"standard {name} is closed"
    return "the terminal is dumb" if os.environ.get("TERM", "dumb") == "dumb" else None


def _parser() -> Parser:
    commands = "".join(f"  {name:8} {what}\n" for name, what in COMMANDS.items())
    parser = Parser("velox-tui", _USAGE, _DESCRIPTION, f"commands:\n{commands}\n{_EXIT_CODES}")
    parser.version(f"velox-tui {__version__}\n")
    parser.option("--no-ui", action="store_true", help="no screen: a line a second on standard output")
    parser.option("--ascii", action="store_true", help="draw with ASCII only")
    parser.option("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    parser.option("--read-only", action="store_true", help="take away the keys that change the engine")
    parser.option("--chaos", action="store_true", help="make faults on purpose, as [chaos] says, to see what holds")
    parser.option("--report", metavar="FILE", help='write the final report, JSON, to FILE, or "-" for standard output')
    add_settings(parser)
    return parser
