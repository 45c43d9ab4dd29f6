"""How far something long is, on standard error: a bar that redraws itself on a terminal, else a line for each step."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from types import TracebackType
from typing import Final, TextIO

_BAR: Final = 30  # columns; fewer where the terminal is narrow
_FALLBACK_WIDTH: Final = 80


class Progress:
    """Shows steps as they are reported by calling it; a context, which takes the bar away on leaving.

    ``lines`` says whether each step gets a line where there is no terminal. A stream that cannot be written is
    ignored: what is shown never stops what is done.
    """

    def __init__(self, what: str, *, stream: TextIO | None = None, lines: bool = True) -> None:
        self._what = what
        self._stream = sys.stderr if stream is None else stream
        self._lines = lines
        self._bar = is_terminal(self._stream)
        self._drawn = False

    def __call__(self, name: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` steps are done and that ``name`` is what is going on."""
        if self._bar:
            self._write(f"\r{self._line(name, done, total)}\x1b[K")
            self._drawn = True
        elif self._lines:
            self._write(f"velox-tui: {self._what} {done}/{total} {name}\n")

    def close(self) -> None:
        """Take the bar away."""
        if self._drawn:
            self._write("\r\x1b[K")
            self._drawn = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _line(self, name: str, done: int, total: int) -> str:
        width = _FALLBACK_WIDTH
        with suppress(OSError, ValueError):
            width = os.get_terminal_size(self._stream.fileno()).columns or _FALLBACK_WIDTH
        columns = max(5, min(_BAR, width // 3))
        full = columns * min(done, total) // max(total, 1)
        bar = "#" * full + "-" * (columns - full)
        # one column less than there are: a full line would wrap, and could not be taken away
        return f"{self._what} [{bar}] {done}/{total} {name}"[: width - 1]

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError, AttributeError):  # the last where standard error was closed: it is None
            self._stream.write(text)
            self._stream.flush()


def is_terminal(stream: TextIO | None) -> bool:
    """Whether the stream is a terminal that can move its cursor."""
    if os.environ.get("TERM", "dumb") == "dumb":
        return False
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False
