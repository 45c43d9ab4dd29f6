"""Ingress with a recorded source, step by step: held to the rules, paced, seeded, dropped and ended."""

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
    OUTPUT,
    SECOND,
    Line,
    blank,
    due_of,
    histogram,
)
from tests.line import schedule as poisson
from velox_engine.feeds.staging import SEED, close_staging, make_staging, stage_records
from velox_engine.records import Flags, Rejection, rejection
from velox_engine.report import judge
from velox_engine.stages import ingress as module
from velox_engine.stages.control import Phase
from velox_engine.telemetry import layout

INT64 = st.sampled_from([0, 1, -1, 5, 2**63 - 1, -(2**63)])


class Recorded(Line):
    """A line whose source is what a test stages."""

    def __init__(self, *, by_time=True, instruments=1, staging=1_024, **settings):
        super().__init__(**settings)
        ingress = self.stages.ingress
        ingress.words[module._RECORDED], ingress.words[module._BY_TIME] = 1, by_time
        self.staging, self.instruments = make_staging(staging, instruments), instruments
        self.stages = self.stages._replace(ingress=ingress._replace(staging=self.staging))

    def stage(self, *due, close=False, **fields):
        """Stage records that are due at these ticks since the schedule began (`SEED`: a seed's)."""
        records = blank(len(due))
        records["due_ticks"] = due
        for name, values in fields.items():
            records[name] = values
        assert stage_records(self.staging, records, 0, self.instruments) == len(records)
        if close:
            close_staging(self.staging)

    def rejected(self):
        image = self.image(INGRESS)
        return {reason: int(image[layout.INGRESS_REJECTED + reason]) for reason in Rejection}


def test_records_are_due_as_they_were_recorded():
    line = Recorded()
    line.stage(0, 100, 100, 5_000)
    line.run_from()
    assert line.passed()[INGRESS] == 1
    assert line.step(INGRESS_WAKE) == BEGIN + 100
    assert line.step(IS_PACED)
    assert line.step(INGRESS, 99) == 0
    assert line.step(INGRESS, 1) == 2
    assert line.step(INGRESS, SECOND) == 1
    assert due_of(line, 4) == [BEGIN, BEGIN + 100, BEGIN + 100, BEGIN + 5_000]
    assert histogram(line, INGRESS).largest == line.now - BEGIN - 5_000
    assert line.step(INGRESS_WAKE) == NEVER
    assert not line.step(IS_PACED)


def test_a_pause_shifts_what_was_recorded():
    line = Recorded()
    line.stage(0, 1_000)
    line.run_from()
    line.order(Phase.PAUSE)
    line.step(INGRESS, 400)
    line.order(Phase.RUN)
    line.step(INGRESS, 7_000)
    assert line.step(INGRESS, 599) == 0
    assert line.step(INGRESS, 1) == 1
    assert due_of(line, 1, 1) == [BEGIN + 8_000]


def test_at_a_rate_of_its_own_a_file_follows_the_schedule():
    line = Recorded(by_time=False)
    line.stage(*range(0, 40_000, 1_000))
    line.run_from(gap=50.0)
    line.step(INGRESS, 100_000)
    assert due_of(line, 40) == poisson(50.0, 40)


def test_at_maximum_rate_a_record_is_due_when_it_is_taken():
    line = Recorded(by_time=False, pipeline__batch=8)
    line.stage(*[10**12] * 20)
    line.run_from(gap=0.0)
    line.step(INGRESS, 5)
    assert due_of(line, 16) == [BEGIN] * 8 + [BEGIN + 5] * 8


def test_a_file_s_end_ends_the_run_after_its_last_record():
    line = Recorded()
    line.run_from()
    assert line.step(INGRESS) == 0
    assert not line.control("ENDED")  # the decoder may only be late
    line.stage(0, 10, close=True)
    assert line.step(INGRESS) == 1
    line.step(INGRESS, 9)
    assert not line.control("ENDED")
    assert line.step(INGRESS, 1) == 1
    line.step(INGRESS)
    assert line.control("ENDED")
    line.drain()
    assert line.passed() == [2] * 4


def test_a_seed_is_due_at_once_and_stands_outside_count_pace_and_latency():
    line = Recorded(pipeline__count=2)
    line.stage(SEED, SEED, SEED, 0, 50, 60)
    line.run_from()
    assert line.passed()[INGRESS] == 4
    line.step(INGRESS, SECOND)
    line.step(INGRESS)
    line.drain()
    assert (line.count(INGRESS, "INGRESS_SEEDED"), line.count(INGRESS, "INGRESS_GENERATED")) == (3, 2)
    assert line.passed() == [5] * 4
    assert [histogram(line, stage).count for stage in ALL] == [2] * 4
    assert line.control("ENDED")


@pytest.mark.parametrize("gap", [None, 0.0, 10.0], ids=["as recorded", "maximum", "at a rate"])
def test_a_seed_between_two_passes_has_no_latency_even_where_they_meet_in_one_moment(gap):
    line = Recorded(by_time=gap is None, source__loop=True)
    line.stage(100, SEED, SEED, 100, 100, SEED, 100, close=True)
    line.run_from(gap=gap)
    line.turns(10, 1_000)
    line.drain()
    assert line.passed() == [7] * 4
    assert line.count(INGRESS, "INGRESS_SEEDED") == 3
    assert [histogram(line, stage).count for stage in ALL] == [4] * 4
    due = [due for due in due_of(line, 7) if due]
    assert due == sorted(due)


@given(
    st.lists(
        st.tuples(st.integers(0, 255), st.integers(0, 255), INT64, st.sampled_from([0, 1, 2, 3, 2**32 - 1])),
        max_size=30,
    ),
    st.integers(1, 3),
)
def test_what_is_not_valid_is_rejected_for_the_reason_that_the_rules_give(rows, instruments):
    line = Recorded(instruments=instruments, by_time=False)
    actions, sides, sizes, symbols = zip(*rows, strict=True) if rows else ((), (), (), ())
    line.stage(*[0] * len(rows), action=actions, side=sides, size=sizes, symbol=symbols, close=True)
    line.run_from(gap=0.0)
    line.step(INGRESS)
    judged = [rejection(*row, instruments) for row in rows]
    assert line.rejected() == {reason: judged.count(reason) for reason in Rejection}
    accepted = line.passed()[INGRESS]
    assert accepted == judged.count(None)
    assert line.count(INGRESS, "INGRESS_GENERATED") == len(rows)
    assert [int(record["size"]) for record in line.records(accepted)] == [
        row[2] for row, reason in zip(rows, judged, strict=True) if reason is None
    ]
    assert line.records(accepted)["sequence"].tolist() == list(range(accepted))


def test_a_drop_is_told_to_the_next_record_of_that_symbol_only():
    line = Recorded(
        by_time=False, instruments=70_000, pipeline__on_full="drop", buffers__ingress_ring_size=64, pipeline__batch=32
    )
    line.stage(*[0] * 64)
    line.stage(*[0] * 3, symbol=[5, 7, 5])
    line.run_from(gap=0.0)
    line.step(INGRESS)
    assert line.step(INGRESS) == 3
    assert line.count(INGRESS, "INGRESS_DROPPED") == 3
    line.turns(2, stages=ALL[1:])
    line.stage(*[0] * 6, symbol=[0, 5, 5, 6, 7, 7])
    line.step(INGRESS)
    flags = line.records(6, 64)["flags"].astype(int) & Flags.GAP
    assert (flags > 0).tolist() == [False, True, False, False, True, False]


def test_a_full_ring_makes_it_wait_and_nothing_staged_is_lost():
    line = Recorded(by_time=False, buffers__ingress_ring_size=64)
    line.stage(*[0] * 100, order_id=np.arange(100), close=True)
    line.run_from(gap=0.0)
    assert line.step(INGRESS, 10) == 0
    assert line.count(INGRESS, "STAGE_HELD") == 1
    line.drain()
    assert line.passed() == [64] * 4
    line.order(Phase.RUN)
    line.turns(5)
    line.drain()
    assert line.passed()[OUTPUT] == 100
    assert line.records(100)["order_id"].tolist() == list(range(100))


def test_a_new_rate_takes_the_place_of_the_recorded_times():
    line = Recorded()
    line.stage(*[SECOND] * 30)
    line.run_from()
    line.step(INGRESS, 100)
    words = line.stages.control.words
    words[module.NEW_PACE] += 1
    line.order(gap=10.0)
    line.step(INGRESS)
    begun = line.now
    line.step(INGRESS, 1_000)
    # the first gap was drawn when the run began
    assert due_of(line, 30) == poisson(10.0, 30, begun, first=1)
    assert line.count(INGRESS, "INGRESS_LAG_ABANDONED_TICKS") == 0


def test_a_suspended_machine_rebases_what_was_recorded_and_counts_the_time():
    line = Recorded()
    line.stage(0, 1_000, 2_000)
    line.run_from()
    line.now += SECOND
    line.stages.control.words[module.REBASE] += 1
    line.order()
    assert line.step(INGRESS) == 1
    assert due_of(line, 1, 1) == [line.now]
    assert line.step(INGRESS, 1_000) == 1
    assert line.count(INGRESS, "INGRESS_LAG_ABANDONED_TICKS") == SECOND - 1_000


@pytest.mark.parametrize("steps", range(5))
def test_a_seed_that_is_inside_or_refused_speaks_against_nothing(steps):
    line = Recorded(bundle__max_size=1)
    line.stage(SEED, SEED, SEED, 0, 10, side=[0, 7, 1, 0, 1])
    line.run_from()
    for stage in ALL[:steps]:
        line.step(stage, 100)
    problems, left = judge(line.snapshot())
    assert problems == []
    assert left["transactions"] == (3, 4, 4, 4, 0)[steps]  # the last one is due after the first step


def test_a_transaction_without_a_latency_that_is_no_seed_is_a_problem():
    line = Recorded(bundle__max_size=1)
    line.stage(SEED, 0, 10)
    line.run_from()
    line.turns(5, 100)
    line.image(OUTPUT)[layout.STAGE_LATENCY] -= 1
    problems, _ = judge(line.snapshot())
    assert problems == ["latencies recorded differ from transactions passed: [1, 1, 1, 2] without one, 1 seeded"]
