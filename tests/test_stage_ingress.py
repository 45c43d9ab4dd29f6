"""Ingress, step by step: its pace to the tick, and what it does when its ring is full."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.line import (
    ALL,
    BEGIN,
    INGRESS,
    INGRESS_WAKE,
    IS_PACED,
    NEVER,
    ORDERBOOK,
    OUTPUT,
    SECOND,
    Line,
    due_of,
    histogram,
    schedule,
)
from velox_engine.lockfree.clock import read_ticks
from velox_engine.lockfree.seqlock import seqlock_begin, seqlock_end
from velox_engine.records import Flags
from velox_engine.snapshot import BookState, Doing
from velox_engine.stages import control as word
from velox_engine.stages.control import Phase
from velox_engine.telemetry import layout


def test_before_it_is_told_to_run_ingress_makes_nothing():
    line = Line()
    assert not line.turns(10, SECOND).any()
    assert line.passed() == [0, 0, 0, 0]
    assert line.step(INGRESS_WAKE) == NEVER
    assert not line.step(IS_PACED)


def test_an_order_is_taken_over_with_the_next_step_and_acknowledged():
    line = Line()
    line.order(Phase.RUN)
    assert line.control("ACKNOWLEDGED") == 0
    line.step(INGRESS)
    assert line.control("ACKNOWLEDGED") == line.serial == 2


def test_an_order_that_is_still_being_written_is_taken_over_whole_or_not_at_all():
    line = Line()
    line.run_from(gap=1e12)  # the first is due in a quarter of an hour
    words, rates = line.stages.control.words, line.stages.control.rates
    seqlock_begin(words, word.SERIAL)  # as `Supervisor._order` writes a rate, word by word
    words[word.REBASE] += 1
    line.turns(2, SECOND, (INGRESS,))
    assert line.control("ACKNOWLEDGED") == line.serial
    rates[word.GAP] = 1_000.0
    seqlock_end(words, word.SERIAL)
    line.turns(2, SECOND, (INGRESS,))
    assert line.control("ACKNOWLEDGED") == line.serial + 2
    assert line.passed()[INGRESS] > 0  # the new schedule has the new gap
    words[word.PHASE] = Phase.DRAIN
    words[word.DRAIN_EPOCH] += 1  # nobody has said so yet
    made = line.passed()[INGRESS]
    line.turns(2, SECOND)
    assert line.passed()[INGRESS] > made
    assert not line.drained(INGRESS)


@pytest.mark.parametrize("gap", [1.0, 7.25, 1_000.0, 1e7])
def test_due_times_follow_the_schedule_to_the_tick(gap):
    line = Line()
    line.run_from(gap=gap)
    expected = schedule(gap, 60)
    assert line.step(INGRESS_WAKE) == next(due for due in expected if due > BEGIN)
    assert line.step(IS_PACED)
    line.step(INGRESS, expected[39] - line.now)
    assert due_of(line, 40) == expected[:40]
    assert line.count(INGRESS, "INGRESS_GENERATED") == sum(due <= line.now for due in expected)
    line.step(INGRESS, expected[50] - line.now)
    assert line.passed()[INGRESS] == sum(due <= line.now for due in expected)


@given(st.lists(st.integers(0, 40_000), min_size=1, max_size=40))
def test_due_times_do_not_depend_on_when_steps_are_taken(steps):
    line = Line(pipeline__batch=8)
    line.run_from(gap=1_000.0)
    for after in steps:
        line.step(INGRESS, after)
    made = line.passed()[INGRESS]
    assert due_of(line, made) == schedule(1_000.0, made)
    assert made <= sum(due <= line.now for due in schedule(1_000.0, made + 1))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_mean_rate_is_exact_however_late_the_steps_come(seed):
    gap, turns, after = 500.0, 4_000, 25_000
    line = Line(source__seed=seed)
    line.run_from(gap=gap)
    line.turns(turns, after)
    expected = turns * after / gap
    assert line.passed()[OUTPUT] == pytest.approx(expected, abs=4 * math.sqrt(expected))


def test_a_late_start_is_caught_up_with_due_times_in_the_past():
    line = Line(pipeline__batch=64)
    line.run_from(gap=1_000.0)
    assert line.step(INGRESS, 400_000) == 64
    while line.step(INGRESS):
        pass
    made = line.passed()[INGRESS]
    assert due_of(line, made) == schedule(1_000.0, made)
    latency = histogram(line, INGRESS)
    assert latency.count == made
    assert latency.largest == line.now - due_of(line, 1)[0]


def test_a_pause_shifts_the_schedule_by_its_length():
    line, pause = Line(), 12_345
    line.run_from(gap=1_000.0)
    line.step(INGRESS, 20_000)
    before = line.passed()[INGRESS]
    line.order(Phase.PAUSE)
    line.step(INGRESS, 300)
    paused_at = line.now
    assert line.step(INGRESS_WAKE) == NEVER
    assert not line.step(IS_PACED)
    line.turns(5, pause // 5, stages=[INGRESS])
    assert line.passed()[INGRESS] == before
    line.order(Phase.RUN)
    line.step(INGRESS, paused_at + pause - line.now)
    expected = schedule(1_000.0, 100)
    made = line.passed()[INGRESS]
    line.step(INGRESS, 50_000)
    assert due_of(line, 60) == expected[:before] + [due + pause for due in expected[before:60]]
    assert made == before + sum(due <= paused_at for due in expected[before:])
    assert line.count(INGRESS, "INGRESS_PAUSED_TICKS") == pause


def test_a_drain_is_a_pause_for_the_schedule_too():
    line = Line()
    line.run_from(gap=1_000.0)
    line.turns(20, 1_000)
    made = line.passed()[INGRESS]
    line.drain()
    assert line.passed() == [made] * 4
    line.order(Phase.RUN)
    line.step(INGRESS, 5_000)
    line.step(INGRESS, 30_000)
    expected = [due + line.count(INGRESS, "INGRESS_PAUSED_TICKS") for due in schedule(1_000.0, made + 20)]
    assert line.count(INGRESS, "INGRESS_PAUSED_TICKS") == 5_000
    assert due_of(line, 20, made) == expected[made:]


@pytest.mark.parametrize("new_gap", [250.0, 4_000.0])
def test_a_new_rate_begins_a_new_schedule_at_that_moment(new_gap):
    line = Line()
    line.run_from(gap=1_000.0)
    line.step(INGRESS, 10_000)
    made = line.passed()[INGRESS]
    line.order(gap=new_gap)
    line.step(INGRESS)
    begun = line.now
    line.step(INGRESS, int(30 * new_gap))
    # one gap of the old schedule was drawn ahead and is given up with it
    assert due_of(line, 10, made) == schedule(new_gap, 10, begun, first=made + 1)


@pytest.mark.parametrize("new_gap", [100.0, 0.0], ids=["another rate", "maximum rate"])
def test_due_time_that_a_new_rate_gives_up_is_counted(new_gap):
    line = Line(pipeline__batch=1)
    line.run_from(gap=1_000.0)
    line.step(INGRESS, 50_000)
    left_over = schedule(1_000.0, 2)[1]
    line.order(gap=new_gap)
    line.step(INGRESS)
    assert line.count(INGRESS, "INGRESS_LAG_ABANDONED_TICKS") == line.now - left_over > 30_000


def test_a_new_rate_in_time_gives_nothing_up():
    line = Line()
    line.run_from(gap=10_000.0)
    while line.step(INGRESS):
        pass
    line.order(gap=10.0)
    line.step(INGRESS)
    assert line.count(INGRESS, "INGRESS_LAG_ABANDONED_TICKS") == 0
    line.order(gap=0.0)
    line.turns(3, 100)
    line.order(gap=10.0)
    line.step(INGRESS)
    lag = line.count(INGRESS, "INGRESS_LAG_ABANDONED_TICKS")
    line.order(gap=0.0)
    line.step(INGRESS)
    assert line.count(INGRESS, "INGRESS_LAG_ABANDONED_TICKS") == lag


def test_a_new_rate_during_a_pause_holds_from_the_end_of_the_pause():
    line = Line()
    line.run_from(gap=1_000.0)
    line.step(INGRESS, 10_000)
    made = line.passed()[INGRESS]
    line.order(Phase.PAUSE)
    line.step(INGRESS)
    line.order(Phase.PAUSE, gap=100.0)
    line.step(INGRESS, 7_000)
    line.order(Phase.RUN)
    line.step(INGRESS, 8_000)
    begun = line.now
    assert line.passed()[INGRESS] == made
    line.step(INGRESS, 5_000)
    assert due_of(line, 20, made) == schedule(100.0, 20, begun, first=made + 1)


@pytest.mark.parametrize("after", [1, 999, 100_000_000])
def test_a_duration_ends_with_all_that_was_due_before_it_and_nothing_after(after):
    line = Line(pipeline__run_duration_secs=0.0005)
    line.run_from(gap=10_000.0)
    end = BEGIN + 500_000
    expected = [due for due in schedule(10_000.0, 200) if due < end]
    while not line.control("ENDED"):
        line.turns(100, after, stages=[INGRESS])
    assert line.now >= end
    assert due_of(line, len(expected)) == expected
    assert line.passed()[INGRESS] == len(expected)
    line.turns(5, SECOND)
    assert line.passed()[INGRESS] == len(expected)
    assert line.step(INGRESS_WAKE) == NEVER


def test_a_worker_that_sleeps_wakes_for_the_end_of_the_duration():
    line = Line(pipeline__run_duration_secs=0.0005)
    line.run_from(gap=1e12)
    assert line.step(INGRESS_WAKE) == BEGIN + 500_000
    line.step(INGRESS, 499_999)
    assert not line.control("ENDED")
    line.step(INGRESS, 1)
    assert line.control("ENDED")
    assert line.passed()[INGRESS] == 0


def test_a_pause_does_not_count_towards_the_duration():
    line = Line(pipeline__run_duration_secs=0.0005)
    line.run_from(gap=0.0)
    line.order(Phase.PAUSE)
    line.step(INGRESS, 400_000)
    line.order(Phase.RUN)
    line.step(INGRESS, SECOND)
    line.step(INGRESS, 99_999)
    assert not line.control("ENDED")
    line.step(INGRESS, 1)
    assert line.control("ENDED")


@pytest.mark.parametrize("gap", [0.0, 3.0])
@pytest.mark.parametrize("count", [1, 63, 64, 65, 1_000])
def test_a_count_ends_with_exactly_so_many(gap, count):
    line = Line(pipeline__count=count, pipeline__batch=64)
    line.run_from(gap=gap)
    for _ in range(100):
        line.turns(1, 1_000)
    assert line.control("ENDED")
    assert line.count(INGRESS, "INGRESS_GENERATED") == count
    line.drain()
    assert line.passed() == [count] * 4


def test_at_maximum_rate_a_transaction_is_due_when_it_is_made():
    line = Line(pipeline__batch=16)
    line.run_from(gap=0.0)
    line.step(INGRESS, 500)
    assert line.step(INGRESS_WAKE) == NEVER
    assert not line.step(IS_PACED)
    assert due_of(line, 32) == [BEGIN] * 16 + [BEGIN + 500] * 16


def test_at_maximum_rate_a_transaction_that_waits_for_room_is_due_from_when_it_began_to_wait():
    line = Line(buffers__ingress_ring_size=64, pipeline__batch=32)
    line.run_from(gap=0.0)
    line.step(INGRESS, 10)
    full_at = line.now + 10
    assert [line.step(INGRESS, 10) for _ in range(5)] == [0] * 5
    assert line.count(INGRESS, "STAGE_HELD") == 5
    line.step(ORDERBOOK)
    line.step(INGRESS, 1_000)
    assert due_of(line, 32, 64) == [full_at] * 32
    line.step(ORDERBOOK)
    line.step(INGRESS, 1_000)
    assert due_of(line, 32, 96) == [line.now] * 32


def test_a_pause_while_it_waits_for_room_is_no_latency():
    line = Line(buffers__ingress_ring_size=64, pipeline__batch=64)
    line.run_from(gap=0.0)
    line.step(INGRESS, 10)
    line.order(Phase.PAUSE)
    line.turns(3, SECOND)
    line.order(Phase.RUN)
    line.step(INGRESS, SECOND)
    assert due_of(line, 64, 64) == [line.now] * 64


def test_each_transaction_may_have_a_stamp_of_its_own():
    line = Line(pipeline__stamp="each", pipeline__batch=64)
    before = read_ticks()
    line.run_from(before, gap=0.0)
    due = due_of(line, 64)
    assert due[0] == before
    assert due == sorted(due)
    assert len(set(due)) > 32
    assert due[-1] <= read_ticks()


# ---- a full ring


def test_a_full_ring_makes_ingress_wait_and_nothing_is_lost():
    line = Line(buffers__ingress_ring_size=64, pipeline__batch=256)
    line.run_from(gap=1.0)
    line.turns(50, 1_000, stages=[INGRESS])
    assert line.passed()[INGRESS] == line.count(INGRESS, "INGRESS_GENERATED") == 64
    assert line.image(INGRESS)[layout.STAGE_DOING] == Doing.HELD_BACK
    assert line.count(INGRESS, "INGRESS_DROPPED") == 0
    line.turns(400)
    made = line.passed()[OUTPUT]
    assert made > 1_000
    assert histogram(line, OUTPUT).largest >= 40_000  # what waited is as late as it is: from when it was due


def test_a_full_ring_may_drop_what_is_then_counted_and_takes_no_number():
    line = Line(buffers__ingress_ring_size=64, pipeline__batch=50, pipeline__on_full="drop")
    line.run_from(gap=0.0)
    assert [line.step(INGRESS) for _ in range(3)] == [14, 50, 50]
    assert line.count(INGRESS, "INGRESS_DROPPED") == 100
    line.turns(2)
    line.drain()
    generated, dropped = line.count(INGRESS, "INGRESS_GENERATED"), line.count(INGRESS, "INGRESS_DROPPED")
    accepted = line.passed()[INGRESS]
    assert generated == accepted + dropped
    assert line.passed() == [accepted] * 4
    assert [line.count(stage, "STAGE_DISORDER") for stage in ALL] == [0] * 4


def test_the_first_record_after_a_drop_says_that_something_is_missing():
    line = Line(buffers__ingress_ring_size=64, pipeline__batch=64, pipeline__on_full="drop")
    line.run_from(gap=0.0)
    line.step(INGRESS)
    line.turns(2)
    flags = line.records(line.passed()[INGRESS])["flags"]
    marked = np.flatnonzero(flags & Flags.GAP).tolist()
    assert marked == [64]
    assert line.count(ORDERBOOK, "STAGE_PROCESSED") > 64
    assert line.snapshot().ingress.processed == line.passed()[INGRESS]
    assert line.assembly.book.summary(0).state is BookState.STALE


def test_what_is_dropped_is_dropped_on_time():
    line = Line(buffers__ingress_ring_size=64, pipeline__on_full="drop")
    line.run_from(gap=100.0)
    line.turns(2_000, 100, stages=[INGRESS])
    expected = sum(due <= line.now for due in schedule(100.0, 3_000))
    assert line.count(INGRESS, "INGRESS_GENERATED") == expected
    assert line.count(INGRESS, "INGRESS_DROPPED") == expected - 64
