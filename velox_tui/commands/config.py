"""``velox-tui config``: what is in force and where it came from, the defaults, or whether a file is valid."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from velox_engine.config import Key, Settings, examine, placed, resolve, searched_files
from velox_engine.config_rules import printable, toml_value
from velox_engine.config_text import defaults_text, sections
from velox_tui.options import Parser, UsageError, add_settings
from velox_tui.screen_settings import screen_problems
from velox_tui.streams import complain, put

_WRONG_USE: Final = 2


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    parser = Parser(
        "velox-tui config",
        "velox-tui config [settings] | --defaults | --check FILE",
        "Show the configuration in force as TOML, with where each value came from.",
    )
    parser.option("--defaults", action="store_true", help="print a file with every default instead, commented")
    parser.option("--check", metavar="FILE", help="only say whether FILE is a valid configuration: exit code 0 or 2")
    add_settings(parser)
    asked = parser.read(arguments)
    if asked.defaults or asked.check is not None:
        alone = "--defaults" if asked.defaults else "--check"
        if asked.given or asked.config is not None or (asked.defaults and asked.check is not None):
            raise UsageError(f"{alone} goes with no other option")
    if asked.defaults:
        return put(defaults_text())
    if asked.check is not None:
        return check(asked.check)
    return put(in_force(resolve(asked.config, asked.given, os.environ)))


def check(file: str) -> int:
    """Say whether a file is valid, or all that is wrong with it, a line each; return the exit code."""
    values, problems = examine(file)
    theme, keys = str(values["ui.theme"].value), str(values["ui.keys"].value)
    problems += [placed(problem, values) for problem in screen_problems(theme, keys)]
    for problem in sorted(problems, key=lambda error: error.line or 0):
        complain(str(problem))
    return _WRONG_USE if problems else put(f"{printable(file)}: valid\n")


def in_force(settings: Settings) -> str:
    """Write the settings as a configuration file that says where each value came from."""
    if settings.file is not None:
        head = f"# read from {printable(str(settings.file))}"
    else:
        head = f"# no file was read; looked for {printable(' and '.join(map(str, searched_files())))}"

    def row(key: Key) -> str:
        setting = settings.values[key.full]
        return f"{f'{key.name} = {toml_value(setting.value)}':<32} # {printable(str(setting.origin))}\n"

    return f"{head}\n\n{sections(row)}"
