"""The options of the command line: which setting each one is, and how their words are read."""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from velox_engine.config import KEYS, Given, Origin, Settings, read_text, searched_files
from velox_engine.config_rules import Text, named, toml_value
from velox_tui.streams import put


class UsageError(Exception):
    """The command line is wrong; the text says where and what is allowed."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What is asked of a run beside its settings.

    ``report`` is the file that the final report goes to, ``"-"`` for standard output, ``None`` for none. ``no_ui``
    says that no screen is wanted, ``read_only`` that the screen must not change the engine. ``settings`` are where the
    configuration came from, which the screen tells and writes to.
    """

    report: str | None = None
    no_ui: bool = False
    read_only: bool = False
    settings: Settings | None = field(default=None, compare=False, repr=False)


class _Option(NamedTuple):
    """An option that is a setting by a shorter name."""

    flag: str
    metavar: str
    key: str


_OPTIONS: Final = (
    _Option("--name", "NAME", "pipeline.name"),
    _Option("--source", "SPEC", "source.kind"),
    _Option("--rate", "N|max", "pipeline.ingress_rate_hz"),
    _Option("--duration", "SECS", "pipeline.run_duration_secs"),
    _Option("--count", "N", "pipeline.count"),
    _Option("--seed", "N", "source.seed"),
    _Option("--book", "KIND", "book.kind"),
    _Option("--seed-book", "FILE|none", "source.seed_book"),
    _Option("--symbols", "A,B", "source.symbols"),
    _Option("--sink", "FILE", "pipeline.sink"),
    _Option("--hlog", "FILE", "metrics.hlog"),
    _Option("--on-full", "wait|drop", "pipeline.on_full"),
)
_LIMITS: Final = (
    _Option("--max-drop-rate", "P", "limits.max_drop_rate"),
    _Option("--min-throughput", "N", "limits.min_throughput"),
    _Option("--max-p99-us", "N", "limits.max_p99_us"),
)
# argparse takes "-1" after an option for a value but "-1e9", "-nan" and "-inf" for options
_NEGATIVE: Final = re.compile(r"-(\.?\d|inf|nan)", re.IGNORECASE)


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line, by `UsageError`, and knows no abbreviations."""

    def __init__(self, prog: str, usage: str, description: str, epilog: str | None = None) -> None:
        super().__init__(
            prog=prog,
            usage=usage,
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            add_help=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self._valued: set[str] = set()
        self._flags: list[str] = ["-h"]
        self.option("--help", action=_Answer, answer=self.format_help, short="-h", help="say this and leave")

    def option(self, flag: str, *, short: str | None = None, group: Any = None, **how: Any) -> None:
        """Add an option, to a group of this parser if one is given."""
        action = (group or self).add_argument(*([short] if short else []), flag, **how)
        self._flags.append(flag)
        if action.nargs != 0:
            self._valued.add(flag)

    def version(self, text: str) -> None:
        """Add ``--version``, which says the text."""
        self.option("--version", action=_Answer, answer=lambda: text, help="say the version and leave")

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`; argparse would print the usage and leave."""
        raise UsageError(message.removeprefix("argument "))

    def read(self, arguments: Sequence[str], commands: Sequence[str] = ()) -> argparse.Namespace:
        """Read the arguments; what is unknown is a `UsageError` that names the nearest option or command."""
        joined: list[str] = []
        for argument in arguments:
            if joined and joined[-1] in self._valued and _NEGATIVE.match(argument):
                joined[-1] += f"={argument}"
            else:
                joined.append(argument)
        asked, unknown = self.parse_known_intermixed_args(joined)
        if unknown:
            word = unknown[0].split("=")[0]
            if word.startswith("-"):
                near = difflib.get_close_matches(word, self._flags, 1, 0.0)[0]
                raise UsageError(f"unknown option {named(word)}, the nearest is {near}")
            if not commands:
                raise UsageError(f"unexpected argument {named(word)}")
            if word in commands:
                raise UsageError(f"a command comes first: velox-tui {word} ...")
            near = difflib.get_close_matches(word, commands, 1, 0.0)[0]
            raise UsageError(f"unknown command {named(word)}, the nearest is {near}")
        return asked


class _Answer(argparse.Action):
    """An option that is answered at once, whatever else is asked."""

    def __init__(self, option_strings: Sequence[str], dest: str, answer: Any, help: str) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)
        self._answer = answer

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        raise SystemExit(put(self._answer()))


class _Take(argparse.Action):
    """Collect what is given for settings in ``given``, in the order of the command line, so that the last one wins."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        flag, text = str(option_string), str(values)
        if flag == "--set":
            key, equals, text = text.partition("=")
            if not equals:
                raise UsageError(f"--set: got {named(key)}; allowed is section.key=value")
            given = read_text(key.strip(), text.strip(), Origin(flag))
        else:
            key = str(self.const)
            # the option's own word is never TOML: a file may be called "x" with its quotes
            plain = isinstance(KEYS[key].rule, Text)
            given = Given(key, text, Origin(flag)) if plain else read_text(key, text, Origin(flag))
        namespace.given.append(given)


def add_configuration(parser: Parser) -> Any:
    """Add ``--config`` and ``--set``; what they give is collected in ``given``. Return the group of settings."""
    here, user = searched_files()
    parser.set_defaults(given=[])
    group = parser.add_argument_group("settings")
    parser.option(
        "--config", metavar="FILE", group=group, help=f"read settings from FILE; default: {here}, or else {user}"
    )
    parser.option(
        "--set",
        metavar="section.key=value",
        group=group,
        action=_Take,
        dest="given",
        help='set any key; the value as in TOML, a bare word is text; "velox-tui config" shows all',
    )
    return group


def add_settings(parser: Parser) -> None:
    """Add every option that is a setting; their values are collected in ``given``."""
    group = add_configuration(parser)
    for option in _OPTIONS:
        _add(parser, group, option)
    limits = parser.add_argument_group("limits, for the exit code 4")
    for option in _LIMITS:
        _add(parser, limits, option)


def _add(parser: Parser, group: Any, option: _Option) -> None:
    key = KEYS[option.key]
    told = f"{key.doc} ({key.rule.range}); default {toml_value(key.default)}".replace("%", "%%")
    parser.option(
        option.flag, metavar=option.metavar, group=group, action=_Take, dest="given", const=option.key, help=told
    )


def check_report_path(report: str) -> None:
    """Raise `UsageError` where a report could not be written, before anything runs for it.

    A new file is made and taken away again: permissions, read-only and full file systems cannot be told otherwise.
    """
    if report == "-":
        return
    if not report:
        raise UsageError("--report: got an empty name; allowed is a file or -")
    try:
        target = Path(os.path.realpath(report))
        if report.endswith("/") or target.is_dir():
            raise UsageError(f"--report: {report} is a directory; allowed is a file or -")
        if not target.parent.is_dir():
            raise UsageError(f"--report: {report} cannot be written: there is no directory {target.parent}")
        if not target.exists():
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            target.unlink()
        elif target.is_file():
            os.close(os.open(target, os.O_WRONLY))
        elif not os.access(target, os.W_OK):  # a pipe or a device: opening it could wait, or be noticed
            raise UsageError(f"--report: {report} cannot be written: Permission denied")
    except OSError as error:
        raise UsageError(f"--report: {report} cannot be written: {error.strerror or error}") from None
    except ValueError:
        raise UsageError("--report: a file's name cannot hold a NUL; allowed is a file or -") from None
