"""The dashboard in a real terminal: start, keys, signals, a terminal that stalls or vanishes, and how it is left."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.command import ROOT, environment
from tests.ui_terminal import Terminal, shared_cache

# VELOX_STALL_S: for how long a terminal does not read
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
RUNNING = "RUNNING"


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def make(*arguments, **how):
        opened.append(Terminal(tmp_path, *arguments, "--set", "pipeline.ingress_rate_hz=20000", **how))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def children_of(pid):
    return [child.pid for child in psutil.Process(pid).children()]


def alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def report_of(tmp_path):
    return json.loads((tmp_path / "r.json").read_text())


def test_it_starts_drains_and_leaves_the_terminal_as_it_was(terminal, tmp_path):
    screen = terminal("--report", "r.json", "--seed", "7")
    screen.until(RUNNING)
    screen.press("q")
    screen.until("Drain and quit")
    screen.press("d")
    assert screen.ends() == 0
    assert screen.restored() == []
    after = screen.output[screen.output.rindex(b"\x1b[?1049l") :].decode(errors="replace")
    assert "conserved   yes" in after
    report = report_of(tmp_path)
    assert (report["state"], report["conserved"], report["seed"]) == ("stopped", True, 7)
    assert report["left_behind"]["transactions"] == 0


def test_leaving_at_once_is_no_failure(terminal, tmp_path):
    screen = terminal("--report", "r.json")
    screen.until(RUNNING)
    screen.press("q")
    screen.until("Leave at once")
    screen.press("l")
    assert screen.ends() == 0
    assert report_of(tmp_path)["conserved"]


@pytest.mark.parametrize("name, code", [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)])
def test_a_signal_drains_and_leaves(terminal, tmp_path, name, code):
    screen = terminal("--report", "r.json")
    screen.until(RUNNING)
    screen.send(getattr(signal, name))
    assert screen.ends() == code
    assert screen.restored() == []
    report = report_of(tmp_path)
    assert (report["reason"], report["conserved"]) == (name, True)


def test_a_signal_during_the_start_leaves_without_a_run(terminal):
    screen = terminal()
    screen.until("V E L O X")
    screen.send(signal.SIGTERM)
    assert screen.ends() == 143
    assert screen.restored() == []


def test_q_during_the_start_leaves(terminal):
    screen = terminal()
    screen.until("V E L O X")
    screen.press("q")
    assert screen.ends() == 0
    assert screen.restored() == []


def test_a_file_end_or_a_count_leaves_the_screen_standing(terminal, tmp_path):
    screen = terminal("--count", "5000", "--report", "r.json")
    screen.until("DRAINED")
    screen.press("q")
    assert screen.ends() == 0
    assert report_of(tmp_path)["output"]["transactions"] == 5000


def test_a_terminal_that_reads_no_more_keeps_nobody(terminal, tmp_path):
    screen = terminal("--report", "r.json")
    screen.until(RUNNING)
    time.sleep(float(os.environ.get("VELOX_STALL_S", "3")))  # its buffer fills, and whoever writes to it waits
    screen.send(signal.SIGTERM)
    assert screen.ends(reading=False) == 143
    report = report_of(tmp_path)
    assert (report["conserved"], report["left_behind"]["transactions"]) == (True, 0)
    assert "echo" not in screen.restored()


@pytest.mark.parametrize("controlling", [True, False])
def test_a_terminal_that_vanishes_ends_it(terminal, tmp_path, controlling):
    screen = terminal("--report", "r.json", controlling=controlling)
    screen.until(RUNNING)
    os.close(screen.follower)
    os.close(screen.master)
    screen.master = screen.follower = -1
    assert screen.ends(reading=False) == 129
    assert report_of(tmp_path)["conserved"]


def test_a_crash_of_the_screen_restores_and_fails(terminal, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, threading\n"
        "def late():\n"
        "    import time\n"
        "    while 'velox_tui.screens.main' not in sys.modules: time.sleep(0.05)\n"
        "    main = sys.modules['velox_tui.screens.main']\n"
        "    while not hasattr(main, 'MainScreen'): time.sleep(0.05)\n"
        "    def tick(self):\n"
        "        if self.sampler.latest is not None: raise RuntimeError('broken on purpose')\n"
        "    main.MainScreen.tick = tick\n"
        "threading.Thread(target=late, daemon=True).start()\n"
    )
    screen = terminal("--report", "r.json", env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert screen.ends() == 1
    assert screen.restored() == []
    assert b"broken on purpose" in screen.output
    assert report_of(tmp_path)["conserved"]
    records = (tmp_path / "state" / "velox-tui" / "velox.log").read_text().splitlines()
    (crash,) = [each for each in map(json.loads, records) if each["level"] == "error"]
    assert crash["text"].startswith("the screen crashed\nTraceback")
    assert crash["text"].endswith("RuntimeError: broken on purpose")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_the_terminal_is_restored_after_an_end_that_nobody_can_handle(terminal, tmp_path, number):
    screen = terminal(env={"XDG_STATE_HOME": str(tmp_path / "state")})
    screen.until(RUNNING)
    guards = children_of(screen.process.pid)
    screen.send(number)
    assert screen.ends() == -number
    screen.until("it ended in the middle of its work", living=False)
    assert screen.restored() == []
    crash = tmp_path / "state" / "velox-tui" / f"crash-{screen.process.pid}.txt"
    told = crash.read_text()
    assert ("vx-" in told or "Thread" in told) == (number != signal.SIGKILL)
    if number != signal.SIGKILL:
        screen.until(str(crash), living=False)
    end = time.monotonic() + 20
    while any(alive(each) for each in guards):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_nothing_stays_of_the_guard_after_a_clean_end(terminal, tmp_path):
    screen = terminal(env={"XDG_STATE_HOME": str(tmp_path / "state")})
    screen.until(RUNNING)
    guards = children_of(screen.process.pid)
    screen.send(signal.SIGTERM)
    assert screen.ends() == 143
    assert not any(alive(each) for each in guards)
    assert b"in the middle of its work" not in screen.output
    assert [each.name for each in (tmp_path / "state" / "velox-tui").iterdir()] == ["velox.log"]


@pytest.mark.parametrize("how", ["stdin", "stdout", "dumb"])
def test_without_a_terminal_it_runs_headless_and_says_why(tmp_path, how):
    master, follower = pty.openpty()
    streams = {"stdin": follower, "stdout": follower, "stderr": follower}
    if how in streams:
        streams[how] = subprocess.DEVNULL
    try:
        done = subprocess.run(
            [sys.executable, "-m", "velox_tui", "--count", "100"],
            cwd=tmp_path,
            env=environment(tmp_path, TERM="dumb" if how == "dumb" else "xterm", **shared_cache()),
            timeout=120,
            check=False,
            **streams,
        )
        said = os.read(master, 1 << 16)
    finally:
        os.close(master)
        os.close(follower)
    assert done.returncode == 0
    assert b": running as with --no-ui" in said
    assert b"\x1b[?1049h" not in said


def test_an_unknown_theme_is_wrong_use(terminal):
    screen = terminal("--set", "ui.theme=velox-drak")
    assert screen.ends() == 2
    assert b"unknown theme, the nearest is velox-dark" in screen.output
    assert b"\x1b[?1049h" not in screen.output


def test_a_worker_that_dies_is_shown_until_the_user_leaves(terminal, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import threading, sys, time\n"
        "def late():\n"
        "    while not hasattr(sys.modules.get('velox_engine.supervisor'), 'Supervisor'): time.sleep(0.02)\n"
        "    kind = sys.modules['velox_engine.supervisor'].Supervisor\n"
        "    begin = kind._begin\n"
        "    def failing(self):\n"
        "        begin(self)\n"
        "        threading.Timer(1.0, self.crew.failures.put, ['worker 0 died: on purpose']).start()\n"
        "    kind._begin = failing\n"
        "threading.Thread(target=late, daemon=True).start()\n"
    )
    screen = terminal("--report", "r.json", env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    screen.until("FAILED")
    screen.press("q")
    assert screen.ends() == 1
    assert screen.restored() == []
    assert "on purpose" in report_of(tmp_path)["reason"]


def test_the_headless_path_never_imports_the_screen(tmp_path):
    code = (
        "import sys\n"
        "from velox_tui import cli, headless\n"
        "cli.main(['--no-ui', '--count', '10'])\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('textual', 'rich')])\n"
    )
    run = [sys.executable, "-c", code]
    env = environment(tmp_path, **shared_cache())
    done = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
