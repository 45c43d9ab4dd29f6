"""A window of whole lines over a file, and the words in which a compiled kernel and Python tell each other about it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from velox_engine.errors import FeedError
from velox_engine.feeds.decimal_text import Bytes
from velox_engine.feeds.stream import ByteStream
from velox_engine.jit import compiled

WINDOW_BYTES: Final = 1 << 20
"""What is read at once."""
FIRST_BYTES: Final = 8 << 20
"""What is read the first time by a feed that learns decimals from the beginning of its file."""
LINE_LIMIT: Final = 256 << 20
"""The longest line that is taken; a level-3 book of three million orders is one line of about this length."""

Cursor = NDArray[np.int64]
Counts = NDArray[np.int64]
AT: Final = 0
"""Next byte of the window; always the first of a line between two calls of a kernel."""
STOP: Final = 1
"""End of the window's whole lines."""
LINE: Final = 2
"""Lines finished so far."""
COUNT: Final = 3
"""Records in the batch being filled."""
FAULT_CODE: Final = 4
FAULT_AT: Final = 5
FAULT_FIELD: Final = 6
LAST_DUE: Final = 7
TIME_BACK: Final = 8
GAPS: Final = 9
FAULT_VALUE: Final = 10
SURVEY_AT: Final = 11
"""Where the survey of a feed that learns from the beginning of its file goes on."""
_CURSOR_WORDS: Final = 12


@compiled
def last_newline(text: Bytes, first: int, stop: int) -> int:
    """Where the last newline of ``text[first:stop]`` is, -1 without one."""
    at = stop - 1
    while at >= first:
        if text[at] == 10:
            return at
        at -= 1
    return -1


def quoted(piece: bytes, most: int = 40) -> str:
    """Bytes of a file as a message shows them: in quotes, ``most`` of them, nothing that a terminal would obey."""
    text = piece[:most].decode("ascii", "backslashreplace")
    safe = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
    return f"'{safe}…'" if len(piece) > most else f"'{safe}'"


class LineWindow:
    """Whole lines of a file in a buffer that is used again and again, and grows only for a line longer than it.

    Attributes: ``text``, uint8, at least `WINDOW_BYTES`; lines lie in ``text[cursor[AT]:cursor[STOP]]``, each with its
    newline (a last line without one is given one). ``cursor``, int64, indexed by the names above.
    """

    def __init__(self, stream: ByteStream, size: int = WINDOW_BYTES, limit: int = LINE_LIMIT) -> None:
        self.text: Bytes = np.empty(size + 1, np.uint8)
        self.cursor: Cursor = np.zeros(_CURSOR_WORDS, np.int64)
        self.cursor[LAST_DUE] = np.iinfo(np.int64).min
        self._stream = stream
        self._limit = limit
        self._have = 0
        self._ended = False

    def fill(self, size: int = WINDOW_BYTES) -> bool:
        """Replace the lines of the window, which must be used up, by the next; ``False`` at the end of the file.

        About ``size`` bytes are read, if the window has room for them; more only where they hold no newline.

        Raises `FeedError` for a damaged stream, once all whole lines before the damage were given, and for a line
        beyond the limit.
        """
        used = int(self.cursor[STOP])
        kept = self._have - used
        self.text[:kept] = self.text[used : self._have]
        self._have = kept
        self.cursor[AT] = self.cursor[STOP] = 0
        while not self._ended:
            if self._have + 1 == len(self.text):
                self._grow()
            before = self._have
            count = self._stream.read_into(self.text[: min(before + size, len(self.text) - 1)], before)
            self._have += count
            self._ended = count == 0
            found = int(last_newline(self.text, before, self._have))
            if found >= 0:
                self.cursor[STOP] = found + 1
                return True
        if self._have == 0:
            return False
        self.text[self._have] = 10
        self._have += 1
        self.cursor[STOP] = self._have
        return True

    def line(self) -> bytes:
        """The next line of the window, with its newline; it stays the next."""
        at, stop = int(self.cursor[AT]), int(self.cursor[STOP])
        piece = 4096
        while True:
            line, newline, _ = self.text[at : min(at + piece, stop)].tobytes().partition(b"\n")
            if newline or at + piece >= stop:
                return line + newline
            piece *= 8

    def _grow(self) -> None:
        if len(self.text) >= self._limit:
            problem = f"found a line longer than {self._limit} bytes, expected at most that"
            raise FeedError(self._stream.path, problem, line=int(self.cursor[LINE]) + 1)
        larger = np.empty(min(2 * len(self.text), self._limit), np.uint8)
        larger[: self._have] = self.text[: self._have]
        self.text = larger

    def excerpt(self, at: int, *, ends: bytes = b",\n") -> str:
        """The text from here to the next of ``ends``, cut after 40 characters, in quotes; for messages."""
        piece = self.text[at : at + 41].tobytes()
        length = next((index for index, byte in enumerate(piece) if byte in ends), len(piece))
        if length == 0:
            return "the end of the line" if piece[:1] in (b"\n", b"\r") else "nothing"
        return quoted(piece[:length].rstrip(b"\r"))
