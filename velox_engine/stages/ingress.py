"""Ingress: takes transactions from the source at the pace asked for, and gives each its due time and sequence number.

It alone may drop or reject; what it drops or rejects takes no sequence number.

**Pace.** Arrivals follow an absolute schedule: the next due time is the last one plus an exponential gap, never "now
plus a gap", so the mean rate is exact and a late start is caught up. A new rate begins a new schedule; the due time
that is given up is counted. A pause shifts the schedule. At maximum rate a transaction is due when ingress was ready to
make it, before it waits for room.

State, private: ``words`` int64 as named below; ``schedule`` float64: 0 next due time, ticks since the schedule began,
1 mean gap in ticks as adopted (0: maximum rate). The control words are looked at only when their serial has changed, so
a new rate and its new schedule take effect together.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velox_engine.feeds.random_stream import exponential
from velox_engine.feeds.synthetic import Synthetic, synthetic_fill
from velox_engine.jit import inner, int64
from velox_engine.lockfree.atomics import Words, load_acquire, store_release
from velox_engine.lockfree.clock import ticks
from velox_engine.lockfree.memory import aligned_words
from velox_engine.lockfree.ring import Ring, ring_produced, ring_publish, ring_room
from velox_engine.records import Flags
from velox_engine.stages.common import Stage, note_idle, note_passed, room_to_checkpoint
from velox_engine.stages.control import (
    ACKNOWLEDGED,
    DRAIN_EPOCH,
    DRAINED,
    ENDED,
    GAP,
    PHASE,
    REBASE,
    SERIAL,
    Control,
    Phase,
)
from velox_engine.stages.slots import Slots, make_slots
from velox_engine.telemetry.layout import (
    CURSOR_GENERATED,
    INGRESS_DROPPED,
    INGRESS_GENERATED,
    INGRESS_LAG_ABANDONED_TICKS,
    INGRESS_PAUSED_TICKS,
)

_SERIAL: Final = 0
_PHASE: Final = 1
_ZERO: Final = 2  # ticks when the schedule began
_GAP_INDEX: Final = 3
_GAP_KEY: Final = 4
_LIMIT: Final = 5  # items to generate at most
_END: Final = 6  # ticks when the schedule ends; 0: never
_READY: Final = 7  # at maximum rate: when it became ready to make the next item; 0: now
_PAUSED: Final = 8  # ticks when the pause began; 0: none
_DONE: Final = 9
_EACH: Final = 10  # stamp = "each"
_DROP: Final = 11  # on_full = "drop"
_BATCH: Final = 12
_REBASED: Final = 13
_DURATION: Final = 14  # ticks; 0: none
_GAP_FLAG: Final = 15  # 1: something was dropped since the last record
_LENGTH: Final = 16

_NEXT: Final = 0
_PACE: Final = 1
_GAP: Final = int(Flags.GAP)
_RUN, _PAUSE, _DRAIN = int(Phase.RUN), int(Phase.PAUSE), int(Phase.DRAIN)


class Ingress(NamedTuple):
    """The stage's state: its telemetry, its pace, its source, and scratch slots for what is dropped."""

    stage: Stage
    words: Words
    schedule: NDArray[np.float64]
    source: Synthetic
    scratch: Slots


def make_ingress(
    stage: Stage,
    source: Synthetic,
    *,
    gap_key: int,
    batch: int,
    each: bool,
    drop: bool,
    count: int,
    duration_ticks: int,
) -> Ingress:
    """Make the stage's state; ``count`` 0 and ``duration_ticks`` 0 mean without limit."""
    words = aligned_words(_LENGTH)
    words[_PHASE] = _PAUSE
    words[_GAP_KEY] = gap_key
    words[_LIMIT] = count if count > 0 else 2**62
    words[_DURATION] = duration_ticks
    words[_BATCH] = batch
    words[_EACH] = each
    words[_DROP] = drop
    return Ingress(stage, words, np.zeros(2), source, make_slots(batch))


@inner
def _begin_schedule(ingress: Ingress, now: int) -> None:
    words, gap = ingress.words, ingress.schedule[_PACE]
    words[_ZERO] = now
    words[_READY] = 0
    ingress.schedule[_NEXT] = exponential(np.uint64(words[_GAP_KEY]), words[_GAP_INDEX]) * gap
    words[_GAP_INDEX] += 1


@inner
def _adopt(ingress: Ingress, control: Control, serial: int, now: int) -> None:
    """Take over what the supervisor has written since the last serial."""
    words, orders, image = ingress.words, control.words, ingress.stage.image
    words[_SERIAL] = serial
    before, phase = words[_PHASE], orders[PHASE]
    words[_PHASE] = phase
    was_paced = ingress.schedule[_PACE] > 0.0
    ingress.schedule[_PACE] = control.rates[GAP]
    if before == _RUN and phase != _RUN:
        words[_PAUSED] = now
    if before != _RUN and phase == _RUN:
        if words[_PAUSED] == 0:
            words[_END] = now + words[_DURATION] if words[_DURATION] > 0 else 0
            _begin_schedule(ingress, now)
        else:
            shift = now - words[_PAUSED]
            words[_ZERO] += shift
            if words[_END] > 0:
                words[_END] += shift
            image[INGRESS_PAUSED_TICKS] += shift
            words[_PAUSED] = 0
            words[_READY] = 0
    if orders[REBASE] != words[_REBASED]:
        words[_REBASED] = orders[REBASE]
        at = words[_PAUSED] if words[_PAUSED] > 0 else now
        late = at - (words[_ZERO] + int64(ingress.schedule[_NEXT]))
        if was_paced and late > 0:
            image[INGRESS_LAG_ABANDONED_TICKS] += late
        _begin_schedule(ingress, at)
    store_release(orders, ACKNOWLEDGED, serial)


@inner
def _end(ingress: Ingress, control: Control) -> None:
    ingress.words[_DONE] = 1
    store_release(control.words, ENDED, 1)


@inner
def ingress_wake(ingress: Ingress) -> int:
    """Return when its next transaction is due, ticks; 2^62 when that is not known (maximum rate, paused, ended)."""
    if ingress.words[_PHASE] != _RUN or ingress.words[_DONE] or ingress.schedule[_PACE] == 0.0:
        return 2**62
    due = ingress.words[_ZERO] + int64(ingress.schedule[_NEXT])
    if 0 < ingress.words[_END] < due:
        return ingress.words[_END]
    return due


@inner
def ingress_is_paced(ingress: Ingress) -> bool:
    """Say whether it follows a schedule now, so that nothing can come before its next due time."""
    return ingress.words[_PHASE] == _RUN and not ingress.words[_DONE] and ingress.schedule[_PACE] > 0.0


@inner
def _due_now(ingress: Ingress, slots: Slots, start: int, most: int, now: int) -> int:
    """Write the due times of what is due by now into the slots, at most ``most``; return how many."""
    words, schedule = ingress.words, ingress.schedule
    gap = schedule[_PACE]
    if gap == 0.0:
        ready = words[_READY] if words[_READY] > 0 else now
        words[_READY] = 0
        for step in range(most):
            if words[_EACH] and step > 0:
                ready = ticks()
            slots.records[start + step].due_ticks = ready
        return most
    key, index = np.uint64(words[_GAP_KEY]), words[_GAP_INDEX]
    end = words[_END] if words[_END] > 0 else 2**62
    made = 0
    for step in range(most):
        due = words[_ZERO] + int64(schedule[_NEXT])
        if due > now or due >= end:
            break
        slots.records[start + step].due_ticks = due
        schedule[_NEXT] += exponential(key, index) * gap
        index += 1
        made += 1
    words[_GAP_INDEX] = index
    return made


@inner
def _is_over(ingress: Ingress, now: int) -> bool:
    words = ingress.words
    if ingress.stage.image[INGRESS_GENERATED] >= words[_LIMIT]:
        return True
    if words[_END] == 0:
        return False
    if now < words[_END]:
        return False
    return ingress.schedule[_PACE] == 0.0 or words[_ZERO] + int64(ingress.schedule[_NEXT]) >= words[_END]


@inner
def _generate(ingress: Ingress, slots: Slots, start: int, most: int, now: int) -> int:
    image = ingress.stage.image
    most = min(most, ingress.words[_LIMIT] - image[INGRESS_GENERATED])
    made = _due_now(ingress, slots, start, most, now)
    if made > 0:
        synthetic_fill(ingress.source, slots.records, start, made)
        image[INGRESS_GENERATED] += made
        store_release(ingress.stage.cursors, CURSOR_GENERATED, image[INGRESS_GENERATED])
    return made


@inner
def ingress_step(ingress: Ingress, control: Control, slots: Slots, ring: Ring, now: int) -> int:
    """Do at most one batch; return how many transactions it published or dropped."""
    words = ingress.words
    serial = load_acquire(control.words, SERIAL)
    if serial != words[_SERIAL]:
        _adopt(ingress, control, serial, now)
    if words[_PHASE] != _RUN or words[_DONE]:
        if words[_PHASE] == _DRAIN:
            store_release(control.words, DRAINED, control.words[DRAIN_EPOCH])
        note_idle(ingress.stage, False)
        return 0
    if _is_over(ingress, now):
        _end(ingress, control)
        return 0
    batch = words[_BATCH]
    room = min(ring_room(ring, batch), batch)
    if room == 0:
        if words[_DROP]:
            dropped = _generate(ingress, ingress.scratch, 0, batch, now)
            if dropped > 0:
                ingress.stage.image[INGRESS_DROPPED] += dropped
                words[_GAP_FLAG] = 1
            return dropped
        if ingress.schedule[_PACE] == 0.0 and words[_READY] == 0:
            words[_READY] = now
        note_idle(ingress.stage, True)
        return 0
    cursor = ring_produced(ring)
    start = cursor & (slots.records.size - 1)
    room = min(room_to_checkpoint(ingress.stage, room), slots.records.size - start)
    made = _generate(ingress, slots, start, room, now)
    if made == 0:
        note_idle(ingress.stage, False)
        return 0
    for step in range(made):
        slots.records[start + step].sequence = cursor + step
    if words[_GAP_FLAG]:
        slots.records[start].flags |= _GAP
        words[_GAP_FLAG] = 0
    note_passed(ingress.stage, slots, start, made, now)
    ring_publish(ring, made)
    return made
