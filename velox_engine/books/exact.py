"""The exact book from Python: every order of every instrument, applied batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from velox_engine.books.exact_core import apply_records, mark_stale
from velox_engine.books.exact_grow import grow
from velox_engine.books.exact_layout import Need, Status
from velox_engine.books.exact_read import best_of, depth_of, orders_of, status_of, totals_of
from velox_engine.books.exact_state import make_exact, with_entries
from velox_engine.errors import OrderBookError
from velox_engine.records import TRANSACTION, Instrument, Transactions

DEPTH: Final = np.dtype([("price", "i8"), ("size", "i8"), ("orders", "i8")])
"""One level: its price, total size, and how many orders are known to stand there."""

ORDERS: Final = np.dtype([("order_id", "u8"), ("price", "i8"), ("size", "i8")])
"""One order, or with id 0 one piece of anonymous size."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How many records came to what, see `Outcome`. The first seven add up to the records applied."""

    applied: int = 0
    passed: int = 0
    from_seed: int = 0
    unknown: int = 0
    duplicate: int = 0
    overflow: int = 0
    invalid: int = 0
    seeded: int = 0
    negative_remainder: int = 0
    unknown_fill: int = 0
    displaced: int = 0
    crossed: int = 0
    gaps: int = 0

    @property
    def records(self) -> int:
        """All records."""
        return (
            self.applied + self.passed + self.from_seed + self.unknown + self.duplicate + self.overflow + self.invalid
        )


class ExactBook:
    """Every live order of every instrument, in price-time order.

    ``instruments`` is the feed's own table: it may grow while the feed is read, and the book takes new indices.
    ``windowed`` says that the feed shows only the best levels. ``orders`` is how many orders fit before the first
    allocation; books grow without another limit than memory. One thread uses a book at a time.
    """

    def __init__(self, instruments: Sequence[Instrument], *, windowed: bool = False, orders: int = 8192) -> None:
        self.instruments = instruments
        self._indices: dict[str, int] = {}
        self._state = with_entries(make_exact(len(instruments), windowed=windowed, orders=orders))
        self._admit_symbols()

    def apply(self, batch: Transactions) -> Outcomes:
        """Apply an array of ``TRANSACTION`` in order; return what became of its records.

        Raises `OrderBookError` at a symbol index that ``instruments`` does not have, after every record before it was
        applied; `TypeError` for an array of another dtype.
        """
        if batch.dtype != TRANSACTION:
            raise TypeError(f"got an array of {batch.dtype}, expected TRANSACTION")
        usable = batch.ndim == 1 and batch.flags.carray  # contiguous, aligned and writeable: the one compiled kind
        records = batch if usable else np.require(batch.reshape(-1), TRANSACTION, ("C", "A", "W"))
        state, count = self._state, len(records)
        before = state.outcomes.copy()
        done = apply_records(state.book, records, 0, count)
        while done < count:
            self._grow()
            done += apply_records(self._state.book, records, done, count - done)
        return Outcomes(*(state.outcomes - before).tolist())

    def mark_stale(self, symbol: str | int) -> None:
        """Say that records of this symbol were lost: its book is stale until its next snapshot."""
        index = self._index(symbol)
        while not mark_stale(self._state.book, index):
            self._grow()

    @property
    def outcomes(self) -> Outcomes:
        """Counts since the book was made."""
        return Outcomes(*self._state.outcomes.tolist())

    def depth(self, symbol: str | int, levels: int = 10) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """Return (bids, asks), at most ``levels`` each, arrays of `DEPTH`, best first."""
        index = self._index(symbol)
        return self._side_depth(index, 0, levels), self._side_depth(index, 1, levels)

    def best(self, symbol: str | int) -> tuple[int, int, int, int]:
        """Return (bid price, bid size, ask price, ask size); size 0 (and price 0) is an empty side."""
        out = np.empty(4, np.int64)
        best_of(self._state.book, self._index(symbol), out)
        bid_price, bid_size, ask_price, ask_size = out.tolist()
        return bid_price, bid_size, ask_price, ask_size

    def orders(self, symbol: str | int, side: int) -> NDArray[np.void]:
        """Return every live order of one side (0 bid, 1 ask) in price-time order, an array of `ORDERS`."""
        index = self._index(symbol)
        totals = self._totals(index)
        result = np.empty(totals[3 * side + 2], ORDERS)
        parts = [np.empty(len(result), np.int64) for _ in range(3)]
        orders_of(self._state.book, index, side, *parts)
        for name, part in zip(("order_id", "price", "size"), parts, strict=True):
            result[name] = part.view(np.uint64) if name == "order_id" else part
        return result

    def totals(self, symbol: str | int) -> tuple[int, int, int, int]:
        """Return (bid levels, known bid orders, ask levels, known ask orders)."""
        bid_levels, bid_orders, _, ask_levels, ask_orders, _ = self._totals(self._index(symbol))
        return bid_levels, bid_orders, ask_levels, ask_orders

    def state(self, symbol: str | int) -> str:
        """Return what the book is worth: ``"synced"``, ``"windowed"``, ``"crossed"`` or ``"stale"``."""
        return Status(int(status_of(self._state.book, self._index(symbol)))).name.lower()

    def _side_depth(self, index: int, side: int, levels: int) -> NDArray[np.void]:
        length = min(max(0, levels), self._totals(index)[3 * side])
        parts = [np.empty(length, np.int64) for _ in range(3)]
        depth_of(self._state.book, index, side, length, *parts)
        result = np.empty(length, DEPTH)
        for name, part in zip(("price", "size", "orders"), parts, strict=True):
            result[name] = part
        return result

    def _totals(self, index: int) -> list[int]:
        out = np.empty(6, np.int64)
        totals_of(self._state.book, index, out)
        return list(map(int, out))

    def _grow(self) -> None:
        need, needed = (int(self._state.book[name][0]) for name in ("need", "needed"))
        if need == Need.SYMBOLS and needed >= len(self.instruments):
            raise OrderBookError("unknown symbol index", symbol=needed)
        if need != Need.SYMBOLS or needed >= len(self._state.stale):
            self._state = grow(self._state)
        self._admit_symbols()

    def _admit_symbols(self) -> None:
        """Let the compiled side take the symbols that the table has by now, and no others."""
        self._state.book["symbols"] = min(len(self.instruments), len(self._state.stale))

    def _index(self, symbol: str | int) -> int:
        if isinstance(symbol, str):
            if symbol not in self._indices:  # the table may have grown
                self._indices = {each.symbol: i for i, each in enumerate(self.instruments)}
            if symbol not in self._indices:
                raise OrderBookError("unknown symbol", symbol=symbol)
            return self._indices[symbol]
        if not 0 <= symbol < len(self.instruments):
            raise OrderBookError("unknown symbol index", symbol=symbol)
        return symbol
