"""Finding the engine that a command is about: by name, by pid, or because there is only one."""

from __future__ import annotations

import difflib
import os
import pwd
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from velox_engine.config_rules import printable
from velox_engine.discovery import Found, find_engines, matching
from velox_engine.errors import EngineError
from velox_engine.telemetry.region import process_start, region_directory
from velox_tui.options import UsageError

_SHOWN: Final = 8


def engines() -> list[Found]:
    """Return every engine of this user, dead ones as well; raises `EngineError` where that cannot be told safely."""
    try:
        return find_engines()
    except OSError as error:
        raise EngineError(str(error)) from None


def meant(word: str | None, found: Iterable[Found]) -> list[Found]:
    """Return the engines that a word means, or all without one; raises `UsageError` where there is none."""
    known = list(found)
    chosen = matching(known, word)
    if not chosen:
        raise UsageError(_nobody(word, known))
    return chosen


def the_one(word: str | None, *, living: bool = False) -> Found:
    """Return the one engine that is meant; raises `UsageError` where that is none, or several.

    ``living``: a dead one will not do.
    """
    chosen = meant(word, engines())
    if living and not chosen[0].alive:
        died = f"{listed(chosen)} {'has' if len(chosen) == 1 else 'have'} died"
        alone = ", and no engine runs" if word is None else ""
        raise UsageError(f"{died}{alone}; velox-tui ps --remove-dead takes away what is left")
    if len(chosen) > 1:
        names = {each.name for each in chosen}
        which = "give the pid of one" if len(names) == 1 else "give the name or the pid of one"
        what = "engines run" if chosen[0].alive else "engines have died"
        raise UsageError(f"{len(chosen)} {what}: {listed(chosen)}; {which}")
    return chosen[0]


def who(found: Found) -> str:
    """Name an engine; its name comes from a file."""
    return printable(found.who)


def listed(found: Iterable[Found]) -> str:
    """Name engines, the first few."""
    names = [who(each) for each in found]
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _nobody(word: str | None, known: list[Found]) -> str:
    if word is None:
        return "no engine runs; velox-tui starts one" + _of_others()
    if word.isdigit():
        owner = _owner(int(word))
        if owner not in (None, os.getuid()):
            return f"process {word} belongs to user {user(owner)}, who alone can attach to it"
        what = "has no engine" if owner is not None else "does not exist"
        return f"process {word} {what}" + (f"; there are {listed(known)}" if known else "")
    if not known:
        return f"no engine is called {word}, and none runs; velox-tui starts one" + _of_others()
    near = difflib.get_close_matches(word, {each.name for each in known}, 1, 0.0)[0]
    return f"no engine is called {word}, the nearest is {printable(near)}; there are {listed(known)}"


def _owner(pid: int) -> int | None:
    """Return the user of a process, ``None`` where there is no such process."""
    import psutil

    try:
        return int(psutil.Process(pid).uids().effective) if process_start(pid) else None
    except (psutil.Error, OverflowError):
        return None


def user(uid: int | None) -> str:
    """Name a user."""
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except (KeyError, OverflowError):
        return str(uid)


def _of_others() -> str:
    """Say which other users may run engines: what is in their directories is hidden."""
    own = region_directory()
    prefix, _, number = own.name.rpartition("-")
    if not number.isdigit():  # a directory that lies in the user's own
        return ""
    names = [user(uid) for uid in sorted(_uids(own.parent, prefix)) if uid != os.getuid()]
    if not names:
        return ""
    which = f"user {names[0]}" if len(names) == 1 else f"the users {', '.join(names[:_SHOWN])}"
    return f" (engines of {which} can be watched by their owners only)"


def _uids(parent: Path, prefix: str) -> set[int]:
    found = set()
    for path in parent.glob(f"{prefix}-*"):
        number = path.name.rpartition("-")[2]
        try:
            if number.isdigit() and path.lstat().st_uid == int(number):
                found.add(int(number))
        except OSError:
            continue
    return found
