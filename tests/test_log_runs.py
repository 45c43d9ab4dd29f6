"""The log of real runs: on standard error, after a rotation by others, on a full disk, beside the dashboard."""

import contextlib
import json
import os
import resource
import signal
import subprocess

import pytest

from tests.running import assert_all_out, report_at, start, until
from tests.ui_terminal import Terminal
from velox_engine.attached import AttachedEngine
from velox_engine.discovery import find_engines

COUNT = ("--rate", "max", "--count", "20000", "--seed", "7")


def records(text):
    return [json.loads(line) for line in text.splitlines()]


def told(path):
    return [line["text"] for line in records(path.read_text())]


def test_a_run_leaves_its_log_in_the_state_directory_and_says_nothing_of_it(tmp_path):
    with start(tmp_path, *COUNT) as velox:
        code, _, err = velox.end()
    assert (code, err) == (0, "")
    lines = records((tmp_path / "state/velox-tui/velox.log").read_text())
    assert [line["text"] for line in lines] == [
        "started", "running", "draining: count reached", "drained: count reached", "stopped: count reached",
    ]  # fmt: skip
    assert lines[0]["seed"] == 7
    assert (lines[-1]["state"], lines[-1]["generated"], lines[-1]["output"]) == ("stopped", 20_000, 20_000)


@pytest.mark.parametrize("form", ["json", "text"])
def test_records_go_to_standard_error_where_they_are_wanted(tmp_path, form):
    with start(tmp_path, *COUNT, "--set", f"log.format={form}", "--set", "log.file=none") as velox:
        code, out, err = velox.end()
    assert code == 0
    assert "conserved   yes" in out
    lines = err.splitlines()
    assert len(lines) == 5
    if form == "json":
        assert json.loads(lines[-1])["text"] == "stopped: count reached"
    else:
        assert " info    velox stopped: count reached  reason=" in lines[-1]
    assert not (tmp_path / "state").exists()


def test_the_journal_gets_priorities_and_no_times(tmp_path):
    with (tmp_path / "journal").open("w+") as stream:
        status = os.fstat(stream.fileno())
        journal = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        with start(tmp_path, *COUNT, "--set", "threads.output_core=auto", env=journal, stderr=stream) as velox:
            assert velox.process.wait(60) == 0
    lines = (tmp_path / "journal").read_text().splitlines()
    assert len(lines) == 5
    assert all(line.startswith("<6>velox ") for line in lines)


def test_sighup_opens_the_log_anew_after_somebody_moved_it(tmp_path):
    path = tmp_path / "state/velox-tui/velox.log"
    with start(tmp_path, "--rate", "1000", "--report", "r.json") as velox:
        velox.until_running()
        until(lambda: path.exists() and "running" in path.read_text(), "the log has begun")
        path.rename(tmp_path / "rotated")
        velox.process.send_signal(signal.SIGHUP)
        assert velox.process.stderr.readline() == f"velox-tui: SIGHUP: going on; {path} is opened anew\n"
        until(lambda: path.exists() and "SIGHUP" in path.read_text(), "it goes on in a new file")
        velox.process.send_signal(signal.SIGTERM)
        code, _, err = velox.end()
    assert (code, err) == (143, "")
    assert_all_out(report_at(tmp_path))
    assert told(tmp_path / "rotated") == ["started", "running"]
    assert told(path)[0] == f"SIGHUP: going on; {path} is opened anew"
    assert told(path)[-1] == "stopped: SIGTERM"


@contextlib.contextmanager
def watched(velox):
    """Attach to a run, to give it something to write."""
    (found,) = [each for each in find_engines() if each.pid == velox.process.pid]
    engine = AttachedEngine(found)
    try:
        yield engine
    finally:
        engine.close()


def write_through_a_full_disk(tmp_path, path, fill, free):
    """Run with a log that cannot be written for a while; check that nothing else suffers."""
    settings = ("--set", f"log.file={path}", "--set", "log.max_bytes=0")
    with start(tmp_path, "--rate", "1000", "--report", "r.json", *settings) as velox:
        velox.until_running()
        until(lambda: "running" in path.read_text(errors="replace"), "the log has begun")
        fill(velox.process.pid)
        with watched(velox) as engine:
            for rate in range(2001, 2011):
                engine.set_rate(rate)
            warning = velox.process.stderr.readline()
            free(velox.process.pid)
            engine.set_rate(3000)
            until(lambda: "is written again" in path.read_text(errors="replace"), "the log goes on")
        velox.process.send_signal(signal.SIGTERM)
        code, _, err = velox.end()
    assert code == 143
    assert warning.startswith(f"velox-tui: log: {path} cannot be written: ")
    assert warning.endswith("; the run goes on\n")
    assert err == "", "one warning, and no traceback"
    assert_all_out(report_at(tmp_path))
    lines = [line for line in path.read_text().splitlines() if line.startswith("{")]
    texts = [json.loads(line)["text"] for line in lines]
    (again,) = [text for text in texts if "is written again" in text]
    lost = int(again.split("; ")[1].split()[0])
    seen = sum(text.startswith("rate 2,0") for text in texts)
    assert lost + seen in (10, 11), "the warning itself may be among those that were lost"
    assert "rate 3,000/s" in texts
    assert texts[-1] == "stopped: SIGTERM"


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of other processes cannot be set here")
def test_a_log_that_may_not_grow_goes_on_when_it_may(tmp_path):
    path = tmp_path / "velox.log"
    size = 8_000_000  # above what telemetry and the compile cache write
    path.write_text("x" * size + "\n")
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

    def limit(pid):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (path.stat().st_size + 60, hard))

    def lift(pid):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))

    write_through_a_full_disk(tmp_path, path, limit, lift)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    where = tmp_path / "disk"
    where.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "velox", where], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", where], check=True)


def test_a_log_on_a_full_disk_goes_on_when_there_is_room(tmp_path, small_disk):
    ballast = small_disk / "ballast"

    def fill(pid):
        path = small_disk / "velox.log"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 4096):
                pass
        with path.open("a") as file:  # its own last page has room left
            file.write("x" * (4095 - path.stat().st_size % 4096) + "\n")
        with path.open("a") as file, pytest.raises(OSError, match="No space left"):
            os.write(file.fileno(), b"x")

    write_through_a_full_disk(tmp_path, small_disk / "velox.log", fill, lambda pid: ballast.unlink())


def test_the_dashboard_s_events_are_in_the_log_and_nothing_of_it_on_the_screen(tmp_path):
    terminal = Terminal(tmp_path, "--rate", "1000", "--set", "ui.layout=pipeline", size=(120, 40))
    try:
        terminal.until("RUNNING")
        terminal.press("p")
        terminal.until("PAUSED")
        terminal.press("d")
        terminal.until("DRAINED")
        terminal.press("q")
        assert terminal.ends() == 0
        assert terminal.restored() == []
    finally:
        terminal.close()
    path = tmp_path / "state/velox-tui/velox.log"
    assert told(path)[:5] == ["started", "running", "paused", "draining: drain asked for", "drained: drain asked for"]
    assert told(path)[-1].startswith("stopped")
    assert b'"level"' not in terminal.output
    assert b"Logging error" not in terminal.output
