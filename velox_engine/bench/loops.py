"""The compiled loops that measures time.

They stand alone, and import only what they run: the compile cache of the whole engine changes with this file and with
everything that it imports.
"""

from __future__ import annotations

from typing import Any, Final

from numba import types

from velox_engine.books.exact_core import step
from velox_engine.books.exact_memory import address_of, ladder_at
from velox_engine.jit import compiled, inner, int64
from velox_engine.lockfree.atomics import Words, load_relaxed, pause
from velox_engine.lockfree.backoff import MOST_PAUSES
from velox_engine.lockfree.clock import ticks
from velox_engine.lockfree.histogram import histogram_record
from velox_engine.lockfree.ring import (
    Ring,
    ring_consumed,
    ring_produced,
    ring_publish,
    ring_ready,
    ring_release,
    ring_room,
)
from velox_engine.records import TRANSACTION

ITEM_WORDS: Final = 8
"""Words of 64 bits in an item of the ring: a cache line, as a transaction is."""
_RECORD_BYTES: Final = TRANSACTION.itemsize

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
        while ring_ready(back) == 0:
            if load_relaxed(stop, 0) != 0:
                return trip
            _wait(yields, 1)  # one pause at a time: what is waited for is near
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
        while ring_ready(there) == 0:
            if load_relaxed(stop, 0) != 0:
                return trip
            _wait(yields, 1)
        came, goes = ring_consumed(there) & mask, ring_produced(back) & mask
        for word in range(ITEM_WORDS):
            answers[goes, word] = slots[came, word]
        ring_release(there, 1)
        ring_publish(back, 1)
    return count


@compiled
def record_all(words: Words, values: Words, times: int) -> None:
    """Record all values, each once, so many times over."""
    for _ in range(times):
        for value in values:
            histogram_record(words, 0, value, 1)


@compiled
def apply_and_read(books: Any, records: Any, start: Any, count: Any, seen: Any) -> Any:
    """As `apply_records`, and read both best prices after each record; their sum of exclusive ors goes to ``seen``."""
    book = books[0]
    first = address_of(records) + _RECORD_BYTES * start
    done = 0
    total = 0
    while done < count and step(book, first, done, count):
        total += ladder_at(book.ladders, 0).best ^ ~ladder_at(book.ladders, 1).best
        done += 1
    seen[0] += total
    return done
