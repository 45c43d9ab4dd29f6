"""Coinbase's full channel, one JSON message a line: every order that comes, rests, is matched, changes or leaves.

The messages and how a book is kept from them are those of
https://docs.cdp.coinbase.com/exchange/websocket-feed/channels#full-channel.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from velox_engine.errors import FeedError
from velox_engine.feeds.base import DEFAULT_BATCH_SIZE, Seed, TimeBase
from velox_engine.feeds.coinbase_book import HIGH, LOW, PRICE, SIZE, Level3Book, find_book
from velox_engine.feeds.coinbase_fields import FIELDS
from velox_engine.feeds.coinbase_lines import (
    BAD_ID,
    BAD_SIDE,
    BAD_TIME,
    GROW_ORDERS,
    LAST_SEQUENCE,
    LIVE_ALREADY,
    NO_TEXT,
    NOT_JSON,
    NOT_POSITIVE,
    OTHER_TYPE,
    decode,
    survey,
)
from velox_engine.feeds.decimal_text import NOT_A_NUMBER, TOO_PRECISE
from velox_engine.feeds.line_window import AT, FAULT_VALUE, STOP, quoted
from velox_engine.feeds.live_orders import empty_orders, enter_all, larger
from velox_engine.feeds.many_symbols import DECIMALS_RULE, DEFAULT_DECIMALS, ManySymbolsFeed
from velox_engine.feeds.symbol_table import INSTRUMENT, PRICE_DECIMALS, SIZE_DECIMALS
from velox_engine.feeds.text import FAULTS, LEFT_OVER, MISSING, MORE
from velox_engine.records import TRANSACTION, Action, Flags, Side, Transactions

_TYPES: Final = "received|open|match|done|change"
_BOOK_MESSAGE: Final = re.compile(rb'"type"\s*:\s*"(' + _TYPES.encode() + rb')"')
_LINES_TO_LOOK_AT: Final = 1000
_NAMED_TYPES: Final = frozenset(
    {b"activate", b"error", b"heartbeat", b"l2update", b"last_match", b"snapshot", b"status", b"subscriptions"}
    | {b"ticker"}
)

_EXPECTED: Final = {
    BAD_TIME: "a time like 2018-07-13T20:47:11.025000Z",
    BAD_SIDE: "buy or sell",
    BAD_ID: "a UUID or a number",
    LIVE_ALREADY: "an order whose first 8 bytes no live order has",
    NOT_POSITIVE: "a size above 0",
    NO_TEXT: "a string",
    NOT_A_NUMBER: "a number",
}


class CoinbaseFeed(ManySymbolsFeed):
    """A recording of the full channel, of one product or many, and the level-3 book that it starts from."""

    format: ClassVar[str] = "coinbase"
    rules: ClassVar[str] = (
        DECIMALS_RULE.format(sizes=f"as many as the longest, {DEFAULT_DECIMALS} at least where any has a fraction")
        + "; times are UTC and pace a replay, digits beyond the ninth are cut off; "
        "ids are the first 8 bytes of the UUID; "
        "open is ADD, match EXECUTE of the maker with its trade id, change MODIFY, done DELETE; "
        "no record: received, done and change of an order that is not on the book, other types, other products; "
        "no record: sequence numbers not above the last one or the seed's; "
        "the seed is a level-3 book, given or the only one in the folder whose sequence + 1 is the first message's; "
        "a break in the sequence, or no seed, leaves the book stale"
    )
    skip_names = (
        "other symbols",
        "old sequence",
        "received",
        "done (not on the book)",
        "change (not on the book)",
    )

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
        self.time_base = TimeBase("unix")
        self._orders = empty_orders(0)
        self._fields = np.zeros(len(FIELDS), np.int64)
        if not self._window.fill(self.first_bytes):
            raise FeedError(self.path, "found an empty file, expected messages of Coinbase's full channel")
        self._book: Level3Book | None = None
        self._seed_columns = np.zeros((4, 0), np.int64)  # rows as `coinbase_book` has them
        self._seed_bids = self._seed_symbol = 0
        first = self._first_message()
        product = str(first.get("product_id", ""))
        self._product = product.encode("utf-8", "backslashreplace")
        self._start = str(first.get("time", ""))
        if seed:
            self._book = Level3Book(Path(seed))
        elif seed is None and first and (self.wanted is None or product in self.wanted):
            self._book = find_book(self.path, int(str(first["sequence"])))
        self._learn_decimals()
        book, self._book = self._book, None
        if book is not None:
            self._place_seed(book)

    @classmethod
    def matches(cls, name: str, head: bytes) -> bool:
        """Whether there is a message of the full channel in the head."""
        return head.lstrip()[:1] == b"{" and b'"product_id"' in head and _BOOK_MESSAGE.search(head) is not None

    def _first_message(self) -> dict[str, object]:
        """The first message that has a sequence; empty where none is near, or what comes first is damaged."""
        text, cursor = self._window.text, self._window.cursor
        at, stop = int(cursor[AT]), int(cursor[STOP])
        for _ in range(_LINES_TO_LOOK_AT):
            end = at + text[at : min(at + (1 << 16), stop)].tobytes().find(b"\n")
            if end < at:
                break
            try:
                message = json.loads(text[at:end].tobytes())
            except (ValueError, RecursionError):
                break
            if not isinstance(message, dict):
                break
            if message.get("type") in _TYPES.split("|") and type(message.get("sequence")) is int:
                return message
            at = end + 1
        return {}

    def _survey(self) -> int:
        table = self._symbols.table
        status = int(survey(self._window.text, self._window.cursor, table, self._fields))
        entry = self._symbols.entry_of(self._product)
        if status == MORE and self._book is not None and entry >= 0:
            self._book.note_decimals(table, entry)
        return status

    def _place_seed(self, book: Level3Book) -> None:
        """Take the book's orders, unless they are of a product that was not asked for."""
        entry = self._symbols.entry_of(self._product)
        if entry < 0:
            problem = "found no message of the full channel, expected one that names the product of the seed"
            raise FeedError(self.path, problem, line=1)
        facts = self._symbols.table.facts[entry]
        if facts[INSTRUMENT] < 0:
            return
        columns, self._seed_bids = book.orders(int(facts[PRICE_DECIMALS]), int(facts[SIZE_DECIMALS]))
        self._orders = larger(self._orders, columns.shape[1])
        twice = int(enter_all(self._orders, columns[HIGH], columns[LOW], columns[SIZE]))
        if twice >= 0:
            found = f"{int(columns[HIGH, twice]) & (1 << 64) - 1:016x}"
            problem = f"found two orders whose ids begin with {found}, expected the first 8 bytes to tell them apart"
            raise FeedError(book.path, problem)
        facts[LAST_SEQUENCE] = book.sequence
        self._seed_symbol = int(facts[INSTRUMENT])
        self._seed_columns = columns
        self.seed_source = str(book.path)

    def _seed(self) -> Iterator[Transactions]:
        """The orders of the level-3 book in queue order, in the moment of the first message."""
        columns = self._seed_columns
        count = columns.shape[1]
        for first in range(0, count, self.batch_size):
            part = columns[:, first : first + self.batch_size]
            records = np.zeros(part.shape[1], TRANSACTION)
            records["order_id"] = part[HIGH].view(np.uint64)
            records["price"], records["size"] = part[PRICE], part[SIZE]
            records["event_ns"] = records["due_ticks"] = _nanoseconds(self._start)
            records["symbol"] = self._seed_symbol
            records["action"] = int(Action.ADD)
            side = np.arange(first, first + len(records)) >= self._seed_bids
            records["side"] = np.where(side, int(Side.ASK), int(Side.BID))
            records["flags"] = int(Flags.SNAPSHOT)
            if first + len(records) == count:
                records["flags"][-1] |= int(Flags.LAST)
            yield records
        self._seed_columns = columns[:, :0]

    def _decode(self, out: Transactions) -> int:
        window = self._window
        table, orders, skipped = self._symbols.table, self._orders, self._skipped
        return int(decode(window.text, window.cursor, out, table, orders, skipped, self._fields))

    def _answer(self, status: int) -> None:
        if status == GROW_ORDERS:
            self._orders = larger(self._orders)
        elif status == OTHER_TYPE:
            name = self._new_name()  # the kernel tells it in the same way
            self.oddities.skipped[name.decode() if name in _NAMED_TYPES else f"unknown {quoted(name)}"] += 1
        else:
            super()._answer(status)

    def _fault_words(self, code: int, at: int, field: int) -> str:
        window = self._window
        if code == MISSING:
            line = window.excerpt(at, ends=b"\n")
            return f"found no {FIELDS[field]}, expected it in {line}"
        found = window.excerpt(at, ends=b",}\n")
        if code == NOT_JSON:
            return f"found {found} at column {at - int(window.cursor[AT]) + 1}, expected JSON"
        if code == LEFT_OVER:
            return f"found {found} behind the message, expected the end of the line"
        if code == TOO_PRECISE:
            decimals = int(window.cursor[FAULT_VALUE])
            return f"found {found} as {FIELDS[field]}, expected at most {decimals} decimals, the rule for this product"
        return f"found {found} as {FIELDS[field]}, expected {_EXPECTED.get(code) or FAULTS[code]}"


def _nanoseconds(time: str) -> int:
    """ISO 8601 in UTC as ns from the epoch; 0 for what is none: reading that message will say so."""
    whole, _, fraction = time.removesuffix("Z").partition(".")
    try:
        seconds = datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()
        found = int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])
    except (ValueError, OverflowError):
        return 0
    return found if 0 <= found < 2**63 else 0
