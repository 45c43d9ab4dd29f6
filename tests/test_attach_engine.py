"""Watching and steering a real engine of another process: by the class, by commands, and by those who are killed."""

import contextlib
import json
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests.attaching import RawClient, command, engine, found_of, own_directory, script, settled_of, told_by
from tests.running import assert_all_out, report_at, until
from velox_engine.attached import AttachedEngine
from velox_engine.discovery import find_engines
from velox_engine.errors import ConfigError, EngineError
from velox_engine.snapshot import State
from velox_engine.steering.client import ControlClient
from velox_engine.telemetry import layout
from velox_engine.telemetry.region import process_start
from velox_tui.history import PERIOD_S, History
from velox_tui.sampler import Sampler, series_names

KILLS = int(os.environ.get("VELOX_KILLS", "30"))
linux = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads and files are counted in /proc")

WATCHER = """
import os, random, signal, sys, time
from velox_engine.attached import AttachedEngine
from velox_engine.discovery import find_engines
(found,) = [each for each in find_engines() if each.alive]
chance = random.Random(int(sys.argv[1]))
for turn in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        engine = AttachedEngine(found)
        if turn % 4:
            engine.watch(0)
        reader = engine.reader()
        while True:
            reader.read()
            if turn % 2:
                reader.events(), reader.samples()
    time.sleep(chance.random() * 0.04)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print("done")
"""
LOOKER = """
import sys, time
from velox_engine.attached import AttachedEngine
from velox_engine.discovery import find_engines
(found,) = [each for each in find_engines() if each.alive]
engine = AttachedEngine(found)
for _ in range(int(sys.argv[1])):
    engine.watch(0)
print("watches", flush=True)
while True:
    engine.snapshot()
    time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with own_directory():
        yield tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def running(home):
    """An engine that serves all tests which leave it running; in the end everything is accounted for."""
    with engine(home, "--rate", "2000", "--seed", "7", "--name", "alpha", "--report", "r.json") as made:
        yield made
        made.process.send_signal(signal.SIGTERM)
        code, _, err = made.end()
        assert (code, err) == (143, "")
    assert_all_out(report_at(home))


@pytest.fixture
def attached(running):
    made = AttachedEngine(found_of(running))
    made.resume()
    yield made
    made.resume()
    made.set_rate(2000)
    made.close()
    until(lambda: not leased(made), "every depth slot was given back")


def leased(engine):
    """Return the symbols of the depth slots that are published."""
    return [depth.symbol for depth in engine.snapshot().depths]


# ---- looking and steering


def test_a_watcher_sees_what_the_engine_is_and_what_it_was(attached, running):
    snapshot = attached.snapshot()
    assert (snapshot.name, snapshot.pid, snapshot.seed) == ("alpha", running.process.pid, 7)
    assert snapshot.state is State.RUNNING
    assert snapshot.conservation.holds
    assert not snapshot.stale
    until(lambda: len(attached.reader().samples()["unix_ns"]) > 1, "two seconds have passed")
    samples = attached.reader().samples()
    assert np.all(np.diff(samples["unix_ns"]) > 0)
    assert np.all(np.diff(samples["output"]) >= 0)
    assert any(event.text == "running" for event in attached.reader().events())
    assert attached.reader().instruments()[0]["symbol"] == "SYNTH"
    assert attached.lives
    assert not attached.died
    assert not attached.wait_stopped(0)


def test_the_engines_own_past_is_in_the_graphs_from_the_first_moment(attached, running):
    """What the history shows as rates adds up to what the engine counted, second by second."""
    until(lambda: len(attached.reader().samples()["unix_ns"]) > 6, "there is a past")
    sampler = Sampler(attached)
    sampler.start()
    until(lambda: sampler.latest is not None and sampler.latest.serial > 3, "it has looked a few times")
    sampler.stop()
    seen, samples = sampler.latest.snapshot, attached.reader().samples()
    history = History(series_names(sampler.cores))
    rows = list(sampler.rows)
    assert len(rows) >= 6 + 2
    times = [at for at, _ in rows]
    assert times == sorted(times)
    assert samples["unix_ns"][1] * 1e-9 in times
    output = history.names.index("output")
    begun = next(at for at, each in enumerate(samples["unix_ns"]) if each * 1e-9 == times[0])
    whole = sum(
        row[output] * (at - before)
        for (at, row), before in zip(rows, [samples["unix_ns"][begun - 1] * 1e-9, *times], strict=False)
    )
    assert whole == pytest.approx(seen.output.processed - samples["output"][begun - 1], rel=1e-3, abs=2)
    for row in rows:
        history.add(*row)
    assert history.last - history.first >= (times[-1] - times[0]) / PERIOD_S - 1
    assert not np.isnan(history.latest("p99", 3))


def test_commands_have_taken_effect_when_they_return(attached):
    attached.pause()
    assert attached.state is State.PAUSED
    generated = attached.snapshot().generated
    attached.pause()
    assert attached.snapshot().generated == generated
    attached.resume()
    assert attached.state is State.RUNNING
    attached.set_rate(float("inf"))
    assert attached.snapshot().rate_per_s == float("inf")
    attached.set_rate(3000)
    assert attached.snapshot().rate_per_s == 3000
    attached.drain()
    assert attached.state is State.DRAINED
    assert attached.snapshot().inside == 0
    with pytest.raises(EngineError, match="cannot pause while drained; allowed while running") as caught:
        attached.pause()
    assert caught.value.state == "drained"
    with pytest.raises(EngineError, match="allowed is a number from"):
        attached.set_rate(-1)
    attached.resume()
    until(lambda: attached.snapshot().generated > generated, "it goes on after a drain from outside")


def test_a_drained_headless_engine_waits_for_whoever_drained_it(home, attached, running):
    assert command(home, "ctl", "drain") == (0, f"alpha (pid {running.process.pid}): drained\n", "")
    time.sleep(0.5)  # as long as a headless run at its end takes to leave, several times
    assert running.process.poll() is None
    assert command(home, "ctl", "resume", "alpha") == (0, f"alpha (pid {running.process.pid}): running\n", "")


def test_books_are_published_for_watchers_and_eight_at_most(attached, running):
    watchers = [AttachedEngine(found_of(running)) for _ in range(layout.DEPTH_SLOTS)]
    for each in watchers:
        each.watch(0)
    until(lambda: leased(attached) == [0] * layout.DEPTH_SLOTS, "all eight are published")
    ninth = AttachedEngine(found_of(running))
    handle = ninth.watch(0)
    (told,) = ninth.own_events
    assert (told.severity, told.text) == (
        "warning",
        "no book is published for this watcher yet: all 8 depth slots are leased",
    )
    watchers[3].close()
    until(lambda: len(leased(ninth)) == 8 and len(ninth.own_events) == 2, "the free slot is the ninth watcher's")
    assert ninth.own_events[1].text == "the book is published again"
    ninth.unwatch(handle)
    ninth.unwatch(handle)
    until(lambda: len(leased(attached)) == layout.DEPTH_SLOTS - 1, "it was given back")
    for each in (*watchers, ninth):
        each.close()


def test_a_symbol_is_published_until_its_last_handle_is_given_back(attached):
    first, second, third = attached.watch(0), attached.watch(0), attached.watch(0)
    until(lambda: leased(attached) == [0], "one slot serves all three")
    attached.unwatch(first)
    attached.unwatch(second)
    until(lambda: attached.snapshot().depths, "it is still published")
    attached.unwatch(third)
    until(lambda: not leased(attached), "it is published no more")


def test_several_commands_at_once_all_take_effect(attached, running):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(ControlClient(attached.found.control, attached.found.who)) for _ in range(10)]
        for number, each in enumerate(clients):
            each.send("rate", per_second=1000 + number)
        for each in clients:
            until(lambda each=each: any(answer.get("ok") for answer in each.waiting()), "it was answered")
    assert attached.snapshot().rate_per_s in range(1000, 1010)


# ---- the commands


def test_ps_and_snapshot_tell_of_the_engine(home, attached, running):
    pid = running.process.pid
    code, out, err = command(home, "ps")
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split()[:3] == ["alpha", str(pid), "running"]
    code, out, err = command(home, "ps", "--json")
    (row,) = json.loads(out)
    assert (row["name"], row["pid"], row["alive"], row["state"], row["rate_per_s"]) == (
        "alpha",
        pid,
        True,
        "running",
        2000,
    )
    assert row["conserved"]
    assert row["region"] == str(attached.found.path)
    assert row["control"] == str(attached.found.control)
    for word in ([], ["alpha"], [str(pid)]):
        code, out, err = command(home, "snapshot", *word)
        assert (code, err) == (0, "")
        assert out.startswith(f"alpha (pid {pid}) running\n")
        assert "  conserved   yes" in out
    code, out, err = command(home, "snapshot", "--json")
    seen = json.loads(out)
    assert (code, err, seen["alive"], seen["state"], seen["seed"]) == (0, "", True, "running", 7)
    assert 0 <= seen["written_s_ago"] < 60
    assert seen["output"] if "output" in seen else seen["stages"][3]["name"] == "output"


@pytest.mark.parametrize(
    ("words", "state", "said"),
    [
        (["pause"], State.PAUSED, "paused"),
        (["rate", "2500"], State.RUNNING, "running, rate 2,500/s"),
        (["rate", "max"], State.RUNNING, "running, rate max"),
        (["max"], State.RUNNING, "running, rate max"),
        (["drain", "--timeout", "60"], State.DRAINED, "drained"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_ctl_steers_and_says_what_has_taken_effect(home, attached, running, words, state, said):
    assert command(home, "ctl", *words) == (0, f"alpha (pid {running.process.pid}): {said}\n", "")
    assert attached.state is state


def test_ctl_tells_by_its_exit_code_that_the_engine_refused(home, attached):
    attached.drain()
    code, out, err = command(home, "ctl", "pause")
    assert (code, out) == (1, "")
    assert err == "velox-tui: cannot pause while drained; allowed while running\n"


# ---- watchers that end badly


@linux
def test_watchers_that_are_killed_leave_nothing_behind(home, attached, running):
    """``VELOX_KILLS=200`` kills 200 of them instead of 30."""
    until(lambda: not leased(attached), "no other watches")
    until(lambda: len(told_by(running.process)[2]) == 2, "the region and the socket alone are there")
    before = settled_of(running.process)
    process = script(home, WATCHER, random.randrange(10**6), KILLS)
    out, _ = process.communicate(timeout=600)
    assert (process.returncode, out) == (0, "done\n")
    until(lambda: not leased(attached), "all leases were given back")
    until(lambda: told_by(running.process) == before, "all else is as it was")
    assert attached.snapshot().conservation.holds
    handles = [AttachedEngine(attached.found) for _ in range(layout.DEPTH_SLOTS)]
    for each in handles:
        each.watch(0)
        assert not each.own_events
    for each in handles:
        each.close()


def test_a_watcher_that_is_stopped_holds_nobody_up_and_loses_its_lease(home, attached, running):
    watcher = script(home, LOOKER, 1)
    try:
        assert watcher.stdout.readline() == "watches\n"
        until(lambda: leased(attached) == [0], "its book is published")
        watcher.send_signal(signal.SIGSTOP)
        before = attached.snapshot().generated
        attached.set_rate(5000)
        attached.drain()
        assert attached.snapshot().inside == 0
        attached.resume()
        until(lambda: attached.snapshot().generated > before, "it goes on")
        until(lambda: not leased(attached), "its lease has ended")
        watcher.send_signal(signal.SIGCONT)
        until(lambda: leased(attached) == [0], "it has it again")
    finally:
        watcher.kill()
        watcher.communicate()


def test_hostile_clients_do_not_harm_a_real_engine(attached, running):
    path = attached.found.control
    held = [RawClient(path) for _ in range(40)]
    for number, each in enumerate(held):
        with contextlib.suppress(OSError):
            each.send([b"{", b"x" * 70_000, b"\xff\n", b'{"do":"watch","symbol":4294967}\n'][number % 4])
    for each in held[:35]:
        each.close()

    def steers():
        with contextlib.suppress(EngineError):
            attached.pause()
            return True
        return False

    until(steers, "it can be steered")
    attached.resume()
    for each in held:
        each.close()
    snapshot = attached.snapshot()
    assert snapshot.conservation.holds
    assert not [event for event in attached.reader().events() if "control server" in event.text]


# ---- the engine's end


def test_stop_drains_and_ends_the_process_with_its_normal_report(home, tmp_path):
    with engine(tmp_path, "--rate", "2000", "--name", "brief", "--report", "r.json") as made:
        watcher = AttachedEngine(found_of(made))
        watcher.watch(0)
        assert command(tmp_path, "ctl", "stop", "brief") == (0, f"brief (pid {made.process.pid}): stopped\n", "")
        code, out, err = made.end()
        assert (code, err) == (0, "")
        assert "conserved   yes" in out
        report = report_at(tmp_path)
        assert_all_out(report)
        assert report["reason"].startswith("stopped by process ")
        until(lambda: not watcher.lives, "the process has gone")
        assert watcher.wait_stopped(0)
        assert watcher.state is State.STOPPED
        assert not watcher.died
        assert watcher.snapshot().output.processed == report["output"]["transactions"]
        with pytest.raises(EngineError, match=r"cannot pause: brief \(pid \d+\) has ended"):
            watcher.pause()
        watcher.watch(0)
        watcher.close()
    assert "brief" not in {each.name for each in find_engines()}


def test_stop_now_leaves_behind_what_is_inside_and_says_how_much(home, tmp_path):
    with engine(tmp_path, "--rate", "max", "--name", "hasty", "--report", "r.json") as made:
        assert command(tmp_path, "ctl", "stop", "--now", "hasty")[0] == 0
        code, _, _ = made.end()
    report = report_at(tmp_path)
    assert code == 0
    assert report["conserved"]


def test_an_engine_that_was_killed_can_still_be_read_until_it_is_removed(home, tmp_path):
    with engine(tmp_path, "--rate", "2000", "--name", "crash") as made, contextlib.ExitStack() as stack:
        watcher = AttachedEngine(found_of(made))
        stack.callback(watcher.close)
        handle = watcher.watch(0)
        until(lambda: leased(watcher) == [0], "it is watched")
        made.process.kill()
        made.process.wait()
        until(lambda: not watcher.lives, "it is noticed")
        assert watcher.died
        assert watcher.state is State.FAILED
        assert watcher.snapshot().state is State.FAILED
        assert watcher.reader().events()[-1].text.startswith(f"crash (pid {made.process.pid}) has died: killed, or")
        assert len(watcher.reader().events()) == len(watcher.reader().events())
        assert leased(watcher) == [0]
        with pytest.raises(EngineError, match="has died"):
            watcher.drain()
        watcher.unwatch(handle)
        code, out, err = command(tmp_path, "snapshot", "crash")
        assert (code, err) == (0, "")
        assert "DEAD" in out.splitlines()[0]
        assert json.loads(command(tmp_path, "snapshot", "crash", "--json")[1])["alive"] is False
        code, out, _ = command(tmp_path, "ps")
        assert [line.split()[2] for line in out.splitlines() if line.startswith("crash")] == ["dead"]
        # another engine of the same name starts beside it, and is the one that is meant
        with engine(tmp_path, "--rate", "2000", "--name", "crash") as second:
            assert command(tmp_path, "ctl", "pause", "crash")[1] == f"crash (pid {second.process.pid}): paused\n"
            code, out, _ = command(tmp_path, "ps", "--remove-dead")
            assert (code, out.splitlines()[0]) == (0, f"removed crash (pid {made.process.pid})")
            assert [each.pid for each in find_engines() if each.name == "crash"] == [second.process.pid]
            assert command(tmp_path, "ctl", "stop", "crash")[0] == 0
            assert second.end()[0] == 0
        assert watcher.snapshot().name == "crash"  # who has it open can still read it


def test_an_engine_that_is_stopped_as_a_process_is_told_as_stalled(home, tmp_path):
    with engine(tmp_path, "--rate", "2000", "--name", "frozen") as made:
        watcher = AttachedEngine(found_of(made))
        made.process.send_signal(signal.SIGSTOP)
        until(lambda: watcher.snapshot().stalled_workers, "its silence is noticed")
        assert watcher.own_events[0].text.endswith("has written nothing for 2 s: it is stopped, or hangs")
        code, out, _ = command(tmp_path, "snapshot", "frozen")
        assert "it is stopped, or hangs" in out.splitlines()[0]
        code, out, err = command(tmp_path, "ctl", "pause", "frozen", "--timeout", "0.2")
        assert (code, out) == (1, "")
        assert err.endswith("does not take 'pause': it is stopped or hangs\n")
        made.process.send_signal(signal.SIGCONT)
        until(lambda: not watcher.snapshot().stalled_workers, "it goes on")
        assert watcher.state is State.RUNNING  # the pause that was told to have failed has not happened since
        watcher.close()
        made.process.send_signal(signal.SIGTERM)
        assert made.end()[0] == 143


def test_an_engine_runs_without_a_socket_where_none_can_be_made(home, tmp_path, monkeypatch):
    from velox_engine import engine as engines
    from velox_engine.config import load_config

    def refused(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(engines, "ControlServer", refused)
    overrides = {"pipeline.count": 1000, "pipeline.ingress_rate_hz": "max", "pipeline.name": "mute"}
    made = engines.Engine(load_config(overrides=overrides, environ={}))
    made.start()
    found = next(each for each in find_engines() if each.name == "mute")
    assert "nobody can steer from outside" in str(made.snapshot().warnings)
    with pytest.raises(EngineError, match="it has no control socket"):
        AttachedEngine(found).pause()
    assert made.wait_ended(60)
    report = made.stop()
    assert report.conserved
    assert report.output["transactions"] == 1000


def test_a_stop_from_outside_while_it_starts_ends_the_start(home, tmp_path, monkeypatch):
    from velox_engine import engine as engines
    from velox_engine.config import load_config

    met = []

    def compiling(assembly, tell, given_up):
        (found,) = [each for each in find_engines() if each.name == "early"]
        with ControlClient(found.control, found.who) as client:
            with pytest.raises(EngineError, match="cannot pause while starting"):
                client.ask("pause", 20)
            client.ask("stop", 20)
        met.append(given_up())

    monkeypatch.setattr(engines, "compile_stages", compiling)
    made = engines.Engine(load_config(overrides={"pipeline.name": "early"}, environ={}))
    with pytest.raises(EngineError, match="stopped while starting: stopped by process") as caught:
        made.start()
    assert caught.value.state == "stopped"
    assert met == [True]
    assert "early" not in {each.name for each in find_engines()}


def test_what_the_engine_would_not_take_is_refused_before_it_is_asked(attached):
    with pytest.raises((EngineError, ConfigError)):
        attached.set_rate("fast")
    assert process_start(attached.found.pid)
