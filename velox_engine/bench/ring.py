"""The ring by itself: items of 64 bytes from one thread to another, by batch size, and there and back again.

The producer writes all eight words of an item, the consumer adds them all up and checks that none is out of order, so
every item is proved to have come. Who finds the ring full or empty pauses once, then twice as often up to 64 times, as
a worker does; where both share a core it yields it instead.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache, partial
from typing import Any, Final

import numpy as np

from velox_engine.bench.loops import ITEM_WORDS, answer, ask, consume, produce
from velox_engine.bench.measure import Bench, BenchError, Counted, Figure, Measure
from velox_engine.jit import compile_for
from velox_engine.lockfree.histogram_view import LENGTH, Histogram
from velox_engine.lockfree.memory import aligned_words
from velox_engine.lockfree.ring import make_ring

CAPACITY: Final = 4096
BATCHES: Final = (1, 16, 64, 256)
_PLACES: Final = ("two_cores", "one_core")
_SUM_OF_OFFSETS: Final = sum(range(ITEM_WORDS))


def make_slots() -> Any:
    """Make the memory of a ring's items: int64, shape (CAPACITY, ITEM_WORDS)."""
    return aligned_words(CAPACITY * ITEM_WORDS).reshape(CAPACITY, ITEM_WORDS)


def expected_sum(count: int) -> int:
    """Return the sum of all words of items 0 … ``count`` - 1, as int64 wraps it."""
    total = ITEM_WORDS * (count * (count - 1) // 2) + count * _SUM_OF_OFFSETS
    return (total + 2**63) % 2**64 - 2**63


def throughput(bench: Bench, cores: tuple[int, int], count: int, batch: int) -> float:
    """Send ``count`` items from one core to another, which may be the same; return the seconds that it took.

    Raises `BenchError` where an item is missing, torn or out of order.
    """
    ring, slots, found = make_ring(CAPACITY), make_slots(), np.zeros(2, np.int64)
    yields, stop = int(cores[0] == cores[1]), bench.cancel.words

    def send() -> tuple[float, int]:
        begun = time.perf_counter()
        return begun, produce(ring, slots, count, batch, yields, stop)

    def receive() -> tuple[float, int]:
        taken = consume(ring, slots, count, batch, yields, stop, found)
        return time.perf_counter(), taken

    (begun, sent), (ended, taken) = bench.together((cores[0], send), (cores[1], receive))
    if (sent, taken, *found.tolist()) != (count, count, expected_sum(count), 0):
        raise BenchError(f"ring: sent {sent}, taken {taken} of {count}, {found[1]} out of order, sum {found[0]}")
    return ended - begun


def round_trip(bench: Bench, cores: tuple[int, int], count: int) -> Histogram:
    """Send ``count`` items there and back, one at a time; return the times of the trips in ticks."""
    there, back, slots, answers = make_ring(CAPACITY), make_ring(CAPACITY), make_slots(), make_slots()
    trips, stop = np.zeros(LENGTH, np.int64), bench.cancel.words
    yields = int(cores[0] == cores[1])
    asked, answered = bench.together(
        (cores[0], lambda: ask(there, back, slots, answers, count, yields, stop, trips)),
        (cores[1], lambda: answer(there, back, slots, answers, count, yields, stop)),
    )
    if (asked, answered) != (count, count):
        raise BenchError(f"ring: {asked} of {count} round trips, {answered} answered")
    return Histogram.from_words(trips)


@cache
def compile_ring() -> None:
    """Compile the loops, here and not in the threads that are timed."""
    ring, slots, words = make_ring(CAPACITY), make_slots(), np.zeros(LENGTH, np.int64)
    compile_for(produce, (ring, slots, 0, 0, 0, words))
    compile_for(consume, (ring, slots, 0, 0, 0, words, words))
    compile_for(ask, (ring, ring, slots, slots, 0, 0, words, words))
    compile_for(answer, (ring, ring, slots, slots, 0, 0, words))


def ring_measures(bench: Bench) -> Iterator[Measure]:
    """Yield throughput by batch size and the round trip, on two cores and on one."""
    seconds = 0.05 if bench.brief else 0.15
    for place in _PLACES:
        lacking = bench.lacking(2) if place == "two_cores" else bench.lacking(1, together=True)
        cores = (bench.cores[0], bench.cores[-1]) if place == "two_cores" else (bench.cores[-1],) * 2
        for batch in BATCHES:
            counted = Counted(100_000, seconds)
            run = partial(_run_throughput, bench, cores, batch, counted)
            yield Measure(f"ring.batch{batch}.{place}", (Figure("", "M items/s", "higher"),), run, lacking)
        trip = partial(_run_round_trip, bench, cores, Counted(10_000, seconds))
        figures = (Figure("p50", "ns", "lower"), Figure("p99", "ns", "lower"))
        yield Measure(f"ring.round_trip.{place}", figures, trip, lacking)


def _run_throughput(bench: Bench, cores: tuple[int, int], batch: int, counted: Counted) -> tuple[float]:
    compile_ring()
    count = counted.count
    seconds = throughput(bench, cores, count, batch)
    counted.note(seconds)
    return (count / seconds / 1e6,)


def _run_round_trip(bench: Bench, cores: tuple[int, int], counted: Counted) -> tuple[float, float]:
    compile_ring()
    begun = time.perf_counter()
    trips = round_trip(bench, cores, counted.count)
    counted.note(time.perf_counter() - begun)
    scale = bench.clock.ns_per_tick
    return trips.percentile(50) * scale, trips.percentile(99) * scale
