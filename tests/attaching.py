"""What the tests of attaching share: a directory for regions of their own, engines in it, and clients of all kinds."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.command import ROOT, environment, velox
from tests.running import Velox
from velox_engine.discovery import find_engines
from velox_engine.telemetry import layout
from velox_engine.telemetry.region import RUN_VARIABLE, make_region, open_for_readers


@contextmanager
def own_directory():
    """Give a directory for regions that only this test's engines use; a short path, as sockets need it."""
    before = os.environ.get(RUN_VARIABLE)
    path = Path(tempfile.mkdtemp(prefix="vx"))
    os.environ[RUN_VARIABLE] = str(path)
    try:
        yield path
    finally:
        if before is None:
            del os.environ[RUN_VARIABLE]
        else:
            os.environ[RUN_VARIABLE] = before
        shutil.rmtree(path, ignore_errors=True)


def surroundings():
    """Give the setting by which a process finds this test's directory."""
    return {RUN_VARIABLE: os.environ[RUN_VARIABLE]}


def command(home, *words):
    """Run a subcommand that looks for engines; return exit code, standard output and standard error."""
    done = velox(home, *words, env=surroundings())
    return done.returncode, done.stdout, done.stderr


def engine(home, *words):
    """Start a headless engine in the test's directory, and wait until it runs."""
    made = Velox(home, "--no-ui", *words, env=surroundings())
    made.until_running()
    return made


def found_of(made):
    """Return what discovery finds of a running engine."""
    return next(each for each in find_engines() if each.pid == made.process.pid)


def told_by(process):
    """Read a process's threads, open files and the files in the test's directory."""
    pid = process.pid
    threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    return threads, len(list(Path(f"/proc/{pid}/fd").iterdir())), sorted(Path(os.environ[RUN_VARIABLE]).iterdir())


def settled_of(process):
    """Read the same once a start is through: when nothing has come or gone for half a second."""
    seen = told_by(process)
    since = time.monotonic()
    while time.monotonic() - since < 0.5:
        time.sleep(0.02)
        if (now := told_by(process)) != seen:
            seen, since = now, time.monotonic()
    return seen


def opened(name="velox", workers=1, symbols=2, **header):
    """Make a region of this process that can be attached, with header words changed."""
    made, problem = make_region(name, workers, symbols)
    assert problem is None
    made.words[layout.HEADER_NS_PER_TICK : layout.HEADER_NS_PER_TICK + 1].view(np.float64)[0] = 1.0
    made.words[layout.HEADER_ZERO_UNIX_NS] = time.time_ns()
    made.words[layout.HEADER_ZERO_MONOTONIC_NS] = time.monotonic_ns()
    open_for_readers(made)
    for word, value in header.items():
        made.words[getattr(layout, word)] = value
    return made


class RawClient:
    """A client that sends what it likes."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self._in = b""

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else json.dumps(data).encode() + b"\n")

    def line(self):
        """Read an answer; ``None`` where the connection was closed instead."""
        while b"\n" not in self._in:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionError:
                return None
            if not data:
                return None
            self._in += data
        line, _, self._in = self._in.partition(b"\n")
        return json.loads(line)

    def asks(self, message):
        """Send a request and read its first answer."""
        self.send(message)
        return self.line()

    def close(self):
        self.socket.close()


def script(home, code, *words, **how):
    """Start Python code in a process of its own, with its output as text."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=home,
        env=environment(home, PYTHONPATH=str(ROOT), **surroundings()),
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        **how,
    )
