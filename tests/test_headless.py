"""``velox-tui --no-ui`` as a real process with real signals: what it says, what it writes, and how it ends."""

import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.command import ROOT
from tests.running import (
    PATIENCE_S,
    Velox,
    assert_accounted_for,
    assert_all_out,
    of_the_run,
    placed,
    report_at,
    start,
    two_cores,
    until,
)
from velox_tui.ending import write_report

SECOND = re.compile(
    r"\[ +(\d+)s\] ingress=(\d+) orderbook=(\d+) bundles=\d+ output=(\d+) dropped=0 p99=[\d,]+(?:\.\d+)?µs"
)


def settings(**values):
    """Give the words that set these keys."""
    return [part for key, value in values.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]


def interrupted(velox, *numbers):
    """Wait until it runs, and send it these signals one after the other; return how it ended."""
    velox.until_running()
    for number in numbers:
        velox.process.send_signal(number)
    return velox.end()


# --- to the end ----------------------------------------------------------------------------------------------------


def test_a_count_at_maximum_rate_ends_with_statistics_and_a_report(tmp_path):
    with start(tmp_path, "--rate", "max", "--count", "300000", "--seed", "7", "--report", "r.json") as velox:
        code, out, err = velox.end()
    assert (code, err) == (0, "")
    report = report_at(tmp_path)
    assert_all_out(report)
    assert (report["ingress"]["generated"], report["seed"], report["reason"]) == (300_000, 7, "count reached")
    assert "\ndrained" in "\n" + out
    assert f"  checksum    {report['checksum']['output']} in all four stages\n" in out
    assert "300,000 generated, 300,000 accepted, 0 dropped, 0 rejected\n" in out
    assert "  conserved   yes: every transaction is accounted for\n" in out


def test_a_duration_prints_a_line_a_second_and_ends(tmp_path):
    words = ["--rate", "20000", "--duration", "2.5", "--seed", "7", "--report", "r.json"]
    with start(tmp_path, *words, env={"TERM": ""}, stdin=None) as velox:
        code, out, err = velox.end()
    assert (code, err) == (0, "")
    lines = [SECOND.fullmatch(line) for line in out.splitlines() if line.startswith("[")]
    assert [line[1] for line in lines] == ["1", "2"]
    for line in lines:
        assert int(line[2]) >= int(line[3]) >= int(line[4]) > 0
    report = report_at(tmp_path)
    assert_all_out(report)
    assert abs(report["ingress"]["generated"] - 50_000) < 5 * 50_000**0.5
    assert report["throughput_per_s"] > 0
    assert report["latency_ns"]["end_to_end"]["count"] == report["ingress"]["generated"]


def test_a_report_on_standard_output_is_alone_there_and_limits_that_were_missed_give_4(tmp_path):
    words = ["--rate", "max", "--count", "1000", "--min-throughput", "1e12", "--max-drop-rate", "0"]
    with start(tmp_path, *words, "--report", "-") as velox:
        code, out, err = velox.end()
    assert (code, err) == (4, "")
    report = json.loads(out)
    assert_all_out(report)
    assert {name: limit["met"] for name, limit in report["limits"].items()} == {
        "max_drop_rate": True,
        "min_throughput": False,
    }


def test_missed_limits_are_told_in_the_statistics(tmp_path):
    with start(tmp_path, "--rate", "max", "--count", "1000", "--max-p99-us", "0.001") as velox:
        code, out, _ = velox.end()
    assert code == 4
    assert re.search(r"^  limit       max_p99_us 0.001: [\d,.]+, NOT MET$", out, re.MULTILINE)


def test_without_a_terminal_the_plain_command_says_so_in_one_line_and_runs(tmp_path):
    with Velox(tmp_path, "--rate", "max", "--count", "1000") as velox:
        code, out, err = velox.end()
    assert code == 0
    assert err.startswith("velox-tui: ")
    assert err.count("\n") == 1
    assert "conserved   yes" in out


# --- signals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=lambda value: getattr(value, "name", "")
)
def test_a_signal_drains_and_leaves_with_its_number(tmp_path, number, code):
    with start(tmp_path, "--rate", "max", "--report", "r.json") as velox:
        ended, out, err = interrupted(velox, number)
    assert (ended, err) == (code, "")
    report = report_at(tmp_path)
    assert_all_out(report)
    assert (report["state"], report["reason"]) == ("stopped", number.name)
    assert f"stopped: {number.name}" in out


@pytest.mark.parametrize(
    "numbers, code",
    [((signal.SIGTERM, signal.SIGTERM), 143), ((signal.SIGINT, signal.SIGTERM), 130)],
    ids=["twice SIGTERM", "SIGINT and SIGTERM"],
)
def test_a_second_signal_leaves_at_once_with_the_first_one_s_number(tmp_path, numbers, code):
    with start(tmp_path, "--rate", "max", "--report", "r.json") as velox:
        ended, _, err = interrupted(velox, *numbers)
    assert (ended, err) == (code, "")
    assert_accounted_for(report_at(tmp_path))


def test_sigint_is_heard_where_it_was_inherited_as_ignored_and_sighup_does_not_end_the_run(tmp_path):
    with start(tmp_path, "--rate", "1000", "--report", "r.json", before="trap '' INT HUP") as velox:
        velox.until_running()
        velox.process.send_signal(signal.SIGHUP)
        assert velox.process.stderr.readline().startswith("velox-tui: SIGHUP: going on; ")
        seen = velox.snapshot().output.processed
        velox.until(lambda snapshot: snapshot.output.processed > seen, "it goes on")
        velox.process.send_signal(signal.SIGINT)
        code, _, err = velox.end()
    assert (code, err) == (130, "")
    assert_all_out(report_at(tmp_path))


def test_ctrl_c_at_a_terminal_drains_and_leaves(tmp_path):
    with terminal() as (screen, inside):
        how = {"stdin": inside, "stdout": inside, "stderr": inside, "start_new_session": True}
        opened = f"exec <{os.ttyname(inside)}"  # so it becomes the terminal of the new session
        with start(
            tmp_path, "--rate", "max", "--report", "r.json", env={"TERM": "xterm"}, before=opened, **how
        ) as velox:
            os.close(inside)
            velox.until_running()
            os.write(screen, b"\x03")
            shown = read_until_closed(screen)
            code = velox.process.wait(PATIENCE_S)
    assert code == 130
    assert_all_out(report_at(tmp_path))
    assert "compiling [" in shown
    assert shown.index("\r\x1b[K") < shown.index("drained ")  # the bar was taken away
    assert "conserved   yes" in shown


@contextlib.contextmanager
def terminal():
    """Open a pseudo-terminal; give its two ends."""
    screen, inside = pty.openpty()
    try:
        yield screen, inside
    finally:
        os.close(screen)


def read_until_closed(screen):
    """Read what a terminal shows until nobody has it open any more."""
    parts = []
    with contextlib.suppress(OSError):  # so says Linux when nobody has it open
        while part := os.read(screen, 65_536):
            parts.append(part)
    return b"".join(parts).decode()


@pytest.mark.parametrize(
    "numbers, code, says",
    [
        ((signal.SIGINT,), 130, "velox-tui: SIGINT while starting: nothing was run\n"),
        ((signal.SIGTERM, signal.SIGTERM), 143, ""),
    ],
    ids=["SIGINT", "twice SIGTERM"],
)
def test_a_signal_while_compiling_ends_the_start(tmp_path, numbers, code, says):
    with start(tmp_path, "--report", "r.json", cache=tmp_path / "cold") as velox:
        velox.until(lambda snapshot: True, "it has begun to start")
        for number in numbers:
            velox.process.send_signal(number)
        ended, out, err = velox.end()
        assert velox.region() is None
    assert (ended, out) == (code, "")
    assert err.endswith(says)
    assert set(err.splitlines()) <= {
        f"velox-tui: {numbers[0].name}: leaving as soon as the compiler lets go",
        f"velox-tui: {numbers[0].name} while starting: nothing was run",
    }
    assert not (tmp_path / "r.json").exists()


# --- failures ------------------------------------------------------------------------------------------------------


@two_cores
def test_a_drain_that_takes_too_long_gives_3_and_says_what_is_inside(tmp_path):
    words = settings(
        buffers__ingress_ring_size=1_048_576,
        source__model="uniform",
        book__kind="bucketed",
        pipeline__drain_timeout_secs=0.001,
        pipeline__batch=1,
        **placed(0, 1, 1, 1),
    )
    with start(tmp_path, "--rate", "max", "--report", "r.json", *words) as velox:
        velox.until(lambda snapshot: snapshot.rings[0].waiting > 900_000, "a drain takes longer than a millisecond")
        velox.process.send_signal(signal.SIGTERM)
        code, out, err = velox.end()
    assert code == 3
    report = report_at(tmp_path)
    assert_accounted_for(report)
    left = report["left_behind"]["transactions"]
    assert left > 0
    assert re.fullmatch(r"velox-tui: the drain deadline of 0.001 s passed with [\d,]+ transactions inside\n", err)
    assert f"left {left:,} behind" in out
    assert re.search(r"^  left behind [\d,]+ in ingress_ring", out, re.MULTILINE)


_FAULT = """
import sys, threading, time
from velox_engine import engine
from velox_engine.books.running import RunningExact
from velox_engine.stages import orderbook

class Breaking(engine.Supervisor):
    def start(self):
        super().start()
        threading.Thread(target=self.break_the_book, daemon=True).start()

    def break_the_book(self):
        while self._reader.read().output.processed < 1000:
            time.sleep(0.01)
        self._assembly.stages.orderbook.words[orderbook._GROW] = 1

def refuse(self):
    raise MemoryError("none left")

RunningExact.grow = refuse
engine.Supervisor = Breaking
from velox_tui.cli import main
sys.exit(main())
"""


def test_a_worker_that_dies_gives_1_and_is_named(tmp_path):
    words = ["--no-ui", "--rate", "max", "--set", "pipeline.drain_timeout_secs=0.2", "--report", "r.json"]
    done = subprocess.run(
        [sys.executable, "-c", _FAULT, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1
    assert "velox-tui: failed: worker 0 died: MemoryError: none left\n" in done.stderr
    assert "Traceback" not in done.stderr
    report = report_at(tmp_path)
    assert (report["state"], report["reason"]) == ("failed", "worker 0 died: MemoryError: none left")
    assert_accounted_for(report)
    assert "velox failed: worker 0 died: MemoryError: none left" in done.stdout


# --- standard output and standard error ----------------------------------------------------------------------------


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"], ids=["output", "all three"])
def test_closed_streams_change_nothing(tmp_path, closed):
    words = ["--rate", "max", "--count", "100000", "--report", "r.json"]
    with start(tmp_path, *words, before=f"exec {closed}") as velox:
        code, out, err = velox.end()
    assert (code, out, err) == (0, "", "")
    assert_all_out(report_at(tmp_path))


def test_a_reader_that_leaves_after_the_first_line_does_not_end_the_run(tmp_path):
    with start(tmp_path, "--rate", "1000", "--duration", "2.2", "--report", "r.json") as velox:
        assert SECOND.fullmatch(velox.process.stdout.readline().rstrip("\n"))
        velox.process.stdout.close()
        assert velox.process.wait(PATIENCE_S) == 0
        assert of_the_run(velox.process.stderr.read()) == ""
    report = report_at(tmp_path)
    assert_all_out(report)
    assert report["duration_s"] > 1.5


@contextlib.contextmanager
def stuck_pipe():
    """Open a pipe that is full and whose reader does not read; give its end for writing."""
    reader, writer = os.pipe()
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"\0")
    fcntl.fcntl(writer, fcntl.F_SETFL, flags)
    try:
        yield writer
    finally:
        os.close(reader)
        os.close(writer)


def test_a_reader_that_has_stopped_reading_neither_stalls_the_run_nor_its_end(tmp_path):
    with stuck_pipe() as full:
        words = ["--rate", "1000", "--duration", "1.5", "--seed", "7", "--report", "r.json"]
        with start(tmp_path, *words, stdout=full) as velox:
            code, _, err = velox.end()
        says = "velox-tui: standard output: its reader has stopped reading; what it had not read is given up\n"
        assert (code, err) == (0, says)
        assert_all_out(report_at(tmp_path))
        with start(tmp_path, *words, stdout=full, stderr=full) as velox:
            code, _, _ = velox.end()
        assert code == 0
        assert_all_out(report_at(tmp_path))


def test_a_report_waits_for_its_reader_until_a_signal(tmp_path):
    with stuck_pipe() as full, start(tmp_path, "--rate", "max", "--count", "10", "--report", "-", stdout=full) as velox:
        until(lambda: velox.region() is not None or velox.process.poll() is not None, "it starts")
        until(lambda: velox.region() is None, "the run is over")
        assert velox.process.poll() is None
        velox.process.send_signal(signal.SIGTERM)
        code, _, _ = velox.end()
    assert code == 143


def test_a_full_disk_below_standard_output_is_told(tmp_path):
    with Path("/dev/full").open("w") as full:
        with start(tmp_path, "--rate", "max", "--count", "10", "--report", "r.json", stdout=full) as velox:
            code, _, err = velox.end()
        assert (code, err) == (0, "velox-tui: standard output: No space left on device\n")
        assert_all_out(report_at(tmp_path))
        with start(tmp_path, "--rate", "max", "--count", "10", "--report", "-", stdout=full) as velox:
            code, _, err = velox.end()
    assert code == 1
    head, _, text = err.partition("\n")
    assert head == "velox-tui: the report could not be written to standard output: No space left on device; here it is"
    assert_all_out(json.loads(text))


# --- the report's file ---------------------------------------------------------------------------------------------


def test_a_report_that_cannot_be_written_at_the_end_goes_to_standard_error(tmp_path):
    (tmp_path / "there").mkdir()
    with start(tmp_path, "--rate", "1000", "--report", "there/r.json") as velox:
        velox.until_running()
        shutil.rmtree(tmp_path / "there")
        velox.process.send_signal(signal.SIGTERM)
        code, out, err = velox.end()
    assert code == 1
    head, _, text = err.partition("\n")
    assert head == "velox-tui: the report could not be written to there/r.json: No such file or directory; here it is"
    assert_all_out(json.loads(text))
    assert "conserved   yes" in out


class Heard:
    """Takes down what is said instead of a report."""

    def __init__(self):
        self.told, self.put_down = [], []

    def tell(self, message):
        self.told.append(message)

    def put(self, text):
        self.put_down.append(text)


REPORT = SimpleNamespace(to_json=lambda: "{}" + 4096 * " ")


@pytest.mark.parametrize(
    "path, why",
    [("/dev/full", "No space left on device"), ("none/r.json", "No such file or directory"), (".", "Is a directory")],
)
def test_where_no_report_can_be_written_it_is_told_why(tmp_path, monkeypatch, path, why):
    monkeypatch.chdir(tmp_path)
    heard = Heard()
    assert not write_report(REPORT, path, heard)
    assert heard.told == [f"the report could not be written to {path}: {why}; here it is"]
    assert heard.put_down == [REPORT.to_json() + "\n"]
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_finds_the_disk_full_leaves_the_old_one_whole(tmp_path):
    (tmp_path / "r.json").write_text("before")
    code = (
        "import sys; from types import SimpleNamespace; from velox_tui.ending import write_report;"
        "from velox_tui.output import LineOutput; messages = LineOutput.messages();"
        "done = write_report(SimpleNamespace(to_json=lambda: 4096 * '0'), 'r.json', messages);"
        "messages.close(); sys.exit(0 if done else 5)"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 1; exec "$@"', "sh", sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5
    assert done.stderr.startswith("velox-tui: the report could not be written to r.json: File too large; here it is\n0")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("r.json", "before")]


def test_a_report_replaces_an_old_one_and_keeps_its_mode(tmp_path):
    path = tmp_path / "r.json"
    path.touch(mode=0o640)
    assert write_report(REPORT, str(path), Heard())
    assert path.read_text() == REPORT.to_json() + "\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_through_a_link_and_a_pipe_reaches_its_reader(tmp_path):
    (tmp_path / "link").symlink_to("real.json")
    assert write_report(REPORT, str(tmp_path / "link"), Heard())
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real.json").read_text() == REPORT.to_json() + "\n"
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE, text=True) as reader:
        assert write_report(REPORT, str(tmp_path / "pipe"), Heard())
        assert reader.stdout.read() == REPORT.to_json() + "\n"
