"""What is done to ``velox-tui``, each with what must hold afterwards. Every case takes a fresh home and a source of
chance, and raises `AssertionError` for a broken promise.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from tests.running import PATIENCE_S, Velox, assert_accounted_for, report_at, until
from tests.torture.namespaces import locked_memory_files, no_memory_files, small_disk
from tests.ui_terminal import Terminal
from velox_engine.errors import RegionError
from velox_engine.feeds.journal import JournalFeed
from velox_engine.snapshot import State
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.telemetry.region_file import open_region

_CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}
_STATES = {"running": State.RUNNING, "paused": State.PAUSED, "drained": State.DRAINED}


class Tortured(Velox):
    """A headless run in a place of its own: home, regions and sockets."""

    def __init__(self, home: Path, *arguments: str, env: dict[str, str] | None = None, **how: object) -> None:
        self.run = home / "run"
        surroundings = {"VELOX_RUN_DIR": str(self.run), **(env or {})}
        super().__init__(home, "--no-ui", *arguments, env=surroundings, **how)

    def region(self) -> Path | None:
        return next(iter(self.run.glob("*.telemetry")), None)

    def snapshot(self):  # type: ignore[no-untyped-def]
        return _snapshot(self.region())

    def steer(self, do: str) -> None:
        """Ask for something as ``velox-tui ctl`` does, and wait for no effect."""
        path = next(iter(self.run.glob("*.control")), None)
        if path is None:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(PATIENCE_S)
            try:
                client.connect(str(path))
                client.sendall(json.dumps({"id": 1, "do": do}).encode() + b"\n")
                client.recv(4096)
            except OSError:  # it ends just now
                return

    def left(self) -> list[str]:
        """What lies in the place of regions and sockets."""
        return sorted(path.name for path in self.run.glob("*")) if self.run.is_dir() else []


def clean_end(velox: Tortured, codes: set[int], *, killed: bool = False) -> tuple[int, str]:
    """Wait for the end; check the code, standard error, and that nothing is left."""
    code, _, err = velox.end()
    assert code in codes, f"exit code {code}, expected one of {sorted(codes)}; {err}"
    assert "Traceback" not in err, err
    if not killed:
        assert velox.left() == [], f"left behind: {velox.left()}"
    return code, err


def _snapshot(path: Path | None):  # type: ignore[no-untyped-def]
    """Look at a region as a watcher does; ``None`` while that is not possible."""
    if path is None:
        return None
    try:
        region = open_region(path)
    except RegionError:  # not ready, or just gone
        return None
    try:
        return TelemetryReader(region).read()
    except (RegionError, ValueError):
        return None
    finally:
        region.close()


def _is_running(run: Path, pid: int) -> bool:
    found = _snapshot(next(iter(run.glob(f"*-{pid}.telemetry")), None))
    return found is not None and found.output.processed > 0


def _arguments(choose: random.Random) -> list[str]:
    rate = choose.choice(("max", "1000000", "100000", "5000"))
    rings = [f"buffers.{ring}_ring_size={2 ** choose.randint(6, 12)}" for ring in ("ingress", "bundle", "output")]
    several = [
        *rings,
        f"bundle.max_size={choose.choice((1, 16, 256))}",
        f"pipeline.batch={choose.choice((1, 16, 256))}",
    ]
    return ["--rate", rate, "--report", "r.json", *(word for each in several for word in ("--set", each))]


def _reach(velox: Tortured, state: str) -> None:
    """Bring a run into a state; ``draining`` and ``stopping`` are caught on the way, as well as chance has it."""
    velox.until(lambda snapshot: snapshot.state >= State.RUNNING, "it runs")
    if state in ("paused", "drained"):
        velox.steer("pause" if state == "paused" else "drain")
        velox.until(lambda snapshot: snapshot.state >= _STATES[state], f"it is {state}")
    elif state in ("draining", "stopping"):
        velox.steer("drain" if state == "draining" else "stop")


def signals(home: Path, choose: random.Random) -> str:
    """A signal, or two, in any state: it ends with its number and accounts for everything."""
    state = choose.choice(("starting", "running", "running", "paused", "draining", "drained", "stopping"))
    sent = choose.choice([(signal.SIGTERM,), (signal.SIGINT,), (signal.SIGTERM, signal.SIGINT), (signal.SIGINT,) * 2])
    with Tortured(home, *_arguments(choose)) as velox:
        if state == "starting":
            until(lambda: velox.left() or velox.process.poll() is not None, "its region is there")
        else:
            _reach(velox, state)
        time.sleep(choose.choice((0, 0.001, 0.01, 0.1)) * choose.random())
        for number in sent:
            velox.process.send_signal(number)
            time.sleep(0.01 * choose.random())
        # two that come before the interpreter looks are seen in the order of their numbers
        expected = {_CODES[number] for number in sent} | (
            {0} if state == "stopping" else set()
        )  # it may have ended before
        clean_end(velox, expected)
    if (home / "r.json").exists():
        assert_accounted_for(report_at(home))
    return f"{state}: {' '.join(signal.Signals(number).name for number in sent)}"


def hangups(home: Path, choose: random.Random) -> str:
    """SIGHUP, as often as one likes, reopens what is to be reopened; the run goes on."""
    with Tortured(home, *_arguments(choose)) as velox:
        velox.until_running()
        for _ in range(choose.randint(1, 20)):
            velox.process.send_signal(signal.SIGHUP)
            time.sleep(0.01 * choose.random())
        before = velox.snapshot().output.processed
        velox.until(lambda snapshot: snapshot.output.processed > before, "it goes on")
        velox.process.send_signal(signal.SIGTERM)
        clean_end(velox, {143})
    assert_accounted_for(report_at(home))
    return "SIGHUP"


def suspended(home: Path, choose: random.Random, seconds: float = 60.0) -> str:
    """SIGSTOP for a minute: what was due meanwhile comes after it, late as it is, and the latencies show that."""
    rate = choose.choice((1000, 5000, 20_000))
    with Tortured(home, "--rate", str(rate), "--report", "r.json") as velox:
        velox.until_running()
        velox.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        before = velox.snapshot()
        velox.process.send_signal(signal.SIGCONT)
        due = int(before.output.processed + 0.9 * rate * seconds)
        velox.until(lambda snapshot: snapshot.output.processed >= due, f"{due:,} are out, all that was due meanwhile")
        velox.process.send_signal(signal.SIGTERM)
        clean_end(velox, {143})
    report = report_at(home)
    assert_accounted_for(report)
    largest = report["latency_ns"]["end_to_end"]["max"] * 1e-9
    assert largest > 0.9 * seconds, f"a largest latency of {largest:.3f} s hides {seconds:g} s of standing still"
    return f"{seconds:g} s, {rate:,} a second"


def stopped_and_continued(home: Path, choose: random.Random, seconds: float = 1.5) -> str:
    """SIGSTOP for a moment: it goes on, drains, and loses nothing."""
    with Tortured(home, *_arguments(choose)) as velox:
        velox.until_running()
        velox.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds * (0.5 + choose.random()))
        velox.process.send_signal(signal.SIGCONT)
        before = velox.snapshot()
        if before is not None:
            velox.until(lambda snapshot: snapshot.output.processed > before.output.processed, "it goes on")
        velox.process.send_signal(signal.SIGTERM)
        clean_end(velox, {143})
    assert_accounted_for(report_at(home))
    return f"{seconds:g} s stopped"


def killed(home: Path, choose: random.Random) -> str:
    """SIGKILL: the journal is read up to its last whole block, without a gap; the next start takes the name again."""
    words = ["--name", "same", "--rate", "max", "--seed", "7", "--sink", "out.journal"]
    with Tortured(home, *words) as velox:
        velox.until(lambda snapshot: snapshot.output.processed > choose.choice((1, 10_000, 500_000)), "output has some")
        time.sleep(0.2 * choose.random())
        velox.process.kill()
        velox.process.wait()
        last = velox.snapshot()
        velox.end()
    feed = JournalFeed(home / "out.journal")
    count = sum(len(batch) for batch in feed)  # a damaged block would be a FeedError
    assert feed.oddities.cut_off is not None
    assert feed.oddities.gaps == 0
    assert last is not None, "the region of a killed engine stays readable"
    assert count >= last.sink_written, f"the journal has {count}, {last.sink_written} were told as written"
    with Tortured(home, "--name", "same", "--count", "1000", "--report", "r.json") as velox:
        code, err = velox.end()[::2]
        assert (code, "Traceback" in err) == (0, False), err
        sockets = [name for name in velox.left() if name.endswith(".control")]
        assert sockets == [], f"sockets left: {sockets}"
    assert_accounted_for(report_at(home))
    return f"killed; {count:,} records in its journal"


def file_too_large(home: Path, choose: random.Random) -> str:
    """No room for the journal (RLIMIT_FSIZE): counted as lost, exit code 1, the flow goes on, the journal is whole."""
    limit = choose.randint(1, 8) << 20

    def no_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    words = ["--count", "400000", "--rate", "max", "--sink", "out.journal", "--report", "r.json"]
    with Tortured(home, *words, preexec_fn=no_room) as velox:
        _, err = clean_end(velox, {1, 2})
    if not (home / "r.json").exists():  # the region's own file found no room: refused before anything ran
        assert err
        return "no room for anything"
    report = report_at(home)
    assert report["conserved"]
    assert report["sink"]["lost"] > 0
    assert report["sink"]["written"] + report["sink"]["lost"] == report["output"]["transactions"] == 400_000
    feed = JournalFeed(home / "out.journal")
    assert sum(len(batch) for batch in feed) == report["sink"]["written"]
    return f"{limit >> 20} MiB for files"


def disk_fills(home: Path, choose: random.Random) -> str:
    """A disk that fills under journal, report and log: what is lost is told; the flow goes on, the journal is whole."""
    disk, rescued = home / "disk", home / "rescued"
    disk.mkdir()
    rescued.mkdir()
    kib = choose.randint(64, 6000)
    full = choose.random() < 0.2
    words = ["--count", "200000", "--rate", "max", "--sink", "disk/out.journal", "--report", "disk/r.json"]
    words += ["--set", "log.file=disk/velox.log", "--set", "log.level=debug"]
    with Tortured(home, *words, under=small_disk(disk, kib, 2 * kib if full else 0, rescued)) as velox:
        code, err = clean_end(velox, {1, 2})
    if code == 2:  # not even the journal's first block: refused before anything ran
        assert "No space left on device" in err, err
        return f"{kib} KiB, {'full' if full else 'empty'}: refused"
    if "could not be written to disk/r.json: No space left on device" in err:
        report = json.loads(err[err.index("{\n") : err.rindex("\n}") + 2])
    else:  # the journal went back to its last whole block, which left room enough
        report = report_at(rescued)
    assert_accounted_for(report)
    assert report["output"]["transactions"] == 200_000
    assert report["sink"]["lost"] > 0
    assert report["sink"]["written"] + report["sink"]["lost"] == 200_000
    feed = JournalFeed(rescued / "out.journal")
    assert sum(len(batch) for batch in feed) == report["sink"]["written"]
    for line in (rescued / "velox.log").read_text(errors="replace").splitlines()[:-1]:  # the last may have been cut
        json.loads(line)
    return f"{kib} KiB: {report['sink']['written']:,} written, {report['sink']['lost']:,} lost"


def no_shared_memory(home: Path, choose: random.Random) -> str:
    """No /dev/shm: the region lies in the user's runtime directory. One that is locked: it runs unseen, and says so."""
    locked = choose.random() < 0.5
    (home / "dev").mkdir()
    runtime = home / "runtime"
    runtime.mkdir(mode=0o700)
    env = {"VELOX_RUN_DIR": "", "XDG_RUNTIME_DIR": str(runtime)}
    under = locked_memory_files() if locked else no_memory_files(home / "dev")
    if locked:
        with Tortured(home, "--count", "1000", "--report", "r.json", env=env, under=under) as velox:
            _, err = clean_end(velox, {0})
        assert "Read-only file system" in err, err
    else:
        with Tortured(home, "--rate", "5000", "--report", "r.json", env=env, under=under) as velox:
            velox.run = runtime / "velox-tui"
            velox.until_running()
            assert velox.region() is not None, "ended before it was seen"
            velox.steer("stop")
            clean_end(velox, {0})
    assert_accounted_for(report_at(home))
    return "locked" if locked else "none"


def cold_compile(home: Path, choose: random.Random, finish: bool = True) -> str:
    """A signal, or two, while everything is compiled for the first time; ``finish``: the next start then succeeds."""
    cache = home / "cache"
    sent = choose.choice([(signal.SIGTERM,), (signal.SIGINT,), (signal.SIGTERM, signal.SIGINT), (signal.SIGINT,) * 2])
    with Tortured(home, "--count", "1000", cache=cache) as velox:
        until(lambda: velox.left() or velox.process.poll() is not None, "its region is there")
        time.sleep((20 if finish else 2) * choose.random())
        for number in sent:
            velox.process.send_signal(number)
            time.sleep(0.3 * choose.random())
        _, err = clean_end(velox, {_CODES[number] for number in sent} | ({0} if finish else set()))
        assert "nothing was run" in err or "leaving" in err or finish, err
    names = " ".join(signal.Signals(number).name for number in sent)
    if not finish:
        return names
    with Tortured(home, "--count", "1000", "--report", "r.json", cache=cache) as velox:
        clean_end(velox, {0})
    assert_accounted_for(report_at(home))
    return f"{names}, then a start that succeeds"


def full_device(home: Path, choose: random.Random) -> str:
    """A report that cannot be written goes to standard error, and says so."""
    with Tortured(home, "--count", "1000", "--report", "/dev/full") as velox:
        code, _, err = velox.end()
        assert "could not be written to /dev/full: No space left on device" in err, err
        assert "Traceback" not in err, err
        assert code in (0, 1)
        assert velox.left() == []
    told = err[err.index("{") : err.rindex("}") + 1]
    assert_accounted_for(json.loads(told))
    return "/dev/full"


def few_descriptors(home: Path, choose: random.Random) -> str:
    """Hardly any file descriptors: it runs, or says in a line what it lacks."""
    limit = choose.randint(6, 40)

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    with Tortured(home, "--count", "1000", "--report", "r.json", preexec_fn=few) as velox:
        code, err = clean_end(velox, {0, 1, 2})
    if code == 0:
        assert_accounted_for(report_at(home))
    else:
        assert err.startswith("velox-tui: "), err
    return f"{limit} descriptors: exit code {code}"


def one_name_twice(home: Path, choose: random.Random) -> str:
    """Two engines of one name: each has its own region and socket, both end well."""
    words = ["--name", "twin", "--rate", "10000"]
    with Tortured(home, *words, "--report", "r.json") as one, Tortured(home, *words, "--report", "s.json") as other:
        for each in (one, other):
            until(
                lambda each=each: _is_running(home / "run", each.process.pid) or each.process.poll() is not None,
                "it runs",
            )
        assert len(list((home / "run").glob("*.control"))) == 2
        for each in choose.sample([one, other], 2):
            each.process.send_signal(signal.SIGTERM)
        assert {one.end()[0], other.end()[0]} <= {143}
        assert one.left() == []
    assert_accounted_for(report_at(home))
    assert_accounted_for(report_at(home, "s.json"))
    return "two of one name"


def no_place(home: Path, choose: random.Random) -> str:
    """No place for the region and no home that can be written: it runs all the same, and says what is missing."""
    env = {"VELOX_RUN_DIR": "/proc/nowhere", "HOME": "/proc/nowhere", "XDG_CONFIG_HOME": "/proc/nowhere"}
    report = home / "r.json"
    with Tortured(home, "--count", "1000", "--report", str(report), env=env) as velox:
        _, err = clean_end(velox, {0})
    assert "telemetry" in err or "watch" in err, err
    assert_accounted_for(report_at(home))
    return "no home, no memory files"


def terminal_ends(home: Path, choose: random.Random) -> str:
    """A signal with the screen at any moment, or a terminal that vanishes: the terminal is as it was."""
    env = {"VELOX_RUN_DIR": str(home / "run")}
    screen = Terminal(home, "--report", "r.json", "--rate", "20000", env=env)
    try:
        early = choose.random() < 0.3
        screen.until("V E L O X" if early else "RUNNING")
        time.sleep(0.3 * choose.random())
        vanishes = not early and choose.random() < 0.4
        if vanishes:
            os.close(screen.follower)
            os.close(screen.master)
            screen.master = screen.follower = -1
            assert screen.ends(reading=False) == 129
        else:
            number = choose.choice(list(_CODES))
            screen.send(number)
            assert screen.ends() == _CODES[number]
            assert screen.restored() == []
            assert b"Traceback" not in screen.output
    finally:
        screen.close()
    left = [path.name for path in (home / "run").glob("*")]
    assert left == [], f"left behind: {left}"
    if (home / "r.json").exists():
        assert_accounted_for(report_at(home))
    return "terminal vanishes" if vanishes else "screen, early" if early else "screen"


Case = Callable[..., str]
CASES: dict[str, Case] = {
    case.__name__: case
    for case in (
        signals, hangups, stopped_and_continued, suspended, killed, file_too_large, disk_fills, full_device,
        few_descriptors, one_name_twice, no_place, no_shared_memory, cold_compile, terminal_ends,
    )
}  # fmt: skip
