"""Replacing a file's content as a whole or not at all, whatever happens in the middle."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path


def write_whole(path: Path, content: bytes, mode: int | None = None) -> None:
    """Give a file this content: written beside it, brought to the disk, then put in its place.

    Links are followed; mode and owner stay as they are; a new file's mode is ``mode``, or follows the umask. Raises
    `OSError`, and the old content stays.
    """
    target = path.resolve()
    try:
        before = target.stat()
    except FileNotFoundError:
        before = None
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if before is not None:
                with contextlib.suppress(OSError):  # only the system's administrator writes for others
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
                mode = stat.S_IMODE(before.st_mode)
            os.fchmod(file.fileno(), 0o666 & ~_umask() if mode is None else mode)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):  # some file systems cannot; the content is whole either way
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
