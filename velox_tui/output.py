"""Text on standard output and standard error that never stalls the run: each has a thread of its own that writes."""

from __future__ import annotations

import os
import queue
import select
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from velox_engine.config_rules import printable

_MOST_WAITING: Final = 1024
_PATIENCE_S: Final = 2.0
_LOOK_S: Final = 0.05


class LineOutput:
    """Writes text to a stream's file descriptor from a daemon thread.

    A reader that stops reading only makes the lines wait, and beyond ``_MOST_WAITING`` be dropped (``lost`` counts
    them); one that has gone, or an output that was closed from the start, makes them vanish. Neither is a fault of the
    run. ``problem`` says what else went wrong, such as a full disk; whatever follows vanishes then.
    """

    def __init__(self, stream: object) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self.lost = 0
        self.problem: str | None = None
        self._taken = 0  # counts what the descriptor took, to see whether it still takes anything
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        try:
            self._descriptor = stream.fileno()  # type: ignore[attr-defined]  # None and closed files are what is caught
        except (AttributeError, OSError, ValueError):
            self._descriptor = -1
        self._thread = threading.Thread(target=self._work, name="vx-output", daemon=True)
        self._thread.start()

    @classmethod
    def standard(cls) -> LineOutput:
        """Write to standard output."""
        return cls(sys.stdout)

    @classmethod
    def messages(cls) -> LineOutput:
        """Write to standard error."""
        return cls(sys.stderr)

    def put(self, text: str) -> None:
        """Write text soon; it is dropped where too much waits already."""
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self.lost += 1

    def tell(self, message: str) -> None:
        """Write a message in one line, with the program's name before it."""
        self.put(f"velox-tui: {printable(message)}\n")

    def close(self, patience: float = _PATIENCE_S, given_up: Callable[[], bool] = lambda: False) -> bool:
        """Write what waits, until nothing was taken for ``patience`` seconds; say whether all was written.

        From ``given_up()`` on the patience is that of a moment.
        """
        seen, moved = self._taken, time.monotonic()
        ended = False
        while self._thread.is_alive():
            if time.monotonic() - moved > (min(patience, _PATIENCE_S) if given_up() else patience):
                break
            if not ended:
                with suppress(queue.Full):
                    self._lines.put_nowait(None)
                    ended = True
            self._thread.join(_LOOK_S)
            if self._taken != seen:
                seen, moved = self._taken, time.monotonic()
        return not self._thread.is_alive() and self.problem is None and not self.lost

    def _work(self) -> None:
        while (text := self._lines.get()) is not None:
            data = text.encode(self._encoding, "backslashreplace")
            while data and self._descriptor >= 0:
                data = data[self._write(data) :]
            self._taken += 1

    def _write(self, data: bytes) -> int:
        try:
            written = os.write(self._descriptor, data)
        except BlockingIOError:  # somebody else who has this terminal or pipe open made it non-blocking
            select.select([], [self._descriptor], [])
            return 0
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.problem = error.strerror or str(error)
            self._descriptor = -1
            return 0
        self._taken += 1
        return written


def hold_standard_descriptors() -> None:
    """Open what was closed of standard input, output and error on nothing.

    The next file that is opened would get its number, and with it whatever a library prints.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
