"""When recorded records are due."""

import numpy as np
import pytest

from velox_engine.feeds.pacing import Pacing
from velox_engine.feeds.staging import SEED
from velox_engine.records import TRANSACTION


def batch_at(*times):
    batch = np.zeros(len(times), TRANSACTION)
    batch["due_ticks"] = times
    return batch


def paced(pacing, *times):
    batch = batch_at(*times)
    pacing.apply(batch)
    return batch["due_ticks"].tolist()


def test_the_first_record_is_due_at_once_and_the_others_as_recorded():
    assert paced(Pacing(1.0, 1e9, 1.0), 5_000, 5_100, 5_400) == [0, 100, 400]


def test_speed_divides_the_time_between_records():
    assert paced(Pacing(10.0, 1e9, 1.0), 0, 1_000, 5_000) == [0, 100, 500]


def test_ticks_are_what_the_clock_counts():
    assert paced(Pacing(1.0, 1e9, 0.5), 0, 1_000) == [0, 2_000]


def test_long_quiet_is_shortened():
    assert paced(Pacing(1.0, 300.0, 1.0), 0, 100, 10_000, 10_050) == [0, 100, 400, 450]


def test_a_time_that_goes_back_counts_as_the_largest_before_it():
    assert paced(Pacing(1.0, 1e9, 1.0), 100, 300, 200, 250, 350) == [0, 200, 200, 200, 250]


def test_batches_follow_one_another():
    pacing = Pacing(2.0, 1e9, 1.0)
    assert paced(pacing, 0, 100) == [0, 50]
    assert paced(pacing) == []
    assert paced(pacing, 50, 300) == [50, 150]


def test_another_pass_follows_the_last_record_without_a_gap():
    pacing = Pacing(1.0, 1e9, 1.0)
    paced(pacing, 1_000, 1_500)
    pacing.begin_pass()
    assert paced(pacing, 1_000, 1_500) == [500, 1_000]


def test_a_seed_is_marked():
    batch = batch_at(7, 8)
    Pacing.mark_seed(batch)
    assert batch["due_ticks"].tolist() == [SEED, SEED]


@pytest.mark.parametrize("first", [0, -5_000, 2**62])
def test_any_time_base_will_do(first):
    assert paced(Pacing(1.0, 1e9, 1.0), first, first + 10) == [0, 10]
