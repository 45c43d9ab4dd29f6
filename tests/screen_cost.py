"""Measure what the screen costs: processor time of ``velox-tui`` in a pseudo-terminal, less the engine's workers'.

``python tests/screen_cost.py [--size 120x40] [--rate N|max] [--seconds 30] [--layout overview]`` prints medians. The
terminal is read by a thread that throws everything away, so that nothing waits for it. Per-thread processor times come
from ``/proc``; the workers are the threads that the engine names ``vx-worker-…``.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_TICK = os.sysconf("SC_CLK_TCK")
_SETTLE_S = 3.0


class Reader(threading.Thread):
    """Reads a terminal for ever; ``written`` counts bytes, ``recent`` holds the last of them."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(daemon=True)
        self._descriptor = descriptor
        self.written = 0
        self.recent = b""

    def run(self) -> None:
        """Read."""
        while True:
            try:
                data = os.read(self._descriptor, 1 << 16)
            except OSError:
                return
            self.written += len(data)
            self.recent = (self.recent + data)[-65_536:]

    def until(self, text: bytes, seconds: float) -> float:
        """Wait until a text is read; return how long that took."""
        begun = time.perf_counter()
        while text not in self.recent:
            if time.perf_counter() - begun > seconds:
                raise SystemExit(f"{text!r} was never shown")
            time.sleep(0.001)
        return time.perf_counter() - begun


def processor_times(pid: int) -> tuple[float, float]:
    """Return the processor seconds of the engine's workers, and of all other threads."""
    workers = others = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            stat = (task / "stat").read_text()
        except OSError:
            continue
        name, rest = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
        used = (int(rest[11]) + int(rest[12])) / _TICK
        if name.startswith("vx-worker"):
            workers += used
        else:
            others += used
    return workers, others


@dataclass
class Session:
    """``velox-tui`` in a terminal: when its first frame and its dashboard were there, s after the command."""

    process: subprocess.Popen[bytes]
    master: int
    reader: Reader
    first: float
    dashboard: float
    report: Path

    def told(self) -> dict[str, Any]:
        """End it; return its report."""
        self.process.terminate()
        self.process.wait(60)
        found: dict[str, Any] = json.loads(self.report.read_text())
        return found


@contextmanager
def session(size: tuple[int, int], *options: str) -> Iterator[Session]:
    """Run with the screen; wait until the dashboard is there and has settled."""
    master, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    terms = {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "velox_tui", "--seed", "7", "--report", str(report), *options]
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=follower, stdout=follower, stderr=follower, cwd=folder, env={**os.environ, **terms}
        )
        try:
            reader = Reader(master)
            reader.start()
            reader.until(b"V E L O X", 30)
            first = time.perf_counter() - begun
            reader.until(b"RUNNING", 120)
            dashboard = time.perf_counter() - begun
            time.sleep(_SETTLE_S)
            yield Session(process, master, reader, first, dashboard, report)
        finally:
            process.kill()
            process.wait()


def measure(size: tuple[int, int], rate: str, seconds: int, layout: str) -> dict[str, float]:
    """Run with the screen and measure."""
    with session(size, "--rate", rate, "--set", f"ui.layout={layout}") as running:
        process, reader = running.process, running.reader
        shares, bytes_a_second = [], []
        for _ in range(seconds):
            (_, before), written, at = processor_times(process.pid), reader.written, time.perf_counter()
            time.sleep(1)
            gone = time.perf_counter() - at
            shares.append((processor_times(process.pid)[1] - before) / gone)
            bytes_a_second.append((reader.written - written) / gone)
        told = running.told()
    return {
        "first_frame_s": running.first,
        "dashboard_s": running.dashboard,
        "screen_percent_of_a_core": 100 * statistics.median(shares),
        "kilobytes_a_second": statistics.median(bytes_a_second) / 1000,
        "throughput_per_s": told["throughput_per_s"],
        "dropped": told["ingress"]["dropped"],
    }


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=size_of, default="120x40")
    parser.add_argument("--rate", default="100000")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--layout", default="overview")
    asked = parser.parse_args()
    for name, value in measure(asked.size, asked.rate, asked.seconds, asked.layout).items():
        print(f"{name:26} {value:,.3f}")


def size_of(text: str) -> tuple[int, int]:
    """Read a size as it is written: ``120x40``."""
    wide, high = map(int, text.split("x"))
    return wide, high


if __name__ == "__main__":
    main()
