"""Output: takes bundles, records latencies, and hands the transactions to the sink."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velox_engine.by_reference import by_reference
from velox_engine.jit import compiled, inner
from velox_engine.lockfree.atomics import Words, load_acquire, load_relaxed, store_release
from velox_engine.lockfree.memory import aligned_words
from velox_engine.lockfree.ring import Ring, ring_consumed, ring_ready, ring_release
from velox_engine.records import MAX_BUNDLE_SIZE
from velox_engine.stages.bundle import COUNT, FIRST
from velox_engine.stages.common import Stage, note_idle, note_passed, room_to_checkpoint
from velox_engine.stages.control import DRAINED, Control
from velox_engine.stages.sinking import Outlet, hand_bundle, outlet_is_on, outlet_room
from velox_engine.stages.slots import Slots, slot_of
from velox_engine.telemetry.layout import (
    BUNDLE,
    CURSOR_BUNDLES_OUT,
    LINE_WORDS,
    OUTPUT,
    OUTPUT_BUNDLES,
)

_BATCH: Final = 0
_LENGTH: Final = 16

_IN: Final = DRAINED + BUNDLE * LINE_WORDS
_OUT: Final = DRAINED + OUTPUT * LINE_WORDS


@by_reference
class Output(NamedTuple):
    """The stage's state: its telemetry, ``words`` int64, the bundle stage's ``descriptors``, the way to the sink."""

    stage: Stage
    words: Words
    descriptors: NDArray[np.int64]
    outlet: Outlet


def make_output(stage: Stage, descriptors: NDArray[np.int64], outlet: Outlet, *, batch: int) -> Output:
    """Make the stage's state."""
    words = aligned_words(_LENGTH)
    words[_BATCH] = batch
    return Output(stage, words, descriptors, outlet)


@inner
def _pass(output: Output, slots: Slots, first: int, count: int, now: int) -> None:
    """Count transactions from sequence ``first`` on, cut where the slots wrap and where the hash is kept."""
    while count > 0:
        start = slot_of(slots, first)
        part = room_to_checkpoint(output.stage, min(count, slots.records.size - start))
        note_passed(output.stage, slots, start, part, now)
        first += part
        count -= part


@compiled
def output_step(output: Output, control: Control, slots: Slots, source: Ring, now: int) -> int:
    """Take bundles, about one batch of transactions; return how many transactions that were."""
    upstream = load_acquire(control.words, _IN)
    ready = ring_ready(source)
    if ready == 0:
        if upstream != load_relaxed(control.words, _OUT):
            store_release(control.words, _OUT, upstream)
        note_idle(output.stage, False)
        return 0
    cursor = ring_consumed(source)
    mask = output.descriptors.shape[0] - 1
    first = output.descriptors[cursor & mask, FIRST]
    sinking = outlet_is_on(output.outlet)
    room = outlet_room(output.outlet, output.words[_BATCH] + MAX_BUNDLE_SIZE) if sinking else 2**62
    total, bundles = 0, 0
    while bundles < ready and total < output.words[_BATCH]:
        count = output.descriptors[(cursor + bundles) & mask, COUNT]
        if total + count > room:
            break
        if sinking:
            hand_bundle(output.outlet, slots, first + total, count)
        total += count
        bundles += 1
    if bundles == 0:
        note_idle(output.stage, True)
        return 0
    _pass(output, slots, first, total, now)  # bundles follow one another without a gap
    output.stage.image[OUTPUT_BUNDLES] += bundles
    store_release(output.stage.cursors, CURSOR_BUNDLES_OUT, output.stage.image[OUTPUT_BUNDLES])
    ring_release(source, bundles)
    return total
