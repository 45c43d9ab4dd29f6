"""The book over time: what rested at which price, a column every half second, for the heat map.

The columns of a quarter of an hour lie in arrays of a fixed size that are touched once, at the beginning: what is kept
never grows, and nothing that lives for long lies between what the allocator gives and takes ten times a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from velox_engine.snapshot import DepthSnapshot, Trade

PERIOD_S: Final = 0.5
_KEPT: Final = 1800
_LEVELS: Final = 200
"""Of a side; as many as an engine publishes."""
_TRADES: Final = 64
"""Prices of trades in a column; as many as an engine tells of at once."""


class Column(NamedTuple):
    """The book at one moment: levels as int64 (n, 2) price and size, and the prices at which there were trades, (n,).

    The arrays are parts of the history, as it is now: not to be kept.
    """

    number: int
    bids: NDArray[np.int64]
    asks: NDArray[np.int64]
    traded: NDArray[np.int64]


class HeatHistory:
    """Columns of one symbol's book; another symbol begins anew. ``count`` of them are kept."""

    def __init__(self) -> None:
        self.symbol = -1
        self.count = 0
        self._at = -1
        self._last_trade = -1
        self._levels = np.full((_KEPT, 2, _LEVELS, 2), 0, np.int64)  # unlike zeros, this touches the memory
        self._traded = np.full((_KEPT, _TRADES), 0, np.int64)
        self._head = np.full((_KEPT, 4), 0, np.int64)  # number, bids, asks, prices traded at

    def add(self, unix_s: float, depth: DepthSnapshot, trades: tuple[Trade, ...]) -> bool:
        """Add a column if its time has come; say whether."""
        if depth.symbol != self.symbol:
            self.symbol = depth.symbol
            self.count = 0
        number = int(unix_s / PERIOD_S)
        if self.count and number <= self.number:
            return False
        new = [each for each in trades if each.symbol == depth.symbol and each.sequence > self._last_trade]
        if new:
            self._last_trade = new[-1].sequence
        prices = sorted({each.price for each in new})[-_TRADES:]
        self._at = (self._at + 1) % _KEPT
        self.count = min(self.count + 1, _KEPT)
        bids, asks = depth.bids[:_LEVELS, :2], depth.asks[:_LEVELS, :2]
        self._levels[self._at, 0, : len(bids)] = bids
        self._levels[self._at, 1, : len(asks)] = asks
        self._traded[self._at, : len(prices)] = prices
        self._head[self._at] = number, len(bids), len(asks), len(prices)
        return True

    @property
    def number(self) -> int:
        """The newest column's time over the period; 0 without one."""
        return int(self._head[self._at, 0]) if self.count else 0

    def columns(self) -> Iterator[Column]:
        """Give the columns, the newest first."""
        for back in range(self.count):
            at = (self._at - back) % _KEPT
            number, bids, asks, trades = self._head[at].tolist()
            levels = self._levels[at]
            yield Column(number, levels[0, :bids], levels[1, :asks], self._traded[at, :trades])

    def newest(self) -> Column:
        """Return the newest column; there must be one."""
        return next(self.columns())

    def copy(self) -> Self:
        """Return a copy that stays as it is."""
        twin = type(self)()
        twin.symbol, twin.count, twin._at, twin._last_trade = self.symbol, self.count, self._at, self._last_trade
        twin._levels[:], twin._traded[:], twin._head[:] = self._levels, self._traded, self._head
        return twin
