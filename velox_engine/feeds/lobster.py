"""LOBSTER message files: rows of what happened inside the best levels of one NASDAQ book on one day.

The columns and event types are those of https://lobsterdata.com/info/DataStructure.php.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from velox_engine.errors import FeedError
from velox_engine.feeds.base import DEFAULT_BATCH_SIZE, Seed, TimeBase
from velox_engine.feeds.decimal_text import NOT_A_NUMBER, OK, Bytes, read_seconds, read_whole
from velox_engine.feeds.line_window import AT, COUNT, LINE, STOP, Counts, Cursor
from velox_engine.feeds.lobster_seed import NAME, message_of, seed_levels, sibling
from velox_engine.feeds.text import FAULTS, FULL, LEFT_OVER, MORE, NEGATIVE, TextFeed, fault, line_end, put
from velox_engine.jit import compiled
from velox_engine.records import TRANSACTION, Action, Flags, Instrument, Side, Transactions

_COLUMNS: Final = ("time", "type", "order id", "size", "price", "direction")
_PRICE_DECIMALS: Final = 4
_TICK: Final = 100  # NASDAQ quotes in cents, LOBSTER counts 1/100 of a cent

_BAD_TYPE: Final = 20
_BAD_DIRECTION: Final = 21

_ADD: Final = int(Action.ADD)
_CANCEL: Final = int(Action.CANCEL)
_DELETE: Final = int(Action.DELETE)
_EXECUTE: Final = int(Action.EXECUTE)
_TRADE: Final = int(Action.TRADE)
_STATUS: Final = int(Action.STATUS)
_BID: Final = int(Side.BID)
_ASK: Final = int(Side.ASK)
_NO_SIDE: Final = int(Side.NONE)
_LAST: Final = int(Flags.LAST)
_COMMA: Final = 44


@compiled
def _decode(text: Bytes, cursor: Cursor, skipped: Counts, out: Transactions, wanted: bool) -> int:
    """Rows of the window into records; a row not wanted is checked and counted all the same."""
    while True:
        if cursor[COUNT] == len(out):
            return FULL
        at = cursor[AT]
        if at >= cursor[STOP]:
            return MORE
        begin = at
        event_ns, at, status = read_seconds(text, at)
        if status != OK or text[at] != _COMMA:
            return fault(cursor, status or NOT_A_NUMBER, begin, 0)
        begin = at + 1
        kind, at, status = read_whole(text, begin)
        if status != OK or text[at] != _COMMA or kind < 1 or kind > 7:
            return fault(cursor, _BAD_TYPE, begin, 1)
        begin = at + 1
        order_id, at, status = read_whole(text, begin)
        if status != OK or text[at] != _COMMA or order_id < 0:
            return fault(cursor, NEGATIVE if order_id < 0 else status or NOT_A_NUMBER, begin, 2)
        begin = at + 1
        size, at, status = read_whole(text, begin)
        if status != OK or text[at] != _COMMA or size < 0:
            return fault(cursor, NEGATIVE if size < 0 else status or NOT_A_NUMBER, begin, 3)
        begin = at + 1
        price, at, status = read_whole(text, begin)
        if status != OK or text[at] != _COMMA:
            return fault(cursor, status or NOT_A_NUMBER, begin, 4)
        begin = at + 1
        direction, at, status = read_whole(text, begin)
        if status != OK or (direction != 1 and direction != -1):
            return fault(cursor, _BAD_DIRECTION, begin, 5)
        after = line_end(text, at)
        if after < 0:
            return fault(cursor, LEFT_OVER, at, 5)
        side = _BID if direction == 1 else _ASK
        if kind == 7:
            action, side = _STATUS, _NO_SIDE
        elif kind == 6:
            action, side = _TRADE, _NO_SIDE
        elif kind == 5:
            action, side = _TRADE, 1 - side  # the row has the hidden order's side
        elif kind == 1:
            action = _ADD
        elif kind == 2:
            action = _CANCEL
        elif kind == 3:
            action = _DELETE
        else:
            action = _EXECUTE
        if wanted:
            put(out, cursor, order_id, price, size, event_ns, event_ns, 0, 0, action, side, _LAST)
        else:
            skipped[0] += 1
        cursor[AT] = after
        cursor[LINE] += 1


class LobsterFeed(TextFeed):
    """A LOBSTER message file, ``SYMBOL_DATE_START_END_message_LEVEL.csv``, and its seed."""

    format: ClassVar[str] = "lobster"
    rules: ClassVar[str] = (
        "prices have 4 decimals and a tick of 100 (one cent), sizes are whole shares; "
        "symbol, date and level come from the name, and the book is windowed: only the best levels are in the file; "
        "times are ns after midnight of that date in New York, digits beyond the ninth are cut off, and pace a replay; "
        "1 is ADD, 2 CANCEL, 3 DELETE, 4 EXECUTE, 5 (hidden) TRADE, 6 (cross) TRADE without "
        "a side, 7 (halt) STATUS; a TRADE has the aggressor's side, all else the order's; every row makes a record; "
        "the seed is row 0 of the orderbook file of the same name less message 0, or of the one that is given"
    )
    skip_names = ("other symbols",)

    def __init__(
        self,
        path: str | Path,
        *,
        symbols: Iterable[str] | None = None,
        seed: Seed = None,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        super().__init__(Path(path), symbols=symbols, batch_size=batch_size)
        with self._closed_if_refused():
            self._open(seed)

    def _open(self, seed: Seed) -> None:
        named = NAME.fullmatch(self.path.name)
        if named is None or named["kind"] != "message":
            expected = "the name of a message file, SYMBOL_DATE_START_END_message_LEVEL.csv"
            raise FeedError(self.path, f"found the name '{self.path.name}', expected {expected}")
        if not self._window.fill():
            raise FeedError(self.path, f"found an empty file, expected rows of {', '.join(_COLUMNS)}")
        self.level = int(named["level"])
        self.windowed = True
        self.time_base = TimeBase("midnight", named["date"], "America/New_York", "event time")
        self._is_wanted = self.wanted is None or named["symbol"] in self.wanted
        self._levels: list[list[tuple[int, int]]] = []
        self._start = 0
        if self._is_wanted:
            self.instruments.append(Instrument(named["symbol"], _PRICE_DECIMALS, 0, _TICK))
            self._take_seed(sibling(self.path, "orderbook") if seed is None else seed)

    @classmethod
    def matches(cls, name: str, head: bytes) -> bool:  # a name of this form is never anything else
        """Whether a file of this name is one of LOBSTER's; its orderbook files count, to be refused by name."""
        return NAME.fullmatch(name) is not None

    def _take_seed(self, seed: Seed) -> None:
        if not seed:
            return
        first = message_of(self._window.line())
        self._start = first.event_ns if first is not None else 0
        self._levels = seed_levels(Path(seed), self.path, first)
        self.seed_source = str(seed)

    def _seed(self) -> Iterator[Transactions]:
        """The seeded levels, in the moment of the first message."""
        whole = [(side, *level) for side, levels in enumerate(self._levels) for level in levels]
        records = np.zeros(len(whole), TRANSACTION)
        for record, (side, price, size) in zip(records, whole, strict=True):
            record["side"], record["price"], record["size"] = side, price, size
        records["action"] = int(Action.LEVEL)
        records["event_ns"] = records["due_ticks"] = self._start
        records["flags"] = int(Flags.SNAPSHOT)
        records["flags"][-1:] |= int(Flags.LAST)
        for first in range(0, len(records), self.batch_size):
            yield records[first : first + self.batch_size]

    def _decode(self, out: Transactions) -> int:
        return int(_decode(self._window.text, self._window.cursor, self._skipped, out, self._is_wanted))

    def _fault_words(self, code: int, at: int, field: int) -> str:
        where = f"column {field + 1} ({_COLUMNS[field]})"
        if code == LEFT_OVER:
            return f"found {self._window.excerpt(at)} after {where}, expected the end of the line"
        expected = {
            NOT_A_NUMBER: "a number" if field == 0 else "a whole number",
            _BAD_TYPE: "an event type from 1 to 7",
            _BAD_DIRECTION: "1 or -1 as the last of 6 columns",
        }.get(code) or FAULTS[code]
        return f"found {self._window.excerpt(at)} in {where}, expected {expected}"
