"""The settings in force: the strongest of command line, environment, file and default, and where each came from.

``config_table`` holds what can be set, ``config_file`` reads TOML; this brings them together and is what others import.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from velox_engine.config_file import read_content, read_entries
from velox_engine.config_rules import Value, named, shown
from velox_engine.config_table import (
    ENVIRONMENT_PREFIX,
    KEYS,
    SECTIONS,
    BookSettings,
    BufferSettings,
    BundleSettings,
    ChaosSettings,
    Config,
    Key,
    LimitSettings,
    LogSettings,
    MetricsSettings,
    PipelineSettings,
    SourceSettings,
    ThreadSettings,
    UiSettings,
    checked,
)
from velox_engine.errors import ConfigError

__all__ = [
    "FILE_NAME",
    "KEYS",
    "SECTIONS",
    "BookSettings",
    "BufferSettings",
    "BundleSettings",
    "ChaosSettings",
    "Config",
    "Given",
    "Key",
    "LimitSettings",
    "LogSettings",
    "MetricsSettings",
    "Origin",
    "PipelineSettings",
    "Setting",
    "Settings",
    "SourceSettings",
    "ThreadSettings",
    "UiSettings",
    "checked",
    "examine",
    "find_file",
    "load_config",
    "placed",
    "read_text",
    "resolve",
    "searched_files",
]

FILE_NAME: Final = "config.toml"
_CHAOS: Final = "chaos.enabled"
_MAY_ASK_FOR_CHAOS: Final = ("--chaos", "overrides")  # a person, a program


class Origin(NamedTuple):
    """Where a value came from: a file's name and line, an environment variable, an option; ``None`` is the default."""

    source: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        if self.source is None:
            return "default"
        return self.source if self.line is None else f"{self.source}:{self.line}"


class Given(NamedTuple):
    """A value that someone gave for a key (``section.key``), not yet checked."""

    key: str
    value: object
    origin: Origin


@dataclass(frozen=True, slots=True)
class Setting:
    """A value in force."""

    key: Key
    value: Value
    origin: Origin


@dataclass(frozen=True, slots=True)
class Settings:
    """Every value in force by ``section.key``, the configuration that they make, and the file that was read.

    ``content`` are the file's bytes as they were read.
    """

    values: dict[str, Setting]
    config: Config
    file: Path | None
    content: bytes | None = None


def load_config(
    path: str | os.PathLike[str] | None = None,
    *,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Read the configuration of a run.

    ``path`` is a TOML file; without one, the first of `searched_files` that exists is read, if any. ``overrides`` maps
    ``section.key`` to values that are stronger than file and environment. ``environ`` stands in for ``os.environ``.

    Raises `ConfigError` for the first thing that is wrong.
    """
    given = [Given(key, value, Origin("overrides")) for key, value in (overrides or {}).items()]
    return resolve(path, given, os.environ if environ is None else environ).config


def resolve(path: str | os.PathLike[str] | None, given: Iterable[Given], environ: Mapping[str, str]) -> Settings:
    """Bring file, environment and ``given`` together; of values for one key the last given wins.

    Everything is checked, also what something stronger replaces. Raises the first `ConfigError`.
    """
    file = Path(path) if path is not None else find_file()
    content = read_content(file) if file is not None else None
    values, problems = _gathered(file, content, given, environ)
    if problems:
        raise problems[0]
    return Settings(values, _config(values), file, content)


def examine(path: str | os.PathLike[str]) -> tuple[dict[str, Setting], list[ConfigError]]:
    """Return what a file alone sets, and all that is wrong with it in the order of its lines.

    What is wrong has its default in the values.
    """
    try:
        values, problems = _gathered(Path(path), read_content(Path(path)), (), {})
    except ConfigError as error:
        return _gathered(None, None, (), {})[0], [error]
    if not problems:
        try:
            _config(values)
        except ConfigError as error:
            problems.append(error)
    return values, sorted(problems, key=lambda error: error.line or 0)


def _gathered(
    file: Path | None, content: bytes | None, given: Iterable[Given], environ: Mapping[str, str]
) -> tuple[dict[str, Setting], list[ConfigError]]:
    """Return the strongest value of every key, and what was refused; each by itself."""
    values = {key: Setting(row, row.default, Origin()) for key, row in KEYS.items()}
    problems: list[ConfigError] = []
    try:
        for each in (*_from_file(file, content), *_from_environment(environ), *given):
            if isinstance(each, ConfigError):
                problems.append(each)
            elif each.key not in KEYS:
                problems.append(_unknown(each.key, each.origin))
            else:
                try:
                    value = checked(each.key, each.value, source=each.origin.source, line=each.origin.line)
                    _check_chaos(each, value)
                    values[each.key] = Setting(KEYS[each.key], value, each.origin)
                except ConfigError as error:
                    problems.append(error)
    except ConfigError as error:  # a file that is no TOML
        problems.append(error)
    return values, problems


def _check_chaos(given: Given, value: Value) -> None:
    """Refuse chaos that is not asked for by the person who starts the run: a file is easily forgotten."""
    if given.key == _CHAOS and value and given.origin.source not in _MAY_ASK_FOR_CHAOS:
        allowed = "false; the option --chaos turns it on for one run"
        raise ConfigError("got true", source=given.origin.source, line=given.origin.line, key=_CHAOS, allowed=allowed)


def _config(values: Mapping[str, Setting]) -> Config:
    parts: dict[str, Any] = {
        name: part(**{key.name: setting.value for key, setting in _of(values, name)}) for name, part in SECTIONS.items()
    }
    # a file that merely spells a default out gives nothing: a written-out configuration behaves like none
    parts["given"] = frozenset(
        key
        for key, setting in values.items()
        if setting.origin.source is not None and (setting.origin.line is None or setting.value != setting.key.default)
    )
    try:
        return Config(**parts)
    except ConfigError as error:  # settings that do not go together: say where the one it names came from
        raise placed(error, values) from None


def placed(error: ConfigError, values: Mapping[str, Setting]) -> ConfigError:
    """Return an error about a key with the place that its value came from."""
    setting = values.get(error.key or "")
    if setting is None or setting.origin.source is None:
        return error
    return ConfigError(
        error.problem,
        source=setting.origin.source,
        line=setting.origin.line,
        key=error.key,
        value=error.value,
        allowed=error.allowed,
    )


def _of(values: Mapping[str, Setting], section: str) -> Iterable[tuple[Key, Setting]]:
    return ((setting.key, setting) for setting in values.values() if setting.key.section == section)


def searched_files() -> tuple[Path, Path]:
    """Where a configuration file is looked for when none is given: here, then in the user's directory."""
    import platformdirs

    return Path(FILE_NAME), Path(platformdirs.user_config_dir("velox-tui")) / FILE_NAME


def find_file() -> Path | None:
    """Find the first of `searched_files` that exists, whatever it is: one that cannot be read is an error later."""
    return next((path for path in searched_files() if os.path.lexists(path)), None)


def read_text(key: str, text: str, origin: Origin) -> Given:
    """Take what an option or a variable says for a key: a value in TOML's syntax, where a bare word is text."""
    row = KEYS.get(key)
    return Given(key, text if row is None else row.rule.from_text(text), origin)


def _from_file(file: Path | None, content: bytes | None) -> Iterator[Given | ConfigError]:
    told: set[str] = set()  # an unknown section is one mistake, however many keys it has
    for entry in read_entries(content, file) if file is not None and content is not None else ():
        section, key = entry.section, entry.key
        if section in told:
            continue
        if section is None and key not in SECTIONS:
            yield _unknown(str(key), Origin(str(file), entry.line))
        elif section is not None and section not in SECTIONS:
            near = _nearest(section, SECTIONS)
            problem = f"unknown section, the nearest is [{near}]"
            told.add(section)
            yield ConfigError(problem, source=file, line=entry.header, key=f"[{named(section)}]")
        elif section is None or (isinstance(entry.value, list) and key is None):
            name = str(section or key)
            problem, allowed = f"got {shown(entry.value)}", f"a section [{name}]"
            yield ConfigError(problem, source=file, line=entry.line, key=name, value=entry.value, allowed=allowed)
        elif key is not None:
            origin = Origin(str(file), entry.line)
            if f"{section}.{key}" in KEYS:
                yield Given(f"{section}.{key}", entry.value, origin)
            else:
                yield _unknown(f"{section}.{key}", origin)


def _from_environment(environ: Mapping[str, str]) -> Iterator[Given | ConfigError]:
    variables = {key.variable: key.full for key in KEYS.values()}
    for variable in sorted(environ):
        # other names that begin so are no settings, such as where the compile cache lies
        if not variable.startswith(ENVIRONMENT_PREFIX) or "__" not in variable:
            continue
        if variable in variables:
            yield read_text(variables[variable], environ[variable], Origin(variable))
        else:
            near = KEYS[_nearest_key(variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".", 1))]
            yield ConfigError(f"unknown setting, the nearest is {near.variable}", source=named(variable))


def _unknown(key: str, origin: Origin) -> ConfigError:
    problem = f"unknown key, the nearest is {_nearest_key(key)}"
    return ConfigError(problem, source=origin.source, line=origin.line, key=named(key))


def _nearest_key(full: str) -> str:
    """Find the known key that was likely meant: the same key of another section, a like one of its own, or any."""
    section, _, name = full.rpartition(".")
    for key in KEYS.values():
        if key.name == name.lower():
            return key.full
    own = [key.name for key in KEYS.values() if key.section == section]
    if near := _nearest(name, own, 0.5):
        return f"{section}.{near}"
    return _nearest(full, KEYS)


def _nearest(name: str, known: Iterable[str], cutoff: float = 0.0) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(name[:64].lower(), list(known), 1, cutoff)), "")
