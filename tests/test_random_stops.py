"""Stops at random moments, in every way there is: each run conserves, and none hangs.

``VELOX_STOPS`` is how many (30), ``VELOX_STOPS_SEED`` makes a run again; what failed names its seed.
"""

import os
import random
import signal
import threading
import time

import pytest

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
from velox_engine import Engine
from velox_engine.snapshot import State

STOPS = int(os.environ.get("VELOX_STOPS", "30"))
SEED = os.environ.get("VELOX_STOPS_SEED", "") or str(random.SystemRandom().randrange(2**32))
FLOWS = [("market", "exact"), ("market", "bucketed"), ("uniform", "bucketed")]
SIGNAL_EVERY = 6  # a real process costs more than an engine in this one


def chosen_settings(choose):
    """Choose rings, cores, pace and flow."""
    rings = {f"buffers__{ring}_ring_size": 2 ** choose.randint(6, 12) for ring in ("ingress", "bundle", "output")}
    places = [choose.randrange(min(2, len(CORES))) for _ in range(4)]
    return {
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
    assert engine.wait(PATIENCE_S) is State.DRAINED
    return engine.stop()


WAYS = [by_pause, by_drain, by_stop, by_stop_without_drain, by_rate_and_stop, by_end]


def rest(choose):
    """Let it run for a moment at random, often a very short one."""
    time.sleep(choose.choice([0, 0.001, 0.01, 0.1]) * choose.random())


@pytest.mark.parametrize("number", [number for number in range(STOPS) if number % SIGNAL_EVERY])
def test_an_engine_stopped_at_any_moment_conserves(number):
    choose = random.Random(f"{SEED} {number}")
    way = choose.choice(WAYS)
    settings = chosen_settings(choose)
    if way is by_end:
        settings |= choose.choice(
            [
                {"pipeline__count": choose.randint(1, 200_000), "pipeline__ingress_rate_hz": "max"},
                {"pipeline__run_duration_secs": 0.001 + 0.2 * choose.random()},
            ]
        )
    engine = Engine(configured(**settings))
    engine.start()
    if way is not by_end:
        rest(choose)
    report = way(engine, choose).as_dict()
    told = f"VELOX_STOPS_SEED={SEED}: {number} {way.__name__} {settings}"
    assert engine.state is State.STOPPED, told
    try:
        (assert_accounted_for if way is by_stop_without_drain else assert_all_out)(report)
    except AssertionError as error:
        error.add_note(told)
        raise
    if settings.get("pipeline__count") and settings["pipeline__on_full"] == "wait":
        assert report["output"]["transactions"] == settings["pipeline__count"], told


@pytest.mark.parametrize("number", [number for number in range(STOPS) if not number % SIGNAL_EVERY])
def test_a_process_ended_by_a_signal_at_any_moment_conserves(tmp_path, number):
    choose = random.Random(f"{SEED} {number}")
    settings = chosen_settings(choose)
    words = [part for key, value in settings.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]
    sent = choose.choice([(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGTERM, signal.SIGINT)])
    told = f"VELOX_STOPS_SEED={SEED}: {number} {sent} {settings}"
    with start(tmp_path, "--report", "r.json", *words) as velox:
        velox.until(lambda snapshot: snapshot.state >= State.RUNNING, "it runs")
        rest(choose)
        for one in sent:
            velox.process.send_signal(one)
            rest(choose)
        code, _, err = velox.end()
    assert (code, err) == (128 + sent[0], ""), told
    report = report_at(tmp_path)
    try:
        (assert_all_out if len(sent) == 1 else assert_accounted_for)(report)
    except AssertionError as error:
        error.add_note(told)
        raise
    assert report["reason"] == signal.Signals(sent[0]).name, told
