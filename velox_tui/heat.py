"""The book over time: what rested at which price, a column every half second, for the heat map."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velox_engine.snapshot import DepthSnapshot, Trade

PERIOD_S: Final = 0.5
_KEPT: Final = 1800


class Column(NamedTuple):
    """The book at one moment: levels as int64 (n, 2) price and size, and the price of the last trade (0: none)."""

    number: int
    bids: NDArray[np.int64]
    asks: NDArray[np.int64]
    traded: tuple[int, ...]


class HeatHistory:
    """Columns of one symbol's book; another symbol begins anew."""

    def __init__(self) -> None:
        self.symbol = -1
        self.columns: deque[Column] = deque(maxlen=_KEPT)
        self._last_trade = -1

    def add(self, unix_s: float, depth: DepthSnapshot, trades: tuple[Trade, ...]) -> bool:
        """Add a column if its time has come; say whether."""
        if depth.symbol != self.symbol:
            self.symbol = depth.symbol
            self.columns.clear()
        number = int(unix_s / PERIOD_S)
        if self.columns and number <= self.columns[-1].number:
            return False
        new = [each for each in trades if each.symbol == depth.symbol and each.sequence > self._last_trade]
        if new:
            self._last_trade = new[-1].sequence
        traded = tuple(each.price for each in new)
        self.columns.append(Column(number, depth.bids[:, :2], depth.asks[:, :2], traded))
        return True

    def copy(self) -> HeatHistory:
        """Return a copy that stays as it is."""
        twin = HeatHistory()
        twin.symbol, twin._last_trade = self.symbol, self._last_trade
        twin.columns = self.columns.copy()
        return twin
