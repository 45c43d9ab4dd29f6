"""``/livez``, ``/readyz`` and ``/healthz``: by the workers' hearts and the engine's state, with reasons."""

import json
import threading
from dataclasses import replace

import pytest

from tests.running import configured, until
from tests.scraping import Served
from velox_engine import Engine, State
from velox_engine.books.running import RunningExact
from velox_engine.exporters.health import judge


def asked(served):
    """Give the codes of livez, readyz and healthz, and what the last says."""
    codes = [served.get(path) for path in ("/livez", "/readyz", "/healthz")]
    told = json.loads(codes[2][2])
    assert (codes[2][0] == 200) == (told["live"] and told["ready"]) == (told["reasons"] == [])
    return tuple(code for code, _, _ in codes), told


@pytest.fixture
def engine():
    with Engine(configured(pipeline__ingress_rate_hz=5_000, threads__idle="backoff")) as engine:
        yield engine


def until_calm(served):
    """Wait until no stall of the host is told."""
    until(lambda: served.get("/livez")[0] == 200, "the workers beat")


def test_a_start_lives_and_is_not_ready():
    with Served() as served:
        codes, told = asked(served)
    assert codes == (200, 503, 503)
    assert told == {
        "live": True, "ready": False, "state": "starting", "uptime_s": 0, "reasons": ["starting"], "warnings": [],
    }  # fmt: skip


def test_only_what_runs_is_ready(engine):
    with Served() as served:
        served.endpoints.start(engine)
        until_calm(served)
        assert served.get("/livez")[::2] == (200, "ok\n")
        until(lambda: asked(served)[0] == (200, 200, 200), "it is ready")
        for command, state in ((engine.pause, "paused"), (engine.drain, "drained")):
            command()
            until(lambda: served.get("/livez")[0] == 200, "the workers beat")
            assert served.get("/readyz")[::2] == (503, f"{state}\n")  # called at once
            until(lambda: asked(served)[0] == (200, 503, 503), "only readiness has gone")
        engine.resume()
        until(lambda: asked(served)[0] == (200, 200, 200), "it is ready again")
        assert asked(served)[1]["uptime_s"] > 0
        engine.stop()
        codes, told = asked(served)
        assert (codes, told["reasons"]) == ((200, 503, 503), ["stopped"])


def test_a_worker_that_stalls_is_told_until_it_beats_again(monkeypatch):
    entered, go_on, grow = threading.Event(), threading.Event(), RunningExact.grow

    def slow(self):
        entered.set()
        go_on.wait()
        grow(self)

    monkeypatch.setattr(RunningExact, "grow", slow)
    # more orders than the book has room for at first
    settings = {"pipeline__ingress_rate_hz": "max", "source__live_orders": 1_000_000}
    with Served() as served:
        engine = Engine(configured(**settings))
        try:
            with engine:
                served.endpoints.start(engine)
                assert entered.wait(60)
                until(lambda: served.get("/livez")[0] == 503, "the stall is told")
                codes, told = asked(served)
                assert codes == (503, 503, 503)
                (reason,) = (each for each in told["reasons"] if "orderbook" in each)
                assert "has stalled: no heartbeat for " in reason
                assert served.get("/livez")[2].startswith("worker ")
                monkeypatch.undo()
                go_on.set()
                until(lambda: asked(served)[0] == (200, 200, 200), "it beats again")
        finally:
            go_on.set()


def test_what_failed_does_not_live(engine):
    until(lambda: judge(engine.snapshot()).live, "the workers beat")
    snapshot = engine.snapshot()
    failed = judge(replace(snapshot, state=State.FAILED, warnings=("worker 0 died: OSError",)))
    assert (failed.live, failed.ready, failed.reasons) == (False, False, ("failed",))
    assert json.loads(failed.to_json())["warnings"] == ["worker 0 died: OSError"]


@pytest.mark.parametrize("state", State)
def test_hearts_count_while_there_are_workers(engine, state):
    snapshot = engine.snapshot()
    silent = tuple(replace(worker, heartbeat_age_s=2.34) for worker in snapshot.workers)
    health = judge(replace(snapshot, state=state, workers=silent))
    works = state in (State.RUNNING, State.PAUSED, State.DRAINING, State.DRAINED)
    assert health.live == (not works and state is not State.FAILED)
    assert not health.ready
    told = f"worker 0 ({', '.join(silent[0].stages)}) has stalled: no heartbeat for 2.3 s"
    assert (told in health.against_life) == works
    by_supervisor = judge(replace(snapshot, state=state, stalled_workers=(0,)))
    assert any("worker 0" in each for each in by_supervisor.against_life) == works
