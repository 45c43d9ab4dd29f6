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
from numba import types

from velox_engine.bench.measure import Bench, BenchError, Counted, Figure, Measure
from velox_engine.jit import compile_for, compiled, inner, int64
from velox_engine.lockfree.atomics import Words, load_relaxed, pause
from velox_engine.lockfree.backoff import MOST_PAUSES
from velox_engine.lockfree.clock import ticks
from velox_engine.lockfree.histogram import histogram_record
from velox_engine.lockfree.histogram_view import LENGTH, Histogram
from velox_engine.lockfree.memory import aligned_words
from velox_engine.lockfree.ring import (
    Ring,
    make_ring,
    ring_consumed,
    ring_produced,
    ring_publish,
    ring_ready,
    ring_release,
    ring_room,
)

CAPACITY: Final = 4096
ITEM_WORDS: Final = 8
BATCHES: Final = (1, 16, 64, 256)
_PLACES: Final = ("two_cores", "one_core")
_SUM_OF_OFFSETS: Final = sum(range(ITEM_WORDS))

_sched_yield: Any = types.ExternalFunction("sched_yield", types.int32())


@inner
def _wait(yields: int, pauses: int) -> int:
    """Wait a little; return how many pauses the next wait is of."""
    if yields:
        _sched_yield()
        return 1
    for _ in range(pauses):
        pause()
    return min(2 * pauses, MOST_PAUSES)


@compiled
def produce(ring: Ring, slots: Any, count: int, batch: int, yields: int, stop: Words) -> int:
    """Write ``count`` items, at most ``batch`` at once; return how many were: fewer when ``stop`` was set."""
    mask = slots.shape[0] - 1
    item, pauses = int64(0), int64(1)
    while item < count:
        wanted = min(batch, count - item)
        room = min(ring_room(ring, wanted), wanted)
        if room == 0:
            if load_relaxed(stop, 0) != 0:
                break
            pauses = _wait(yields, pauses)
            continue
        pauses = int64(1)
        cursor = ring_produced(ring)
        for number in range(cursor, cursor + room):
            for word in range(ITEM_WORDS):
                slots[number & mask, word] = number + word
        ring_publish(ring, room)
        item += room
    return item


@compiled
def consume(ring: Ring, slots: Any, count: int, batch: int, yields: int, stop: Words, found: Words) -> int:
    """Read ``count`` items; ``found`` gets the sum of all words and how many items were out of order."""
    mask = slots.shape[0] - 1
    item, pauses = int64(0), int64(1)
    total, wrong = int64(0), int64(0)
    while item < count:
        ready = min(ring_ready(ring), batch)
        if ready == 0:
            if load_relaxed(stop, 0) != 0:
                break
            pauses = _wait(yields, pauses)
            continue
        pauses = int64(1)
        cursor = ring_consumed(ring)
        for number in range(cursor, cursor + ready):
            wrong += slots[number & mask, 0] != number
            for word in range(ITEM_WORDS):
                total += slots[number & mask, word]
        ring_release(ring, ready)
        item += ready
    found[0], found[1] = total, wrong
    return item


@compiled
def ask(there: Ring, back: Ring, slots: Any, answers: Any, count: int, yields: int, stop: Words, trips: Words) -> int:
    """Send an item and wait for its answer, ``count`` times; record the ticks of each trip in ``trips``."""
    mask = slots.shape[0] - 1
    for trip in range(count):
        begun = ticks()
        at = ring_produced(there) & mask
        for word in range(ITEM_WORDS):
            slots[at, word] = trip + word
        ring_publish(there, 1)
        pauses = int64(1)
        while ring_ready(back) == 0:
            if load_relaxed(stop, 0) != 0:
                return trip
            pauses = _wait(yields, pauses) & 1 | 1  # one at a time: what is waited for is near
        if answers[ring_consumed(back) & mask, 0] != trip:
            return trip
        ring_release(back, 1)
        histogram_record(trips, 0, ticks() - begun, 1)
    return count


@compiled
def answer(there: Ring, back: Ring, slots: Any, answers: Any, count: int, yields: int, stop: Words) -> int:
    """Send each item back as it came, ``count`` times."""
    mask = slots.shape[0] - 1
    for trip in range(count):
        pauses = int64(1)
        while ring_ready(there) == 0:
            if load_relaxed(stop, 0) != 0:
                return trip
            pauses = _wait(yields, pauses) & 1 | 1
        came, goes = ring_consumed(there) & mask, ring_produced(back) & mask
        for word in range(ITEM_WORDS):
            answers[goes, word] = slots[came, word]
        ring_release(there, 1)
        ring_publish(back, 1)
    return count


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
