"""The log's file: it rotates, can be moved away meanwhile, and may be impossible to write for a while.

What could not be written is counted, told once when that begins and once when it is over, and never ends anything.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final

_QUIET_S: Final = 60.0  # a disk at its edge would else be told every second
_MOST_NAMES: Final = 100

Tell = Callable[[str, str], None]


class TakenError(Exception):
    """Another process writes this file."""


class _Stream:
    """A file that text is added to whole or not at all. What the standard library asks of a stream, and no more."""

    def __init__(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK  # not to wait at a pipe
        self._descriptor = os.open(path, flags, 0o600)
        status = os.fstat(self._descriptor)
        self.is_file = stat.S_ISREG(status.st_mode)
        self.identity = (status.st_dev, status.st_ino)

    def lock(self) -> None:
        """Keep the file for this process; raises `TakenError`. Where there are no locks everybody has it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if self.is_file and error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise TakenError from None

    def write(self, text: str) -> int:
        """Add text; of what does not fit nothing stays. Raises `OSError`."""
        data, written = text.encode(errors="backslashreplace"), 0
        size = self.tell()
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError:
            if written and self.is_file:
                with suppress(OSError):
                    os.ftruncate(self._descriptor, size)
            raise
        return len(text)

    def tell(self) -> int:
        return os.fstat(self._descriptor).st_size

    def seek(self, *_: int) -> int:
        return self.tell()

    def flush(self) -> None:
        pass

    def close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


class LogFile(RotatingFileHandler):
    """Writes records to ``path``; beyond ``max_bytes`` (0: never) it rotates and keeps ``kept`` old files.

    ``lost`` counts the records that could not be written.
    """

    stream: Any

    def __init__(self, path: Path, max_bytes: int, kept: int, tell: Tell) -> None:
        super().__init__(path, maxBytes=max_bytes, backupCount=kept, delay=True)
        self._say = tell
        self.lost = 0
        self._untold = 0
        self._told = False
        self._told_at = float("-inf")
        self._stuck = False

    def _open(self) -> Any:
        return _Stream(self.baseFilename)

    def open(self) -> None:
        """Open the file and keep it for this process; raises `OSError` or `TakenError`."""
        if self.stream is None:
            self.stream = self._open()
            try:
                self.stream.lock()
            except TakenError:
                self._let_go()
                raise

    def missing(self, error: Exception) -> None:
        """Tell that it cannot be written for now; every record tries again."""
        self._trouble(error)

    def reopen(self) -> None:
        """Open the file of this name anew, after somebody moved the old one away; safe from any thread."""
        self.acquire()
        try:
            self._let_go()
        finally:
            self.release()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it as lost; never raises."""
        try:
            line = self.format(record) + "\n"
            self._take_place()
            self._rotate(line)
            self.stream.write(line)
        except (OSError, TakenError) as error:
            self._failed(error)
        except Exception as error:  # a record that cannot be written as it is must not end the others
            self._failed(error)
        else:
            self._went_well()

    def close(self) -> None:
        """Close it, and tell what was not told yet."""
        if self._untold:
            self._say("warning", f"log: {self._untold:,} records could not be written to {self.baseFilename}")
            self._untold = 0
        self._let_go()
        logging.Handler.close(self)

    def _take_place(self) -> None:
        """Have the stream that the name stands for: the file may have been moved or removed."""
        if self.stream is not None and self.stream.is_file:
            try:
                status = os.stat(self.baseFilename)  # noqa: PTH116  # for every record: no object more than needed
                moved = (status.st_dev, status.st_ino) != self.stream.identity
            except OSError:
                moved = True
            if moved:
                self._let_go()
        self.open()

    def _rotate(self, line: str) -> None:
        if not self.maxBytes or not self.stream.is_file:
            return
        size = self.stream.tell()
        if not size or size + len(line) <= self.maxBytes:
            return
        try:
            self.doRollover()
            self._stuck = False
        except OSError as error:  # it grows on: better a large file than none
            if not self._stuck:
                self._stuck = True
                self._say("warning", f"log: {self.baseFilename} cannot be rotated and grows on: {_why(error)}")
        self.open()

    def _let_go(self) -> None:
        if self.stream is not None:
            stream, self.stream = self.stream, None
            with suppress(OSError):
                stream.close()

    def _failed(self, error: Exception) -> None:
        self.lost += 1
        self._untold += 1
        self._trouble(error)

    def _trouble(self, error: Exception) -> None:
        self._let_go()
        if not self._told and time.monotonic() - self._told_at >= _QUIET_S:
            self._told, self._told_at = True, time.monotonic()
            self._say("warning", f"log: {self.baseFilename} cannot be written: {_why(error)}; the run goes on")

    def _went_well(self) -> None:
        if self._told:
            self._told = False
            lost, self._untold = self._untold, 0
            self._say("info", f"log: {self.baseFilename} is written again; {lost:,} records were lost")


def _why(error: Exception) -> str:
    if isinstance(error, TakenError):
        return "another process writes it"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def free_names(path: Path) -> list[Path]:
    """Return the names to try for a log, as two processes must not rotate one file: ``a.log``, ``a-2.log`` …"""
    others = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(2, _MOST_NAMES))
    return [path, *others]
