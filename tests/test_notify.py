"""What a service manager is told, through a real datagram socket."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from tests.command import ROOT
from tests.running import PATIENCE_S, configured, start, until
from velox_engine import Engine
from velox_engine.books.running import RunningExact
from velox_engine.exporters.notify import Notifier, watchdog_s

UNIT = (ROOT / "docs" / "velox.service").read_text()


class Manager:
    """A service manager's socket, as a context; ``heard`` is every message."""

    def __init__(self, address):
        self.address = str(address)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{self.address[1:]}" if self.address.startswith("@") else self.address)
        self.socket.settimeout(0.05)
        self.heard = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def _listen(self):
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                self.heard += [(line, time.monotonic()) for line in self.socket.recv(4096).decode().splitlines()]

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        self.socket.close()

    def lines(self):
        return [line for line, _ in self.heard]

    def count(self, line):
        return self.lines().count(line)


def environment(manager, watchdog_s=0.0):
    more = {"WATCHDOG_USEC": str(round(watchdog_s * 1e6)), "WATCHDOG_PID": str(os.getpid())} if watchdog_s else {}
    return {"NOTIFY_SOCKET": manager.address, **more}


@pytest.mark.parametrize("address", ["notify", "@velox-test"])
def test_a_run_is_told_from_its_start_to_its_end(tmp_path, address):
    address = f"{address}-{os.getpid()}" if address.startswith("@") else tmp_path / address
    with Manager(address) as manager:
        words = ["--rate", "20000", "--duration", "60"]
        with start(tmp_path, *words, env={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "400000"}) as process:
            until(lambda: manager.count("WATCHDOG=1") >= 3, "the watchdog is fed")
            process.process.send_signal(signal.SIGTERM)
            code, _, err = process.end()
        assert (code, err) == (143, "")
        until(lambda: manager.count("STOPPING=1"), "the stop is told")
        lines = manager.lines()
    once = [line for line in lines if line not in ("WATCHDOG=1", "EXTEND_TIMEOUT_USEC=10000000")]
    states = [line for line in once if line not in ("STATUS=draining", "STATUS=drained", "STATUS=stopped")]
    assert states == ["STATUS=starting", "READY=1", "STATUS=running", "STOPPING=1"]
    assert lines[:2] == ["STATUS=starting", "EXTEND_TIMEOUT_USEC=10000000"]
    assert "WATCHDOG=1" not in lines[: lines.index("READY=1")]


def test_the_watchdog_is_fed_only_while_every_heart_beats(tmp_path, monkeypatch):
    entered, go_on, grow = threading.Event(), threading.Event(), RunningExact.grow

    def slow(self):
        entered.set()
        go_on.wait()
        grow(self)

    monkeypatch.setattr(RunningExact, "grow", slow)
    engine = Engine(configured(pipeline__ingress_rate_hz="max", source__live_orders=1_000_000))
    with Manager(tmp_path / "n") as manager:
        notifier = Notifier(environment(manager, 0.2))
        notifier.prepare()
        try:
            with engine:
                notifier.start(engine)
                assert entered.wait(PATIENCE_S)
                until(lambda: "READY=1" in manager.lines(), "it is ready")
                until(lambda: engine.snapshot().workers[0].heartbeat_age_s > 1.5, "the worker stalls")
                time.sleep(0.3)  # what was sent before has arrived
                fed = manager.count("WATCHDOG=1")
                until(lambda: engine.snapshot().workers[0].heartbeat_age_s > 2.5, "it stalls for long")
                assert manager.count("WATCHDOG=1") == fed
                monkeypatch.undo()
                go_on.set()
                until(lambda: manager.count("WATCHDOG=1") > fed, "it is fed again")
        finally:
            go_on.set()
            notifier.stop()
        until(lambda: manager.count("STOPPING=1"), "the stop is told")
        assert manager.count("READY=1") == manager.count("STOPPING=1") == 1


def test_a_drain_alone_is_no_stop_and_a_long_one_before_a_stop_extends_the_timeout(tmp_path, monkeypatch):
    engine = Engine(configured(pipeline__ingress_rate_hz=5000))
    with Manager(tmp_path / "n") as manager:
        notifier = Notifier(environment(manager))
        notifier.prepare()
        with engine:
            notifier.start(engine)
            until(lambda: "STATUS=running" in manager.lines(), "it runs")
            engine.drain()
            until(lambda: "STATUS=drained" in manager.lines(), "it is drained")
            engine.resume()
            until(lambda: manager.count("STATUS=running") == 2, "it runs again")
            assert "STOPPING=1" not in manager.lines()
            extended = manager.count("EXTEND_TIMEOUT_USEC=10000000")
        until(lambda: "STOPPING=1" in manager.lines(), "the stop is told")
        until(lambda: manager.count("EXTEND_TIMEOUT_USEC=10000000") > extended, "the timeout is extended")
        notifier.stop()
        assert manager.count("READY=1") == 1
        assert "WATCHDOG=1" not in manager.lines()


def test_a_manager_that_has_gone_is_ignored(tmp_path):
    with start(tmp_path, "--count", "1000", env={"NOTIFY_SOCKET": str(tmp_path / "nobody")}) as process:
        code, _, err = process.end()
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    "given, seconds",
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "3000000"}, 3),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
        ({"WATCHDOG_USEC": "-5"}, 0),
    ],
)
def test_the_watchdog_s_time_is_the_manager_s(given, seconds):
    assert watchdog_s(given) == seconds


# --- the files that are shown -------------------------------------------------------------------------------------


def test_the_unit_agrees_with_the_program():
    options = dict(re.findall(r"^(\w+)=(.*)$", UNIT, re.MULTILINE))
    assert (options["Type"], options["NotifyAccess"]) == ("notify", "main")
    assert float(options["WatchdogSec"]) >= 2  # a stall is one without a heartbeat for a second
    assert options["SuccessExitStatus"] == "143"
    assert options["RestartPreventExitStatus"] == "2"
    assert options["ExecStart"].split()[1] == "--no-ui"
    assert "MemoryDenyWriteExecute" not in options  # the engine is compiled


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_finds_no_fault_with_the_unit(tmp_path):
    path = tmp_path / "velox.service"
    path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/sh", UNIT, flags=re.MULTILINE))
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False)
    if "Failed to" in done.stderr and "velox" not in done.stderr:
        pytest.skip(f"systemd-analyze cannot work here: {done.stderr.splitlines()[0]}")
    assert (done.returncode, [line for line in done.stderr.splitlines() if "velox" in line]) == (0, [])


def test_the_container_copies_and_sets_only_what_there_is():
    text = (ROOT / "docs" / "Containerfile").read_text()
    from velox_engine.config import KEYS

    variables = {key.variable for key in KEYS.values()} | {"VELOX_CACHE_DIR"}
    assert set(re.findall(r"\bVELOX_\w+", text)) <= variables
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source
    assert "STOPSIGNAL SIGTERM" in text
