"""What a histogram's words mean, and an immutable copy of one for readers. Imports no numba.

The layout of G. Tene's HdrHistogram with 5 significant bits: 32 steps an octave, so a bucket is at most 1/32 (3.1 %)
wide and its middle at most 1.6 % off. Values below 32 have a bucket each; those from ``LIMIT`` on share the last one.

===== ==================================
word  field
===== ==================================
0     count
1     sum of all values, mod 2^64 (`whole_sum` finds the rest: an overloaded run passes 2^63 in minutes)
2     least value, meaningful if count > 0
3     largest value
4 …   buckets
===== ==================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

STEP_BITS: Final = 5
TOP_BITS: Final = 42
LIMIT: Final = 1 << TOP_BITS
BUCKETS: Final = (1 << STEP_BITS) + (TOP_BITS - STEP_BITS) * (1 << STEP_BITS)

COUNT: Final = 0
SUM: Final = 1
LEAST: Final = 2
LARGEST: Final = 3
FIRST_BUCKET: Final = 4
LENGTH: Final = FIRST_BUCKET + BUCKETS

_STEPS: Final = 1 << STEP_BITS


def _bucket_floors() -> NDArray[np.int64]:
    """Return the least value of each bucket, and ``LIMIT`` behind the last; int64, shape (BUCKETS + 1,)."""
    floors = np.empty(BUCKETS + 1, np.int64)
    floors[:_STEPS] = np.arange(_STEPS)
    bucket = np.arange(_STEPS, BUCKETS)
    shift = (bucket >> STEP_BITS) - 1
    floors[_STEPS:BUCKETS] = (_STEPS + (bucket & (_STEPS - 1))) << shift
    floors[BUCKETS] = LIMIT
    return floors


FLOORS: Final = _bucket_floors()
"""The least value of each bucket, and ``LIMIT`` behind the last; int64, shape (BUCKETS + 1,)."""

_MIDDLES: Final = (FLOORS[:-1] + FLOORS[1:] - 1) // 2


def whole_sum(word: int, count: int, least: int, largest: int, buckets: NDArray[np.int64]) -> int:
    """Return the sum of all values from what is known of it mod 2^64.

    The buckets know it to 3 %, so the multiple of 2^64 that is missing is beyond doubt up to a sum of 2^68, or 2^64
    where values lie beyond ``LIMIT``.
    """
    if count * largest < 2**63:  # nothing is missing
        return word
    estimate = min(max(int(np.dot(buckets.astype(np.float64), _MIDDLES)), count * least), count * largest)
    total = word + (estimate - word + 2**63) // 2**64 * 2**64
    return total if total >= 0 else total + 2**64


@dataclass(frozen=True, slots=True)
class Histogram:
    """An immutable copy of a histogram for readers: ``buckets`` int64, shape (BUCKETS,)."""

    count: int
    sum: int
    least: int
    largest: int
    buckets: NDArray[np.int64]

    @classmethod
    def from_words(cls, words: NDArray[np.int64]) -> Histogram:
        """Copy ``LENGTH`` words."""
        count, total, least, largest = (int(word) for word in words[:FIRST_BUCKET])
        least, buckets = least if count else 0, words[FIRST_BUCKET:LENGTH].copy()
        return cls(count, whole_sum(total, count, least, largest, buckets), least, largest, buckets)

    @classmethod
    def empty(cls) -> Histogram:
        """Return a histogram of nothing."""
        return cls(0, 0, 0, 0, np.zeros(BUCKETS, np.int64))

    @property
    def mean(self) -> float:
        """The mean of all values, 0 when there are none."""
        return self.sum / self.count if self.count else 0.0

    def percentile(self, percent: float) -> int:
        """Return the value that ``percent`` % of all values do not exceed (nearest rank), at most 1.6 % off.

        It is the middle of the rank's bucket, never outside the least and the largest value; 0 when there are none.
        """
        return self.percentiles(percent)[0]

    def percentiles(self, *percents: float) -> list[int]:
        """Return several percentiles as `percentile` does."""
        if self.count == 0:
            return [0] * len(percents)
        # in whole numbers: 99.9 % of 41,000 are 40,959 and not, as floats have it, a little more
        ranks = [min(max(1, -(-self.count * round(percent * 10**6) // 10**8)), self.count) for percent in percents]
        middles = _MIDDLES[self.buckets.cumsum().searchsorted(ranks)]
        return [min(max(middle, self.least), self.largest) for middle in middles.tolist()]

    def merged(self, other: Histogram) -> Histogram:
        """Return a histogram of both."""
        if not self.count or not other.count:
            return self if self.count else other
        return Histogram(
            self.count + other.count,
            self.sum + other.sum,
            min(self.least, other.least),
            max(self.largest, other.largest),
            self.buckets + other.buckets,
        )

    def since(self, earlier: Histogram) -> Histogram:
        """Return what was recorded after ``earlier``, a copy of the same histogram; least and largest to a bucket."""
        buckets = self.buckets - earlier.buckets
        held = np.flatnonzero(buckets)
        if not len(held):
            return Histogram.empty()
        least = int(FLOORS[held[0]])
        # the last bucket has no upper border: what lies there may be as large as anything ever recorded
        largest = self.largest if held[-1] == BUCKETS - 1 else min(int(FLOORS[held[-1] + 1]) - 1, self.largest)
        count = self.count - earlier.count
        total = whole_sum(self.sum - earlier.sum, count, least, largest, buckets)
        return Histogram(count, total, least, largest, buckets)
