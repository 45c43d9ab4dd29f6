"""The system as the checks see it: its files below a root, and what only calls can tell. Tests make others."""

from __future__ import annotations

import errno
import locale
import os
import platform
import resource
import socket
import sys
import sysconfig
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from velox_engine.telemetry.region import region_directory
from velox_engine.threads import sharpen_sleeps, timer_slack_ns
from velox_tui.machine import own_cores

PACKAGES: Final = ("numba", "llvmlite", "numpy", "platformdirs", "psutil", "textual", "tomlkit", "zstandard")


@dataclass(frozen=True, slots=True)
class System:
    """What there is to look at.

    ``root`` is the directory that ``/proc`` and ``/sys`` lie in. ``allowed`` are the cores that this process may use,
    ``libc`` is ``glibc 2.36``, ``musl`` or empty, ``versions`` those of the packages (``None``: not installed),
    ``rlimits`` the soft limits by name (``None``: none), ``regions`` the directory of telemetry, ``terminal`` whether
    standard error is one. ``free_bytes`` tells the room at a path, ``sharpened_ns`` the timer slack that a thread can
    have, ``port_problem`` why a port cannot be taken, ``wait`` waits so many seconds.
    """

    root: Path
    environ: Mapping[str, str]
    platform: str
    machine: str
    allowed: tuple[int, ...]
    libc: str
    python: tuple[int, int, int]
    free_threaded: bool
    versions: Mapping[str, str | None]
    rlimits: Mapping[str, int | None]
    regions: Path
    terminal: bool
    encoding: str
    locale_problem: str | None
    free_bytes: Callable[[Path], int | None] = field(repr=False)
    sharpened_ns: Callable[[], int | None] = field(repr=False)
    port_problem: Callable[[str, int], str | None] = field(repr=False)
    wait: Callable[[float], object] = field(repr=False)

    @property
    def linux(self) -> bool:
        """Whether ``/proc`` and ``/sys`` are Linux's."""
        return self.platform.startswith("linux")

    def read(self, file: str) -> str | None:
        """Return what a file below the root says, without blanks at its ends; ``None`` where it says nothing."""
        try:
            return (self.root / file).read_text(errors="replace").strip()
        except OSError:
            return None

    def number(self, file: str) -> int | None:
        """Return the number that a file holds, ``None`` where it holds none."""
        try:
            return int(self.read(file) or "")
        except ValueError:
            return None


def this_system() -> System:
    """Look at the machine that this runs on."""
    error = sys.__stderr__
    return System(
        root=Path("/"),
        environ=os.environ,
        platform=sys.platform,
        machine=platform.machine().lower(),
        allowed=own_cores(),
        libc=_libc(),
        python=sys.version_info[:3],
        free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        versions={name: _version(name) for name in PACKAGES},
        rlimits={"memlock": _soft(resource.RLIMIT_MEMLOCK), "nofile": _soft(resource.RLIMIT_NOFILE)},
        regions=region_directory(),
        terminal=error is not None and not error.closed and error.isatty(),
        encoding=(getattr(error, "encoding", "") or "").lower(),
        locale_problem=_locale_problem(),
        free_bytes=_free_bytes,
        sharpened_ns=_sharpened_ns,
        port_problem=_port_problem,
        wait=threading.Event().wait,
    )


def _libc() -> str:
    if "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""):
        return "musl"
    return " ".join(platform.libc_ver()).strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _soft(which: int) -> int | None:
    soft = resource.getrlimit(which)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def _locale_problem() -> str | None:
    """Say what is wrong with the locale that the environment names; it is tried and put back."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:
        return "is not installed here"
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    return None


def _free_bytes(path: Path) -> int | None:
    """Return the room at a path, or at the nearest above it that there is."""
    try:
        status = os.statvfs(next(each for each in (path, *path.parents) if each.exists()))
    except (OSError, StopIteration):
        return None
    return status.f_bavail * status.f_frsize


def _sharpened_ns() -> int | None:
    """Try in a thread of its own what the workers do, so that this one stays as it is."""
    found: list[int | None] = []

    def attempt() -> None:
        sharpen_sleeps()
        found.append(timer_slack_ns())

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return found[0] if found else None


def _port_problem(host: str, port: int) -> str | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        return "is taken" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
    return None
