"""Writing changed settings to the configuration file that they came from, only when somebody asks for it.

First a `SavePlan`, to be shown; then `save`. A file that is no longer what was read is left alone.
"""

from __future__ import annotations

import difflib
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from velox_engine.config_edit import edited, is_kept
from velox_engine.config_file import MAX_BYTES
from velox_engine.config_rules import Value
from velox_engine.errors import ConfigError
from velox_engine.whole_file import write_whole

_BACKUP: Final = ".bak"
_CONTEXT: Final = 1


class SaveError(ConfigError):
    """The settings cannot be written there. ``difference``: lines that the file changed by since it was read."""

    difference: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A configuration file as it was read: its path and content, ``None`` where there was no file there."""

    path: Path
    content: bytes | None


@dataclass(frozen=True, slots=True)
class SavePlan:
    """What will be written: to ``target``, for the file ``source``, with the ``difference`` that it makes.

    ``note`` says what is out of the ordinary, else it is empty. ``backup`` is where the old content is kept, if there
    is any.
    """

    source: SettingsFile
    target: Path
    content: bytes
    difference: tuple[str, ...]
    backup: Path | None
    note: str = ""


def plan_save(source: SettingsFile, changes: Mapping[str, Value]) -> SavePlan:
    """Plan to write values of keys (``section.key``) to a file.

    Raises `SaveError` where the file is not what was read, or cannot hold them.
    """
    path = source.path
    _check_unchanged(source)
    try:
        before = (source.content or b"").decode()
        if is_kept(before):
            return _planned(source, path, before, edited(before, changes))
        target = _free_name(path)
        note = f"{path.name} stays as it is, since tables would change places in it: a new file is written beside it"
        return _planned(source, target, before, edited(before, changes), note)
    except (UnicodeDecodeError, ConfigError) as error:
        raise SaveError(
            getattr(error, "problem", "is not UTF-8"), source=path, key=getattr(error, "key", None)
        ) from None


def _planned(source: SettingsFile, target: Path, before: str, after: str, note: str = "") -> SavePlan:
    content = after.encode()
    if len(content) > MAX_BYTES:
        raise SaveError(f"would be larger than {MAX_BYTES >> 10} KiB, which is not read again", source=target)
    backup = None
    if target == source.path and source.content is not None:
        real = target.resolve()
        backup = real.with_name(real.name + _BACKUP)
        note = f"a link: {real} is written" if target.is_symlink() else note
    elif target == source.path:
        note = "a new file"
    return SavePlan(source, target, content, difference(before, after), backup, note)


def save(plan: SavePlan) -> SettingsFile:
    """Write it; return the file as it is now.

    Raises `SaveError`; what was there is there still then.
    """
    _check_unchanged(plan.source)
    try:
        plan.target.parent.mkdir(parents=True, exist_ok=True)
        if plan.backup is not None and plan.source.content is not None:
            write_whole(plan.backup, plan.source.content, stat.S_IMODE(plan.target.stat().st_mode))
        write_whole(plan.target, plan.content)
    except OSError as error:
        raise SaveError(f"cannot be written: {error.strerror or error}", source=plan.target) from None
    return SettingsFile(plan.target, plan.content)


def difference(before: str, after: str) -> tuple[str, ...]:
    """Return how one text becomes the other, in lines that begin with ``-``, ``+``, a blank, or ``@@``."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=_CONTEXT)
    return tuple(lines)[2:]


def _check_unchanged(source: SettingsFile) -> None:
    path = source.path
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise SaveError("is no plain file that could be written", source=path)
        now: bytes | None = path.read_bytes()
    except FileNotFoundError:
        now = None
    except OSError as error:
        raise SaveError(f"cannot be read: {error.strerror or error}", source=path) from None
    if now == source.content:
        return
    if source.content is None:
        what = "is there now and was not when the settings were read"
    else:
        what = "is no longer there" if now is None else "has changed since it was read"
    refused = SaveError(f"{what}: nothing was written", source=path)
    was, then = ((each or b"").decode(errors="replace") for each in (source.content, now))
    refused.difference = difference(was, then)
    raise refused


def _free_name(path: Path) -> Path:
    for number in range(1, 1000):
        free = path.with_name(f"{path.stem}.new{'' if number == 1 else number}{path.suffix}")
        if not free.exists():
            return free
    raise SaveError("has no free name beside it for a new file", source=path)
