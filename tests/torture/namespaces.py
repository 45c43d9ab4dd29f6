"""A run in file systems of its own: mounted in a private namespace, which is gone with the last process in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path


class Skipped(Exception):  # noqa: N818  # it is no error: the machine does not let a case be tried
    """The case cannot be tried here; the text says why."""


def _unshare() -> list[str]:
    """Words that run what follows in a mount namespace of its own, as root or as a user who is root in there only."""
    return ["unshare", "--mount", "--propagation", "private", *([] if os.geteuid() == 0 else ["--map-root-user"])]


@cache
def _refusal() -> str:
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return "there is no unshare or no mount"
    tried = subprocess.run(
        [*_unshare(), "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, text=True, check=False
    )
    return "" if tried.returncode == 0 else f"mounting in a namespace is not allowed: {tried.stderr.strip()}"


def within(script: str) -> list[str]:
    """Words in front of a command that has ``script`` run first, which ends with ``exec "$@"`` or runs ``"$@"``.

    Raises `Skipped` where that is not allowed.
    """
    if _refusal():
        raise Skipped(_refusal())
    return [*_unshare(), "/bin/sh", "-ec", script, "sh"]


def small_disk(at: Path, kib: int, filled_kib: int, rescued: Path) -> list[str]:
    """Words that run a command with a file system of so many KiB at ``at``; what it then holds is copied out."""
    return within(
        f"mount -t tmpfs -o size={kib}k tmpfs '{at}'\n"
        f"[ {filled_kib} = 0 ] || dd if=/dev/zero of='{at}/others' bs=1k count={filled_kib} 2>/dev/null || true\n"
        'code=0; "$@" || code=$?\n'
        f"rm -f '{at}/others'; cp -r '{at}/.' '{rescued}'; exit $code"
    )


def no_memory_files(dev: Path) -> list[str]:
    """Words that run a command where there is no ``/dev/shm``: a ``/dev`` with the few devices that anything needs."""
    nodes = "null zero full random urandom tty"
    return within(
        f"mount -t tmpfs tmpfs '{dev}'\n"
        f"for each in {nodes}; do touch '{dev}'/$each; mount --bind /dev/$each '{dev}'/$each; done\n"
        f"ln -s /proc/self/fd '{dev}/fd'; mount --rbind '{dev}' /dev\n"
        'exec "$@"'
    )


def locked_memory_files() -> list[str]:
    """Words that run a command whose ``/dev/shm`` cannot be written to."""
    return within('mount -t tmpfs -o ro tmpfs /dev/shm\nexec "$@"')
