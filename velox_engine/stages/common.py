"""What every stage has: its image of telemetry, its content proof, and the counting of a batch."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velox_engine.by_reference import by_reference
from velox_engine.jit import inner, int64
from velox_engine.lockfree.atomics import Words, load_relaxed, store_release
from velox_engine.lockfree.histogram import histogram_record, histogram_record_spans
from velox_engine.lockfree.memory import aligned_words
from velox_engine.lockfree.ring import HIGH_WATER, PUBLISHED, RELEASED, Ring
from velox_engine.stages.content import CONTENT_WORDS, content_add, content_fold
from velox_engine.stages.slots import DUE_WORD, WORDS_A_RECORD, Slots
from velox_engine.telemetry.layout import (
    CHECKPOINT_EVERY,
    CHECKPOINTS,
    STAGE_CHECKPOINTS,
    STAGE_CONTENT,
    STAGE_DISORDER,
    STAGE_DOING,
    STAGE_FIRST_TICKS,
    STAGE_HELD,
    STAGE_LAST_TICKS,
    STAGE_LATENCY,
    STAGE_LENGTH,
    STAGE_PROCESSED,
    STAGE_PUBLISHED_TICKS,
    STAGE_RING_HIGH_WATER,
    STAGE_RING_WAITING,
    STAGE_SERVICE,
    STAGE_STARVED,
    STAGE_STEPS,
)
from velox_engine.telemetry.writer import publish

BUSY: Final = 0
STARVED: Final = 1
HELD: Final = 2

_LOOPS: Final = 2


@by_reference
class Stage(NamedTuple):
    """What a stage keeps for itself and publishes.

    ``image`` int64 (STAGE_LENGTH,): its counters as `telemetry.layout` names them; ``lanes`` int64 (40,): its content
    hash; ``cursors`` int64: the region's CURSORS words; ``at``: int64 (3,): the word of its own cursor, the word where
    its block begins in ``region``, and whether the source loops; ``ns_per_tick`` float64 (1,).
    """

    image: Words
    lanes: Words
    cursors: Words
    at: Words
    region: Words
    ns_per_tick: NDArray[np.float64]


def make_stage(
    region: Words, cursors: Words, cursor: int, block: int, ns_per_tick: float, *, loops: bool = False
) -> Stage:
    """Make a stage's own memory; ``cursor`` and ``block`` are words of ``cursors`` and ``region``."""
    at = np.array([cursor, block, loops], np.int64)
    image = aligned_words(STAGE_LENGTH)
    image[STAGE_DOING] = STARVED
    return Stage(image, aligned_words(CONTENT_WORDS), cursors, at, region, np.array([ns_per_tick]))


@inner
def room_to_checkpoint(stage: Stage, count: int) -> int:
    """Cut a batch so that it ends at a multiple of 2^20 at the latest, where the hash is kept."""
    left = CHECKPOINT_EVERY - (stage.image[STAGE_PROCESSED] & (CHECKPOINT_EVERY - 1))
    return min(count, left)


@inner
def note_passed(stage: Stage, slots: Slots, start: int, count: int, now: int) -> None:
    """Count ``count`` > 0 records from slot ``start`` on: content, order, latency since each was due."""
    image = stage.image
    sequence = image[STAGE_PROCESSED]
    if content_add(slots.words, start, count, sequence, stage.lanes) != 0:
        image[STAGE_DISORDER] += 1
    note_latency(stage, slots, start, count, now)
    sequence += count
    image[STAGE_PROCESSED] = sequence
    if sequence & (CHECKPOINT_EVERY - 1) == 0:
        pair = STAGE_CHECKPOINTS + 2 * ((sequence // CHECKPOINT_EVERY) % CHECKPOINTS)
        image[pair] = sequence
        image[pair + 1] = content_fold(stage.lanes)
    store_release(stage.cursors, stage.at[0], sequence)


@inner
def note_latency(stage: Stage, slots: Slots, start: int, count: int, now: int) -> None:
    """Record due → now for each record; those of equal latency as one weighted record. Due 0 is a seed: no latency.

    Due times never go back, so a batch whose ends are equal is equal throughout: at maximum rate that is every batch,
    or, stamped each, every batch that ingress passes: it looked at the clock before. Only a source that loops has seeds
    between them.
    """
    due = slots.records[start].due_ticks
    scale = stage.ns_per_tick[0]
    end = start + count
    if stage.at[_LOOPS] == 0 and due != 0:
        if due >= now or slots.records[end - 1].due_ticks == due:
            histogram_record(stage.image, STAGE_LATENCY, int64((now - due) * scale), count)
            return
        first = start * WORDS_A_RECORD + DUE_WORD
        start += histogram_record_spans(
            stage.image, STAGE_LATENCY, slots.words, first, WORDS_A_RECORD, count, now, scale
        )
    run = 0
    for slot in range(start, end):
        this = slots.records[slot].due_ticks
        if this != due:
            if run != 0 and due != 0:
                histogram_record(stage.image, STAGE_LATENCY, int64((now - due) * scale), run)
            due, run = this, 0
        run += 1
    if run != 0 and due != 0:
        histogram_record(stage.image, STAGE_LATENCY, int64((now - due) * scale), run)


@inner
def note_step(stage: Stage, done: int, begun: int, ended: int) -> None:
    """Count a step that did ``done`` > 0: its service time a transaction."""
    image = stage.image
    image[STAGE_STEPS] += 1
    image[STAGE_DOING] = BUSY
    if image[STAGE_FIRST_TICKS] == 0:
        image[STAGE_FIRST_TICKS] = begun
    image[STAGE_LAST_TICKS] = ended
    service = int64((ended - begun) * stage.ns_per_tick[0]) // done
    histogram_record(image, STAGE_SERVICE, service, done)


@inner
def note_idle(stage: Stage, held: bool) -> None:
    """Count a step that did nothing: held back by the next ring, or without input."""
    if held:
        stage.image[STAGE_HELD] += 1
        stage.image[STAGE_DOING] = HELD
    else:
        stage.image[STAGE_STARVED] += 1
        stage.image[STAGE_DOING] = STARVED


@inner
def publish_stage(stage: Stage, ring: Ring, now: int) -> None:
    """Copy the stage's image into the region; ``ring`` is the one that it reads (ingress: the one that it fills)."""
    image = stage.image
    image[STAGE_CONTENT] = content_fold(stage.lanes)
    released = load_relaxed(ring.words, RELEASED)
    image[STAGE_RING_WAITING] = max(load_relaxed(ring.words, PUBLISHED) - released, 0)
    image[STAGE_RING_HIGH_WATER] = max(load_relaxed(ring.words, HIGH_WATER), image[STAGE_RING_WAITING])
    image[STAGE_PUBLISHED_TICKS] = now
    publish(stage.region, stage.at[1], image)
