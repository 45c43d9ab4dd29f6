"""Which engines of this user run on this machine, and which have died and left their telemetry. Imports no numba."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from velox_engine.errors import RegionError
from velox_engine.steering.protocol import SUFFIX as CONTROL_SUFFIX
from velox_engine.steering.protocol import control_path
from velox_engine.telemetry import layout
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.telemetry.region import check_directory, process_start, region_directory, region_files
from velox_engine.telemetry.region_file import open_region

_FILE: Final = re.compile(r"(?P<name>.+)-(?P<pid>\d{1,10})(\.\d{1,3})?")
_KEPT_DEAD: Final = 8
"""Regions of dead engines that the next start leaves: what crashes again and again must not fill the memory."""
_KNOCK_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Found:
    """An engine's region: who wrote it, whether that process lives, and what keeps it from being read, if anything."""

    path: Path
    name: str
    pid: int
    alive: bool
    created_unix_ns: int = 0
    problem: str | None = None

    @property
    def control(self) -> Path:
        """Where its control socket lies."""
        return control_path(self.path)

    @property
    def who(self) -> str:
        """Name and pid, as messages write them."""
        return f"{self.name} (pid {self.pid})"


def find_engines() -> list[Found]:
    """Return every engine whose region lies in this user's directory: living ones first, then the newest first.

    Raises `PermissionError` when that directory is not this user's alone: then nothing in it is believed.
    """
    directory = region_directory()
    if not directory.exists():
        return []
    check_directory(directory)
    found = [_look(path) for path in region_files()]
    return sorted(found, key=lambda each: (not each.alive, -each.created_unix_ns, each.name, each.pid))


def _look(path: Path) -> Found:
    written = _FILE.fullmatch(path.stem)
    name, pid = (written["name"], int(written["pid"])) if written else (path.stem, 0)
    created, started, problem = 0, 0, None
    try:
        region = open_region(path)
    except RegionError as error:
        problem = error.problem
        with contextlib.suppress(OSError):
            created = path.lstat().st_mtime_ns
    else:
        reader = TelemetryReader(region)
        name, pid, started = reader.name, reader.pid, reader.pid_started
        created = region.word(layout.HEADER_CREATED_UNIX_NS)
        region.close()
    return Found(path, name, pid, is_alive(pid, started, path), created, problem)


def is_alive(pid: int, started: int, path: Path) -> bool:
    """Say whether the process that made a region lives; ``started`` is 0 where the region does not tell.

    A process in another namespace has another pid there: it is known by its socket.
    """
    now = process_start(pid)
    return (now != 0 and started in (0, now)) or _answers(control_path(path))


def _answers(path: Path) -> bool:
    """Say whether somebody listens at a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knocking:
        knocking.settimeout(_KNOCK_S)
        try:
            knocking.connect(str(path))
        except (TimeoutError, BlockingIOError):
            return True  # full of others who wait
        except OSError:
            return False
        return True


def matching(engines: Iterable[Found], word: str | None) -> list[Found]:
    """Return the engines that a word means, a pid or a name; living ones if there are any; without a word all of them.

    A name that dead ones have as well means the living.
    """
    meant = [each for each in engines if word in (None, each.name, str(each.pid))]
    return [each for each in meant if each.alive] or meant


def remove(found: Found) -> bool:
    """Take away what a dead engine left; say whether that was done: never of one that lives."""
    fresh = _look(found.path) if found.path.exists() else None
    if fresh is not None and fresh.alive:
        return False
    for path in (found.control, found.path):
        path.unlink(missing_ok=True)
    return True


def tidy() -> None:
    """Take away sockets at which nobody listens, and of dead engines' regions all but the newest few."""
    dead = [each for each in find_engines() if not each.alive]
    for each in dead[_KEPT_DEAD:]:
        remove(each)
    for each in dead[:_KEPT_DEAD]:  # what they wrote last stays readable; at their sockets nobody will ever answer
        each.control.unlink(missing_ok=True)
    directory = region_directory()
    if directory.is_dir():
        of_regions = {control_path(path) for path in region_files()}
        for path in directory.glob(f"*{CONTROL_SUFFIX}"):
            if path not in of_regions and not _answers(path):
                path.unlink(missing_ok=True)
