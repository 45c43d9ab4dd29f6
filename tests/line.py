"""The four stages of an engine in one thread, step by step, with a clock that stands still until a test moves it."""

import math

import numpy as np

from tests.settings import configured
from velox_engine.assembly import assemble
from velox_engine.feeds.random_stream import exponential, stream_key
from velox_engine.feeds.synthetic import GAP_STREAM, make_synthetic, synthetic_fill
from velox_engine.jit import compiled
from velox_engine.lockfree.clock import Clock
from velox_engine.lockfree.histogram_view import Histogram
from velox_engine.lockfree.ring import make_ring, ring_produced, ring_publish, ring_room
from velox_engine.lockfree.seqlock import seqlock_begin, seqlock_end
from velox_engine.placement import Machine
from velox_engine.records import TRANSACTION
from velox_engine.stages import control as word
from velox_engine.stages.bundle import bundle_step, bundle_wake, make_bundler
from velox_engine.stages.common import note_step, publish_stage
from velox_engine.stages.content import plain_content
from velox_engine.stages.control import Phase
from velox_engine.stages.ingress import ingress_is_paced, ingress_step, ingress_wake
from velox_engine.stages.orderbook import (
    orderbook_must_grow,
    orderbook_step,
    publish_books,
    publish_depth,
    summarize_books,
)
from velox_engine.stages.output import output_step
from velox_engine.stages.slots import make_slots, slots_needed
from velox_engine.telemetry import layout
from velox_engine.telemetry.layout import BUNDLE, INGRESS, LINE_WORDS, ORDERBOOK, OUTPUT
from velox_engine.telemetry.reader import TelemetryReader

INGRESS_WAKE, BUNDLE_WAKE, IS_PACED, MUST_GROW, PUBLISH, NOTE_STEP = range(4, 10)
ALL = (INGRESS, ORDERBOOK, BUNDLE, OUTPUT)
NEVER = 2**62
BEGIN = 1_000_000
SECOND = 10**9


@compiled
def drive(stages, book, codes, nows, done):
    """Do one thing after another, each at its moment; leave in ``done`` what each returned."""
    control, slots = stages.control, stages.slots
    first, second, third = stages.ingress_ring, stages.bundle_ring, stages.output_ring
    for turn in range(codes.size):
        code, now = codes[turn], nows[turn]
        if code == INGRESS:
            done[turn] = ingress_step(stages.ingress, control, slots, first, now)
        elif code == ORDERBOOK:
            done[turn] = orderbook_step(stages.orderbook, book, control, slots, first, second, now)
        elif code == BUNDLE:
            done[turn] = bundle_step(stages.bundler, control, slots, second, third, now)
        elif code == OUTPUT:
            done[turn] = output_step(stages.output, control, slots, third, now)
        elif code == INGRESS_WAKE:
            done[turn] = ingress_wake(stages.ingress)
        elif code == BUNDLE_WAKE:
            done[turn] = bundle_wake(stages.bundler)
        elif code == IS_PACED:
            done[turn] = ingress_is_paced(stages.ingress)
        elif code == MUST_GROW:
            done[turn] = orderbook_must_grow(stages.orderbook)
        elif code == NOTE_STEP:
            note_step(stages.output.stage, 10, now, now + 1_000)
        else:
            summarize_books(stages.orderbook, book, 2**62)
            publish_depth(stages.orderbook, book, control, now)
            publish_books(stages.orderbook)
            publish_stage(stages.output.stage, third, now)
            publish_stage(stages.bundler.stage, second, now)
            publish_stage(stages.orderbook.stage, first, now)
            publish_stage(stages.ingress.stage, first, now)


class Line:
    """The stages of an engine of these settings; a tick is a nanosecond."""

    def __init__(self, *, bundle_ring=None, output_ring=None, **settings):
        settings = {"source__seed": 7, "source__live_orders": 50, "book__kind": "bucketed", **settings}
        self.config = configured(**settings)
        self.assembly = assemble(self.config, Clock(1.0, 0, 0, 0, "test"), Machine((0,), (0,), math.inf, False))
        self.assembly.book.complete()
        self.assembly.release()  # nobody attaches: the memory is enough
        self.stages = self.assembly.stages
        self.now = BEGIN
        self.serial = 0
        if bundle_ring or output_ring:
            self._shrink(bundle_ring or 64, output_ring or 64)

    def _shrink(self, bundle_ring, output_ring):
        """Use rings that are smaller than the configuration allows."""
        bundle, stages = self.config.bundle, self.stages
        bundler = make_bundler(
            stages.bundler.stage,
            batch=self.config.pipeline.batch,
            max_size=bundle.max_size,
            timeout_ticks=bundle.timeout_ns,
            output_ring=output_ring,
        )
        self.stages = stages._replace(
            slots=make_slots(slots_needed(64, bundle_ring, output_ring, bundle.max_size)),
            bundler=bundler,
            output=stages.output._replace(descriptors=bundler.descriptors),
            bundle_ring=make_ring(bundle_ring),
            output_ring=make_ring(output_ring),
        )

    # ---- steering

    def order(self, phase=None, *, gap=None, epoch=False):
        """Write orders as the supervisor does; ``gap`` is a new mean gap in ticks."""
        words = self.stages.control.words
        seqlock_begin(words, word.SERIAL)
        if phase is not None:
            words[word.PHASE] = phase
        if gap is not None:
            self.stages.control.rates[word.GAP] = gap
            words[word.REBASE] += 1
        words[word.DRAIN_EPOCH] += epoch
        seqlock_end(words, word.SERIAL)
        self.serial += 2

    def run_from(self, now=None, *, gap=None):
        """Begin to run at a moment, at a mean gap (0: maximum rate), and let ingress take that over."""
        self.now = self.now if now is None else now
        if gap is not None:
            self.stages.control.rates[word.GAP] = gap
        self.order(Phase.RUN)
        return self.step(INGRESS)

    def drain(self):
        """Ask for a drain and step until it is through; fail if that takes for ever."""
        self.order(Phase.DRAIN, epoch=True)
        for _ in range(100_000):
            self.turns(1)
            if self.drained(OUTPUT):
                return
        raise AssertionError("it does not drain")

    def drained(self, stage):
        """Whether a stage has passed the last drain on."""
        words = self.stages.control.words
        return bool(words[word.DRAINED + stage * LINE_WORDS] == words[word.DRAIN_EPOCH])

    # ---- stepping

    def do(self, codes, nows):
        """Do things, each at its moment; return what each gave."""
        codes, nows = np.asarray(codes, np.int64), np.asarray(nows, np.int64)
        done = np.zeros(len(codes), np.int64)
        drive(self.stages, self.assembly.book.state, codes, np.broadcast_to(nows, codes.shape).copy(), done)
        return done

    def step(self, code, after=0):
        """Do one thing, so many ticks after the last."""
        self.now += after
        return int(self.do([code], [self.now])[0])

    def turns(self, count, after=0, stages=ALL):
        """Step stages in turn, so often, with so many ticks between two turns."""
        nows = self.now + after * np.repeat(np.arange(1, count + 1), len(stages))
        done = self.do(np.tile(stages, count), nows)
        self.now += after * count
        return done

    # ---- looking

    def image(self, stage):
        """What a stage counts."""
        stages = self.stages
        return (stages.ingress, stages.orderbook, stages.bundler, stages.output)[stage].stage.image

    def count(self, stage, name):
        """One of a stage's counters by its name in the layout."""
        return int(self.image(stage)[getattr(layout, name)])

    def passed(self):
        """How many transactions each stage has passed."""
        return [self.count(stage, "STAGE_PROCESSED") for stage in ALL]

    def control(self, name):
        """One of the control words by its name."""
        return int(self.stages.control.words[getattr(word, name)])

    def records(self, count, first=0):
        """Copies of the records of sequences ``first`` on, as long as they still lie in their slots."""
        records = self.stages.slots.records
        origin = self.stages.slots.origin[0]
        return records[(np.arange(first, first + count) - origin) & (records.size - 1)]

    def descriptors(self, count, first=0):
        """First sequence, count, reason, opened and closed of bundles, as long as they still lie in their slots."""
        rows = self.stages.bundler.descriptors
        return rows[np.arange(first, first + count) & (len(rows) - 1), :5].tolist()

    def snapshot(self):
        """Publish everything, and read it as a watcher does."""
        self.step(PUBLISH)
        return TelemetryReader(self.assembly.region).read()

    # ---- feeding a stage by hand

    def put(self, ring, records):
        """Write records into their slots and publish them on a ring, as the stage before would."""
        assert ring_room(ring, len(records)) >= len(records)
        slots, cursor = self.stages.slots.records, ring_produced(ring)
        for sequence, record in enumerate(records, cursor):
            slot = (sequence - self.stages.slots.origin[0]) & (slots.size - 1)
            slots[slot] = record
            slots[slot]["sequence"] = sequence
        ring_publish(ring, len(records))


def blank(count, due=BEGIN):
    """Records that are valid adds, all alike."""
    records = np.zeros(count, TRANSACTION)
    records["action"], records["price"], records["size"], records["due_ticks"] = 1, 1_000, 1, due
    return records


# ---- what to expect


def schedule(gap, count, begun=BEGIN, seed=7, first=0):
    """When transactions are due: a moment and exponential gaps, added up."""
    key = np.uint64(stream_key(seed, GAP_STREAM) % 2**64)
    due, at = [], 0.0
    for index in range(first, first + count):
        at += exponential(key, index) * gap
        due.append(begun + int(at))
    return due


def content(count, **source):
    """The hash of the first items of a source."""
    made = make_synthetic(source.get("model", "market"), source.get("seed", 7), source.get("live_orders", 50))
    records = np.zeros(count, TRANSACTION)
    synthetic_fill(made, records, 0, count)
    records["sequence"] = np.arange(count)
    return plain_content(records.view(np.uint64).reshape(count, 8))


def due_of(line, count, first=0):
    """When the transactions of these sequences were due."""
    return [int(due) for due in line.records(count, first)["due_ticks"]]


def histogram(line, stage, at=layout.STAGE_LATENCY):
    """One of a stage's histograms."""
    return Histogram.from_words(line.image(stage)[at : at + layout.HISTOGRAM_LENGTH])
