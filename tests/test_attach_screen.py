"""``velox-tui attach`` in a pseudo-terminal: what it shows of an engine elsewhere, and how it leaves it alone."""

import os
import signal

import pytest

from tests.attaching import command, engine, found_of, opened, own_directory, surroundings
from tests.running import Velox, assert_all_out, report_at, until
from tests.ui_terminal import Terminal
from velox_engine.attached import AttachedEngine
from velox_engine.discovery import find_engines
from velox_engine.snapshot import State
from velox_engine.telemetry.region import process_start


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with own_directory():
        yield tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def running(home):
    """An engine that all tests leave running."""
    with engine(home, "--rate", "2000", "--seed", "7", "--name", "alpha", "--report", "r.json") as made:
        yield made
        made.process.send_signal(signal.SIGTERM)
        assert made.end()[0] == 143
    assert_all_out(report_at(home))


@pytest.fixture
def attached(running):
    made = AttachedEngine(found_of(running))
    made.resume()
    yield made
    made.resume()
    made.close()


@pytest.fixture
def terminals(home):
    made = []

    def attach(*words, size=(120, 40), **env):
        made.append(Terminal(home, "attach", *words, size=size, env={**surroundings(), **env}))
        return made[-1]

    yield attach
    for each in made:
        each.close()


def published(engine):
    return [depth.symbol for depth in engine.snapshot().depths]


def test_it_shows_the_engine_and_q_detaches_at_once(terminals, attached, running):
    screen = terminals()
    screen.until(f"attached to alpha (pid {running.process.pid})")
    screen.until("RUNNING")
    screen.until("detach")
    until(lambda: published(attached) == [0], "its book is published")
    screen.press("q")
    assert screen.ends() == 0
    assert screen.restored() == []
    assert attached.state is State.RUNNING
    until(lambda: not published(attached), "its slot was given back")


def test_keys_steer_and_are_told_when_they_have_taken_effect(terminals, attached):
    screen = terminals("alpha")
    screen.until("RUNNING")
    screen.press("p")
    screen.until("PAUSED")
    assert attached.state is State.PAUSED
    screen.press("p")
    until(lambda: attached.state is State.RUNNING, "it goes on")
    screen.press("d")
    screen.until("DRAINED")
    assert attached.snapshot().inside == 0
    screen.press("q")
    assert screen.ends() == 0
    assert attached.state is State.DRAINED


def test_read_only_takes_the_steering_away(terminals, attached):
    screen = terminals("alpha", "--read-only")
    screen.until("read-only")
    screen.press("pdS")
    screen.press("?")
    screen.until("READING THE SCREEN")
    assert b"pause the flow" not in screen.output
    screen.press("q")
    screen.press("q")
    assert screen.ends() == 0
    assert attached.state is State.RUNNING


def test_a_signal_ends_the_watcher_alone(terminals, attached):
    for number in (signal.SIGTERM, signal.SIGHUP):
        screen = terminals("alpha")
        screen.until("RUNNING")
        screen.send(number)
        assert screen.ends() == 128 + number
        assert screen.restored() == []
    assert attached.state is State.RUNNING


def test_a_watcher_whose_terminal_reads_no_more_holds_nobody_up(terminals, attached, home):
    screen = terminals("alpha")
    screen.until("RUNNING")
    before = attached.snapshot().generated
    until(lambda: attached.snapshot().generated > before + 4000, "two seconds pass in which nobody reads")
    assert command(home, "ctl", "drain", "alpha")[0] == 0
    assert attached.snapshot().inside == 0
    attached.resume()
    screen.press("q")
    assert screen.ends() in (0, 1)


def test_of_several_engines_one_is_chosen_from_a_list_and_dead_ones_can_be_removed(terminals, running, home):
    made = opened("ghost")
    made.words[4] = process_start(os.getpid()) + 7  # another process has its pid now
    with Velox(home, "--no-ui", "--rate", "2000", "--name", "beta", env=surroundings()) as second:
        second.until_running()
        screen = terminals()
        screen.until("Which engine?")
        screen.until("beta")
        screen.until("alpha")
        screen.press("r")
        screen.until("lives; only what dead")
        assert b"ghost" not in screen.output  # where others live, they are meant
        screen.press("\x1b[B\r")
        screen.until("attached to ")
        screen.press("q")
        assert screen.ends() == 0
        second.process.send_signal(signal.SIGTERM)
        assert second.end()[0] == 143
    screen = terminals("ghost")
    screen.until("ghost (pid")
    screen.until("has died")
    screen.press("q")
    assert screen.ends() == 0
    twin = opened("ghost")
    twin.words[4] = process_start(os.getpid()) + 7
    screen = terminals("ghost")
    screen.until("Which engine?")
    for left in (1, 0):
        screen.press("r")
        screen.until("Remove what ghost")
        screen.press("r")
        until(lambda left=left: sum(each.name == "ghost" for each in find_engines()) == left, "it was removed")
        screen.output = b""
    screen.until("No engine runs any more")
    screen.press("q")
    assert screen.ends() == 0


def test_an_engine_that_dies_under_a_watcher_is_told_and_stays_readable(terminals, home):
    with Velox(home, "--no-ui", "--rate", "2000", "--name", "crash", env=surroundings()) as made:
        made.until_running()
        screen = terminals("crash")
        screen.until("RUNNING")
        made.process.kill()
        made.process.wait()
        screen.until(f"crash (pid {made.process.pid}) has died")
        screen.until("FAILED")
        screen.press("p")
        screen.until("cannot pause")
        screen.press("q")
        assert screen.ends() == 0
    for each in find_engines():
        if each.name == "crash":
            each.path.unlink()
            each.control.unlink()


def test_the_engine_is_stopped_from_the_screen_after_asking(terminals, home):
    with Velox(home, "--no-ui", "--rate", "2000", "--name", "brief", "--report", "b.json", env=surroundings()) as made:
        made.until_running()
        screen = terminals("brief")
        screen.until("RUNNING")
        screen.press("S")
        screen.until(f"Stop brief (pid {made.process.pid})?")
        screen.press("d")
        screen.until("STOPPED")
        code, _, err = made.end()
        assert (code, err) == (0, "")
        screen.until("has ended")
        screen.press("q")
        assert screen.ends() == 0
    assert_all_out(report_at(home, "b.json"))
    assert report_at(home, "b.json")["reason"].startswith("stopped by process ")


def test_an_engine_with_its_own_screen_is_watched_and_stays_shown_when_it_is_stopped(terminals, home):
    own = Terminal(home, "--rate", "2000", "--name", "shown", size=(120, 40), env=surroundings())
    try:
        own.until("RUNNING")
        screen = terminals("shown")
        screen.until("attached to shown")
        assert command(home, "ctl", "stop", "shown")[0] == 0
        screen.until("STOPPED")
        own.until("STOPPED")
        assert own.process.poll() is None
        own.press("q")
        assert own.ends() == 0
        assert own.restored() == []
        screen.until("has ended")
        screen.press("q")
        assert screen.ends() == 0
    finally:
        own.close()


def test_a_layout_that_does_not_fit_is_refused_with_both_versions_and_the_terminal_given_back(terminals):
    made = opened("newer", HEADER_VERSION=4)
    screen = terminals("newer")
    assert screen.ends() == 1
    said = f"newer (pid {os.getpid()}) cannot be attached: it has telemetry layout 4, this program reads layout 1"
    assert said.encode() in screen.output
    assert screen.restored() == []
    made.remove()
