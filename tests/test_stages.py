"""Output and the whole line, step by step: everything is accounted for, whatever happens in whatever order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.line import (
    ALL,
    BEGIN,
    BUNDLE,
    INGRESS,
    NOTE_STEP,
    ORDERBOOK,
    OUTPUT,
    Line,
    blank,
    content,
    histogram,
)
from velox_engine.lockfree.ring import CAPACITY, HIGH_WATER, PUBLISHED, make_ring
from velox_engine.stages.control import Phase
from velox_engine.stages.slots import REWIND, slots_needed
from velox_engine.telemetry import layout


def test_output_takes_whole_bundles_about_a_batch_at_a_time():
    line = Line(bundle__max_size=16, pipeline__batch=40)
    line.put(line.stages.bundle_ring, blank(100))
    line.turns(4, stages=[BUNDLE])
    assert line.count(BUNDLE, "BUNDLE_BY_SIZE") == 6
    assert line.turns(4, stages=[OUTPUT]).tolist() == [48, 48, 0, 0]
    assert line.count(OUTPUT, "OUTPUT_BUNDLES") == 6
    assert line.count(OUTPUT, "STAGE_STARVED") == 2
    assert line.assembly.region.payload(layout.Block.CURSORS)[layout.CURSOR_BUNDLES_OUT] == 6


def test_latency_counts_from_when_a_transaction_was_due():
    line = Line(bundle__max_size=4)
    records = blank(4)
    records["due_ticks"] = BEGIN - np.array([0, 100, 100, 5_000])
    line.put(line.stages.bundle_ring, records)
    line.step(BUNDLE)
    line.step(OUTPUT, 50)
    latency = histogram(line, OUTPUT)
    assert (latency.count, latency.least, latency.largest, latency.sum) == (4, 50, 5_050, 50 + 2 * 150 + 5_050)


@pytest.mark.parametrize(
    "due", [[0, 0, 0, 0], [0, 0, BEGIN, BEGIN], [BEGIN, 0, 0, BEGIN], [BEGIN, 0, BEGIN, BEGIN - 9], [0, BEGIN, 0, 0]]
)
def test_a_seed_has_no_latency_wherever_it_stands(due):
    line = Line(bundle__max_size=4, source__loop=True)  # only a source that loops has seeds in its midst
    records = blank(4)
    records["due_ticks"] = due
    line.put(line.stages.bundle_ring, records)
    line.step(BUNDLE)
    line.step(OUTPUT, 1)
    for stage in (BUNDLE, OUTPUT):
        assert histogram(line, stage).count == sum(each != 0 for each in due)
    assert line.passed()[OUTPUT] == 4


def test_a_step_s_work_is_shared_among_its_transactions():
    line = Line()
    line.step(NOTE_STEP)
    service = histogram(line, OUTPUT, layout.STAGE_SERVICE)
    assert (service.count, service.sum) == (10, 1_000)
    assert (line.count(OUTPUT, "STAGE_FIRST_TICKS"), line.count(OUTPUT, "STAGE_LAST_TICKS")) == (BEGIN, BEGIN + 1_000)


# ---- counting before publishing


@pytest.mark.parametrize(
    ("stage", "ring", "cursor"),
    [
        (INGRESS, "ingress_ring", "CURSOR_INGRESS"),
        (INGRESS, "ingress_ring", "CURSOR_GENERATED"),
        (ORDERBOOK, "bundle_ring", "CURSOR_ORDERBOOK"),
        (BUNDLE, "output_ring", "CURSOR_FLUSHED"),
    ],
)
def test_what_a_stage_publishes_it_has_counted_before(stage, ring, cursor):
    """Else the next stage could be seen to have passed more: the ring's word lies on the counter's, and wins."""
    line = Line(bundle__max_size=1, pipeline__batch=8)
    cursors = line.assembly.region.payload(layout.Block.CURSORS)
    words = line.assembly.region.words
    at = line.assembly.region.at(layout.Block.CURSORS) + layout.GUARD_WORDS + getattr(layout, cursor)
    made = getattr(line.stages, ring)
    here = words[at : at + len(made.words)]
    here[:] = made.words
    shifted = 1_000 * 64
    produced = shifted + cursors[getattr(layout, cursor)]
    line.stages = line.stages._replace(**{ring: type(made)(here)})
    begin_at(line.stages, ring, shifted)
    if stage != INGRESS:
        line.put(line.stages.ingress_ring, blank(8))
    if stage == BUNDLE:
        line.step(ORDERBOOK)
    if stage == INGRESS:
        line.run_from(gap=0.0)
    else:
        line.step(stage)
    assert line.passed()[stage] == 8
    assert here[PUBLISHED] == produced + 8, "the counter was stored after the ring's cursor"


def begin_at(stages, ring, cursor):
    """Let a ring's cursors begin somewhere else than the counters do."""
    words = getattr(stages, ring).words
    words[:] = make_ring(int(words[CAPACITY]), cursor).words


# ---- the whole line


def test_a_drain_travels_down_the_line_behind_the_last_transaction():
    line = Line(bundle__max_size=4)
    line.run_from(gap=0.0)
    line.order(Phase.DRAIN, epoch=True)
    told = []
    for _ in range(12):
        for stage in reversed(ALL):
            line.step(stage)
            told.append([line.drained(each) for each in ALL])
    assert told[0] == [False] * 4
    assert told[-1] == [True] * 4
    for flags in told:
        assert flags == sorted(flags, reverse=True)
        assert not flags[OUTPUT] or len(set(line.passed())) == 1
    assert line.passed() == [256] * 4


def test_a_stage_that_finds_its_ring_empty_before_the_one_above_has_drained_does_not_pass_the_drain_on():
    line = Line()
    line.run_from(gap=0.0)
    line.order(Phase.DRAIN, epoch=True)
    for stage in (OUTPUT, BUNDLE, ORDERBOOK, ORDERBOOK):
        line.step(stage)
    assert [line.drained(stage) for stage in ALL] == [False] * 4


def test_the_slots_are_as_many_as_the_rings_can_hold():
    for ingress in (64, 4_096):
        for bundle in (64, 128):
            for output in (64, 1_024):
                for size in (1, 16, 256):
                    slots = slots_needed(ingress, bundle, output, size)
                    most = ingress + bundle + (output + 1) * size
                    assert most <= slots < 2 * most
                    assert slots & (slots - 1) == 0


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 0, 0, 1, 1, 2, 3), (0, 0, 0, 0, 1, 1, 1, 2, 2, 3)])
def test_a_line_filled_to_the_brim_overwrites_nothing(order):
    line = Line(
        buffers__ingress_ring_size=64, buffers__bundle_ring_size=64, buffers__output_ring_size=64, bundle__max_size=3
    )
    line.run_from(gap=0.0)
    for stages in ([INGRESS], [ORDERBOOK, INGRESS], [BUNDLE, ORDERBOOK, INGRESS]):
        line.turns(50, stages=stages)
    assert line.passed()[INGRESS] == 64 + 64 + 65 * 3
    line.turns(200, stages=order)
    line.drain()
    assert len(set(line.passed())) == 1
    proof(line)


def proof(line):
    """Hold the line's final counts and hashes to one another and to the source's own content."""
    snapshot = line.snapshot()
    count = line.passed()[OUTPUT]
    assert line.passed() == [count] * 4
    assert snapshot.conservation.holds, snapshot.conservation.problems
    assert [line.count(stage, "STAGE_DISORDER") for stage in ALL] == [0] * 4
    contents = {stage.content for stage in snapshot.stages}
    assert len(contents) == 1
    if not line.count(INGRESS, "INGRESS_DROPPED"):
        source = line.config.source
        assert contents == {content(count, model=source.model, seed=source.seed, live_orders=source.live_orders)}
    assert snapshot.generated == snapshot.ingress.processed + snapshot.dropped
    assert snapshot.flushed == snapshot.bundles_out == line.count(OUTPUT, "OUTPUT_BUNDLES")
    assert int(snapshot.bundle_sizes @ np.arange(257)) == count
    assert snapshot.by_size + snapshot.by_timeout + snapshot.by_drain == snapshot.flushed
    assert [stage.latency.count for stage in snapshot.stages] == [count] * 4
    for ring in snapshot.rings:
        assert ring.waiting == 0
        assert ring.high_water <= ring.capacity


@settings(max_examples=60)
@given(
    ring=st.sampled_from([64, 128]),
    batch=st.sampled_from([1, 3, 64, 1_000]),
    max_size=st.sampled_from([1, 5, 256]),
    gap=st.sampled_from([0.0, 10.0, 500.0]),
    on_full=st.sampled_from(["wait", "drop"]),
    model=st.sampled_from(["market", "uniform"]),
    count=st.sampled_from([0, 150]),
    moves=st.lists(
        st.tuples(st.sampled_from([*ALL, *ALL, *ALL, "pause", "run", "drain", "rate"]), st.integers(0, 3_000)),
        max_size=80,
    ),
)
def test_whatever_happens_everything_is_accounted_for(ring, batch, max_size, gap, on_full, model, count, moves):
    line = Line(
        buffers__ingress_ring_size=ring,
        buffers__bundle_ring_size=ring,
        buffers__output_ring_size=64,
        bundle__max_size=max_size,
        bundle__timeout_ns=1_000,
        pipeline__batch=batch,
        pipeline__on_full=on_full,
        pipeline__count=count,
        source__model=model,
    )
    line.run_from(gap=gap)
    for what, amount in moves:
        if what == "pause":
            line.order(Phase.PAUSE)
        elif what == "run":
            line.order(Phase.RUN)
        elif what == "drain":
            line.order(Phase.DRAIN, epoch=True)
        elif what == "rate":
            line.order(gap=float(amount))
        else:
            line.step(what, amount)
            assert line.snapshot().conservation.holds
            passed = line.passed()
            assert passed == sorted(passed, reverse=True)
    line.drain()
    proof(line)
    if count:
        assert line.count(INGRESS, "INGRESS_GENERATED") <= count


def test_the_slots_begin_anew_once_output_has_passed_all():
    line = Line(buffers__ingress_ring_size=4_096, buffers__bundle_ring_size=4_096, source__model="uniform")
    line.run_from(gap=0.0)
    origin = line.stages.slots.origin
    begun = []
    for _ in range(20):
        line.turns(1, stages=(ORDERBOOK, BUNDLE, OUTPUT, INGRESS))  # run_from has begun with ingress
        assert line.passed()[INGRESS] - origin[0] <= REWIND + 2 * 256
        begun.append(int(origin[0]))
    assert len(set(begun)) >= 4
    line.turns(9, stages=(INGRESS, ORDERBOOK, BUNDLE))  # output holds on to what it has not passed
    held = int(origin[0])
    assert held <= line.passed()[OUTPUT]
    assert line.passed()[INGRESS] - line.passed()[OUTPUT] > REWIND
    line.turns(30, stages=(ORDERBOOK, BUNDLE, OUTPUT))
    line.turns(9, stages=(ORDERBOOK, BUNDLE, OUTPUT, INGRESS))
    assert origin[0] > held
    line.drain()
    assert line.snapshot().conservation.holds


def test_hashes_are_kept_at_every_multiple_of_2_to_the_20():
    line = Line(pipeline__batch=4_096, buffers__ingress_ring_size=8_192, source__model="uniform", source__seed=1)
    line.run_from(gap=0.0)
    while line.passed()[OUTPUT] < 3 << 20:
        line.turns(200)
    line.drain()
    snapshot = line.snapshot()
    assert snapshot.conservation.holds
    expected = {1 << 20: "e17453dc82cea946", 2 << 20: "af39a15a7468c125", 3 << 20: "72f6a28abeea660e"}
    for stage in snapshot.stages:
        assert stage.checkpoints == expected


def test_content_is_the_same_for_every_ring_batch_and_bundle():
    contents = set()
    for ring, batch, size in ((64, 1, 1), (64, 256, 16), (1_024, 7, 256), (65_536, 4_096, 3)):
        line = Line(
            buffers__ingress_ring_size=ring,
            buffers__bundle_ring_size=ring,
            buffers__output_ring_size=ring,
            bundle__max_size=size,
            pipeline__batch=batch,
            pipeline__count=5_000,
        )
        line.run_from(gap=0.0)
        while not line.control("ENDED"):
            line.turns(100)
        line.drain()
        contents |= {stage.content for stage in line.snapshot().stages}
    assert contents == {content(5_000)}


def test_high_water_is_the_most_that_ever_waited():
    line = Line(buffers__ingress_ring_size=64, pipeline__batch=10)
    line.run_from(gap=0.0)
    line.turns(2, stages=[INGRESS])
    line.turns(3, stages=[ORDERBOOK])
    line.turns(1, stages=[INGRESS])
    line.turns(1, stages=[ORDERBOOK])
    assert line.stages.ingress_ring.words[HIGH_WATER] == 30
    ring = line.snapshot().rings[0]
    assert (ring.waiting, ring.high_water, ring.capacity) == (0, 30, 64)
