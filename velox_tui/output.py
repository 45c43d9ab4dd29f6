"""Lines on standard output that never stall the run: written by a thread of their own, given up when nobody reads."""

from __future__ import annotations

import os
import queue
import sys
import threading
from typing import Final

_MOST_WAITING: Final = 1024
_FLUSH_S: Final = 2.0


class LineOutput:
    """Writes text to a file descriptor from a daemon thread.

    A reader that stops reading only makes the lines wait, and beyond ``_MOST_WAITING`` be dropped; one that has gone,
    or an output that was closed from the start, makes them vanish. Neither is a fault of the run.
    """

    def __init__(self, stream: object) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self.lost = 0
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

    def put(self, text: str) -> None:
        """Write text soon; it is dropped where too much waits already."""
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        """Wait a little until everything is written."""
        try:
            self._lines.put(None, timeout=_FLUSH_S)
        except queue.Full:
            return
        self._thread.join(_FLUSH_S)

    def _work(self) -> None:
        while (text := self._lines.get()) is not None:
            data = text.encode(errors="replace")
            while data and self._descriptor >= 0:
                try:
                    data = data[os.write(self._descriptor, data) :]
                except OSError:  # gone: whatever follows vanishes
                    self._descriptor = -1
