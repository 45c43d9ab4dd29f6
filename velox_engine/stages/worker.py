"""A worker's duty cycle: run the steps of its stages in turn, idle by the backoff when none did anything.

Stages on one core share one worker, so two stages never fight for it by context switches. The loop is compiled once,
with all four steps in it; a bit mask says which of them are this worker's. It returns only with a reason; for ``GROW``
the thin Python shell around it allocates what the book needs and enters it again.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, NamedTuple

from velox_engine.by_reference import by_reference
from velox_engine.jit import compiled, inner, int64, part
from velox_engine.lockfree.atomics import Words, load_acquire, load_relaxed, store_relaxed
from velox_engine.lockfree.backoff import (
    SLEEPS,
    SLEPT_TICKS,
    YIELDS,
    Backoff,
    backoff_idle,
    backoff_reset,
    make_backoff,
)
from velox_engine.lockfree.clock import ticks
from velox_engine.lockfree.memory import aligned_words
from velox_engine.lockfree.ring import Ring
from velox_engine.stages.bundle import Bundler, bundle_step, bundle_wake
from velox_engine.stages.common import HELD, note_step, publish_stage
from velox_engine.stages.control import ASIDE, DRAIN_EPOCH, DRAINED, HEARTBEATS, PHASE, STOP, Control, Phase
from velox_engine.stages.ingress import Ingress, ingress_is_paced, ingress_step, ingress_wake
from velox_engine.stages.orderbook import (
    OrderBook,
    orderbook_must_grow,
    orderbook_step,
    publish_books,
    publish_depth,
    summarize_books,
)
from velox_engine.stages.output import Output, output_step
from velox_engine.stages.slots import Slots
from velox_engine.telemetry.layout import (
    BUNDLE,
    INGRESS,
    LINE_WORDS,
    ORDERBOOK,
    OUTPUT,
    STAGE_DOING,
    WORKER_BUSY_TICKS,
    WORKER_CORE,
    WORKER_HEARTBEAT_TICKS,
    WORKER_HELD_TICKS,
    WORKER_LENGTH,
    WORKER_LOOPS,
    WORKER_SLEEPS,
    WORKER_SLEPT_TICKS,
    WORKER_STAGES,
    WORKER_STARTED_TICKS,
    WORKER_STARVED_TICKS,
    WORKER_YIELDS,
)
from velox_engine.telemetry.writer import publish

INGRESS_BIT, ORDERBOOK_BIT, BUNDLE_BIT, OUTPUT_BIT = (1 << stage for stage in (INGRESS, ORDERBOOK, BUNDLE, OUTPUT))

_STAGES: Final = 0
_INDEX: Final = 1
_BLOCK: Final = 2
_SPIN: Final = 3
_PUBLISH_EVERY: Final = 4  # ticks
_PUBLISHED: Final = 5
_DEPTH_PUBLISHED: Final = 6
_BOOKS_PUBLISHED: Final = 7
_LAST: Final = 8  # ticks when the turn before began
_LAST_KIND: Final = 9  # word of WORKER_… that the turn before counts for
_LENGTH: Final = 16

_PUBLISH_NS: Final = 10_000_000
_DEPTH_EVERY: Final = 2  # publications
_BOOKS_EVERY: Final = 50
_BOOKS_A_TURN: Final = 32
_RUN, _PAUSE, _DRAIN = int(Phase.RUN), int(Phase.PAUSE), int(Phase.DRAIN)


class Reason(IntEnum):
    """Why a worker left its loop."""

    STOP = 0
    GROW = 1


@by_reference
class Worker(NamedTuple):
    """A worker's own memory: ``words`` int64 as named above, its telemetry ``image``, ``region``, its backoff."""

    words: Words
    image: Words
    region: Words
    backoff: Backoff


@by_reference
class Stages(NamedTuple):
    """Everything that the four steps work on; every worker is given all of it and touches only its own stages."""

    control: Control
    slots: Slots
    ingress: Ingress
    orderbook: OrderBook
    bundler: Bundler
    output: Output
    ingress_ring: Ring
    bundle_ring: Ring
    output_ring: Ring


def make_worker(
    region: Words, *, index: int, stages: int, core: int | None, block: int, spin: bool, ns_per_tick: float
) -> Worker:
    """Make worker ``index`` for a bit mask of ``stages``; ``block`` is the word of its block in ``region``."""
    words = aligned_words(_LENGTH)
    words[_STAGES], words[_INDEX], words[_BLOCK], words[_SPIN] = stages, index, block, spin
    words[_PUBLISH_EVERY] = round(_PUBLISH_NS / ns_per_tick)
    words[_LAST_KIND] = WORKER_STARVED_TICKS
    image = aligned_words(WORKER_LENGTH)
    image[WORKER_STAGES] = stages
    image[WORKER_CORE] = -1 if core is None else core
    return Worker(words, image, region, make_backoff(ns_per_tick))


@part
def publish_worker(worker: Worker, stages: Stages, book: Any, now: int, all_books: int) -> None:
    """Publish what the worker's stages have counted, and the worker's own words; all books' summaries if asked."""
    words, image, mask = worker.words, worker.image, worker.words[_STAGES]
    words[_PUBLISHED] = now
    image[WORKER_HEARTBEAT_TICKS] = now
    image[WORKER_SLEEPS] = worker.backoff.words[SLEEPS]
    image[WORKER_YIELDS] = worker.backoff.words[YIELDS]
    image[WORKER_SLEPT_TICKS] = worker.backoff.words[SLEPT_TICKS]
    if mask & OUTPUT_BIT:
        publish_stage(stages.output.stage, stages.output_ring, now)
    if mask & BUNDLE_BIT:
        publish_stage(stages.bundler.stage, stages.bundle_ring, now)
    if mask & ORDERBOOK_BIT:
        every = words[_PUBLISH_EVERY]
        summarize_books(stages.orderbook, book, 2**62 if all_books != 0 else _BOOKS_A_TURN)
        if all_books != 0 or now - words[_DEPTH_PUBLISHED] >= _DEPTH_EVERY * every:
            words[_DEPTH_PUBLISHED] = now
            publish_depth(stages.orderbook, book, stages.control, now)
        if all_books != 0 or now - words[_BOOKS_PUBLISHED] >= _BOOKS_EVERY * every:
            words[_BOOKS_PUBLISHED] = now
            publish_books(stages.orderbook)
        publish_stage(stages.orderbook.stage, stages.ingress_ring, now)
    if mask & INGRESS_BIT:
        publish_stage(stages.ingress.stage, stages.ingress_ring, now)
    publish(worker.region, words[_BLOCK], image)


@inner
def _is_held(stages: Stages, mask: int) -> bool:
    """Say whether one of the worker's stages was held back by the next ring in its last step."""
    held = bool(mask & INGRESS_BIT) and stages.ingress.stage.image[STAGE_DOING] == HELD
    held |= bool(mask & ORDERBOOK_BIT) and stages.orderbook.stage.image[STAGE_DOING] == HELD
    return held or (bool(mask & BUNDLE_BIT) and stages.bundler.stage.image[STAGE_DOING] == HELD)


@inner
def _turn(stages: Stages, book: Any, mask: int, now: int) -> int:
    """Run the worker's steps once; return how much they did."""
    control, slots = stages.control, stages.slots
    first, second, third = stages.ingress_ring, stages.bundle_ring, stages.output_ring
    done = 0
    if mask & INGRESS_BIT:
        count = ingress_step(stages.ingress, control, slots, first, now)
        if count > 0:
            after = ticks()
            note_step(stages.ingress.stage, count, now, after)
            now = after
            done += count
    if mask & ORDERBOOK_BIT:
        count = orderbook_step(stages.orderbook, book, control, slots, first, second, now)
        if count > 0:
            after = ticks()
            note_step(stages.orderbook.stage, count, now, after)
            now = after
            done += count
    if mask & BUNDLE_BIT:
        count = bundle_step(stages.bundler, control, slots, second, third, now)
        if count > 0:
            after = ticks()
            note_step(stages.bundler.stage, count, now, after)
            now = after
            done += count
    if mask & OUTPUT_BIT:
        count = output_step(stages.output, control, slots, third, now)
        if count > 0:
            note_step(stages.output.stage, count, now, ticks())
            done += count
    return done


@part
def rest_worker(worker: Worker, stages: Stages, mask: int, now: int) -> None:
    """Wait a little, at most until something is due."""
    control = stages.control
    wake = 2**62
    if mask & INGRESS_BIT:
        wake = min(wake, ingress_wake(stages.ingress))
    if mask & BUNDLE_BIT:
        wake = min(wake, bundle_wake(stages.bundler))
    phase = load_relaxed(control.words, PHASE)
    epoch = load_relaxed(control.words, DRAIN_EPOCH)
    drained = load_relaxed(control.words, DRAINED + OUTPUT * LINE_WORDS) == epoch
    resting = (phase == _PAUSE and wake == 2**62) or (phase == _DRAIN and drained)
    paced = bool(mask & INGRESS_BIT) and ingress_is_paced(stages.ingress)
    backoff_idle(worker.backoff, now, wake, paced, bool(worker.words[_SPIN]), resting)


@compiled
def run_worker(worker: Worker, stages: Stages, book: Any) -> int:
    """Run the duty cycle until the supervisor says stop, or the book must grow; return a `Reason`."""
    words, image = worker.words, worker.image
    control = stages.control
    mask = words[_STAGES]
    beat = HEARTBEATS + words[_INDEX] * LINE_WORDS
    if words[_LAST] == 0:
        words[_LAST] = ticks()
        image[WORKER_STARTED_TICKS] = words[_LAST]
    while True:
        now = ticks()
        store_relaxed(control.words, beat, now)
        image[words[_LAST_KIND]] += now - words[_LAST]
        image[WORKER_LOOPS] += 1
        words[_LAST] = now
        if now - words[_PUBLISHED] >= words[_PUBLISH_EVERY]:
            publish_worker(worker, stages, book, now, int64(0))
        if load_acquire(control.words, STOP) != 0:
            publish_worker(worker, stages, book, now, int64(1))
            return Reason.STOP
        done = _turn(stages, book, mask & ~load_relaxed(control.words, ASIDE), now)
        if mask & ORDERBOOK_BIT and orderbook_must_grow(stages.orderbook):
            return Reason.GROW
        if done > 0:
            words[_LAST_KIND] = WORKER_BUSY_TICKS
            backoff_reset(worker.backoff)
            continue
        words[_LAST_KIND] = WORKER_HELD_TICKS if _is_held(stages, mask) else WORKER_STARVED_TICKS
        rest_worker(worker, stages, mask, now)
