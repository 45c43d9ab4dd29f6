"""The past, for graphs: a ring of samples with a fixed period, addressed by absolute sample number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

PERIOD_S: Final = 0.1
KEPT_S: Final = 900


class History:
    """Samples of named series, ``PERIOD_S`` apart, for the last 15 minutes.

    A sample's number is its time over the period. Buckets of a graph begin at multiples of their size in that
    numbering, so that a value stays in its column's bucket while the graph moves: it does not boil.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names: Final = tuple(names)
        self._column = {name: column for column, name in enumerate(self.names)}
        self._kept = int(KEPT_S / PERIOD_S)
        self._values = np.full((self._kept, len(self.names)), np.nan)
        self.first = -1
        self.last = -1

    def add(self, unix_s: float, values: Sequence[float] | NDArray[np.float64]) -> None:
        """Add a sample; ``values`` in the order of ``names``, rates being means since the sample before.

        Samples that were missed get the same values, because the mean holds for them too; a clock that went back
        writes nothing, and two samples of one period keep the greater of each.
        """
        number = int(unix_s / PERIOD_S)
        if self.last >= 0 and number < self.last:
            return
        if number == self.last:
            row = self._values[number % self._kept]
            np.fmax(row, values, out=row)
            return
        begin = number if self.last < 0 else max(self.last + 1, number - self._kept + 1)
        self._values[np.arange(begin, number + 1) % self._kept] = values
        self.first = number if self.first < 0 else max(self.first, number - self._kept + 1)
        self.last = number

    def latest(self, name: str, seconds: float = 1.0) -> float:
        """Return a series' mean over the last seconds; NaN before the first sample."""
        if self.last < 0:
            return float("nan")
        count = min(max(round(seconds / PERIOD_S), 1), self.last - self.first + 1)
        rows = np.arange(self.last - count + 1, self.last + 1) % self._kept
        known = self._values[rows, self._column[name]]
        known = known[~np.isnan(known)]
        return float(known.mean()) if len(known) else float("nan")

    def window(self, name: str, seconds: float, points: int) -> tuple[NDArray[np.float64], float]:
        """Return one series' last seconds as `windows` does."""
        found, seconds_per_point = self.windows((name,), seconds, points)
        return found[0], seconds_per_point

    def windows(self, names: Sequence[str], seconds: float, points: int) -> tuple[NDArray[np.float64], float]:
        """Return the last seconds of series, shape (len(names), points), the newest last, and the seconds of a point.

        Each point is the greatest of its samples, so that no peak is lost; NaN where nothing is known. Where there
        are more points than samples, each sample is repeated a whole number of times.
        """
        count = max(round(seconds / PERIOD_S), 1)
        bucket = max(-(-count // max(points, 1)), 1)
        repeat = max(points // count, 1) if bucket == 1 else 1
        if self.last < 0 or points <= 0:
            return np.full((len(names), max(points, 0)), np.nan), bucket * PERIOD_S / repeat
        shown = -(-points // repeat)
        begin = (self.last // bucket - shown + 1) * bucket
        numbers = np.arange(begin, begin + shown * bucket)
        columns = [self._column[name] for name in names]
        values = self._values[numbers % self._kept][:, columns]
        values[(numbers < self.first) | (numbers > self.last)] = np.nan
        greatest = np.fmax.reduce(values.reshape(shown, bucket, len(columns)), axis=1).T
        return np.repeat(greatest, repeat, axis=1)[:, -points:], bucket * PERIOD_S / repeat

    def table(self, seconds: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the last seconds: times (unix s) and all values, shape (n, len(names))."""
        count = min(max(round(seconds / PERIOD_S), 1), self.last - self.first + 1) if self.last >= 0 else 0
        numbers = np.arange(self.last - count + 1, self.last + 1)
        return numbers.astype(np.float64) * PERIOD_S, self._values[numbers % self._kept]

    def copy(self) -> Self:
        """Return a copy that stays as it is while this goes on."""
        twin = type(self)(self.names)
        twin._values[:] = self._values
        twin.first, twin.last = self.first, self.last
        return twin
