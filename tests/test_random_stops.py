"""Stops at random moments, in every way there is, half of them with chaos: each run conserves, and none hangs.

``VELOX_STOPS`` is how many (30), ``VELOX_STOPS_SEED`` makes a run again; what failed names its seed.
"""

import os
import random

import pytest

from tests.stopping import SIGNAL_EVERY, stop_engine, stop_process

STOPS = int(os.environ.get("VELOX_STOPS", "30"))
SEED = os.environ.get("VELOX_STOPS_SEED", "") or str(random.SystemRandom().randrange(2**32))


@pytest.mark.parametrize("number", [number for number in range(STOPS) if number % SIGNAL_EVERY])
def test_an_engine_stopped_at_any_moment_conserves(tmp_path, number):
    stop_engine(SEED, number, tmp_path, chaos=number % 2 == 1)


@pytest.mark.parametrize("number", [number for number in range(STOPS) if not number % SIGNAL_EVERY])
def test_a_process_ended_by_a_signal_at_any_moment_conserves(tmp_path, number):
    stop_process(SEED, number, tmp_path, chaos=number // SIGNAL_EVERY % 2 == 1)
