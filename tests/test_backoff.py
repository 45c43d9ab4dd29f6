"""Idling: first spin, then yield, then sleep; never past what is due; and any work begins anew."""

import pytest

from velox_engine.lockfree import backoff as module
from velox_engine.lockfree.backoff import (
    IDLE_SINCE,
    LONGEST_SLEEP_NS,
    MOST_PAUSES,
    NEVER,
    QUIET_AFTER_NS,
    SHORT_SLEEP_NS,
    SLEEPS,
    SLEPT_TICKS,
    YIELD_UNTIL_NS,
    YIELDS,
    backoff_idle,
    backoff_reset,
    make_backoff,
)
from velox_engine.lockfree.clock import read_ticks


class Idle:
    """A worker without work, whose clock is told by the test: ``after`` ns since it fell idle."""

    def __init__(self, clock):
        self.clock = clock
        self.state = make_backoff(clock.ns_per_tick)
        self.words = self.state.words
        self.begun = read_ticks()

    def turn(self, after=0, wake=None, paced=False, spin=False, resting=False):
        """Idle once; return what it did: "pause", "yield" or "sleep"."""
        before = int(self.words[SLEEPS]), int(self.words[YIELDS])
        wake_ticks = NEVER if wake is None else self.at(wake)
        backoff_idle(self.state, self.at(after), wake_ticks, paced, spin, resting)
        sleeps, yields = int(self.words[SLEEPS]) - before[0], int(self.words[YIELDS]) - before[1]
        assert (sleeps, yields) in ((0, 0), (1, 0), (0, 1))
        return "sleep" if sleeps else "yield" if yields else "pause"

    def at(self, after):
        return self.begun + self.clock.to_ticks(after)

    @property
    def next_sleep_ns(self):
        return int(self.words[module._LONG_SLEEP_NS])

    def tire(self):
        """Use the spins up."""
        while self.turn() == "pause":
            pass


@pytest.fixture
def idle(calibrated):
    return Idle(calibrated)


def test_it_spins_1_2_4_to_64_then_yields_then_sleeps(idle):
    pauses = []
    while True:
        pauses.append(int(idle.words[module._PAUSES]))
        if idle.turn() != "pause":
            break
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128]
    assert MOST_PAUSES == 64
    assert [idle.turn(after) for after in (0, 100_000, YIELD_UNTIL_NS - 1_000)] == ["yield"] * 3
    assert [idle.turn(after) for after in (YIELD_UNTIL_NS + 1_000, 10**6, 10**7)] == ["sleep"] * 3
    assert idle.next_sleep_ns == SHORT_SLEEP_NS


def test_after_a_quiet_while_the_sleep_doubles_up_to_5_ms(idle):
    idle.tire()
    lengths = []
    for _ in range(8):
        lengths.append(idle.next_sleep_ns)
        assert idle.turn(QUIET_AFTER_NS + 1_000) == "sleep"
    assert lengths == [100_000, 200_000, 400_000, 800_000, 1_600_000, 3_200_000, 5_000_000, 5_000_000]
    assert LONGEST_SLEEP_NS == 5_000_000


def test_work_begins_anew(idle):
    idle.tire()
    for _ in range(3):
        idle.turn(QUIET_AFTER_NS + 1_000)
    backoff_reset(idle.state)
    assert (idle.words[IDLE_SINCE], idle.next_sleep_ns) == (0, SHORT_SLEEP_NS)
    assert idle.turn(10**9) == "pause"
    idle.words[module._PAUSES] = 2 * MOST_PAUSES
    assert idle.turn(10**9 + YIELD_UNTIL_NS - 1_000) == "yield"


def test_resting_sleeps_at_once_and_ever_longer(idle):
    lengths = []
    for _ in range(7):
        lengths.append(idle.next_sleep_ns)
        assert idle.turn(resting=True) == "sleep"
    assert lengths == [100_000, 200_000, 400_000, 800_000, 1_600_000, 3_200_000, 5_000_000]


def test_idle_by_spinning_never_sleeps_nor_yields_unless_resting(idle):
    assert {idle.turn(after, spin=True) for after in (0, 10**6, 10**9, 10**12)} == {"pause"}
    assert {idle.turn(0, wake=10**7, paced=True, spin=True) for _ in range(20)} == {"pause"}
    assert idle.turn(spin=True, resting=True) == "sleep"


def test_a_paced_worker_sleeps_at_once_for_what_is_left_less_what_sleeps_oversleep(idle):
    left = 3_000_000
    before = read_ticks()
    assert idle.turn(0, wake=left, paced=True) == "sleep"
    # how late the host wakes it is the host's affair
    assert idle.clock.to_ns(read_ticks() - before) >= left - module._FIRST_OVERSLEEP_NS - 10_000


def test_a_paced_worker_spins_for_what_is_very_near_and_yields_for_what_is_late(idle):
    assert idle.turn(0, wake=module._SPIN_BELOW_NS - 1_000, paced=True) == "pause"
    assert idle.turn(0, wake=module._SPIN_BELOW_NS + 1_000, paced=True) == "sleep"
    idle.tire()
    assert {idle.turn(10**9, wake=after, paced=True) for after in (0, 10**6, 10**9)} == {"yield"}


def test_who_has_a_deadline_that_has_passed_does_not_sleep(idle):
    idle.tire()
    assert idle.turn(10**9, wake=10**9 - 1) == "yield"
    assert idle.turn(10**9, wake=10**9 + 200_000) == "sleep"


def test_a_sleep_is_counted_and_measured(idle):
    begun = read_ticks()
    for _ in range(3):
        idle.begun = read_ticks()
        assert idle.turn(resting=True) == "sleep"
    slept, whole = int(idle.words[SLEPT_TICKS]), read_ticks() - begun
    assert idle.words[SLEEPS] == 3
    assert idle.clock.to_ticks(700_000) <= slept <= whole


def test_what_is_known_of_oversleeping_stays_between_nothing_and_a_tenth_of_a_millisecond(idle):
    for _ in range(40):
        idle.begun = read_ticks() - idle.clock.to_ticks(10**9)  # as if every sleep took a second too long
        idle.turn(resting=True)
        idle.words[module._LONG_SLEEP_NS] = SHORT_SLEEP_NS
    assert 90_000 < idle.words[module._OVERSLEEP_NS] <= module._MOST_OVERSLEEP_NS
    for _ in range(80):
        idle.begun = read_ticks() + idle.clock.to_ticks(10**9)
        idle.turn(resting=True)
        idle.words[module._LONG_SLEEP_NS] = SHORT_SLEEP_NS
    assert 0 <= idle.words[module._OVERSLEEP_NS] < 10_000
