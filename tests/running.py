"""What the end-to-end tests share: engines, real processes, and the proof that nothing was lost."""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.command import ROOT, environment
from velox_engine import Engine, load_config
from velox_engine.snapshot import State
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.telemetry.region import map_region, region_files

PATIENCE_S = 120.0  # how long a test waits for what must come: the first may have to compile on a busy machine
CACHE = os.environ["VELOX_CACHE_DIR"]  # the session's: see conftest.py
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
two_cores = pytest.mark.skipif(len(CORES) < 2, reason="this process may use one core only")


def configured(**settings):
    """Make a configuration: the defaults, with ``section__key=value`` on top."""
    overrides = {key.replace("__", "."): value for key, value in settings.items()}
    return load_config(ROOT / "config.toml", overrides=overrides, environ={})


def placed(ingress, orderbook, bundle, output):
    """Give the settings that put the stages on the first or second core that this process may use."""
    chosen = {"ingress": ingress, "orderbook": orderbook, "bundle": bundle, "output": output}
    return {f"threads__{stage}_core": CORES[core] for stage, core in chosen.items()}


def ran(**settings):
    """Run an engine to its end; return its report as a dict."""
    engine = Engine(configured(**settings))
    with engine:
        assert engine.wait(PATIENCE_S) is State.DRAINED
    return engine.report().as_dict()


def until(holds, what):
    """Wait until it holds."""
    give_up = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up, f"waited in vain until {what}"
        time.sleep(0.002)


def assert_accounted_for(report):
    """Check that every transaction generated is where the report says: out, dropped, rejected or left behind."""
    ingress, orderbook, bundle, output = (report[stage] for stage in ("ingress", "orderbook", "bundle", "output"))
    left = report["left_behind"]
    assert report["conserved"]
    assert report["problems"] == ([report["reason"]] if report["state"] == "failed" else [])
    assert ingress["generated"] == ingress["accepted"] + ingress["dropped"] + ingress["rejected"]  # seeded included
    assert all(count >= 0 for count in left.values())
    assert ingress["accepted"] - orderbook["processed"] == left["ingress_ring"]
    assert orderbook["processed"] - bundle["transactions"] == left["bundle_ring"]
    assert bundle["transactions"] - output["transactions"] == left["open_bundle"] + left["output_ring"]
    assert ingress["accepted"] == output["transactions"] + left["transactions"]
    assert bundle["flushed"] == bundle["by_size"] + bundle["by_timeout"] + bundle["by_drain"]
    assert bundle["flushed"] >= output["bundles"]
    assert report["latency_ns"]["due_to_ingress"]["count"] == ingress["accepted"] - ingress["seeded"]
    assert report["latency_ns"]["end_to_end"]["count"] == output["transactions"] - ingress["seeded"]


def assert_all_out(report):
    """Check that whatever was accepted is out, in order and whole."""
    assert_accounted_for(report)
    assert set(report["left_behind"].values()) == {0}
    assert report["bundle"]["flushed"] == report["output"]["bundles"]
    assert len(set(report["checksum"].values())) == 1
    assert not report["drain_timed_out"]


# true of a busy machine, whatever the run does
_OF_THE_HOST = re.compile(r"^velox-tui: (worker \d+ \(.*\) (stalled|beats)|clock step).*\n", re.MULTILINE)


def of_the_run(err):
    """Give what standard error says of the run itself."""
    return _OF_THE_HOST.sub("", err or "")


class Velox:
    """A ``velox-tui`` that runs as a real process, with a home of its own and the compile cache of this user."""

    def __init__(self, home, *arguments, cache=CACHE, env=None, before=None, under=(), **how):
        command = [*under, sys.executable, "-m", "velox_tui", *arguments]
        if before is not None:  # words of a shell that it is started from
            command = ["/bin/sh", "-c", f'{before}; exec "$@"', "sh", *command]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        surroundings = {**environment(home, VELOX_CACHE_DIR=str(cache)), "TERM": "dumb", **(env or {})}
        self._begun = time.time() - 0.1  # files' times are coarser
        self.process = subprocess.Popen(command, cwd=home, env=surroundings, text=True, **{**streams, **how})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def region(self):
        """Give the file of its telemetry region, ``None`` while there is none; a dead engine's may bear its pid."""
        own = [path for path in region_files() if f"-{self.process.pid}." in path.name]
        with suppress(FileNotFoundError):
            return next((path for path in own if path.stat().st_mtime >= self._begun), None)
        return None

    def snapshot(self):
        """Look at it as a watcher does; ``None`` while that is not possible."""
        path = self.region()
        try:
            return None if path is None else TelemetryReader(map_region(path)).read()
        except (OSError, ValueError):  # not ready, or just gone
            return None

    def until(self, holds, what):
        """Wait until its snapshot holds, or until it has ended."""

        def reached():
            if self.process.poll() is not None:
                return True
            snapshot = self.snapshot()
            return snapshot is not None and holds(snapshot)

        until(reached, what)

    def until_running(self):
        """Wait until transactions come out."""
        self.until(lambda snapshot: snapshot.output.processed > 0, "transactions come out")

    def end(self):
        """Wait for its end; return exit code, standard output and what standard error says of the run itself."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, of_the_run(err)


def start(home, *arguments, **how):
    """Start ``velox-tui --no-ui`` with these arguments."""
    return Velox(home, "--no-ui", *arguments, **how)


def report_at(home, name="r.json"):
    """Read a report."""
    return json.loads(Path(home, name).read_text())
