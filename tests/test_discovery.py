"""Finding engines by what they leave in the directory of regions, whatever else lies there."""

import contextlib
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.attaching import command, opened, own_directory
from velox_engine import discovery
from velox_engine.attached import AttachedEngine, damage_told
from velox_engine.discovery import find_engines, matching, remove, tidy
from velox_engine.errors import EngineError, RegionError
from velox_engine.snapshot import State
from velox_engine.steering.protocol import control_path
from velox_engine.telemetry import layout, region
from velox_engine.telemetry.layout import GUARD_WORDS, Block, checksum_of
from velox_engine.telemetry.region import RUN_VARIABLE, process_start, region_directory
from velox_engine.telemetry.region_file import open_region
from velox_tui import finding
from velox_tui.commands.snapshot import as_json, told
from velox_tui.listing import row_of, table
from velox_tui.options import UsageError
from velox_tui.past import past_rows


@pytest.fixture(autouse=True)
def folder():
    with own_directory() as path:
        yield path


def dead(name="velox", **header):
    """Make the region of a process that has gone: its pid is another's now."""
    return opened(name, HEADER_PID_STARTED=process_start(os.getpid()) + 7, **header)


def rewritten(path, **header):
    """Change header words in a region's file."""
    words = np.memmap(path, np.int64, "r+")
    for word, value in header.items():
        words[getattr(layout, word)] = value
    words.flush()


# ---- who lives


def test_a_region_tells_who_wrote_it_and_that_he_lives():
    made = opened("alpha")
    (found,) = find_engines()
    assert (found.name, found.pid, found.alive, found.problem) == ("alpha", os.getpid(), True, None)
    assert found.path == made.path
    assert found.who == f"alpha (pid {os.getpid()})"
    assert found.control == made.path.with_suffix(".control")


def test_another_process_with_the_pid_of_a_dead_engine_is_not_taken_for_it():
    dead()
    assert [each.alive for each in find_engines()] == [False]


def test_a_process_that_only_waits_to_be_asked_about_is_dead():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_start(child.pid)
    opened(HEADER_PID=child.pid, HEADER_PID_STARTED=started)
    assert [each.alive for each in find_engines()] == [True]
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and still in the table of processes
    assert [each.alive for each in find_engines()] == [False]
    child.wait()
    child.stdin.close()


def test_when_a_process_started_does_not_change_with_the_wall_clock(monkeypatch):
    before = process_start(os.getpid())
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert process_start(os.getpid()) == before > 0
    assert process_start(0) == process_start(-5) == process_start(10**12) == 0


def test_a_process_of_another_namespace_is_known_by_its_socket():
    made = dead()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(control_path(made.path)))
    listener.listen()
    (found,) = find_engines()
    assert found.alive
    assert not remove(found)
    assert made.path.exists()
    listener.close()
    assert [each.alive for each in find_engines()] == [False]


def test_the_living_come_first_then_the_youngest():
    for created, made in enumerate([dead("c"), opened("b"), dead("d"), opened("a")]):
        made.words[layout.HEADER_CREATED_UNIX_NS] = created + 1
    assert [each.name for each in find_engines()] == ["a", "b", "d", "c"]


def test_a_name_means_the_living_where_there_are_both():
    for each in (dead("twin"), opened("twin"), dead("gone")):
        assert each.path.exists()
    known = find_engines()
    assert [each.alive for each in matching(known, "twin")] == [True]
    assert [each.alive for each in matching(known, "gone")] == [False]
    assert matching(known, "nobody") == []
    assert len(matching(known, None)) == 1
    assert {each.pid for each in matching(known, str(os.getpid()))} == {os.getpid()}


# ---- what cannot be read


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"HEADER_VERSION": 9}, "has telemetry layout 9, this program reads layout 1"),
        ({"HEADER_MAGIC": 0}, "is no telemetry region, or is not ready yet"),
        ({"HEADER_BLOCKS": 3}, "is damaged: it has no block"),
        ({"HEADER_BLOCKS": 2**40}, "is damaged: its block directory lies outside"),
        ({"HEADER_NS_PER_TICK": 0}, "is damaged: a tick of its clock is 0.0 ns"),
        ({"HEADER_NS_PER_TICK": -1}, "is damaged: a tick of its clock is nan ns"),
    ],
)
def test_what_cannot_be_read_is_found_by_its_files_name_and_says_why(words, said):
    opened("x-1.y", **words)
    (found,) = find_engines()
    assert found.problem.startswith(said)
    assert (found.name, found.pid, found.alive) == ("x-1.y", os.getpid(), True)
    row = row_of(found)
    assert (row["state"], row["problem"]) == ("unreadable", found.problem)
    with pytest.raises(RegionError) as caught:
        AttachedEngine(found)
    assert (caught.value.path, caught.value.problem) == (found.path, found.problem)


@pytest.mark.parametrize("entry", ["ENTRY_LENGTH", "ENTRY_INDEX", "ENTRY_VERSION", "ENTRY_KIND"])
def test_a_block_of_another_kind_size_or_version_is_refused(entry):
    made = opened()
    at = int(made.words[layout.HEADER_DIRECTORY]) + getattr(layout, entry)
    made.words[at] += 1
    with pytest.raises(
        RegionError, match=r"is damaged: it has no block \S+ \d|its block control 0 has 17 words|has a block control 1"
    ):
        open_region(made.path)


def test_a_huge_file_with_huge_blocks_is_refused_before_anything_is_read():
    made = opened()
    for row in range(int(made.words[layout.HEADER_BLOCKS])):
        entry = int(made.words[layout.HEADER_DIRECTORY]) + row * layout.ENTRY_LENGTH_WORDS
        if made.words[entry + layout.ENTRY_KIND] == Block.INSTRUMENTS:
            made.words[entry + layout.ENTRY_LENGTH] = layout.INSTRUMENTS_FIRST + (1 << 32) * layout.INSTRUMENT_WORDS
    os.truncate(made.path, 1 << 40)  # of which nothing takes up memory
    with pytest.raises(RegionError, match="is damaged: its blocks claim more than 128 MiB"):
        open_region(made.path)


def test_what_is_no_file_of_this_user_alone_is_refused_and_nothing_waits_for_it(folder):
    made = opened("shared")
    made.path.chmod(0o644)
    os.mkfifo(folder / "pipe-1.telemetry", 0o600)
    (folder / "folder-2.telemetry").mkdir(mode=0o700)
    (folder / "link-3.telemetry").symlink_to(made.path)
    (folder / "odd.telemetry").write_bytes(b"")
    (folder / "odd.telemetry").chmod(0o600)
    problems = {each.name: each.problem for each in find_engines()}
    assert "is not a file of this user alone" in problems["shared"]
    assert problems["pipe"] == problems["folder"] == "is no file"
    assert problems["link"].startswith("cannot be opened: ")
    assert problems["odd"] == "is no telemetry region: 0 bytes"


def test_a_region_that_is_cut_off_while_it_is_read_harms_nobody():
    made = opened()
    engine = AttachedEngine(find_engines()[0])
    assert engine.snapshot().name == "velox"
    os.truncate(made.path, 512)
    with pytest.raises(RegionError, match="has been cut off"):
        engine.snapshot()
    assert engine.state is State.FAILED
    assert engine.wait_stopped(0)


_ODD = (0, 1, -1, 2**63 - 1, -(2**63), 2**31, -5, 77, 2**40)
_TEXTS = (b"[" * 9_000, b'{"source": 3}', b"[1, 2]", b"1" * 5_000, b'"x"', b'{"book_outcomes": 5}', b"\xff")


@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_region_holds_it_is_read_or_called_damaged(seed):
    """Blocks that are whole, with whatever in them: an error that says so, no crash, and no long time."""
    made = opened(workers=3)
    whole, chance = made.words.copy(), random.Random(seed)
    (found,) = find_engines()
    read = 0
    for _ in range(60):
        made.words[:] = whole
        for (kind, _index), place in chance.sample(sorted(made.places.items()), 4):
            payload = made.words[place.at + GUARD_WORDS : place.at + GUARD_WORDS + place.length]
            for _ in range(chance.randint(1, 6)):
                payload[chance.randrange(min(place.length, 64))] = chance.choice(_ODD)
            if kind in (Block.CONFIG, Block.WARNINGS) and chance.random() < 0.7:
                text = chance.choice(_TEXTS)[: (place.length - 1) * 8]
                payload[0] = len(text)
                payload[1:].view(np.uint8)[: len(text)] = list(text)
            if kind is not Block.CURSORS:
                made.words[place.at] += 2
                made.words[place.at + 1] = checksum_of(payload, int(made.words[place.at]))
        assert table([row_of(found)])
        with contextlib.suppress(RegionError):
            with damage_told(found.path):
                reader = AttachedEngine(found).reader()
                snapshot = reader.read()
                told(found, snapshot, reader.throughput(), reader.silent_s())
                as_json(found, snapshot, 1.0, 1.0)
                past_rows(reader.samples(), snapshot, 2)
                assert len(reader.events()) <= layout.EVENTS_KEPT + 32
                reader.instruments()
                reader.books()
            read += 1
    assert 0 < read < 60


# ---- whose directory it is


def test_nothing_is_believed_of_a_directory_that_is_not_this_users_alone(folder, tmp_path):
    opened()
    folder.chmod(0o755)
    with pytest.raises(PermissionError, match="not a directory of this user alone"):
        find_engines()
    for words in (["ps"], ["snapshot"], ["ctl", "pause"]):
        code, out, err = command(tmp_path, *words)
        assert (code, out) == (1, "")
        assert err == f"velox-tui: {folder} is not a directory of this user alone\n"
    folder.chmod(0o700)
    assert len(find_engines()) == 1


def test_before_the_first_engine_there_is_none(folder):
    folder.rmdir()
    assert find_engines() == []
    tidy()
    assert not folder.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_an_engine_of_another_user_is_refused_in_a_sentence(tmp_path, monkeypatch):
    """The directory of regions of a user who has none of his own, beside another's."""
    opened()
    (tmp_path / "velox-65534").mkdir(mode=0o700)
    os.chown(tmp_path / "velox-65534", 65534, 65534)
    monkeypatch.delenv(RUN_VARIABLE)
    monkeypatch.setattr(region, "_MEMORY", tmp_path)
    assert region_directory() == tmp_path / "velox-0"
    with pytest.raises(UsageError) as caught:
        finding.the_one(None)
    assert str(caught.value).startswith("no engine runs; velox-tui starts one (engines of user ")
    assert str(caught.value).endswith("can be watched by their owners only)")
    other = subprocess.Popen(["sleep", "600"], user=65534)
    try:
        with pytest.raises(UsageError, match=rf"process {other.pid} belongs to user \S+, who alone can attach to it"):
            finding.the_one(str(other.pid))
    finally:
        other.kill()
        other.wait()


# ---- removing


def test_what_a_dead_engine_left_is_removed_and_that_of_a_living_one_never():
    gone, lives = dead("gone"), opened("lives")
    for each in (gone, lives):
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(control_path(each.path)))
        left.close()
    for each in find_engines():
        assert remove(each) is not each.alive
    assert lives.path.exists()
    assert control_path(lives.path).exists()
    assert not gone.path.exists()
    assert not control_path(gone.path).exists()


def test_the_next_start_leaves_the_last_crashes_to_be_read_and_removes_older_ones_and_lonely_sockets(folder):
    for number in range(discovery._KEPT_DEAD + 3):
        dead(f"crash{number}").words[layout.HEADER_CREATED_UNIX_NS] = number + 1
    opened("lives")
    lonely = socket.socket(socket.AF_UNIX)
    lonely.bind(str(folder / "gone-1.control"))
    lonely.close()
    busy = socket.socket(socket.AF_UNIX)
    busy.bind(str(folder / "other-1.control"))
    busy.listen()
    tidy()
    busy.close()
    names = [each.name for each in find_engines()]
    assert names == ["lives", *(f"crash{number}" for number in reversed(range(3, discovery._KEPT_DEAD + 3)))]
    assert {path.name for path in folder.glob("*.control")} == {"other-1.control"}


# ---- the commands, where no engine answers


def test_ps_says_that_nothing_runs(tmp_path):
    assert command(tmp_path, "ps") == (0, "no engine runs\n", "")
    assert command(tmp_path, "ps", "--json") == (0, "[]\n", "")
    assert command(tmp_path, "ps", "--remove-dead") == (0, "no engine runs\n", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["snapshot"], "no engine runs; velox-tui starts one"),
        (["snapshot", "alpha"], "no engine is called alpha, and none runs; velox-tui starts one"),
        (["ctl", "pause"], "no engine runs; velox-tui starts one"),
        (["ctl", "stop", "999999999"], "process 999999999 does not exist"),
        (["snapshot", "1", "2"], "unexpected argument 2"),
        (["ctl"], "expected a command; allowed is one of pause, resume, drain, stop, rate, max"),
        (["ctl", "explode"], "got explode; allowed is one of pause, resume, drain, stop, rate, max"),
        (["ctl", "rate"], 'rate: expected a number of transactions a second, or "max"'),
        (["ctl", "rate", "0"], "rate: pipeline.ingress_rate_hz: got 0; allowed is a number from 0.000001"),
        (["ctl", "rate", "nan"], "rate: pipeline.ingress_rate_hz: got nan; allowed is a number from 0.000001"),
        (["ctl", "pause", "a", "b"], "unexpected argument b"),
        (["ctl", "pause", "--now"], "--now: goes with stop only, not with pause"),
        (["ctl", "stop", "--timeout", "-1"], "--timeout: got -1; allowed is a number of seconds above 0"),
        (["ctl", "stop", "--timeout", "soon"], "--timeout: got soon; allowed is a number of seconds above 0"),
        (["ps", "x"], "unexpected argument x"),
        (["ps", "--jsn"], "unknown option --jsn, the nearest is --json"),
        (["attach", "a", "b"], "unexpected argument b"),
        (["attach", "--set", "bundle.max_size=3"], "--set: got bundle.max_size; allowed is ui.*"),
        (["attach"], "standard input is no terminal: attach needs one; velox-tui snapshot prints one look"),
    ],
    ids=lambda each: each if isinstance(each, str) else " ".join(each),
)
def test_wrong_use_is_told_in_one_line(tmp_path, words, said):
    code, out, err = command(tmp_path, *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"velox-tui: {said}")
    assert err.count("\n") == 1


def test_the_commands_tell_of_what_has_died(tmp_path):
    opened("spoiled", HEADER_VERSION=3)
    assert dead("gone").path.exists()
    code, out, err = command(tmp_path, "snapshot", "gone")
    assert (code, err) == (0, "")
    assert out.startswith(f"gone (pid {os.getpid()}) DEAD: its process has gone; this is the last that it wrote")
    code, out, err = command(tmp_path, "ctl", "pause", "gone")
    assert (code, out) == (2, "")
    assert err == f"velox-tui: gone (pid {os.getpid()}) has died; velox-tui ps --remove-dead takes away what is left\n"
    code, out, err = command(tmp_path, "snapshot", "spoiled")
    said = "cannot be read: it has telemetry layout 3, this program reads layout 1"
    assert (code, out, err) == (1, "", f"velox-tui: spoiled (pid {os.getpid()}) {said}\n")
    code, out, err = command(tmp_path, "ps")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[1].split()[:3] == ["spoiled", str(os.getpid()), "unreadable"]
    assert lines[2].split()[:3] == ["gone", str(os.getpid()), "dead"]
    assert lines[3].startswith("dead: velox-tui snapshot or attach still reads them; velox-tui ps --remove-dead")
    code, out, err = command(tmp_path, "ps", "--remove-dead")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"removed gone (pid {os.getpid()})"
    assert [each.name for each in find_engines()] == ["spoiled"]


def test_engines_of_one_name_are_told_apart_by_pid_alone(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        opened("twin")
        opened("twin", HEADER_PID=child.pid, HEADER_PID_STARTED=process_start(child.pid))
        code, out, err = command(tmp_path, "snapshot", "twin")
        assert (code, out) == (2, "")
        assert err.startswith("velox-tui: 2 engines run: twin (pid ")
        assert err.endswith("; give the pid of one\n")
        code, out, err = command(tmp_path, "snapshot", str(child.pid))
        assert (code, err) == (0, "")
        assert out.startswith(f"twin (pid {child.pid}) starting")
        code, out, err = command(tmp_path, "snapshot", "twni")
        assert (code, out) == (2, "")
        assert err.startswith("velox-tui: no engine is called twni, the nearest is twin; there are twin (pid ")
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()


def test_a_name_in_a_region_cannot_write_to_the_terminal(tmp_path):
    made = opened("x")
    made.words[layout.HEADER_NAME : layout.HEADER_NAME + layout.HEADER_NAME_WORDS].view(np.uint8)[:6] = list(
        b"a\x1b[31m"
    )
    for words in (["ps"], ["snapshot"]):
        code, out, _ = command(tmp_path, *words)
        assert code == 0
        assert "\x1b" not in out


def test_the_directory_is_named_by_a_variable_and_made_for_the_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setenv(RUN_VARIABLE, str(tmp_path / "here" / "regions"))
    made = opened()
    assert made.path.parent == tmp_path / "here" / "regions"
    assert stat.S_IMODE(made.path.parent.stat().st_mode) == 0o700
    made.remove()


def test_an_engine_that_cannot_be_steered_says_why():
    opened()
    engine = AttachedEngine(find_engines()[0])
    for ask in (engine.pause, engine.drain, lambda: engine.set_rate(5), lambda: engine.watch(0), engine.request_stop):
        with pytest.raises(EngineError, match="cannot be steered: it has no control socket"):
            ask()
