"""The settings as a TOML file: the defaults with comments, or the values in force with where each came from."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import wrap
from typing import Final

from velox_engine.config_rules import toml_value
from velox_engine.config_table import KEYS, SECTIONS, Key

_WIDTH: Final = 118
_COMMENT: Final = 33  # the column where comments begin
_HEAD: Final = """\
# Every setting of velox-tui with its default. A file need hold only what it changes.
#
# Stronger than a file are the environment (VELOX_<SECTION>__<KEY>, such as VELOX_PIPELINE__BATCH=64) and the command
# line (options, and --set section.key=value). "velox-tui config" shows what is in force and where it came from.
"""


def sections(row: Callable[[Key], str]) -> str:
    """Write every section with what ``row`` makes of each of its keys."""
    parts = []
    for name, section in SECTIONS.items():
        rows = "".join(row(key) for key in KEYS.values() if key.section == name)
        doc = (section.__doc__ or "").splitlines()[0]
        parts.append(f"# {doc}\n[{name}]\n{rows}")
    return "\n".join(parts)


def defaults_text() -> str:
    """Write a configuration file that holds every default, each with its meaning, unit and range."""

    def row(key: Key) -> str:
        first, *more = wrap(f"{key.doc} ({key.rule.range})", _WIDTH - _COMMENT, break_on_hyphens=False)
        lines = [f"{key.name} = {toml_value(key.default)}", *("" for _ in more)]
        return "".join(f"{line:{_COMMENT}}# {told}\n" for line, told in zip(lines, [first, *more], strict=True))

    return f"{_HEAD}\n{sections(row)}"
