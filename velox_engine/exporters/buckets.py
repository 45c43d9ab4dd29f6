"""Prometheus buckets from log-linear histograms, without guessing: each bound is the end of one of their own buckets.

A log-linear bucket holds whole nanoseconds from one floor to just below the next, so the values not above *floor - 1*
are counted exactly. That is why the bounds are a nanosecond less than 1, 1.5, 2, 3, 4, 6 … × 1,024 ns.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from prometheus_client.utils import floatToGoString

from velox_engine.lockfree.histogram_view import FLOORS, Histogram

_NS: Final = 1e9


def le_text(bound: float) -> str:
    """Write a bucket's bound as the formats have it."""
    return str(floatToGoString(bound))  # type: ignore[no-untyped-call]


class Bounds:
    """The bounds of a metric's buckets, two an octave from 2^``low`` to 2^``high`` ns."""

    def __init__(self, low: int, high: int) -> None:
        octaves = range(low, high)
        edges = np.array([edge for e in octaves for edge in (1 << e, 3 << (e - 1))] + [1 << high], np.int64)
        self._behind = np.searchsorted(FLOORS, edges)
        assert np.array_equal(FLOORS[self._behind], edges)
        self.le: Final = (*(le_text(float(edge) / _NS) for edge in (edges - 1)), "+Inf")

    def cumulative(self, histogram: Histogram) -> list[int]:
        """Return for each bound how many values do not exceed it."""
        below = np.cumsum(histogram.buckets)
        counts: list[int] = below[self._behind - 1].tolist()
        return [*counts, int(below[-1])]


LATENCY: Final = Bounds(10, 34)
"""1 µs to 17 s."""
SERVICE: Final = Bounds(4, 22)
"""16 ns to 4 ms."""
