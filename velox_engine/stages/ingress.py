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

from velox_engine.by_reference import by_reference
from velox_engine.feeds.random_stream import exponential
from velox_engine.feeds.staging import VALID, Staging, refusal, staging_is_closed
from velox_engine.feeds.synthetic import STAMP, Synthetic, synthetic_fill
from velox_engine.jit import compiled, inner, int64
from velox_engine.lockfree.atomics import Words, load_acquire, store_release
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
from velox_engine.lockfree.seqlock import seqlock_leave
from velox_engine.records import Flags
from velox_engine.stages.common import Stage, note_idle, note_passed, room_to_checkpoint
from velox_engine.stages.control import (
    ACKNOWLEDGED,
    DRAIN_EPOCH,
    DRAINED,
    ENDED,
    GAP,
    NEW_PACE,
    PHASE,
    REBASE,
    SERIAL,
    Control,
    Phase,
)
from velox_engine.stages.slots import REWIND, Slots, make_slots, slot_of
from velox_engine.telemetry.layout import (
    CURSOR_GENERATED,
    CURSOR_OUTPUT,
    INGRESS_DROPPED,
    INGRESS_GENERATED,
    INGRESS_LAG_ABANDONED_TICKS,
    INGRESS_PAUSED_TICKS,
    INGRESS_REJECTED,
    INGRESS_SEEDED,
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
_LOSSES: Final = 15  # entries of ``lost`` that are set
_RECORDED: Final = 16  # the source is what is staged
_BY_TIME: Final = 17  # recorded: due as recorded, not by a rate
_NEW_PACE: Final = 18
_EPOCH: Final = 19  # of the last drain ordered
_LOOK: Final = 20  # the sequence from which to look whether the slots may begin anew
_LENGTH: Final = 32
_LOST_SYMBOLS: Final = 1 << 16

_NEXT: Final = 0
_PACE: Final = 1
_GAP: Final = int(Flags.GAP)
_RUN, _PAUSE, _DRAIN = int(Phase.RUN), int(Phase.PAUSE), int(Phase.DRAIN)


@by_reference
class Ingress(NamedTuple):
    """The stage's state: its telemetry, its pace, its sources, scratch slots for what is dropped, and ``lost`` uint8
    (65536,): 1 where a record of that symbol (its low 16 bits) was dropped since the last one that went through.
    """

    stage: Stage
    words: Words
    schedule: NDArray[np.float64]
    source: Synthetic
    staging: Staging
    scratch: Slots
    lost: NDArray[np.uint8]


def make_ingress(
    stage: Stage,
    source: Synthetic,
    staging: Staging,
    *,
    recorded: bool,
    by_time: bool,
    gap_key: int,
    batch: int,
    each: bool,
    drop: bool,
    count: int,
    duration_ticks: int,
) -> Ingress:
    """Make the stage's state; ``count`` 0 and ``duration_ticks`` 0 mean without limit.

    ``recorded``: it takes what is staged, else what the synthetic source makes; ``by_time``: at the recorded pace.
    """
    words = aligned_words(_LENGTH)
    words[_PHASE] = _PAUSE
    words[_GAP_KEY] = gap_key
    words[_LIMIT] = count if count > 0 else 2**62
    words[_DURATION] = duration_ticks
    words[_BATCH] = batch
    words[_EACH] = each
    words[_DROP] = drop
    words[_RECORDED] = recorded
    words[_BY_TIME] = by_time
    return Ingress(stage, words, np.zeros(2), source, staging, make_slots(batch), np.zeros(_LOST_SYMBOLS, np.uint8))


@inner
def _begin_schedule(ingress: Ingress, now: int) -> None:
    words, gap = ingress.words, ingress.schedule[_PACE]
    words[_ZERO] = now
    words[_READY] = 0
    ingress.schedule[_NEXT] = exponential(np.uint64(words[_GAP_KEY]), words[_GAP_INDEX]) * gap
    words[_GAP_INDEX] += 1


@inner
def _adopt(ingress: Ingress, control: Control, serial: int, now: int) -> None:
    """Take over what the supervisor has written since the last serial; all of it, or nothing until the next step."""
    words, orders, image = ingress.words, control.words, ingress.stage.image
    phase, epoch, rebase, new_pace = orders[PHASE], orders[DRAIN_EPOCH], orders[REBASE], orders[NEW_PACE]
    gap = control.rates[GAP]
    if not seqlock_leave(orders, SERIAL, serial):
        return
    before = words[_PHASE]
    words[_SERIAL], words[_PHASE], words[_EPOCH] = serial, phase, epoch
    due = ingress_due(ingress)  # by the schedule that it has followed so far
    ingress.schedule[_PACE] = gap
    if before == _RUN and phase != _RUN:
        words[_PAUSED] = now
    if before != _RUN and phase == _RUN:
        if words[_PAUSED] == 0:
            words[_END] = now + words[_DURATION] if words[_DURATION] > 0 else 0
            _begin_schedule(ingress, now)
        else:
            shift = now - words[_PAUSED]
            words[_ZERO] += shift
            due += shift
            if words[_END] > 0:
                words[_END] += shift
            image[INGRESS_PAUSED_TICKS] += shift
            words[_PAUSED] = 0
            words[_READY] = 0
    if rebase != words[_REBASED]:
        words[_REBASED] = rebase
        at = words[_PAUSED] if words[_PAUSED] > 0 else now
        late = at - due
        if late > 0:
            image[INGRESS_LAG_ABANDONED_TICKS] += late
        if new_pace != words[_NEW_PACE]:
            words[_NEW_PACE] = new_pace
            words[_BY_TIME] = 0  # a rate asked for takes the place of the recorded times
        if words[_BY_TIME]:
            words[_ZERO] += max(late, 0)
        else:
            _begin_schedule(ingress, at)
    store_release(orders, ACKNOWLEDGED, serial)


@inner
def _end(ingress: Ingress, control: Control) -> None:
    ingress.words[_DONE] = 1
    store_release(control.words, ENDED, 1)


@inner
def ingress_due(ingress: Ingress) -> int:
    """Return when the next transaction is due, ticks; 2^62 when that is not known: maximum rate, nothing staged yet."""
    words = ingress.words
    if words[_BY_TIME]:
        if ring_ready(ingress.staging.ring) == 0:
            return 2**62
        slot = ring_consumed(ingress.staging.ring) & (ingress.staging.records.size - 1)
        return words[_ZERO] + max(ingress.staging.records[slot].due_ticks, 0)
    if ingress.schedule[_PACE] == 0.0:
        return 2**62
    return words[_ZERO] + int64(ingress.schedule[_NEXT])


@inner
def ingress_wake(ingress: Ingress) -> int:
    """Return when it has something to do next, ticks; 2^62 when that is not known."""
    words = ingress.words
    if words[_PHASE] != _RUN or words[_DONE]:
        return 2**62
    due = ingress_due(ingress)
    if 0 < words[_END] < due:
        return words[_END]
    return due


@inner
def ingress_is_paced(ingress: Ingress) -> bool:
    """Say whether it follows a schedule now, so that nothing can come before its next due time."""
    return ingress.words[_PHASE] == _RUN and not ingress.words[_DONE] and ingress_due(ingress) < 2**62


@inner
def _due_now(ingress: Ingress, slots: Slots, start: int, most: int, sequence: int, now: int) -> int:
    """Write sequence numbers and due times of what is due by now into the slots, at most ``most``; return how many."""
    words, schedule = ingress.words, ingress.schedule
    gap = schedule[_PACE]
    if gap == 0.0:
        ready = words[_READY] if words[_READY] > 0 else now
        words[_READY] = 0
        for step in range(most):
            slots.records[start + step].sequence = sequence + step
            slots.records[start + step].due_ticks = ready
        return most
    key, index = np.uint64(words[_GAP_KEY]), words[_GAP_INDEX]
    end = words[_END] if words[_END] > 0 else 2**62
    made = 0
    for step in range(most):
        due = words[_ZERO] + int64(schedule[_NEXT])
        if due > now or due >= end:
            break
        slots.records[start + step].sequence = sequence + step
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
    return now >= words[_END] and ingress_due(ingress) >= words[_END]


@inner
def _generate(ingress: Ingress, slots: Slots, start: int, most: int, sequence: int, now: int) -> int:
    image = ingress.stage.image
    most = min(most, ingress.words[_LIMIT] - image[INGRESS_GENERATED])
    made = _due_now(ingress, slots, start, most, sequence, now)
    if made > 0:
        # the clock is read as each is made: what making one takes and what the clock takes go side by side
        ingress.source.words[STAMP] = ingress.words[_EACH] != 0 and ingress.schedule[_PACE] == 0.0
        synthetic_fill(ingress.source, slots.records, start, made)
        image[INGRESS_GENERATED] += made
        store_release(ingress.stage.cursors, CURSOR_GENERATED, image[INGRESS_GENERATED])
    return made


@inner
def _note_loss(ingress: Ingress, symbol: int) -> None:
    """A record of this symbol was dropped: the next one that goes through says so."""
    if ingress.lost[symbol & (_LOST_SYMBOLS - 1)] == 0:
        ingress.lost[symbol & (_LOST_SYMBOLS - 1)] = 1
        ingress.words[_LOSSES] += 1


@inner
def _hand_on(ingress: Ingress, slots: Slots, ring: Ring, start: int, made: int, now: int) -> int:
    """Publish ``made`` > 0 complete records."""
    for slot in range(start, start + made):
        if ingress.words[_LOSSES] == 0:
            break
        record = slots.records[slot]
        if ingress.lost[record.symbol & (_LOST_SYMBOLS - 1)]:
            ingress.lost[record.symbol & (_LOST_SYMBOLS - 1)] = 0
            ingress.words[_LOSSES] -= 1
            record.flags |= _GAP
    note_passed(ingress.stage, slots, start, made, now)
    ring_publish(ring, made)
    return made


@inner
def _slot_for(ingress: Ingress, slots: Slots, cursor: int) -> int:
    """Return where the next transaction is to lie, in the first slot if nobody needs any."""
    words = ingress.words
    if cursor >= words[_LOOK]:
        words[_LOOK] = cursor + REWIND
        if load_acquire(ingress.stage.cursors, CURSOR_OUTPUT) == cursor:
            slots.origin[0] = cursor
    return slot_of(slots, cursor)


@inner
def _due_of(ingress: Ingress, offset: int, now: int) -> int:
    """Return when the next staged record is due, ticks; 0 for a seed."""
    words = ingress.words
    if offset < 0:
        return 0
    if words[_BY_TIME]:
        return words[_ZERO] + offset
    if ingress.schedule[_PACE] > 0.0:
        return words[_ZERO] + int64(ingress.schedule[_NEXT])
    return words[_READY] if words[_READY] > 0 else now


@inner
def _recorded_step(ingress: Ingress, control: Control, slots: Slots, ring: Ring, now: int) -> int:
    """One batch of what is staged: validated, copied into slots, or dropped where ``on_full`` says so."""
    words, staging, image = ingress.words, ingress.staging, ingress.stage.image
    closed = staging_is_closed(staging)
    ready = ring_ready(staging.ring)
    if ready == 0:
        if closed:
            _end(ingress, control)
        note_idle(ingress.stage, False)
        return 0
    batch = words[_BATCH]
    room = min(ring_room(ring, batch), batch)
    if room == 0 and not words[_DROP]:
        if words[_READY] == 0 and not words[_BY_TIME] and ingress.schedule[_PACE] == 0.0:
            words[_READY] = now
        note_idle(ingress.stage, True)
        return 0
    cursor = ring_produced(ring)
    start = _slot_for(ingress, slots, cursor)
    room = min(room_to_checkpoint(ingress.stage, room), slots.records.size - start) if room > 0 else 0
    first, mask = ring_consumed(staging.ring), staging.records.size - 1
    ready = min(ready, batch)
    end = words[_END] if words[_END] > 0 else 2**62
    scheduled = not words[_BY_TIME] and ingress.schedule[_PACE] > 0.0
    taken, made = int64(0), int64(0)
    while taken < ready and (made < room or room == 0):
        slot = (first + taken) & mask
        offset = staging.records[slot].due_ticks
        due = _due_of(ingress, offset, now)
        if offset >= 0 and (due > now or due >= end or image[INGRESS_GENERATED] >= words[_LIMIT]):
            break
        taken += 1
        if offset < 0:
            image[INGRESS_SEEDED] += 1
        else:
            image[INGRESS_GENERATED] += 1
            if scheduled:
                ingress.schedule[_NEXT] += (
                    exponential(np.uint64(words[_GAP_KEY]), words[_GAP_INDEX]) * ingress.schedule[_PACE]
                )
                words[_GAP_INDEX] += 1
        reason = refusal(staging, slot)
        if reason != VALID:
            image[INGRESS_REJECTED + reason] += 1
        elif room == 0:
            image[INGRESS_DROPPED] += 1
            _note_loss(ingress, staging.records[slot].symbol)
        else:
            slots.records[start + made] = staging.records[slot]
            slots.records[start + made].sequence = cursor + made
            slots.records[start + made].due_ticks = due
            made += 1
    if taken == 0:
        note_idle(ingress.stage, False)
        return 0
    words[_READY] = 0
    store_release(ingress.stage.cursors, CURSOR_GENERATED, image[INGRESS_GENERATED])
    if made > 0:
        _hand_on(ingress, slots, ring, start, made, now)
    ring_release(staging.ring, taken)
    return taken


@compiled
def ingress_step(ingress: Ingress, control: Control, slots: Slots, ring: Ring, now: int) -> int:
    """Do at most one batch; return how many transactions it published or dropped."""
    words = ingress.words
    serial = load_acquire(control.words, SERIAL)
    if serial != words[_SERIAL]:
        _adopt(ingress, control, serial, now)
    if words[_PHASE] != _RUN or words[_DONE]:
        if words[_PHASE] == _DRAIN:
            store_release(control.words, DRAINED, words[_EPOCH])
        note_idle(ingress.stage, False)
        return 0
    if _is_over(ingress, now):
        _end(ingress, control)
        return 0
    if words[_RECORDED]:
        return _recorded_step(ingress, control, slots, ring, now)
    batch = words[_BATCH]
    room = min(ring_room(ring, batch), batch)
    if room == 0:
        if words[_DROP]:
            dropped = _generate(ingress, ingress.scratch, int64(0), batch, int64(0), now)
            if dropped > 0:
                ingress.stage.image[INGRESS_DROPPED] += dropped
                _note_loss(ingress, ingress.scratch.records[0].symbol)
            return dropped
        if ingress.schedule[_PACE] == 0.0 and words[_READY] == 0:
            words[_READY] = now
        note_idle(ingress.stage, True)
        return 0
    cursor = ring_produced(ring)
    start = _slot_for(ingress, slots, cursor)
    room = min(room_to_checkpoint(ingress.stage, room), slots.records.size - start)
    made = _generate(ingress, slots, start, room, cursor, now)
    if made == 0:
        note_idle(ingress.stage, False)
        return 0
    return _hand_on(ingress, slots, ring, start, made, now)
