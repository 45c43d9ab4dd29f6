"""What recording a value costs: the histogram of every stage takes one for each batch, or for each transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np

from velox_engine.bench.loops import record_all
from velox_engine.bench.measure import Bench, BenchError, Counted, Figure, Measure
from velox_engine.lockfree.atomics import Words
from velox_engine.lockfree.histogram_view import LENGTH, Histogram

_VALUES: Final = 4096
_MEAN_NS: Final = 50_000


def histogram_measures(bench: Bench) -> Iterator[Measure]:
    """Yield the time that recording a latency takes."""
    rng = np.random.default_rng(1)
    values = rng.exponential(_MEAN_NS, _VALUES).astype(np.int64)
    run = partial(_run, bench, values, Counted(100, 0.03 if bench.brief else 0.1))
    yield Measure("histogram.record", (Figure("", "ns", "lower"),), run)


def _run(bench: Bench, values: Words, counted: Counted) -> tuple[float]:
    words = np.zeros(LENGTH, np.int64)
    record_all(words, values, 0)  # compiles
    times = counted.count

    def record() -> float:
        begun = time.perf_counter()
        record_all(words, values, times)
        return time.perf_counter() - begun

    seconds: float = bench.alone(record)
    counted.note(seconds)
    found = Histogram.from_words(words)
    expected = times * len(values), times * int(values.sum()), int(values.max())
    if (found.count, found.sum, found.largest) != expected or int(found.buckets.sum()) != expected[0]:
        raise BenchError(f"histogram: recorded {found.count} values of sum {found.sum}, expected {expected}")
    return (seconds / (times * len(values)) * 1e9,)
