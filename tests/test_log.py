"""What happened is in the log, with its values, whatever becomes of its file meanwhile."""

import json
import logging
import os
import queue
import stat
import threading
import time
from pathlib import Path

import pytest

from tests.running import configured, until
from velox_engine import ConfigError, Engine
from velox_engine.snapshot import Event
from velox_tui.log.follower import Follower
from velox_tui.log.formats import Format, make_record, read_by_journal
from velox_tui.log.target import LogFile, TakenError
from velox_tui.output import LineOutput
from velox_tui.services import Services

NS = 1_700_000_000_123_456_789


def record(text="something", severity="info", **values):
    return make_record(severity, text, "engine", values, NS)


# ---- a line


def test_a_record_is_a_line_of_json_with_its_values():
    line = Format("json", "velox").format(record("a worker stalled", "warning", worker=1, rate=2.5))
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.123456Z",
        "level": "warning",
        "engine": "velox",
        "pid": os.getpid(),
        "from": "engine",
        "text": "a worker stalled",
        "worker": 1,
        "rate": 2.5,
    }


def test_a_record_is_a_line_for_people():
    line = Format("text", "velox").format(record("running", state="running", why="end of file", rate=1e5, left=[1]))
    end = 'state=running why="end of file" rate=100000 left=[1]'
    assert line == f"2023-11-14T22:13:20.123456Z info    velox running  {end}"


@pytest.mark.parametrize("form", ["json", "text"])
def test_the_journal_gets_the_priority_and_no_time(form):
    spoken = Format(form, "velox", journal=True)
    for severity, priority in (("debug", 7), ("info", 6), ("warning", 4), ("error", 3)):
        line = spoken.format(record("x", severity))
        assert line.startswith(f"<{priority}>")
        assert "2023" not in line


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("journal", [False, True])
def test_whatever_a_record_holds_it_stays_one_line(form, journal):
    strange = "a\nb\r\x1b[2J\0\udcff\u2028{}%s"
    line = Format(form, "velox", journal=journal).format(record(strange, key=strange, thing=object(), level="mine"))
    assert len(line.splitlines()) == 1
    assert line.encode(errors="backslashreplace")
    if form == "json" and not journal:
        assert json.loads(line)["text"] == strange
        assert json.loads(line)["level"] == "info", "a value never takes the place of a field"


def test_an_exception_is_written_with_where_it_came_from():
    try:
        raise ValueError("broken")
    except ValueError as error:
        made = record("the screen crashed", "error")
        made.exc_info = (type(error), error, error.__traceback__)
    text = json.loads(Format("json", "velox").format(made))["text"]
    assert text.startswith("the screen crashed\nTraceback")
    assert text.endswith("ValueError: broken")


def test_the_journal_is_known_by_device_and_inode(tmp_path):
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        matching = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert read_by_journal(stream.fileno(), matching)
        assert not read_by_journal(stream.fileno(), {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert not read_by_journal(stream.fileno(), {})
    assert not read_by_journal(987_654, matching)


# ---- the file


class Told:
    """Notes what is told."""

    def __init__(self):
        self.lines = []

    def __call__(self, severity, text):
        self.lines.append((severity, text))


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def target(tmp_path, told):
    file = LogFile(tmp_path / "velox.log", 400, 2, told)
    file.setFormatter(logging.Formatter("%(message)s"))
    yield file
    file.close()


def texts(path):
    return path.read_text().splitlines()


def test_the_file_is_its_user_s_alone_and_keeps_what_it_held(tmp_path, target):
    (tmp_path / "velox.log").write_text("before\n")
    (tmp_path / "velox.log").chmod(0o640)
    target.emit(record("after"))
    assert texts(tmp_path / "velox.log") == ["before", "after"]
    assert stat.S_IMODE((tmp_path / "velox.log").stat().st_mode) == 0o640, "who made it decides"
    (tmp_path / "velox.log").unlink()
    target.emit(record("new"))
    assert stat.S_IMODE((tmp_path / "velox.log").stat().st_mode) == 0o600


def test_it_rotates_before_it_gets_too_large_and_keeps_so_many(tmp_path, target, told):
    for number in range(40):
        target.emit(record(f"line {number:94}"))  # 100 bytes each
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["velox.log", "velox.log.1", "velox.log.2"]
    kept = [text for name in reversed(names) for text in texts(tmp_path / name)]
    assert kept == [f"line {number:94}" for number in range(28, 40)]
    assert all((tmp_path / name).stat().st_size == 400 for name in names)
    assert all(stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600 for name in names)
    assert told.lines == []


def test_a_line_larger_than_the_limit_is_written_whole(tmp_path, target):
    for number in range(3):
        target.emit(record(str(number) * 1000))
    assert [texts(tmp_path / name) for name in ("velox.log.2", "velox.log.1", "velox.log")] == [
        [str(number) * 1000] for number in range(3)
    ]


def test_without_a_limit_it_never_rotates(tmp_path, told):
    target = LogFile(tmp_path / "velox.log", 0, 2, told)
    for _ in range(100):
        target.emit(record("x" * 100))
    target.close()
    assert [path.name for path in tmp_path.iterdir()] == ["velox.log"]


def test_a_file_that_was_moved_or_removed_is_made_anew(tmp_path, target, told):
    path = tmp_path / "velox.log"
    target.emit(record("one"))
    path.rename(tmp_path / "moved")
    target.emit(record("two"))
    path.unlink()
    target.emit(record("three"))
    target.reopen()
    target.emit(record("four"))
    assert texts(tmp_path / "moved") == ["one"]
    assert texts(path) == ["three", "four"]
    assert (target.lost, told.lines) == (0, [])


def test_two_writers_never_have_one_file(tmp_path, told, target):
    target.open()
    other = LogFile(tmp_path / "velox.log", 400, 2, told)
    with pytest.raises(TakenError):
        other.open()
    target.close()
    other.open()
    other.close()


class Full:
    """Stands for ``os.write`` on a disk with so much room."""

    def __init__(self, room):
        self.room = room
        self._write = os.write

    def __call__(self, descriptor, data):
        if not self.room:
            raise OSError(28, "No space left on device")
        data = data[: self.room]
        self.room -= len(data)
        return self._write(descriptor, data)


def test_what_a_full_disk_does_not_take_is_counted_and_told_once(tmp_path, monkeypatch, told):
    target = LogFile(tmp_path / "velox.log", 0, 2, told)
    disk = Full(25)
    monkeypatch.setattr(os, "write", disk)
    for number in range(10):
        target.emit(record(f"line {number}"))  # the fourth half fits
    path = tmp_path / "velox.log"
    assert told.lines == [("warning", f"log: {path} cannot be written: No space left on device; the run goes on")]
    assert target.lost == 7
    assert texts(path) == ["line 0", "line 1", "line 2"], "nothing of a line that does not fit stays"
    disk.room = 1000
    target.emit(record("line 10"))
    assert texts(path)[-1] == "line 10"
    assert told.lines[1:] == [("info", f"log: {path} is written again; 7 records were lost")]
    target.close()
    assert len(told.lines) == 2


def test_a_disk_at_its_edge_is_told_once_a_minute_and_the_loss_in_the_end(tmp_path, monkeypatch, told):
    target = LogFile(tmp_path / "velox.log", 0, 2, told)
    disk = Full(0)
    monkeypatch.setattr(os, "write", disk)
    for number in range(20):
        disk.room = 1000 * (number % 2)
        target.emit(record("line"))
    assert [severity for severity, _ in told.lines] == ["warning", "info"]
    disk.room = 0
    target.emit(record("line"))
    target.close()
    assert told.lines[2:] == [("warning", f"log: 10 records could not be written to {tmp_path / 'velox.log'}")]
    assert target.lost == 11


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_a_device_that_is_full_is_no_file_to_rotate(told):
    target = LogFile(Path("/dev/full"), 10, 2, told)
    target.emit(record("x" * 100))
    target.emit(record("x" * 100))
    assert target.lost == 2
    assert "No space left on device" in told.lines[0][1]


def test_a_pipe_that_nobody_reads_holds_nobody_up(tmp_path, told):
    os.mkfifo(tmp_path / "pipe")
    target = LogFile(tmp_path / "pipe", 10, 2, told)
    target.emit(record("x" * 100))
    assert target.lost == 1


def test_a_rotation_that_fails_is_told_and_the_file_grows_on(tmp_path, monkeypatch, target, told):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "rename", refuse)
    for number in range(12):
        target.emit(record(f"line {number:94}"))
    path = tmp_path / "velox.log"
    assert len(texts(path)) == 12
    assert told.lines == [
        ("warning", f"log: {path} cannot be rotated and grows on: Read-only file system"),
    ]


def test_a_record_that_cannot_be_written_as_it_is_ends_nothing(tmp_path, target, told):
    target.setFormatter(Format("text", "velox"))
    broken = record()
    broken.msg, broken.args = "%d", ("no number",)
    target.emit(broken)
    target.emit(record("after"))
    assert target.lost == 1
    assert "after" in texts(tmp_path / "velox.log")[0]


# ---- the engine's events


@pytest.fixture(scope="module")
def engine():
    """An engine that runs for all tests of this file."""
    with Engine(configured(pipeline__ingress_rate_hz=1000)) as running:
        yield running


def test_events_carry_state_rate_and_counts(engine):
    engine.set_rate(2000)
    engine.pause()
    engine.resume()
    engine.set_rate("max")
    engine.set_rate(1000)
    events = engine.reader().events()
    assert [event.number for event in events] == list(range(events[0].number, events[-1].number + 1))
    rate, paused, resumed, most, _ = events[-5:]
    assert (rate.text, rate.values["rate"], rate.values["state"]) == ("rate 2,000/s", 2000, "running")
    assert (paused.text, paused.values["state"], resumed.values["state"]) == ("paused", "paused", "running")
    assert most.values["rate"] == "max"
    for before, after in zip(events[-5:], events[-4:], strict=False):
        assert 0 <= before.values["output"] <= after.values["output"]
        assert after.values["output"] <= engine.snapshot().generated
        assert before.values["dropped"] == 0


def test_events_behind_a_number_are_told_with_those_that_are_gone(engine):
    reader = engine.reader()
    last = reader.events()[-1].number
    assert reader.events_after(last) == ([], 0)
    for number in range(300):
        engine.note("info", f"note {number}")
    until(lambda: reader.events()[-1].text == "note 299", "all are there")
    events, missed = reader.events_after(last)
    assert (len(events), missed) == (256, 44)
    assert [event.text for event in events] == [f"note {number}" for number in range(44, 300)]


def test_a_follower_hands_on_every_event_or_counts_it(engine):
    taken: queue.SimpleQueue = queue.SimpleQueue()
    follower = Follower(engine, taken.put, samples=False)
    follower.start()
    for number in range(1000):
        engine.note("info", f"burst {number}")
        if number % 100 == 0:
            time.sleep(0.01)
    reader = engine.reader()
    until(lambda: reader.events()[-1].text == "burst 999", "all are there")
    engine.note("info", "the last")
    until(lambda: reader.events()[-1].text == "the last", "it is there")
    follower.stop()
    records = [taken.get() for _ in range(taken.qsize())]
    missed = sum(each.values["missed"] for each in records if each.part == "log")
    burst = [int(each.msg.split()[1]) for each in records if each.msg.startswith("burst")]
    assert burst == sorted(set(burst))
    assert records[-1].msg == "the last"
    before = reader.events()[-1].number - 1000  # of the first of the burst
    ours = sum(each.part == "engine" for each in records)
    assert ours + missed == before + 1001


# ---- the service


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def services_of(tmp_path, **settings):
    given = {"log__file": str(tmp_path / "velox.log"), **settings}
    return Services(configured(**given), lambda config, tell: [])


def test_a_run_is_in_its_log_from_start_to_stop(tmp_path):
    config = configured(pipeline__ingress_rate_hz=5000, log__file=str(tmp_path / "velox.log"), source__seed=7)
    services = Services(config, lambda config, tell: [])
    services.prepare()
    with Engine(config) as engine:
        services.start(engine)
        engine.pause()
        engine.resume()
        services.log.record("warning", "of the screen", "screen", {"panel": "depth"})
        logging.getLogger("some.library").warning("complains of %s", "something")
        logging.getLogger("some.library").info("says nothing of note")
        services.tell("warning", "of a service")
        until(lambda: "of a service" in engine.snapshot().warnings, "it is an event")
    assert services.stop() == []
    lines = lines_of(tmp_path / "velox.log")
    engine_lines = [line for line in lines if line["from"] == "engine"]
    told = [line["text"] for line in engine_lines]
    assert told[:3] == ["running", "paused", "running"]
    assert told[-3:] == ["draining: stopped", "drained: stopped", "stopped: stopped"]
    assert "of a service" in told
    started = lines[0]
    assert (started["text"], started["seed"], started["source"]) == ("started", 7, "synthetic")
    assert started["log"] == str(tmp_path / "velox.log")
    by_text = {line["text"]: line for line in lines}
    assert (by_text["of the screen"]["from"], by_text["of the screen"]["panel"]) == ("screen", "depth")
    assert by_text["complains of something"]["from"] == "some.library"
    assert "says nothing of note" not in by_text
    last = engine_lines[-1]
    assert last["generated"] == last["output"] == engine.report().output["transactions"]
    assert stat.S_IMODE((tmp_path / "velox.log").stat().st_mode) == 0o600
    assert all({"time", "level", "engine", "pid"} <= set(line) for line in lines)
    assert not any(handler for handler in logging.getLogger().handlers if "Entrance" in type(handler).__name__)


@pytest.mark.parametrize("level, words", [("warning", {"warning", "error"}), ("error", {"error"})])
def test_the_level_decides_what_is_written(tmp_path, level, words):
    services = services_of(tmp_path, log__level=level)
    services.prepare()
    for severity in ("info", "warning", "error"):
        services.log.record(severity, severity)
    services.stop()
    assert {line["level"] for line in lines_of(tmp_path / "velox.log")} == words


def test_at_the_level_debug_every_second_is_written(engine, tmp_path):
    services = services_of(tmp_path, log__level="debug")
    services.prepare()
    services.start(engine)
    path = tmp_path / "velox.log"
    until(lambda: path.read_text().count('"sample"') >= 2, "two seconds have passed")
    services.stop()
    samples = [line for line in lines_of(path) if line["text"] == "sample"]
    assert all(line["level"] == "debug" and line["state"] == "running" for line in samples)
    assert samples[0]["output"] < samples[-1]["output"]
    assert [line["time"] for line in samples] == sorted({line["time"] for line in samples})


def test_two_engines_of_one_name_write_two_files(engine, tmp_path):
    one, two = services_of(tmp_path), services_of(tmp_path)
    one.prepare()
    two.prepare()
    two.start(engine)
    assert (one.log.path, two.log.path) == (tmp_path / "velox.log", tmp_path / "velox-2.log")
    text = f"log: another engine writes {tmp_path / 'velox.log'}, this one {tmp_path / 'velox-2.log'}"
    until(lambda: any(event.text == text for event in engine.reader().events()), "it is told as an event")
    one.stop()
    two.stop()
    assert text in [line["text"] for line in lines_of(tmp_path / "velox-2.log")]


def test_the_usual_place_is_the_state_directory_or_what_systemd_gives(tmp_path, monkeypatch):
    for variable in ("XDG_STATE_HOME", "STATE_DIRECTORY", "LOGS_DIRECTORY"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
        services = Services(configured(pipeline__name="mine"), lambda config, tell: [])
        services.prepare()
        services.log.record("info", "here")
        services.stop()
        (path,) = (tmp_path / variable).rglob("*.log")
        assert path.name == "mine.log"
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_place_that_cannot_be_written_is_one_warning_and_the_run_goes_on(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    config = configured(pipeline__ingress_rate_hz="max", pipeline__count=1000)
    services = Services(config, lambda config, tell: [])
    services.prepare()
    ((severity, text),) = services.notes
    assert severity == "warning"
    assert text.startswith(f"log: {tmp_path / 'file'}")
    assert "cannot be written: Not a directory; the run goes on" in text
    with Engine(config) as engine:
        services.start(engine)
        engine.wait(60)
    late = services.stop()
    assert engine.report().warnings == [text]
    assert len(late) == 1
    assert "records could not be written to" in late[0]
    assert engine.report().conserved


@pytest.mark.parametrize("file, says", [("no/such/x.log", "there is no directory"), (".", "is a directory")])
def test_a_file_that_can_never_be_written_is_wrong_use(tmp_path, monkeypatch, file, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=says):
        Services(configured(log__file=file), lambda config, tell: []).prepare()


def test_no_log_is_no_log(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    services = Services(configured(log__file="none"), lambda config, tell: [])
    services.prepare()
    services.log.record("error", "nobody hears")
    assert services.log.reopen() == "there is no log file to open anew"
    services.stop()
    assert list(tmp_path.iterdir()) == []


def test_what_was_told_before_a_start_that_failed_is_written(tmp_path):
    services = services_of(tmp_path)
    services.prepare()
    services.tell("warning", "told early")
    services.stop()
    assert [line["text"] for line in lines_of(tmp_path / "velox.log")] == ["told early"]


@pytest.mark.parametrize(
    "settings, speaks",
    [({}, False), ({"log__stderr": "records"}, True), ({"log__format": "json"}, True),
     ({"log__level": "warning"}, True), ({"log__format": "json", "log__stderr": "messages"}, False)],
)  # fmt: skip
def test_standard_error_gets_records_where_they_are_wanted(tmp_path, settings, speaks):
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream:
        messages = LineOutput(stream)
        config = configured(log__file="none", **settings)
        services = Services(config, lambda config, tell: [], messages)
        services.prepare()
        assert services.log.speaks is speaks
        services.log.record("warning", "heard")
        logging.getLogger("a.library").warning("broken %d", 1)
        services.stop()
        messages.close()
    heard = os.read(read, 65_536).decode().splitlines()
    os.close(read)
    assert len(heard) == 1 + speaks, "libraries are always heard"
    assert "broken 1" in heard[-1]
    if not speaks:
        assert heard == ["velox-tui: a.library: broken 1"]
    elif settings.get("log__format") == "json":
        assert [json.loads(line)["text"] for line in heard] == ["heard", "broken 1"]


def test_the_thread_of_a_library_that_logs_never_waits_for_the_disk(tmp_path, monkeypatch):
    services = services_of(tmp_path)
    services.prepare()
    hold = threading.Event()
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: (hold.wait(30), real(descriptor, data))[1])
    for number in range(2000):
        services.log.record("info", f"line {number}")
    hold.set()
    services.stop()
    assert len(lines_of(tmp_path / "velox.log")) == 2000


def test_events_of_others_have_no_number():
    assert Event(1, "info", "x").number == -1
    assert Event(1, "info", "x", {"a": 1}) == Event(1, "info", "x", {"a": 2})
