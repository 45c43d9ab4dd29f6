"""The soak's judge and its person, on runs that were made up: what is wrong is told, what is right is not."""

from dataclasses import replace

import pytest

from tests.soak import steering
from tests.soak.judgement import judge
from tests.soak.samples import Sample
from tests.soak.steering import Person

REPORT = {"conserved": True, "checksum": {"ingress": "a", "orderbook": "a", "bundle": "a", "output": "a"}}


def sample(second, **changes):
    count = 1000 * second
    good = Sample(
        at_s=second, unix_ns=second * 10**9, state="running", rate=1000.0, rss=180_000_000 + second % 7 * 4096,
        cpu_s=1.0, descriptors=11, threads=11, generated=count, accepted=count, output=count, inside=0, dropped=0,
        rejected=0, sink_lost=0, conserved=True, stalled=0, p50_us=100.0 + second % 5, p99_us=200.0, hiccup_p99_us=50.0,
    )  # fmt: skip
    return replace(good, **changes)


def bad(samples, code=0, report=REPORT):
    return [verdict.what for verdict in judge(samples, code, report) if not verdict.good]


SECONDS = range(2, 3800, 2)


def test_a_run_without_fault_is_judged_good():
    assert bad([sample(second) for second in SECONDS]) == []


@pytest.mark.parametrize(
    ("told", "change"),
    [
        ("resident memory", lambda second: {"rss": 180_000_000 + 1_500_000 * second // 3600}),
        ("descriptors", lambda second: {"descriptors": 11 + second // 1000}),
        ("threads", lambda second: {"threads": 11 + second // 1000}),
        ("the rate", lambda second: {"generated": int(1002.5 * second)}),
        ("nothing is dropped", lambda second: {"dropped": second // 3000}),
        ("counts never go back", lambda second: {"output": 1000 * second - (500_000 if second == 2000 else 0)}),
        ("every look", lambda second: {"conserved": second != 2000}),
        ("the latency", lambda second: {"p50_us": 100.0 + second}),
    ],
)
def test_each_fault_is_told_and_nothing_else(told, change):
    found = bad([sample(second, **change(second)) for second in SECONDS])
    assert [what for what in found if what.startswith(told)] == found
    assert found


def test_the_end_counts_too():
    samples = [sample(second) for second in SECONDS]
    assert bad(samples, code=1) == ["it ends with exit code 0"]
    other = {**REPORT, "checksum": {**REPORT["checksum"], "output": "b"}}
    assert bad(samples, report=other) == ["the final report says conserved, with equal checksums"]


def test_memory_that_is_filled_at_first_is_no_growth():
    assert bad([sample(second, rss=150_000_000 + 30_000 * min(second, 1000)) for second in SECONDS]) == []


def test_a_machine_that_stalls_at_the_end_is_no_growth_of_the_latency():
    assert bad([sample(second, p50_us=100.0 if second < 3600 else 15_000.0) for second in SECONDS]) == []


class _Keys:
    """A terminal that only notes when keys came."""

    master = -1

    def __init__(self):
        self.at = []

    def press(self, key):
        self.at.append((steering.time.monotonic(), key))


def test_a_person_is_lively_at_first_and_goes_on_after_each_pause(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(steering.time, "monotonic", lambda: now[0])
    keys = _Keys()
    person = Person(keys, 5, every_s=20, lively_s=600)
    person._resize = lambda: keys.press("resize")
    state = "running"
    while now[0] < 3000:
        before = len(keys.at)
        person.look(state, 20_000.0)
        if len(keys.at) > before:
            key = keys.at[-1][1]
            state = {"p": "paused" if state == "running" else "running", "d": "drained"}.get(key, state)
        now[0] += 0.5
    early, late = (sum(low <= at < high for at, _ in keys.at) for low, high in ((0, 600), (2400, 3000)))
    assert early > 200
    assert 15 < late < 80
    assert {"p", "d", ">", "<", "resize"} <= {key for _, key in keys.at}
