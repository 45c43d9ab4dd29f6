"""Bundle: groups transactions into bundles of at most ``max_size`` and flushes them, full, late, or on drain.

A bundle is a range of sequences: the transactions stay in their slots, and the output ring carries descriptors, int64
words (ring size, 8): 0 first sequence, 1 count, 2 reason, 3 opened, 4 closed (ticks).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velox_engine.by_reference import by_reference
from velox_engine.jit import compiled, inner, int64
from velox_engine.lockfree.atomics import Words, load_acquire, load_relaxed, store_release
from velox_engine.lockfree.memory import aligned_words
from velox_engine.lockfree.ring import (
    Ring,
    ring_consumed,
    ring_produced,
    ring_publish,
    ring_ready,
    ring_release,
    ring_room,
)
from velox_engine.stages.common import Stage, note_idle, note_passed, room_to_checkpoint
from velox_engine.stages.control import DRAINED, Control
from velox_engine.stages.slots import Slots, slot_of
from velox_engine.telemetry.layout import (
    BUNDLE,
    BUNDLE_BY_SIZE,
    BUNDLE_OPEN,
    BUNDLE_SIZES,
    CURSOR_FLUSHED,
    LINE_WORDS,
    ORDERBOOK,
    STAGE_PROCESSED,
)

FIRST: Final = 0
COUNT: Final = 1
REASON: Final = 2
OPENED: Final = 3
CLOSED: Final = 4
DESCRIPTOR_WORDS: Final = 8

BY_SIZE: Final = 0
BY_TIMEOUT: Final = 1
BY_DRAIN: Final = 2

_BATCH: Final = 0
_MAX_SIZE: Final = 1
_TIMEOUT: Final = 2  # ticks
_OPEN_FIRST: Final = 3
_OPEN_COUNT: Final = 4
_OPENED: Final = 5
_FLUSHED: Final = 6
_LENGTH: Final = 16

_IN: Final = DRAINED + ORDERBOOK * LINE_WORDS
_OUT: Final = DRAINED + BUNDLE * LINE_WORDS


@by_reference
class Bundler(NamedTuple):
    """The stage's state: its telemetry, ``words`` int64 as named above, ``descriptors`` int64 (output ring size, 8)."""

    stage: Stage
    words: Words
    descriptors: NDArray[np.int64]


def make_bundler(stage: Stage, *, batch: int, max_size: int, timeout_ticks: int, output_ring: int) -> Bundler:
    """Make the stage's state, with no bundle open."""
    words = aligned_words(_LENGTH)
    words[_BATCH], words[_MAX_SIZE], words[_TIMEOUT] = batch, max_size, timeout_ticks
    descriptors = aligned_words(output_ring * DESCRIPTOR_WORDS).reshape(output_ring, DESCRIPTOR_WORDS)
    return Bundler(stage, words, descriptors)


@inner
def _flush(bundler: Bundler, cursor: int, reason: int, now: int) -> None:
    """Write the open bundle's descriptor into the slot of ``cursor``; the caller publishes it."""
    words, image = bundler.words, bundler.stage.image
    slot = cursor & (bundler.descriptors.shape[0] - 1)
    descriptor = bundler.descriptors[slot]
    count = words[_OPEN_COUNT]
    descriptor[FIRST] = words[_OPEN_FIRST]
    descriptor[COUNT] = count
    descriptor[REASON] = reason
    descriptor[OPENED] = words[_OPENED]
    descriptor[CLOSED] = now
    image[BUNDLE_BY_SIZE + reason] += 1
    image[BUNDLE_SIZES + count] += 1
    words[_OPEN_COUNT] = 0
    words[_FLUSHED] += 1


@inner
def _publish(bundler: Bundler, target: Ring, bundles: int) -> None:
    """Hand over flushed bundles, counted first: output may take them at once, and must never be seen ahead."""
    store_release(bundler.stage.cursors, CURSOR_FLUSHED, bundler.words[_FLUSHED])
    ring_publish(target, bundles)


@inner
def bundle_wake(bundler: Bundler) -> int:
    """Return when the open bundle must be flushed, ticks; 2^62 when none is open."""
    if bundler.words[_OPEN_COUNT] == 0:
        return 2**62
    return bundler.words[_OPENED] + bundler.words[_TIMEOUT]


@inner
def _flush_alone(bundler: Bundler, target: Ring, reason: int, now: int) -> bool:
    """Flush the open bundle if the next ring has room; say whether it did."""
    if ring_room(target, 1) == 0:
        return False
    _flush(bundler, ring_produced(target), reason, now)
    _publish(bundler, target, 1)
    return True


@inner
def _idle(bundler: Bundler, control: Control, target: Ring, upstream: int, now: int) -> int:
    """Nothing came in: flush what is late, or, when upstream is drained, what is left."""
    words = bundler.words
    if words[_OPEN_COUNT] > 0:
        draining = upstream != load_relaxed(control.words, _OUT)
        full = words[_OPEN_COUNT] == words[_MAX_SIZE]
        if full or draining or now >= bundle_wake(bundler):
            if _flush_alone(bundler, target, BY_SIZE if full else BY_DRAIN if draining else BY_TIMEOUT, now):
                bundler.stage.image[BUNDLE_OPEN] = 0
                return 1
            note_idle(bundler.stage, True)
            return 0
    elif upstream != load_relaxed(control.words, _OUT):
        store_release(control.words, _OUT, upstream)
    note_idle(bundler.stage, False)
    return 0


@compiled
def bundle_step(bundler: Bundler, control: Control, slots: Slots, source: Ring, target: Ring, now: int) -> int:
    """Do at most one batch; return how many transactions it took, or 1 for a flush alone."""
    words, stage = bundler.words, bundler.stage
    upstream = load_acquire(control.words, _IN)
    ready = ring_ready(source)
    if ready == 0:
        return _idle(bundler, control, target, upstream, now)
    max_size = words[_MAX_SIZE]
    full = words[_OPEN_COUNT] == max_size
    late = words[_OPEN_COUNT] > 0 and now >= bundle_wake(bundler)
    if (full or late) and not _flush_alone(bundler, target, BY_SIZE if full else BY_TIMEOUT, now):
        note_idle(stage, True)
        return 0
    start = slot_of(slots, ring_consumed(source))
    count = min(ready, words[_BATCH], slots.records.size - start)
    # what the open bundle and the room for full ones take; one more may stay open, full, until there is room
    room = ring_room(target, count // max_size + 1)
    count = min(count, (room + 1) * max_size - words[_OPEN_COUNT])
    count = room_to_checkpoint(stage, count)
    sequence = stage.image[STAGE_PROCESSED]
    cursor = ring_produced(target)
    flushed = int64(0)
    left = count
    while left > 0:
        if words[_OPEN_COUNT] == 0:
            words[_OPEN_FIRST] = sequence
            words[_OPENED] = now
        take = min(left, max_size - words[_OPEN_COUNT])
        words[_OPEN_COUNT] += take
        sequence += take
        left -= take
        if words[_OPEN_COUNT] == max_size and flushed < room:
            _flush(bundler, cursor + flushed, BY_SIZE, now)
            flushed += 1
    note_passed(stage, slots, start, count, now)
    stage.image[BUNDLE_OPEN] = words[_OPEN_COUNT]
    if flushed > 0:
        _publish(bundler, target, flushed)
    ring_release(source, count)
    return count
