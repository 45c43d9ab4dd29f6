"""Stops at random moments, in every way there is, with chaos or without; ``python -m tests.stopping`` makes many.

A run is made from a seed and a number, so what failed can be run again: ``--first N --count 1`` with the seed told.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.running import (
    CORES,
    PATIENCE_S,
    assert_accounted_for,
    assert_all_out,
    configured,
    placed,
    report_at,
    start,
)
from velox_engine import Engine, EngineError, open_feed
from velox_engine.snapshot import State

FLOWS = [("market", "exact"), ("market", "bucketed"), ("uniform", "bucketed")]
STALLS = [(1, 500), (20, 500), (200, 5), (200, 50)]  # longest, how often: each stage still works half of the time
SIGNAL_EVERY = 6  # a real process costs more than an engine in this one
SLACK_S = 1.0
"""How much longer than the drain's deadline a stop may take."""


class Stopped(NamedTuple):
    """How it was stopped, the report, how long the longest command took (s), and whether a drain's deadline passed."""

    way: str
    report: dict
    longest_s: float
    timed_out: bool

    @property
    def is_late(self):
        """Whether a command took longer than any may."""
        return self.longest_s > self.report["config"]["pipeline"]["drain_timeout_secs"] + SLACK_S


class Timed:
    """An engine whose commands are timed; ``longest_s`` is the longest of them, but for one that waits for the end."""

    def __init__(self, engine):
        self._engine, self.longest_s = engine, 0.0

    def __getattr__(self, name):
        def command(*words, **settings):
            begun = time.monotonic()
            try:
                return getattr(self._engine, name)(*words, **settings)
            finally:
                if name != "wait":
                    self.longest_s = max(self.longest_s, time.monotonic() - begun)

        return command


def chosen_settings(choose, chaos=False):
    """Choose rings, cores, pace and flow, and faults."""
    rings = {f"buffers__{ring}_ring_size": 2 ** choose.randint(6, 12) for ring in ("ingress", "bundle", "output")}
    places = [choose.randrange(min(2, len(CORES))) for _ in range(4)]
    settings = {
        **rings,
        **placed(*places),
        "pipeline__ingress_rate_hz": choose.choice(["max", "max", 1_000_000, 100_000, 5000]),
        "pipeline__on_full": choose.choice(["wait", "wait", "drop"]),
        "pipeline__batch": choose.choice([1, 16, 256, 4096]),
        "bundle__max_size": choose.choice([1, 16, 256]),
        "bundle__timeout_ns": choose.choice([1, 100_000, 50_000_000]),
        **dict(zip(("source__model", "book__kind"), choose.choice(FLOWS), strict=True)),
        "source__seed": choose.randrange(1, 2**63),
    }
    return settings | (chosen_chaos(choose) if chaos else {})


def chosen_chaos(choose):
    """Choose faults that come often enough to meet a short run."""
    return {
        "chaos__enabled": True,
        "chaos__seed": choose.randrange(1, 2**63),
        **dict(zip(("chaos__longest_ms", "chaos__stalls_hz"), choose.choice(STALLS), strict=True)),
        "chaos__naps_hz": choose.choice([100, 1000]),
        "chaos__moves_hz": choose.choice([0, 50, 500]),
        "chaos__crowds_hz": choose.choice([0, 20]),
        "chaos__squeezes_hz": choose.choice([0, 20]),
        "chaos__clock_steps_hz": choose.choice([0, 20]),
        "chaos__memory_hz": choose.choice([0, 5]),
        "chaos__memory_mb": 64,
        "chaos__sink_errors": choose.choice([0, 0.01, 0.3]),
        "chaos__sink_delays": choose.choice([0, 0.05, 0.3]),
    }


def by_pause(engine, choose):
    engine.pause()
    if choose.random() < 0.5:
        engine.resume()
    return engine.stop()


def by_drain(engine, choose):
    engine.drain()
    if choose.random() < 0.5:
        engine.resume()
        rest(choose)
    return engine.stop()


def by_stop(engine, choose):
    if choose.random() < 0.5:
        return engine.stop()
    others = [threading.Thread(target=engine.stop) for _ in range(2)]
    for other in others:
        other.start()
    report = engine.stop()
    for other in others:
        other.join(PATIENCE_S)
    return report


def by_stop_without_drain(engine, choose):
    return engine.stop(drain=False)


def by_rate_and_stop(engine, choose):
    engine.set_rate(choose.choice([1, 100_000, "max"]))
    rest(choose)
    return engine.stop()


def by_end(engine, choose):
    assert engine.wait(PATIENCE_S) >= State.DRAINED
    return engine.stop()


WAYS = [by_pause, by_drain, by_stop, by_stop_without_drain, by_rate_and_stop, by_end]


def rest(choose):
    """Let it run for a moment at random, often a very short one."""
    time.sleep(choose.choice([0, 0.001, 0.01, 0.1]) * choose.random())


def stop_engine(seed, number, home, chaos=False):
    """Run an engine, stop it, and check its report; half of them write a journal into ``home``.

    With chaos a drain's deadline may pass; what is left inside must then be where the report says.
    """
    choose = random.Random(f"{seed} {number}")
    way = choose.choice(WAYS)
    settings = chosen_settings(choose, chaos)
    if way is by_end:
        longest = 0.1 if chaos else 1.0  # the end waits for all that is due, which slow sinks and stalls hold up
        settings |= choose.choice(
            [
                {"pipeline__count": choose.randint(1, int(200_000 * longest)), "pipeline__ingress_rate_hz": "max"},
                {"pipeline__run_duration_secs": 0.001 + 0.2 * longest * choose.random()},
            ]
        )
    journal = home / "out.velox" if choose.random() < 0.5 else None
    if journal is not None:
        settings["pipeline__sink"] = str(journal)
    engine = Engine(configured(**settings))
    engine.start()
    if way is not by_end:
        rest(choose)
    told = f"seed {seed}: {number} {way.__name__} {settings}"
    timed, refused = Timed(engine), None
    try:
        report = way(timed, choose).as_dict()
    except EngineError as error:
        refused, report = error, timed.stop().as_dict()
    timed_out = report["drain_timed_out"]
    assert (refused is None and not timed_out) or (chaos and timed_out), f"{refused} {told}"
    assert engine.state is State.STOPPED, told
    check(assert_accounted_for if timed_out or way is by_stop_without_drain else assert_all_out, report, told)
    if settings.get("pipeline__count") and settings["pipeline__on_full"] == "wait" and not timed_out:
        assert report["output"]["transactions"] == settings["pipeline__count"], told
    if journal is not None:
        assert sum(report["sink"].values()) == report["output"]["transactions"], told
        assert sum(len(batch) for batch in open_feed(journal)) == report["sink"]["written"], told
    return Stopped(way.__name__, report, timed.longest_s, timed_out)


def stop_process(seed, number, home, chaos=False):
    """Run ``velox-tui``, end it by signals, and check its report; return as `stop_engine` does."""
    choose = random.Random(f"{seed} {number}")
    settings = chosen_settings(choose, chaos)
    settings.pop("chaos__enabled", None)
    words = [part for key, value in settings.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]
    sent = choose.choice([(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGTERM, signal.SIGINT)])
    told = f"seed {seed}: {number} {sent} {settings}"
    with start(home, "--report", "r.json", *(["--chaos"] if chaos else []), *words) as velox:
        velox.until(lambda snapshot: snapshot.state >= State.RUNNING, "it runs")
        rest(choose)
        begun = time.monotonic()
        for one in sent:
            velox.process.send_signal(one)
            rest(choose)
        code, _, err = velox.end()
        spent = time.monotonic() - begun
    assert (home / "r.json").exists(), f"{code} without a report, {err} {told}"
    report = report_at(home)
    timed_out = report["drain_timed_out"]
    expected = ["chaos is on"] * chaos + ["the drain deadline of"] * timed_out
    lines = err.splitlines()
    assert len(lines) == len(expected), f"{err} {told}"
    assert all(text in line for text, line in zip(expected, lines, strict=True)), f"{err} {told}"
    # of two that come before the interpreter looks, the lower number is seen first: that is the operating system's way
    reasons = {signal.Signals(number).name: 3 if timed_out else 128 + number for number in sent}
    assert code == reasons[report["reason"]], f"{code} {report['reason']} {told}"
    assert chaos or not timed_out, told
    check(assert_all_out if len(sent) == 1 and not timed_out else assert_accounted_for, report, told)
    return Stopped("by_" + "_and_".join(signal.Signals(one).name for one in sent), report, spent, timed_out)


def check(holds, report, told):
    """Check a report; an assertion that fails tells how to run it again."""
    try:
        holds(report)
    except AssertionError as error:
        error.add_note(told)
        raise


def main():
    """Make many stops, all with chaos; return 1 when one was wrong or took too long."""
    parser = argparse.ArgumentParser(prog="python -m tests.stopping", description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(2**32)))
    parser.add_argument("--calm", action="store_true", help="without chaos")
    parser.add_argument("--out", type=Path, help="a file that a line of figures is added to")
    asked = parser.parse_args()
    ways, faults, wrong, late, timed_out, longest, transactions = Counter(), Counter(), 0, 0, 0, 0.0, 0
    for number in range(asked.first, asked.first + asked.count):
        try:
            stop = stop_engine if number % SIGNAL_EVERY else stop_process
            with tempfile.TemporaryDirectory() as home:
                done = stop(asked.seed, number, Path(home), not asked.calm)
        except Exception:
            print(f"again: --seed {asked.seed} --first {number} --count 1", file=sys.stderr)
            traceback.print_exc()
            wrong += 1
            continue
        ways[done.way] += 1
        faults.update({kind: count for kind, count in done.report["chaos"].items() if kind != "seed"})
        transactions += done.report["output"]["transactions"]
        longest = max(longest, done.longest_s)
        timed_out += done.timed_out
        late += done.is_late
        if done.is_late:
            print(f"{done.longest_s:.1f} s: --seed {asked.seed} --first {number} --count 1", file=sys.stderr)
    figures = {
        "seed": asked.seed,
        "first": asked.first,
        "stops": sum(ways.values()),
        "wrong": wrong,
        "late": late,
        "timed_out": timed_out,
        "longest_s": round(longest, 3),
        "transactions": transactions,
        "ways": dict(ways),
        "faults": {kind: round(count, 1) for kind, count in faults.items()},
    }
    print(json.dumps(figures))
    if asked.out:
        with asked.out.open("a") as file:
            file.write(json.dumps(figures) + "\n")
    return int(wrong or late)


if __name__ == "__main__":
    sys.exit(main())
