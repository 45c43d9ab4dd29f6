"""The compiled driver: picks which stage steps next, when, and how often, and looks at the line after every step.

What it calls are the engine's own functions: ``_turn`` with one stage at a time, which is the finest that a worker's
loop can be interleaved without real threads, and ``publish_worker``. Everything random comes from one stream.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.simulation.clock import NOW
from velox_engine.feeds.random_stream import random_word
from velox_engine.jit import compiled, inner, int64
from velox_engine.lockfree.atomics import Words, load_acquire, store_relaxed
from velox_engine.lockfree.ring import CAPACITY, PUBLISHED, RELEASED, ring_produced
from velox_engine.lockfree.seqlock import seqlock_enter, seqlock_leave
from velox_engine.stages.bundle import BY_DRAIN, BY_SIZE, BY_TIMEOUT, bundle_wake
from velox_engine.stages.common import HELD, STARVED
from velox_engine.stages.control import ACKNOWLEDGED, DRAIN_EPOCH, DRAINED, ENDED, GAP, HEARTBEATS, PHASE, REBASE, STOP
from velox_engine.stages.ingress import _EACH, _RECORDED, ingress_is_paced, ingress_wake
from velox_engine.stages.orderbook import orderbook_must_grow
from velox_engine.stages.slots import WORDS_A_RECORD, slot_of
from velox_engine.stages.worker import _PUBLISH_EVERY, _PUBLISHED, _turn, publish_worker
from velox_engine.telemetry.layout import (
    BUNDLE,
    BUNDLE_OPEN,
    GUARD_WORDS,
    INGRESS,
    INGRESS_DROPPED,
    INGRESS_GENERATED,
    INGRESS_LAG_ABANDONED_TICKS,
    INGRESS_SEEDED,
    LINE_WORDS,
    ORDERBOOK,
    STAGE_DISORDER,
    STAGE_DOING,
    STAGE_LENGTH,
    STAGE_PROCESSED,
)

# words of the driver
KEY, INDEX, STEPS, MOST_STEPS, GAP_NS, JUMP_NS, BURST, STILL, FULL, WRONG = range(10)
WHAT, DETAIL = 10, 12
MAX_SIZE, TIMEOUT, WAKE, WATCHED, ENTERED, HALF, BUNDLES, ROWS, ACK, PACED = 16, 17, 18, 20, 21, 22, 23, 24, 25, 26
STALLED, WORKER_OF, LEFT, SERVED, PUBLICATIONS, WHOLE = 32, 40, 48, 56, 64, 65
LENGTH = 80

# what may be wrong
PROBLEMS = (
    "",
    "a count goes back or grows downstream",
    "a ring holds more than it has room for",
    "a transaction in its slot is not the one that ingress published",
    "a cursor differs from its stage's count",
    "something was taken in while paused or drained",
    "a bundle stays open after its timeout although there is room",
    "something came due before the moment that it was to be woken for",
    "a due time lies in the future or goes back",
    "a stage found a sequence number out of place",
    "a stage passed the drain on with work left",
    "a copy under the sequence lock was torn",
    "a slot was written again before output had let it go",
    "a bundle that breaks its rules",
    "what is due was not taken although there was room",
)

TIME_UP, GROW, ALL_LEFT, OUT_OF_ROOM, WRONG_SEEN = range(5)
ROW = 11  # words of a row of the ingress log


class Ghost(NamedTuple):
    """What the driver remembers: its ``words``; ``records`` uint64 (n, 8) as published, ``times`` int64 (4, n) when a
    stage passed each, ``bundles`` int64 (n, 5) as flushed, ``log`` int64 (n, 11) of ingress, ``copy`` of a block as a
    reader has it, ``published`` int64 (4, …) as each stage last published; ``images`` are the stages' own.
    """

    words: Words
    records: NDArray[np.uint64]
    times: NDArray[np.int64]
    bundles: NDArray[np.int64]
    log: NDArray[np.int64]
    copy: Words
    published: NDArray[np.int64]
    images: tuple[Words, Words, Words, Words]


@inner
def _draw(ghost: Ghost, below: int) -> int:
    words = ghost.words
    words[INDEX] += 1
    word = random_word(np.uint64(words[KEY]), words[INDEX])
    return int64(((word >> np.uint64(32)) * np.uint64(below)) >> np.uint64(32))


@inner
def _wrong(ghost: Ghost, what: int, detail: int) -> None:
    if ghost.words[WHAT] == 0:
        ghost.words[WHAT], ghost.words[DETAIL] = what, detail


@inner
def _room(ring) -> int:
    words = ring.words
    return words[CAPACITY] - (words[PUBLISHED] - words[RELEASED])


@inner
def _compare(stages, ghost: Ghost, stage: int, first: int, after: int, now: int) -> None:
    """What a stage has passed must still be what ingress published; note when that was."""
    slots = stages.slots.words
    for sequence in range(first, after):
        ghost.times[stage, sequence] = now
        slot = slot_of(stages.slots, sequence)
        for word in range(WORDS_A_RECORD):
            if stage == INGRESS:
                ghost.records[sequence, word] = slots[slot, word]
            elif slots[slot, word] != ghost.records[sequence, word]:
                _wrong(ghost, 3, sequence)


@inner
def _check_ingress(stages, ghost: Ghost, generated: int, first: int, after: int, now: int, done: int) -> None:
    ingress, words = stages.ingress, ghost.words
    image, orders = ingress.stage.image, stages.control.words
    adopted = orders[ACKNOWLEDGED] != words[ACK]
    words[ACK] = orders[ACKNOWLEDGED]
    if image[INGRESS_GENERATED] != generated and words[STILL] != 0:
        _wrong(ghost, 5, generated)
    if after - stages.output.stage.image[STAGE_PROCESSED] > stages.slots.records.size:
        _wrong(ghost, 12, after)
    last = int64(0)
    for sequence in range(first, after):
        due = int64(ghost.records[sequence, 5])
        late = due > now and ingress.words[_EACH] == 0
        if late or (due < last and due != 0):
            _wrong(ghost, 8, sequence)
        last = max(due, last)
    if generated != image[INGRESS_GENERATED] and not adopted and after > first:
        earliest = int64(ghost.records[first, 5])
        if words[PACED] != 0 and 0 < earliest < words[WAKE]:
            _wrong(ghost, 7, earliest)
    words[WAKE] = ingress_wake(ingress)
    words[PACED] = ingress_is_paced(ingress)
    idle = done == 0 and image[STAGE_DOING] == STARVED and ingress.words[_RECORDED] == 0
    if idle and words[WAKE] <= now and orders[ENDED] == 0:
        _wrong(ghost, 14, words[WAKE])
    if adopted or done > 0 or image[STAGE_DOING] == HELD:
        row = words[ROWS]
        words[ROWS] += 1
        ghost.log[row, 0], ghost.log[row, 1] = now, adopted
        ghost.log[row, 2], ghost.log[row, 3] = orders[PHASE], orders[REBASE]
        ghost.log[row, 4] = stages.control.rates.view(np.int64)[GAP]
        ghost.log[row, 5], ghost.log[row, 6] = image[INGRESS_GENERATED], after
        ghost.log[row, 7] = image[INGRESS_LAG_ABANDONED_TICKS]
        ghost.log[row, 8], ghost.log[row, 9] = image[INGRESS_DROPPED], image[STAGE_DOING]
        ghost.log[row, 10] = image[INGRESS_SEEDED]


@inner
def _check_bundles(stages, ghost: Ghost, cursor: int, now: int, upstream: int, passed: int) -> None:
    """Each bundle flushed keeps the rules, and none that is late stays open."""
    words = ghost.words
    descriptors = stages.bundler.descriptors
    after = ring_produced(stages.output_ring)
    for bundle in range(cursor, after):
        row = descriptors[bundle & (descriptors.shape[0] - 1)]
        first, count, reason, opened, closed = row[0], row[1], row[2], row[3], row[4]
        expected = int64(0)
        if bundle > 0:
            expected = ghost.bundles[bundle - 1, 0] + ghost.bundles[bundle - 1, 1]
        ghost.bundles[bundle, 0], ghost.bundles[bundle, 1], ghost.bundles[bundle, 2] = first, count, reason
        ghost.bundles[bundle, 3], ghost.bundles[bundle, 4] = opened, closed
        sized = 0 < count <= words[MAX_SIZE] and (reason != BY_SIZE or count == words[MAX_SIZE])
        timed = opened <= closed == now and (reason != BY_TIMEOUT or closed >= opened + words[TIMEOUT])
        drained = reason != BY_DRAIN or upstream != passed
        if first != expected or not sized or not timed or not drained or ghost.times[BUNDLE, first] != opened:
            _wrong(ghost, 13, bundle)
    words[BUNDLES] = after
    if now >= bundle_wake(stages.bundler) and _room(stages.output_ring) > 0:
        _wrong(ghost, 6, now)


@inner
def _check_drained(stages, ghost: Ghost, stage: int, before: int) -> None:
    """Who passes a drain on has nothing left, and nobody before it has."""
    drained = stages.control.words[DRAINED + stage * LINE_WORDS]
    if drained == before:
        return
    count = ghost.images[stage][STAGE_PROCESSED]
    left = drained > stages.control.words[DRAIN_EPOCH]
    for other in range(stage):
        left |= ghost.images[other][STAGE_PROCESSED] != count
    if stage >= BUNDLE:
        left |= stages.bundler.stage.image[BUNDLE_OPEN] != 0
    if left:
        _wrong(ghost, 10, stage)


@inner
def _check_line(stages, ghost: Ghost) -> None:
    for stage in range(3):
        ring = (stages.ingress_ring, stages.bundle_ring, stages.output_ring)[stage]
        if not 0 <= _room(ring) <= ring.words[CAPACITY]:
            _wrong(ghost, 2, stage)
        if ghost.images[stage][STAGE_PROCESSED] < ghost.images[stage + 1][STAGE_PROCESSED]:
            _wrong(ghost, 1, stage)
    for stage in range(4):
        image = ghost.images[stage]
        if stages.ingress.stage.cursors[stage * LINE_WORDS] != image[STAGE_PROCESSED]:
            _wrong(ghost, 4, stage)
        if image[STAGE_DISORDER] != 0:
            _wrong(ghost, 9, stage)


@inner
def _step(stages, book, ghost: Ghost, stage: int, now: int) -> None:
    """One step of one stage, and what must hold after it."""
    control = stages.control.words
    image, generated = ghost.images[stage], stages.ingress.stage.image[INGRESS_GENERATED]
    first = image[STAGE_PROCESSED]
    cursor = ring_produced(stages.output_ring)
    upstream = control[DRAINED + max(stage - 1, 0) * LINE_WORDS]
    passed = control[DRAINED + stage * LINE_WORDS]
    done = _turn(stages, book, 1 << stage, now)
    after = image[STAGE_PROCESSED]
    if after < first:
        _wrong(ghost, 1, stage)
    ghost.words[SERVED + stage] += done
    _compare(stages, ghost, stage, first, after, now)
    if stage == INGRESS:
        _check_ingress(stages, ghost, generated, first, after, now, done)
    elif stage == BUNDLE:
        _check_bundles(stages, ghost, cursor, now, upstream, passed)
    _check_drained(stages, ghost, stage, passed)
    _check_line(stages, ghost)


@inner
def _watch(stages, ghost: Ghost, places: Words) -> None:
    """A reader that takes a copy in two halves, with other things in between, as a thread would that is put aside."""
    words, region = ghost.words, stages.ingress.stage.region
    if words[WATCHED] == 0:
        at = places[_draw(ghost, 4)]
        words[WATCHED] = at
        words[ENTERED] = seqlock_enter(region, at)
        words[HALF] = _draw(ghost, STAGE_LENGTH)
        for word in range(words[HALF]):
            ghost.copy[word] = region[at + GUARD_WORDS + word]
        return
    at = words[WATCHED]
    words[WATCHED] = 0
    for word in range(words[HALF], STAGE_LENGTH):
        ghost.copy[word] = region[at + GUARD_WORDS + word]
    if seqlock_leave(region, at, words[ENTERED]):
        words[WHOLE] += 1
        stage = 0
        while places[stage] != at:
            stage += 1
        for word in range(STAGE_LENGTH):
            if ghost.copy[word] != ghost.published[stage, word]:
                _wrong(ghost, 11, word)


@inner
def _publish(workers, stages, book, ghost: Ghost, worker: int, now: int, all_books: int) -> None:
    publish_worker(workers[worker], stages, book, now, all_books)
    ghost.words[PUBLICATIONS] += 1
    for stage in range(4):
        if ghost.words[WORKER_OF + stage] == worker:
            image = ghost.images[stage]
            for word in range(STAGE_LENGTH):
                ghost.published[stage, word] = image[word]


@inner
def _has_room(ghost: Ghost, stages) -> bool:
    """Whether the ghost can remember what another step may bring."""
    count = stages.ingress.stage.image[STAGE_PROCESSED]
    return (
        count + 4096 < ghost.records.shape[0]
        and ghost.words[BUNDLES] + 4096 < ghost.bundles.shape[0]
        and ghost.words[ROWS] + 64 < ghost.log.shape[0]
    )


@compiled
def drive(clock: Words, stages, workers, book, ghost: Ghost, places: Words, until: int) -> int:
    """Let workers run until a moment; return why it came back: TIME_UP, GROW, ALL_LEFT, OUT_OF_ROOM, WRONG_SEEN."""
    words, control = ghost.words, stages.control.words
    most = words[STEPS] + words[MOST_STEPS]
    while clock[NOW] < until and words[STEPS] < most:
        if words[FULL] == 0 and not _has_room(ghost, stages):
            words[FULL] = 1
            return OUT_OF_ROOM
        clock[NOW] += _draw(ghost, words[GAP_NS])
        if _draw(ghost, 256) == 0:
            clock[NOW] += _draw(ghost, words[JUMP_NS])
        if _draw(ghost, 64) == 0:
            _watch(stages, ghost, places)
        stage = _draw(ghost, 4)
        if _draw(ghost, 512) == 0:
            words[STALLED + stage] = clock[NOW] + _draw(ghost, words[JUMP_NS])
        worker = words[WORKER_OF + stage]
        if words[LEFT + worker] != 0:
            if words[LEFT] + words[LEFT + 1] + words[LEFT + 2] + words[LEFT + 3] == 4:
                return ALL_LEFT
            continue
        for _ in range(1 + _draw(ghost, words[BURST])):
            now = clock[NOW]
            store_relaxed(control, HEARTBEATS + worker * LINE_WORDS, now)
            own = workers[worker].words
            if now - own[_PUBLISHED] >= own[_PUBLISH_EVERY] or _draw(ghost, 128) == 0:
                _publish(workers, stages, book, ghost, worker, now, int64(0))
            if load_acquire(control, STOP) != 0:
                _publish(workers, stages, book, ghost, worker, now, int64(1))
                words[LEFT + worker] = 1
                break
            if words[STALLED + stage] > now:
                break
            if words[FULL] != 0 and stage == INGRESS and control[PHASE] == 1:
                break  # nothing more can be remembered: the world is about to drain
            words[STEPS] += 1
            _step(stages, book, ghost, stage, now)
            if words[WHAT] != 0:
                return WRONG_SEEN
            if stage == ORDERBOOK and orderbook_must_grow(stages.orderbook):
                return GROW
            clock[NOW] += _draw(ghost, words[GAP_NS])
    return TIME_UP
