"""What the text formats share: a window of whole lines over a file, and the loop that turns it into batches.

A format's compiled kernel reads lines of the window from ``cursor[AT]`` on and writes records from ``cursor[COUNT]``
on. It stops with one of the statuses below; everything that allocates, names or raises happens here, between its calls.
Memory is the window (one MiB, more only while a line is longer) and the batch, however long the file.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from velox_engine.errors import FeedError
from velox_engine.feeds.base import DEFAULT_BATCH_SIZE, Feed
from velox_engine.feeds.decimal_text import TOO_LARGE, Bytes
from velox_engine.feeds.line_window import (
    COUNT,
    FAULT_AT,
    FAULT_CODE,
    FAULT_FIELD,
    FAULT_VALUE,
    GAPS,
    LAST_DUE,
    LINE,
    TIME_BACK,
    WINDOW_BYTES,
    Cursor,
    LineWindow,
)
from velox_engine.feeds.stream import ByteStream
from velox_engine.jit import inner
from velox_engine.records import TRANSACTION, Transactions

# statuses of a kernel; a format adds its own from 10 on
MORE: Final = 0
"""The window holds no further whole line."""
FULL: Final = 1
"""The batch is full."""
FAULT: Final = 2
"""The line is not what the format promises; ``FAULT_CODE``, ``FAULT_AT`` and ``FAULT_FIELD`` say what and where."""

# fault codes: 1 to 3 are the number statuses of `decimal_text`; a format adds its own from 20 on
NEGATIVE: Final = 4
MISSING: Final = 5
LEFT_OVER: Final = 6

FAULTS: Final = {
    TOO_LARGE: "a number that fits 64 bits",
    NEGATIVE: "a number that is not negative",
    LEFT_OVER: "the end of the line",
}


@inner
def fault(cursor: Cursor, code: int, at: int, field: int, value: int = 0) -> int:
    """Note what is wrong with the line; gives `FAULT` back, for the kernel to return.

    ``field`` is the column or member, ``value`` a number that belongs to the expectation (the decimals allowed).
    """
    cursor[FAULT_CODE] = code
    cursor[FAULT_AT] = at
    cursor[FAULT_FIELD] = field
    cursor[FAULT_VALUE] = value
    return FAULT


@inner
def line_end(text: Bytes, at: int) -> int:
    """Where the next line begins if this one ends here (with or without a carriage return), else -1."""
    if text[at] == 13:
        at += 1
    return at + 1 if text[at] == 10 else -1


@inner
def put(
    out: Transactions,
    cursor: Cursor,
    order_id: int,
    price: int,
    size: int,
    event_ns: int,
    due_ns: int,
    new_order_id: int,
    symbol: int,
    action: int,
    side: int,
    flags: int,
) -> None:
    """Write the next record of the batch; the caller has made sure of room."""
    record = out[cursor[COUNT]]
    record.sequence = 0
    record.order_id = order_id
    record.price = price
    record.size = size
    record.event_ns = event_ns
    record.due_ticks = due_ns
    record.new_order_id = new_order_id
    record.symbol = symbol
    record.action = action
    record.side = side
    record.flags = flags
    cursor[COUNT] += 1
    if due_ns < cursor[LAST_DUE]:
        cursor[TIME_BACK] += 1
    cursor[LAST_DUE] = due_ns


class TextFeed(Feed):
    """A feed of lines; a format adds its kernel, its counters and its words for what can be wrong.

    Attributes of the formats: ``skip_names``, what the counters of ``_skipped`` count; ``first_bytes``, how much of
    the file its window takes the first time.
    """

    skip_names: tuple[str, ...] = ()
    first_bytes: int = WINDOW_BYTES

    def __init__(
        self, path: Path, *, symbols: Iterable[str] | None = None, batch_size: int = DEFAULT_BATCH_SIZE
    ) -> None:
        super().__init__(path, symbols=symbols, batch_size=batch_size)
        if batch_size < 1:
            raise ValueError(f"batch_size: got {batch_size}, allowed are whole numbers from 1")
        self._stream = ByteStream(path)
        self._window = LineWindow(self._stream, self.first_bytes)
        self._skipped = np.zeros(max(len(self.skip_names), 1), np.int64)
        self._begun = self._closed = False

    def close(self) -> None:
        """Let go of the file; safe to call at any time and twice. What is being decoded is the end."""
        self._closed = True
        self._stream.close()

    @contextmanager
    def _closed_if_refused(self) -> Iterator[None]:
        """Let go of the file where a format's constructor finds that it cannot be read."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Transactions]:
        if self._begun:
            raise FeedError(self.path, "was read already; open it again for another pass")
        self._begun = True
        try:
            # a batch without room decodes nothing, but makes the kernel: better now than when the seed has been given
            self._decode(np.empty(0, TRANSACTION))
            yield from self._seed()
            yield from self._batches()
        finally:
            self._count_oddities()
            self.close()

    def _batches(self) -> Iterator[Transactions]:
        cursor = self._window.cursor
        out = np.empty(self.batch_size, TRANSACTION)
        trouble: FeedError | None = None
        ended, going = False, True
        while going:
            if ended:
                going = self._rest(out, trouble is not None)
            else:
                try:
                    ended = not self._advance(out)
                except FeedError as error:
                    # a file that was closed by another thread while it was read is at its end, not damaged
                    ended, trouble = True, None if self._closed else error
            count = int(cursor[COUNT])
            if count == self.batch_size or (not going and count):
                cursor[COUNT] = 0
                self._count_oddities()
                yield out[:count]
                out = np.empty(self.batch_size, TRANSACTION)
        if trouble is not None:
            raise trouble

    def _advance(self, out: Transactions) -> bool:
        """Decode until the batch is full, or something else is needed; ``False`` at the end of the file."""
        status = self._decode(out)
        if status == FULL:
            return True
        if status == FAULT:
            raise self._fault()
        if status == MORE:
            return self._window.fill()
        self._answer(status)
        return True

    def _count_oddities(self) -> None:
        self.oddities.time_back = int(self._window.cursor[TIME_BACK])
        self.oddities.gaps = int(self._window.cursor[GAPS])
        for name, count in zip(self.skip_names, self._skipped.tolist(), strict=False):
            if count:
                self.oddities.skipped[name] = count

    def _fault(self) -> FeedError:
        """The error for what the kernel noted."""
        cursor = self._window.cursor
        problem = self._fault_words(int(cursor[FAULT_CODE]), int(cursor[FAULT_AT]), int(cursor[FAULT_FIELD]))
        return FeedError(self.path, problem, line=int(cursor[LINE]) + 1)

    def _seed(self) -> Iterator[Transactions]:
        """The seed's batches, none by default."""
        return iter(())

    def _rest(self, _out: Transactions, _damaged: bool) -> bool:
        """Write what was kept back, at the file's end or before a damage; ``True`` while there is more of it."""
        return False

    def _answer(self, status: int) -> None:
        """Do what a kernel asked for by a status of its format's own."""
        raise AssertionError(f"{self.format}: status {status} has no answer")

    @abstractmethod
    def _decode(self, out: Transactions) -> int:
        """Run the kernel over the window."""

    @abstractmethod
    def _fault_words(self, code: int, at: int, field: int) -> str:
        """What was found and what was expected."""
