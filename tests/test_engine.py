"""The engine from Python: every command from any thread, in any order, and nothing lost whatever happens."""

import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest

from tests.running import PATIENCE_S, assert_accounted_for, assert_all_out, configured, placed, ran, two_cores, until
from velox_engine import ConfigError, Engine, EngineError, State
from velox_engine.jit import Interrupted, interruptible
from velox_engine.lockfree.histogram_view import Histogram
from velox_engine.snapshot import BookState
from velox_engine.stages import orderbook
from velox_engine.telemetry import layout
from velox_engine.telemetry.layout import Block
from velox_engine.telemetry.region import region_files

UNIFORM = {"source__model": "uniform", "book__kind": "bucketed"}  # the flow that ingress makes fastest


def elsewhere(call, *arguments):
    """Call from a thread of its own; return or raise what it did."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call, *arguments).result(PATIENCE_S)


def accepted_more_than(engine, count):
    until(lambda: engine.snapshot().ingress.processed > count, f"more than {count} came in")


# --- a run -------------------------------------------------------------------------------------------------------


def test_a_count_is_generated_exactly_and_all_of_it_goes_out():
    report = ran(pipeline__count=54_321, pipeline__ingress_rate_hz="max", source__seed=7)
    assert_all_out(report)
    assert report["ingress"]["generated"] == 54_321
    assert (report["state"], report["reason"], report["seed"]) == ("stopped", "count reached", 7)


def test_all_that_is_due_within_a_duration_is_generated():
    report = ran(pipeline__run_duration_secs=0.5, pipeline__ingress_rate_hz=100_000, source__seed=7)
    assert_all_out(report)
    assert abs(report["ingress"]["generated"] - 50_000) < 5 * 50_000**0.5  # five standard deviations of Poisson's
    assert report["reason"] == "duration reached"


def test_a_seed_of_0_picks_another_one_each_time_and_reports_it():
    seeds = {ran(pipeline__count=10, pipeline__ingress_rate_hz="max")["seed"] for _ in range(3)}
    assert len(seeds) == 3
    assert 0 not in seeds


def test_two_engines_run_side_by_side():
    first, second = Engine(configured(source__seed=1)), Engine(configured(source__seed=2))
    with first, second:
        accepted_more_than(first, 1000)
        accepted_more_than(second, 1000)
    for engine, seed in ((first, 1), (second, 2)):
        report = engine.report().as_dict()
        assert_all_out(report)
        assert report["seed"] == seed


def test_leaving_the_context_by_an_exception_drains_and_stops_too():
    engine = Engine(configured(pipeline__ingress_rate_hz="max"))

    def fail_inside():
        with engine:
            accepted_more_than(engine, 1000)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert engine.state is State.STOPPED
    assert_all_out(engine.report().as_dict())


def test_nothing_stays_behind_when_it_has_stopped():
    threads, files = set(threading.enumerate()), set(region_files())
    engine = Engine(configured())
    with engine:
        assert len(set(region_files()) - files) == 1
    engine.report()
    assert set(threading.enumerate()) - threads == set()
    assert set(region_files()) - files == set()


# --- commands ----------------------------------------------------------------------------------------------------


def test_every_command_may_come_from_a_thread_of_its_own():
    engine = Engine(configured(pipeline__ingress_rate_hz=50_000))
    elsewhere(engine.start)
    assert engine.state is State.RUNNING
    elsewhere(accepted_more_than, engine, 100)
    elsewhere(engine.pause)
    assert engine.state is State.PAUSED
    elsewhere(engine.resume)
    elsewhere(engine.set_rate, "max")
    elsewhere(accepted_more_than, engine, 100_000)
    elsewhere(engine.drain)
    assert engine.state is State.DRAINED
    elsewhere(engine.resume)
    assert engine.state is State.RUNNING
    report = elsewhere(engine.stop).as_dict()
    assert engine.state is State.STOPPED
    assert_all_out(report)


def test_while_paused_nothing_comes_in_and_what_is_inside_flows_on():
    engine = Engine(configured(pipeline__ingress_rate_hz="max"))
    with engine:
        accepted_more_than(engine, 1000)
        engine.pause()
        before = engine.snapshot().generated
        until(lambda: engine.snapshot().inside == 0, "all is out")
        assert engine.snapshot().generated == before == engine.snapshot().output.processed
        engine.resume()
        accepted_more_than(engine, before)
    report = engine.report().as_dict()
    assert_all_out(report)
    assert report["paused_s"] > 0


def test_a_drain_empties_every_ring_and_flushes_the_open_bundle():
    engine = Engine(
        configured(pipeline__ingress_rate_hz="max", bundle__max_size=256, bundle__timeout_ns=10_000_000_000)
    )
    with engine:
        for _ in range(3):
            accepted_more_than(engine, engine.snapshot().generated)
            engine.drain()
            snapshot = engine.snapshot()
            assert (snapshot.state, snapshot.inside) == (State.DRAINED, 0)
            assert snapshot.generated == snapshot.output.processed
            assert snapshot.flushed == snapshot.bundles_out
            engine.resume()
    report = engine.report().as_dict()
    assert_all_out(report)
    assert report["bundle"]["by_timeout"] == 0
    assert report["bundle"]["by_drain"] <= 4


def test_a_new_rate_takes_effect_and_is_shown():
    engine = Engine(configured(pipeline__ingress_rate_hz=1))
    with engine:
        engine.set_rate(2_000_000)
        assert engine.snapshot().rate_per_s == 2_000_000
        accepted_more_than(engine, 1000)
        engine.set_rate("max")
        assert engine.snapshot().rate_per_s == float("inf")
        engine.set_rate(float("inf"))
        engine.pause()
        engine.set_rate(5)
        assert engine.state is State.PAUSED
        assert engine.snapshot().rate_per_s == 5
    assert_all_out(engine.report().as_dict())


@pytest.mark.parametrize("rate", [0, -1, float("nan"), 1e18, "fast", None, True, [5]])
def test_a_rate_that_is_none_is_refused_and_the_old_one_stays(rate):
    engine = Engine(configured(pipeline__ingress_rate_hz=123))
    with engine:
        with pytest.raises(ConfigError, match="ingress_rate_hz"):
            engine.set_rate(rate)
        assert engine.snapshot().rate_per_s == 123


def test_what_holds_already_is_no_error():
    engine = Engine(configured())
    with engine:
        engine.resume()
        engine.pause()
        engine.pause()
        engine.drain()
        engine.drain()
    assert engine.stop() is engine.stop() is engine.report()


def test_eight_books_can_be_watched_at_once():
    engine = Engine(configured(pipeline__ingress_rate_hz="max"))
    with engine:
        slots = [engine.watch(0) for _ in range(layout.DEPTH_SLOTS)]
        assert sorted(slots) == list(range(layout.DEPTH_SLOTS))
        with pytest.raises(EngineError, match="all 8 depth slots are leased"):
            engine.watch(0)
        until(lambda: len(engine.snapshot().depths) == layout.DEPTH_SLOTS, "all are published")
        until(lambda: all(len(depth.bids) > 5 for depth in engine.snapshot().depths), "the book has filled")
        for depth in engine.snapshot().depths:
            assert (depth.symbol, depth.state) == (0, BookState.SYNCED)
            assert depth.sequence > 0
            assert np.all(np.diff(depth.bids[:, 0]) < 0)
            assert np.all(np.diff(depth.asks[:, 0]) > 0)
            assert depth.bids[0, 0] < depth.asks[0, 0]
            assert np.all(depth.bids[:, 1:] > 0)
            assert np.all(depth.asks[:, 1:] > 0)
        for slot in slots:
            engine.unwatch(slot)
        until(lambda: not engine.snapshot().depths, "none is published")
        assert engine.watch(0) in slots


# --- wrong order ---------------------------------------------------------------------------------------------------


COMMANDS = {
    "pause": lambda engine: engine.pause(),
    "resume": lambda engine: engine.resume(),
    "rate": lambda engine: engine.set_rate(5),
    "drain": lambda engine: engine.drain(),
}
REFUSED = {command: f"cannot {command}" for command in COMMANDS} | {"rate": "cannot set the rate"}


def refusal(engine, command):
    """Give the error of a command that is out of order."""
    with pytest.raises(EngineError) as caught:
        COMMANDS[command](engine)
    return caught.value


@pytest.mark.parametrize("command", COMMANDS)
def test_before_the_start_every_command_is_refused(command):
    engine = Engine(configured())
    error = refusal(engine, command)
    assert str(error) == f"{REFUSED[command]} while starting"
    assert error.state == "starting"
    for look in (engine.snapshot, engine.reader, engine.report, engine.stop):
        with pytest.raises(EngineError):
            look()


@pytest.mark.parametrize("command", COMMANDS)
def test_after_the_end_every_command_is_refused(command):
    engine = Engine(configured(pipeline__count=1))
    with engine:
        pass
    error = refusal(engine, command)
    assert str(error).startswith(f"{REFUSED[command]} while stopped")
    assert error.state == "stopped"
    with pytest.raises(EngineError, match="cannot start while stopped"):
        engine.start()
    assert engine.state is State.STOPPED


def test_a_second_start_is_refused_and_the_engine_runs_on():
    engine = Engine(configured())
    with engine:
        with pytest.raises(EngineError, match="cannot start while running"):
            engine.start()
        engine.pause()
        with pytest.raises(EngineError, match="cannot start while paused"):
            engine.start()
    assert_all_out(engine.report().as_dict())


def test_a_drained_engine_cannot_pause_and_an_ended_source_cannot_go_on():
    engine = Engine(configured(pipeline__count=100, pipeline__ingress_rate_hz="max"))
    with engine:
        assert engine.wait(PATIENCE_S) is State.DRAINED
        error = refusal(engine, "pause")
        assert str(error) == "cannot pause while drained; allowed while running"
        assert error.state == "drained"
        assert str(refusal(engine, "resume")) == "cannot resume: the source has ended"
        with pytest.raises(EngineError, match="no report while drained; allowed once stopped"):
            engine.report()


# --- the start and the stop --------------------------------------------------------------------------------------


def test_a_stop_while_it_starts_cancels_the_start():
    engine, steps, files = Engine(configured()), [], set(region_files())

    def progress(what, done, total):
        steps.append(what)
        if len(steps) == 3:
            with pytest.raises(EngineError, match="it was never started: there is nothing to report"):
                elsewhere(engine.stop)

    with pytest.raises(EngineError, match="stopped while starting: stopped") as caught:
        engine.start(progress)
    assert caught.value.state == "stopped"
    assert engine.state is State.STOPPED
    assert set(region_files()) - files == set()
    with pytest.raises(EngineError, match="stopped before it started"):
        engine.start()


def test_compiling_ends_when_nobody_wants_it_any_more():
    @numba.njit  # not `compiled`: it would be in the cache the next time
    def never_compiled_before(word):
        return word + 1

    with pytest.raises(Interrupted), interruptible(lambda: True):
        never_compiled_before(1)
    with interruptible(lambda: False):
        assert never_compiled_before(1) == 2


def test_a_start_that_failed_leaves_nothing_and_can_be_made_again(monkeypatch):
    engine, files = Engine(configured(pipeline__count=10)), set(region_files())
    with monkeypatch.context() as patch:
        patch.setattr("velox_engine.engine.compile_stages", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            engine.start()
    assert set(region_files()) - files == set()
    engine.start()
    assert_all_out(engine.stop().as_dict())


def test_progress_tells_each_step_up_to_the_last():
    steps = []
    engine = Engine(configured(pipeline__count=1))
    engine.start(lambda *step: steps.append(step))
    engine.stop()
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)
    assert steps[-1][1] == steps[-1][2]


def test_stops_from_several_threads_return_one_report():
    engine = Engine(configured(pipeline__ingress_rate_hz="max"))
    engine.start()
    with ThreadPoolExecutor(4) as pool:
        reports = [stop.result(PATIENCE_S) for stop in [pool.submit(engine.stop) for _ in range(4)]]
    assert len({id(report) for report in reports}) == 1
    assert_all_out(reports[0].as_dict())


def test_every_stop_and_drain_that_waits_for_the_end_is_answered():
    engine = Engine(configured(pipeline__ingress_rate_hz="max"))
    engine.start()
    answers = []
    for kind, value in [("drain", None), ("stop", (True, "one")), ("stop", (True, "two")), ("stop", (False, "now"))]:
        engine.order(kind, value, lambda error, kind=kind: answers.append((kind, error is None)))
    until(lambda: len(answers) == 4, "all four are answered")
    assert answers.count(("stop", True)) == 3
    assert_accounted_for(engine.report().as_dict())


@pytest.mark.parametrize("first", ["pause", "drain", None])
def test_a_stop_is_right_in_every_state(first):
    engine = Engine(configured(pipeline__ingress_rate_hz="max"))
    engine.start()
    if first is not None:
        COMMANDS[first](engine)
    assert_all_out(engine.stop().as_dict())


@two_cores
def test_a_stop_without_a_drain_says_what_it_left_behind():
    # the rings hold so much that something is always inside
    rings = {"buffers__ingress_ring_size": 65_536, "bundle__max_size": 7}
    engine = Engine(configured(pipeline__ingress_rate_hz="max", **UNIFORM, **rings, **placed(0, 1, 1, 1)))
    engine.start()
    until(lambda: engine.snapshot().rings[0].waiting > 1000, "a ring has filled")
    report = engine.stop(drain=False).as_dict()
    assert_accounted_for(report)
    assert report["state"] == "stopped"


@two_cores
def test_a_drain_that_takes_too_long_is_given_up_and_says_what_is_inside():
    slow = {"buffers__ingress_ring_size": 1_048_576, "pipeline__drain_timeout_secs": 0.001, "pipeline__batch": 1}
    engine = Engine(configured(pipeline__ingress_rate_hz="max", **UNIFORM, **slow, **placed(0, 1, 1, 1)))
    engine.start()
    until(lambda: engine.snapshot().rings[0].waiting > 900_000, "a drain takes longer than a millisecond")
    with pytest.raises(EngineError, match=r"the drain deadline of 0.001 s passed with [\d,]+ transactions inside"):
        engine.drain()
    report = engine.stop().as_dict()
    assert report["drain_timed_out"]
    assert report["left_behind"]["transactions"] > 0
    assert any("the drain deadline of 0.001 s passed" in warning for warning in report["warnings"])
    assert_accounted_for(report)


@two_cores
def test_a_full_ring_drops_where_that_is_asked_for_and_counts_it():
    small = {"buffers__ingress_ring_size": 64, **UNIFORM, "pipeline__on_full": "drop"}
    engine = Engine(configured(pipeline__ingress_rate_hz="max", **small, **placed(0, 1, 1, 1)))
    with engine:
        until(lambda: engine.snapshot().dropped > 1000, "something was dropped")
    report = engine.report().as_dict()
    assert_all_out(report)
    assert report["ingress"]["dropped"] == report["ingress"]["dropped_by"]["ring_full"] > 1000
    assert report["books"]["SYNTH"]["state"] == "stale"


def test_commands_from_many_threads_at_once_neither_hang_nor_lose():
    seed = random.randrange(2**32)
    engine = Engine(configured(pipeline__ingress_rate_hz="max", buffers__ingress_ring_size=256))
    engine.start()

    def press(number):
        words, refused = random.Random(f"{seed} {number}"), set()
        for _ in range(12):
            try:
                words.choice([*COMMANDS.values(), lambda engine: engine.snapshot()])(engine)
            except EngineError as error:
                refused.add(error.state)
        return refused

    with ThreadPoolExecutor(4) as pool:
        for pressing in [pool.submit(press, number) for number in range(4)]:
            assert pressing.result(PATIENCE_S) <= {"paused", "draining", "drained", "running"}, seed
    assert_all_out(engine.stop().as_dict())


# --- failure -----------------------------------------------------------------------------------------------------


def break_the_book(engine, monkeypatch):
    """Let the order book ask for more memory, of which there is none."""

    def refuse(self):
        raise MemoryError("none left")

    monkeypatch.setattr(type(engine._assembly.book), "grow", refuse)
    engine._assembly.stages.orderbook.words[orderbook._GROW] = 1


def failed(engine, monkeypatch):
    """Run an engine whose order book breaks in the midst; return its report."""
    engine.start()
    accepted_more_than(engine, 1000)
    break_the_book(engine, monkeypatch)
    assert engine.wait(PATIENCE_S) is State.FAILED
    return engine.stop().as_dict()


def test_a_worker_that_dies_makes_the_engine_failed_with_the_reason(monkeypatch):
    engine = Engine(configured(pipeline__ingress_rate_hz="max", pipeline__drain_timeout_secs=0.2, **placed(0, 0, 0, 0)))
    report = failed(engine, monkeypatch)
    assert (report["state"], report["reason"]) == ("failed", "worker 0 died: MemoryError: none left")
    assert "worker 0 died: MemoryError: none left" in report["problems"]
    assert any(warning.endswith("worker 0 died: MemoryError: none left") for warning in report["warnings"])
    for command in COMMANDS:
        error = refusal(engine, command)
        assert str(error).startswith(f"{REFUSED[command]} while failed: worker 0 died")
        assert error.state == "failed"
    assert_accounted_for(report)


@two_cores
def test_when_a_worker_dies_the_others_drain_what_they_have(monkeypatch):
    engine = Engine(configured(pipeline__ingress_rate_hz="max", pipeline__drain_timeout_secs=1, **placed(0, 0, 1, 1)))
    report = failed(engine, monkeypatch)
    assert report["state"] == "failed"
    left = report["left_behind"]
    assert left["transactions"] == left["ingress_ring"]
    assert_accounted_for(report)


@two_cores
def test_when_a_worker_downstream_dies_what_reached_it_is_counted_as_left(monkeypatch):
    engine = Engine(configured(pipeline__ingress_rate_hz="max", pipeline__drain_timeout_secs=0.2, **placed(0, 1, 1, 1)))
    report = failed(engine, monkeypatch)
    assert report["state"] == "failed"
    assert report["left_behind"]["ingress_ring"] > 0
    assert_accounted_for(report)


def test_the_report_of_a_failed_engine_has_the_last_words_of_its_sink(monkeypatch, tmp_path):
    sink = str(tmp_path / "out.velox")
    engine = Engine(configured(pipeline__sink=sink, pipeline__drain_timeout_secs=0.2, **placed(0, 0, 0, 0)))
    report = failed(engine, monkeypatch)
    assert report["sink"] == {"written": report["output"]["transactions"], "lost": 0}
    assert_accounted_for(report)


# --- looking -----------------------------------------------------------------------------------------------------


def counts_of(snapshot):
    """Give whatever may only grow."""
    stages = [
        (stage.processed, stage.steps, stage.latency.count, stage.service.count, stage.last_ticks)
        for stage in snapshot.stages
    ]
    workers = [(worker.busy_s, worker.starved_s, worker.held_s, worker.sleeps) for worker in snapshot.workers]
    sizes = snapshot.bundle_sizes.tolist()
    whole = [snapshot.generated, snapshot.flushed, snapshot.bundles_out, snapshot.trades_seen, snapshot.uptime_s]
    reasons = [snapshot.by_size, snapshot.by_timeout, snapshot.by_drain, snapshot.hiccup.count]
    return [*whole, *reasons, *sizes, *itertools.chain(*stages, *workers)]


def look_until(engine, stop):
    """Take snapshots as fast as possible; return how many, having checked each for what cannot be."""
    reader, looks, before = engine.reader(), 0, None
    while not stop.is_set():
        snapshot = reader.read()
        passed = [snapshot.generated, *(stage.processed for stage in snapshot.stages)]
        assert passed == sorted(passed, reverse=True), "counts grow downstream"
        assert snapshot.conservation.holds, snapshot.conservation.problems
        now = counts_of(snapshot)
        assert before is None or all(new >= old for new, old in zip(now, before, strict=True)), "a count went back"
        before = now
        # what was published in one piece is read in one piece
        sizes = snapshot.bundle_sizes
        assert sizes.sum() == snapshot.by_size + snapshot.by_timeout + snapshot.by_drain
        for stage in range(4):
            image = reader.block(Block.STAGE, stage)
            latencies = image[layout.STAGE_LATENCY : layout.STAGE_LATENCY + layout.HISTOGRAM_LENGTH]
            assert image[layout.STAGE_PROCESSED] == Histogram.from_words(latencies).count
        looks += 1
    return looks


@pytest.mark.parametrize("places", [(0, 0, 0, 0), pytest.param((0, 1, 0, 1), marks=two_cores)])
def test_readers_in_a_tight_loop_see_no_torn_and_no_backward_value(places):
    engine, stop = Engine(configured(pipeline__ingress_rate_hz="max", **placed(*places))), threading.Event()
    with engine, ThreadPoolExecutor(2) as pool:
        looking = [pool.submit(look_until, engine, stop) for _ in range(2)]
        try:
            for turn in range(1, 7):
                accepted_more_than(engine, engine.snapshot().ingress.processed + 250_000)
                for command in ("pause", "resume", "drain", "resume") if turn % 2 else ():
                    COMMANDS[command](engine)
                engine.set_rate("max" if turn % 3 else 1_000_000)
        finally:
            stop.set()
        assert all(look.result(PATIENCE_S) > 10 for look in looking)
    assert_all_out(engine.report().as_dict())
