"""Tardis.dev CSV files of the data types ``incremental_book_L2`` and ``trades``, of one symbol or many.

The columns and the rules for snapshots and messages are those of https://docs.tardis.dev/downloadable-csv-files.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from velox_engine.errors import FeedError
from velox_engine.feeds.base import DEFAULT_BATCH_SIZE, Seed, TimeBase
from velox_engine.feeds.decimal_text import NOT_A_NUMBER, TOO_PRECISE
from velox_engine.feeds.line_window import AT, FAULT_VALUE, LINE, quoted
from velox_engine.feeds.many_symbols import DECIMALS_RULE, DEFAULT_DECIMALS, ManySymbolsFeed
from velox_engine.feeds.tardis_rows import (
    BAD_BOOLEAN,
    BAD_SIDE,
    COLUMNS,
    IS_TRADES,
    NO_SYMBOL,
    OTHER_EXCHANGE,
    TIME_TOO_LARGE,
    decode,
    release,
    survey,
)
from velox_engine.feeds.text import FAULTS, LEFT_OVER
from velox_engine.records import TRANSACTION, Transactions

BOOK_HEADER: Final = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
TRADES_HEADER: Final = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
_BEGINNING: Final = b"exchange,symbol,timestamp,local_timestamp,"

_EXPECTED: Final = {
    NOT_A_NUMBER: "a number",
    NO_SYMBOL: "a symbol",
    BAD_BOOLEAN: "true or false",
    TIME_TOO_LARGE: "microseconds that fit 64 bits in ns",
}


class TardisFeed(ManySymbolsFeed):
    """A Tardis CSV file of level changes or of trades.

    ``trades`` says which.
    """

    format: ClassVar[str] = "tardis"
    rules: ClassVar[str] = (
        DECIMALS_RULE.format(sizes=f"as many as the longest, {DEFAULT_DECIMALS} at least where any has a fraction")
        + "; times are microseconds UTC, and local_timestamp paces a replay; "
        "level changes: every row is a LEVEL, rows of one symbol with one local_timestamp are one event, a snapshot "
        "row after another row begins with CLEAR, a book without a snapshot is stale; "
        "trades: every row is a TRADE with the aggressor's side, whose match number is the id if it is a number, the "
        "first 8 bytes of a UUID, else 0; "
        "every row of the symbols asked for makes a record"
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
        self._without_seed(seed)
        self.time_base = TimeBase("unix", paced_by="receive time (local_timestamp)")
        self._held = np.zeros(1, TRANSACTION)
        self._state = np.zeros(2, np.int64)
        self.trades = self._take_header()
        self._state[IS_TRADES] = self.trades
        # a row of another exchange is refused, so the first row's is what every row begins with
        first = self._window.line().rstrip(b"\r\n").partition(b",")[0][:64] + b","
        self._exchange = np.frombuffer(first, np.uint8).copy()
        self._learn_decimals()

    @classmethod
    def matches(cls, name: str, head: bytes) -> bool:
        """Whether the first line is a Tardis header; other data types count, to be refused by name."""
        return head.startswith(_BEGINNING)

    def _take_header(self) -> bool:
        """Step over the header; says whether it is that of trades."""
        window = self._window
        expected = f"the header '{BOOK_HEADER}' or '{TRADES_HEADER}'"
        if not window.fill(self.first_bytes):
            raise FeedError(self.path, f"found an empty file, expected {expected}")
        line = window.line()
        header = line.rstrip(b"\r\n")
        if header not in (BOOK_HEADER.encode(), TRADES_HEADER.encode()):
            raise FeedError(self.path, f"found the header {quoted(header, 100)}, expected {expected}", line=1)
        window.cursor[AT] += len(line)
        window.cursor[LINE] += 1
        return header == TRADES_HEADER.encode()

    def _survey(self) -> int:
        return int(survey(self._window.text, self._window.cursor, self._symbols.table))

    def _decode(self, out: Transactions) -> int:
        window = self._window
        table, skipped = self._symbols.table, self._skipped
        return int(decode(window.text, window.cursor, out, table, self._exchange, skipped, self._held, self._state))

    def _rest(self, out: Transactions, damaged: bool) -> bool:
        # before a damage it cannot be known whether the message ends here
        release(out, self._window.cursor, self._held, self._state, not damaged)
        return False

    def _fault_words(self, code: int, at: int, field: int) -> str:
        names = (TRADES_HEADER if self.trades else BOOK_HEADER).split(",")
        where = f"column {field + 1} ({names[field]})"
        found = self._window.excerpt(at)
        if code == LEFT_OVER:
            return f"found {found} after {where}, expected {COLUMNS} columns"
        if code == OTHER_EXCHANGE:
            expected = f"{quoted(self._exchange.tobytes()[:-1])}, as in the first row"
        elif code == BAD_SIDE:
            expected = "buy, sell or unknown" if self.trades else "bid or ask"
        elif code == TOO_PRECISE:
            decimals = int(self._window.cursor[FAULT_VALUE])
            expected = f"at most {decimals} decimals, the rule for this symbol"
        else:
            expected = _EXPECTED.get(code) or FAULTS[code]
        return f"found {found} in {where}, expected {expected}"
