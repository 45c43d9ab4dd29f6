"""Alerts: each condition is told once when it begins and once when it is over, and does not flap in between."""

from dataclasses import replace

import numpy as np
import pytest

from tests.ui_recording import load
from velox_engine.config import load_config
from velox_engine.lockfree.histogram_view import BUCKETS, FLOORS, Histogram
from velox_engine.snapshot import Conservation
from velox_tui.alerts import CALM, AlertKeeper

CALM_SNAPSHOT = load().snapshots[-1]


class Watch:
    """A keeper that is shown one thing after another; ``told`` are its turns as words."""

    def __init__(self, limit="off"):
        limits = load_config(overrides={"limits.max_p99_us": limit}, environ={}).limits
        self.keeper = AlertKeeper(limits)
        self.told = []

    def show(self, times=1, p99_us=1.0, **changes):
        for _ in range(times):
            turns = self.keeper.look(replace(CALM_SNAPSHOT, **changes), lambda: latencies(p99_us))
            self.told += [("begins " if turn.begins else "over ") + turn.alert.key for turn in turns]
        return self.told


def latencies(us):
    buckets = np.zeros(BUCKETS, np.int64)
    buckets[np.searchsorted(FLOORS, us * 1000, "right") - 1] = 100
    return Histogram(100, round(100 * us * 1000), round(us * 1000), round(us * 1000), buckets)


def rings(share):
    first, *others = CALM_SNAPSHOT.rings
    return (replace(first, waiting=round(first.capacity * share)), *others)


def test_a_ring_is_full_above_nine_tenths_and_over_below_seven_for_two_seconds():
    watch = Watch()
    assert watch.show(5, rings=rings(0.89)) == []
    assert watch.show(5, rings=rings(0.95)) == ["begins ring ingress"]
    assert watch.keeper.panels == {"pipeline"}
    watch.show(3 * CALM, rings=rings(0.75))
    assert watch.told == ["begins ring ingress"]
    watch.show(CALM - 1, rings=rings(0.5))
    watch.show(1, rings=rings(0.75))
    watch.show(CALM - 1, rings=rings(0.5))
    assert watch.told == ["begins ring ingress"]
    assert watch.show(1, rings=rings(0.5)) == ["begins ring ingress", "over ring ingress"]
    assert watch.keeper.panels == frozenset()


def test_the_p99_is_over_only_below_nine_tenths_of_its_limit():
    watch = Watch(limit=100)
    assert watch.show(3, p99_us=98) == []
    assert watch.show(3, p99_us=110) == ["begins p99"]
    watch.show(3 * CALM, p99_us=95)
    assert watch.told == ["begins p99"]
    assert watch.show(CALM, p99_us=80) == ["begins p99", "over p99"]


def test_without_a_limit_no_latency_is_looked_at():
    def never():
        raise AssertionError("nobody asked for it")

    assert Watch().keeper.look(CALM_SNAPSHOT, never) == []


def test_drops_begin_again_only_after_they_were_over():
    watch = Watch()
    assert watch.show(1, dropped=0) == []
    for dropped in range(1, 30):
        watch.show(1, dropped=dropped)
    assert watch.told == ["begins dropped"]
    assert watch.show(CALM, dropped=29) == ["begins dropped", "over dropped"]
    assert watch.show(1, dropped=30)[-1] == "begins dropped"


@pytest.mark.parametrize(
    "changes, key, panels",
    [
        ({"stalled_workers": (0,)}, "stalled 0", {"cores", "pipeline"}),
        ({"conservation": Conservation(False, ("3 are missing",))}, "conserved", {"pipeline"}),
    ],
)
def test_what_is_wrong_with_the_engine_marks_its_panels(changes, key, panels):
    watch = Watch()
    assert watch.show(4, **changes) == [f"begins {key}"]
    assert watch.keeper.panels == panels
    assert watch.show(CALM) == [f"begins {key}", f"over {key}"]
