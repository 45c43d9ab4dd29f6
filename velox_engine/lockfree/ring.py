"""The cursors of a lock-free ring with one producer and one consumer.

A ring is two cursors that only grow. The slots are whatever array the two sides agree on: the slot of cursor ``c`` is
``c & (slots - 1)``. Several rings may pass over the same slots one after the other, as the engine's do: a transaction
is written once and stays where it is while the stages' cursors move over it (the Disruptor's idea).

The one trick: each side works on a private cursor and a private *copy* of the other side's, and touches the other's
cache line only when the copy runs out. Between cores the price of a ring is the transfer of that line, so a batch
costs one transfer, not one an item.

===== ===================== ========= ============ =====================================================
word  field                 writes    reads        what makes it right
===== ===================== ========= ============ =====================================================
0     published             producer  consumer     release store after the slots are written; acquire load
16    released              consumer  producer     release store after the slots were read; acquire load
32    produced              producer  producer     private
33    released, as seen     producer  producer     private copy, never ahead of word 16
48    consumed              consumer  consumer     private
49    published, as seen    consumer  consumer     private copy, never ahead of word 0
50    high water            consumer  telemetry    relaxed: most slots ever found waiting at a look
64    capacity              nobody    both         set once
===== ===================== ========= ============ =====================================================

Each group lies on a line of its own (`LINE_BYTES`). Cursors are ``int64`` and do not wrap in any run's time.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from velox_engine.by_reference import by_reference
from velox_engine.jit import compiled
from velox_engine.lockfree.atomics import Words, load_acquire, store_relaxed, store_release
from velox_engine.lockfree.memory import LINE_WORDS, aligned_words

PUBLISHED: Final = 0
RELEASED: Final = LINE_WORDS
_PRODUCED: Final = 2 * LINE_WORDS
_RELEASED_SEEN: Final = _PRODUCED + 1
_CONSUMED: Final = 3 * LINE_WORDS
_PUBLISHED_SEEN: Final = _CONSUMED + 1
HIGH_WATER: Final = _CONSUMED + 2
CAPACITY: Final = 4 * LINE_WORDS
_LENGTH: Final = 5 * LINE_WORDS


@by_reference
class Ring(NamedTuple):
    """The cursors of one ring: ``words`` int64, shape (80,), laid out as the module says."""

    words: Words


def make_ring(capacity: int, start: int = 0) -> Ring:
    """Make a ring of ``capacity`` slots, a power of two, whose cursors begin at ``start`` ≥ 0.

    Raises `ValueError` for a capacity that is no power of two.
    """
    if capacity < 1 or capacity & (capacity - 1):
        raise ValueError(f"ring capacity: got {capacity}, allowed is a power of two")
    words = aligned_words(_LENGTH)
    for cursor in (PUBLISHED, RELEASED, _PRODUCED, _RELEASED_SEEN, _CONSUMED, _PUBLISHED_SEEN):
        words[cursor] = start
    words[CAPACITY] = capacity
    return Ring(words)


@compiled
def ring_room(ring: Ring, wanted: int) -> int:
    """Producer: return how many slots may be written, looking at the consumer only if fewer than wanted are known."""
    words = ring.words
    room = words[CAPACITY] - (words[_PRODUCED] - words[_RELEASED_SEEN])
    if room < wanted:
        words[_RELEASED_SEEN] = load_acquire(words, RELEASED)
        room = words[CAPACITY] - (words[_PRODUCED] - words[_RELEASED_SEEN])
    return room


@compiled
def ring_publish(ring: Ring, count: int) -> None:
    """Producer: hand over the next ``count`` slots, at most what `ring_room` gave."""
    words = ring.words
    words[_PRODUCED] += count
    store_release(words, PUBLISHED, words[_PRODUCED])


@compiled
def ring_ready(ring: Ring) -> int:
    """Consumer: return how many slots may be read, looking at the producer only when none is known."""
    words = ring.words
    ready = words[_PUBLISHED_SEEN] - words[_CONSUMED]
    if ready == 0:
        words[_PUBLISHED_SEEN] = load_acquire(words, PUBLISHED)
        ready = words[_PUBLISHED_SEEN] - words[_CONSUMED]
        if ready > words[HIGH_WATER]:
            store_relaxed(words, HIGH_WATER, ready)
    return ready


@compiled
def ring_release(ring: Ring, count: int) -> None:
    """Consumer: give back the next ``count`` slots, at most what `ring_ready` gave."""
    words = ring.words
    words[_CONSUMED] += count
    store_release(words, RELEASED, words[_CONSUMED])


@compiled
def ring_produced(ring: Ring) -> int:
    """Producer: return the cursor of the next slot to write."""
    return ring.words[_PRODUCED]


@compiled
def ring_consumed(ring: Ring) -> int:
    """Consumer: return the cursor of the next slot to read."""
    return ring.words[_CONSUMED]
