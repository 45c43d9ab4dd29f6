"""Chaos: only who asks for it gets it, everybody is told, every kind of fault happens, and nothing is lost by any."""

import os
from dataclasses import replace

import pytest

from tests.running import (
    CORES,
    Velox,
    assert_all_out,
    configured,
    placed,
    report_at,
    start,
    two_cores,
    until,
)
from tests.ui_recording import scene
from velox_engine import ConfigError, Engine, load_config
from velox_engine.snapshot import State
from velox_engine.stages import control as word
from velox_engine.stages.handles import set_word
from velox_engine.telemetry.layout import BUNDLE, INGRESS, ORDERBOOK, OUTPUT
from velox_tui.lines import plain
from velox_tui.widgets.status import status_line

OFTEN = {
    "chaos__enabled": True,
    "chaos__longest_ms": 20,
    "chaos__stalls_hz": 50,
    "chaos__naps_hz": 500,
    "chaos__moves_hz": 50,
    "chaos__crowds_hz": 20,
    "chaos__squeezes_hz": 20,
    "chaos__clock_steps_hz": 10,
    "chaos__memory_hz": 10,
    "chaos__memory_mb": 16,
}


# ---- asking for it


def test_a_file_cannot_turn_chaos_on(tmp_path):
    path = tmp_path / "velox.toml"
    path.write_text("[chaos]\nseed = 5\nenabled = true\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={})
    error = caught.value
    assert (error.key, error.line, error.allowed) == (
        "chaos.enabled",
        3,
        "false; the option --chaos turns it on for one run",
    )
    path.write_text("[chaos]\nseed = 5\nenabled = false\n")
    config = load_config(path, environ={})
    assert (config.chaos.enabled, config.chaos.seed) == (False, 5)


def test_neither_can_the_environment_nor_an_option_for_settings(tmp_path):
    with pytest.raises(ConfigError, match=r"VELOX_CHAOS__ENABLED: chaos\.enabled: got true"):
        load_config(environ={"VELOX_CHAOS__ENABLED": "true"})
    with start(tmp_path, "--set", "chaos.enabled=true") as velox:
        code, out, err = velox.end()
    assert (code, out) == (2, "")
    assert "chaos.enabled: got true; allowed is false; the option --chaos turns it on for one run" in err
    assert err.count("\n") == 1


def test_a_program_that_asks_for_it_gets_it():
    assert configured(chaos__enabled=True).chaos.enabled


# ---- what it does


def test_a_stage_that_is_put_aside_rests_while_the_others_go_on():
    engine = Engine(configured(pipeline__ingress_rate_hz="max", **placed(0, 0, 0, 0)))
    engine.start()
    control, rings = engine._assembly.stages.control.words, engine._assembly.config.buffers
    until(lambda: engine.snapshot().output.processed > 0, "transactions come out")
    set_word(control, word.ASIDE, 1 << BUNDLE)
    until(lambda: engine.snapshot().inside >= rings.ingress_ring_size, "the rings before it are full")
    stood = engine.snapshot().bundle.processed
    assert engine.snapshot().bundle.processed == stood
    set_word(control, word.ASIDE, 0)
    until(lambda: engine.snapshot().bundle.processed > stood, "it goes on")
    assert_all_out(engine.stop().as_dict())


@pytest.mark.parametrize("stage", [INGRESS, ORDERBOOK, BUNDLE, OUTPUT])
def test_a_drain_waits_for_a_stage_that_is_put_aside(stage):
    engine = Engine(configured(pipeline__ingress_rate_hz="max"))
    engine.start()
    control = engine._assembly.stages.control.words
    set_word(control, word.ASIDE, 1 << stage)
    answers = []
    engine.order("drain", None, answers.append)
    until(lambda: engine.state is State.DRAINING, "it drains")
    assert answers == []
    set_word(control, word.ASIDE, 0)
    until(lambda: answers == [None], "it has drained")
    assert_all_out(engine.stop().as_dict())


def test_with_every_kind_of_fault_nothing_is_lost_and_the_report_counts_them(tmp_path):
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    engine = Engine(configured(pipeline__ingress_rate_hz=50_000, chaos__seed=5, **OFTEN))
    engine.start()
    chaos = engine._supervisor.chaos
    kinds = {"stalls", "naps", "crowds", "clock_steps", "memory_takes"}
    kinds |= {"squeezes"} if before else set()
    kinds |= {"moves"} if len(CORES) > 1 else set()
    until(lambda: all(chaos.counts[kind] for kind in kinds), "every kind of fault has happened")
    report = engine.stop().as_dict()
    assert_all_out(report)
    assert report["chaos"]["seed"] == 5
    assert all(report["chaos"][kind] >= 1 for kind in kinds)
    assert report["chaos"]["stalled_s"] > 0
    assert any("chaos is on, seed 5" in warning for warning in report["warnings"])
    assert before is None or os.sched_getaffinity(0) == before


@two_cores
def test_workers_are_bound_as_before_when_chaos_is_over():
    engine = Engine(configured(**placed(0, 0, 1, 1), **OFTEN))
    engine.start()
    chaos, workers = engine._supervisor.chaos, engine._assembly.workers
    until(lambda: chaos.counts["moves"] > 5 and chaos.counts["squeezes"], "workers were moved")
    chaos.stop()
    bound = [os.sched_getaffinity(thread) for thread in chaos._threads()]
    assert bound == [{CORES[index]} for index in range(len(workers))]
    assert_all_out(engine.stop().as_dict())


def test_a_sink_that_fails_on_purpose_is_counted_and_the_rest_is_written(tmp_path):
    settings = {**OFTEN, "chaos__sink_errors": 0.2, "chaos__sink_delays": 0.5, "chaos__longest_ms": 2}
    sink = str(tmp_path / "out.velox")
    engine = Engine(configured(pipeline__ingress_rate_hz=20_000, pipeline__sink=sink, **settings))
    engine.start()
    faulty = engine._assembly.sink.sink
    until(lambda: faulty.failed and faulty.delayed and faulty.written, "writes have failed")
    report = engine.stop().as_dict()
    assert_all_out(report)
    assert report["sink"]["lost"] > 0
    assert sum(report["sink"].values()) == report["output"]["transactions"]
    assert (report["chaos"]["sink_errors"], report["chaos"]["sink_delays"]) == (faulty.failed, faulty.delayed)
    assert any("a fault on purpose" in warning for warning in report["warnings"])


def test_the_same_seed_draws_the_same_faults():
    def drawn(seed):
        engine = Engine(configured(chaos__enabled=True, chaos__seed=seed))
        engine.start()
        chaos = engine._supervisor.chaos
        engine.stop(drain=False)
        chaos._random.seed(chaos.seed)
        return [(chaos._gap(5.0), chaos._length()) for _ in range(20)]

    assert drawn(5) == drawn(5) != drawn(6)


# ---- who is told


def test_the_command_line_says_that_chaos_is_on_and_what_it_did(tmp_path):
    words = ["--chaos", "--set", "chaos.seed=7", "--set", "chaos.stalls_hz=100", "--duration", "0.5"]
    with start(tmp_path, "--report", "r.json", *words) as velox:
        code, out, err = velox.end()
    assert code == 0, err
    assert err == "velox-tui: chaos is on, seed 7: faults are made on purpose\n"
    assert "\n  chaos       seed 7: " in out
    report = report_at(tmp_path)
    assert report["chaos"]["stalls"] > 0
    assert_all_out(report)


def test_without_chaos_the_report_has_none_and_nobody_is_told(tmp_path):
    with Velox(tmp_path, "--no-ui", "--report", "r.json", "--count", "10") as velox:
        code, out, err = velox.end()
    assert (code, err) == (0, "")
    assert "chaos" not in out
    assert report_at(tmp_path)["chaos"] == {}


def test_the_status_bar_shows_that_chaos_is_on():
    calm = scene()
    assert "CHAOS" not in plain(status_line(calm, 120))
    config = {**calm.snapshot.config, "chaos": {"enabled": True}}
    shaken = replace(calm, glance=replace(calm.glance, snapshot=replace(calm.snapshot, config=config)))
    assert "CHAOS" in plain(status_line(shaken, 120))
    assert "CHAOS" in plain(status_line(shaken, 40))
