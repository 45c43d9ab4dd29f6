"""The bundle stage, step by step, and against a plain twin: full, late, drained, held back."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.line import (
    BEGIN,
    BUNDLE,
    BUNDLE_WAKE,
    INGRESS,
    NEVER,
    ORDERBOOK,
    OUTPUT,
    SECOND,
    Line,
    blank,
)
from tests.plain_bundle import BY_DRAIN, BY_SIZE, BY_TIMEOUT, PlainBundler
from tests.plain_ring import PlainRing
from velox_engine.lockfree.ring import PUBLISHED, ring_ready, ring_release
from velox_engine.stages.control import Phase
from velox_engine.telemetry import layout


def bundled(line, *counts, after=0):
    """Hand so many transactions to the bundle stage and step it once, for each count."""
    for count in counts:
        if count:
            line.put(line.stages.bundle_ring, blank(count))
        line.step(BUNDLE, after)


def test_a_bundle_goes_out_when_it_is_full():
    line = Line(bundle__max_size=4)
    bundled(line, 9)
    assert line.descriptors(2) == [[0, 4, BY_SIZE, BEGIN, BEGIN], [4, 4, BY_SIZE, BEGIN, BEGIN]]
    assert (line.count(BUNDLE, "BUNDLE_BY_SIZE"), line.count(BUNDLE, "BUNDLE_OPEN")) == (2, 1)
    assert line.step(BUNDLE_WAKE) == BEGIN + line.config.bundle.timeout_ns


def test_a_bundle_goes_out_when_its_first_transaction_has_waited_long_enough():
    line = Line(bundle__max_size=4, bundle__timeout_ns=1_000)
    bundled(line, 1)
    bundled(line, 1, after=600)
    assert line.step(BUNDLE, 399) == 0
    assert line.step(BUNDLE, 1) == 1
    assert line.descriptors(1) == [[0, 2, BY_TIMEOUT, BEGIN, BEGIN + 1_000]]
    assert line.step(BUNDLE_WAKE) == NEVER
    assert line.step(BUNDLE, SECOND) == 0


def test_a_bundle_that_is_late_goes_out_before_more_is_taken():
    line = Line(bundle__max_size=4, bundle__timeout_ns=1_000)
    bundled(line, 1)
    bundled(line, 2, after=1_500)
    assert line.descriptors(1) == [[0, 1, BY_TIMEOUT, BEGIN, BEGIN + 1_500]]
    assert line.count(BUNDLE, "BUNDLE_OPEN") == 2


def test_what_is_left_goes_out_on_drain_and_then_the_drain_is_passed_on():
    line = Line(bundle__max_size=4)
    bundled(line, 6)
    line.order(Phase.DRAIN, epoch=True)
    line.step(BUNDLE)
    assert line.count(BUNDLE, "BUNDLE_BY_DRAIN") == 0  # the stages before have not drained yet
    line.step(INGRESS)
    line.step(ORDERBOOK)
    assert line.step(BUNDLE) == 1
    assert not line.drained(BUNDLE)
    assert line.step(BUNDLE) == 0
    assert line.drained(BUNDLE)
    assert line.descriptors(2)[1] == [4, 2, BY_DRAIN, BEGIN, BEGIN]


def test_every_size_from_1_to_256_is_a_bundle_size():
    for size in (1, 2, 255, 256):
        line = Line(bundle__max_size=size, pipeline__batch=4_096)
        bundled(line, 3 * size)
        assert [count for _, count, *_ in line.descriptors(3)] == [size] * 3
        assert line.image(BUNDLE)[layout.BUNDLE_SIZES + size] == 3


def test_a_full_output_ring_holds_bundles_back_and_keeps_the_open_one():
    line = Line(bundle__max_size=4, bundle_ring=64, output_ring=2, bundle__timeout_ns=1_000)
    bundled(line, 15)
    assert line.passed()[BUNDLE] == 12  # two bundles went, the third is full and waits
    assert line.step(BUNDLE, 5_000) == 0
    assert line.count(BUNDLE, "STAGE_HELD") == 1
    assert line.step(OUTPUT) == 8
    assert line.step(BUNDLE, 5_000) == 3
    assert line.descriptors(1, 2) == [[8, 4, BY_SIZE, BEGIN, BEGIN + 10_000]]


@settings(max_examples=150)
@given(
    max_size=st.sampled_from([1, 2, 3, 7, 16]),
    batch=st.sampled_from([1, 2, 5, 64]),
    output_ring=st.sampled_from([1, 2, 8]),
    moves=st.lists(
        st.tuples(st.sampled_from("pppsssod"), st.integers(0, 12), st.sampled_from([0, 0, 1, 400, 1_000, 5_000])),
        max_size=50,
    ),
)
def test_any_flow_is_bundled_as_the_plain_stage_does_it(max_size, batch, output_ring, moves):
    line = Line(
        bundle_ring=16,
        output_ring=output_ring,
        bundle__max_size=max_size,
        pipeline__batch=batch,
        bundle__timeout_ns=1_000,
    )
    source = PlainRing(16, 0)
    slots = line.stages.slots.records.size
    plain = PlainBundler(source, output_ring, slots, batch=batch, max_size=max_size, timeout=1_000)
    for kind, amount, after in moves:
        if kind == "p":
            count = min(amount, source.room(amount))
            if line.control("DRAIN_EPOCH"):
                continue
            line.put(line.stages.bundle_ring, blank(count))
            source.publish(list(range(source.produced, source.produced + count)))
        elif kind == "s":
            assert line.step(BUNDLE, after) == plain.step(line.now)
            seen_alike(line, plain)
        elif kind == "o":
            ready = ring_ready(line.stages.output_ring)
            assert ready == plain.target.ready()
            taken = min(ready, amount)
            rows = line.descriptors(taken, plain.target.consumed)
            assert rows == [plain.bundles[bundle] for bundle in plain.target.release(taken)]
            ring_release(line.stages.output_ring, taken)
        elif not line.control("DRAIN_EPOCH"):
            line.order(Phase.DRAIN, epoch=True)
            for stage in (INGRESS, ORDERBOOK):
                line.step(stage)
            plain.draining = True
    for _ in range(100):
        line.step(BUNDLE, 500)
        plain.step(line.now)
        ring_ready(line.stages.output_ring)
        ring_release(line.stages.output_ring, plain.target.ready())
        plain.target.release(plain.target.published_seen - plain.target.consumed)
        seen_alike(line, plain)
    assert [count for _, count, *_ in plain.bundles] != [] or source.produced == 0
    assert sum(count for _, count, *_ in plain.bundles) == source.produced
    assert line.drained(BUNDLE) == plain.passed_on or not line.control("DRAIN_EPOCH")


def seen_alike(line, plain):
    """Hold the stage's counters to the plain one's."""
    counts = [line.count(BUNDLE, f"BUNDLE_BY_{reason}") for reason in ("SIZE", "TIMEOUT", "DRAIN")]
    assert counts == [sum(row[2] == reason for row in plain.bundles) for reason in (BY_SIZE, BY_TIMEOUT, BY_DRAIN)]
    assert line.count(BUNDLE, "STAGE_PROCESSED") == plain.source.consumed
    assert line.stages.output_ring.words[PUBLISHED] == len(plain.bundles)
    sizes = line.image(BUNDLE)[layout.BUNDLE_SIZES : layout.BUNDLE_SIZES + 257]
    assert {int(size): int(sizes[size]) for size in np.flatnonzero(sizes)} == counted(row[1] for row in plain.bundles)
    wake = plain.opened + plain.timeout if plain.open else NEVER
    assert line.step(BUNDLE_WAKE) == wake


def counted(values):
    counts = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return counts
