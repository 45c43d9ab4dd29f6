"""Measure what the screen costs: processor time of ``velox-tui`` in a pseudo-terminal, less the engine's workers'.

``python tests/screen_cost.py [--size 120x40] [--rate N|max] [--seconds 30] [--layout overview]`` prints medians. The
terminal is read by a thread that throws everything away, so that nothing waits for it. Per-thread processor times come
from ``/proc``; the workers are the threads that the engine names ``vx-worker-…``. With ``--headless`` the same engine
runs without a screen for comparison of the throughput, and ``--keys`` also measures how long a key takes to show.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_TICK = os.sysconf("SC_CLK_TCK")
_KEYS = 20


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


def measure(size: tuple[int, int], rate: str, seconds: int, layout: str, keys: bool) -> dict[str, float]:
    """Run with the screen and measure."""
    master, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "velox_tui", "--seed", "7", "--rate", rate, "--report", str(report)]
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
        }
        begun = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--set", f"ui.layout={layout}"],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            cwd=folder,
            env=env,
        )
        reader = Reader(master)
        reader.start()
        reader.until(b"V E L O X", 30)
        first = time.perf_counter() - begun
        reader.until(b"RUNNING", 120)
        dashboard = time.perf_counter() - begun
        time.sleep(3)
        shares, bytes_a_second = [], []
        for _ in range(seconds):
            (_, before), written, at = processor_times(process.pid), reader.written, time.perf_counter()
            time.sleep(1)
            gone = time.perf_counter() - at
            shares.append((processor_times(process.pid)[1] - before) / gone)
            bytes_a_second.append((reader.written - written) / gone)
        delays = _key_delays(master, reader) if keys else []
        process.terminate()
        process.wait(60)
        told = json.loads(report.read_text())
    found = {
        "first_frame_s": first,
        "dashboard_s": dashboard,
        "screen_percent_of_a_core": 100 * statistics.median(shares),
        "kilobytes_a_second": statistics.median(bytes_a_second) / 1000,
        "throughput_per_s": told["throughput_per_s"],
        "dropped": told["ingress"]["dropped"],
    }
    return found | ({"key_ms": 1000 * statistics.median(delays)} if delays else {})


def _key_delays(master: int, reader: Reader) -> list[float]:
    """Freeze and let go, and see how long each takes to show."""
    delays = []
    for _ in range(_KEYS):
        reader.recent = b""
        os.write(master, b"f")
        delays.append(reader.until(b"FROZEN", 10))
        os.write(master, b"f")
        time.sleep(0.5)
    return delays


def headless(rate: str, seconds: int) -> dict[str, float]:
    """Run the same without a screen."""
    command = [sys.executable, "-m", "velox_tui", "--no-ui", "--seed", "7", "--rate", rate, "--duration", str(seconds)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, "--report", "-"], capture_output=True, text=True, check=True, env=env)
    told = json.loads(done.stdout)
    return {"throughput_per_s": told["throughput_per_s"], "dropped": told["ingress"]["dropped"]}


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="120x40")
    parser.add_argument("--rate", default="100000")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--layout", default="overview")
    parser.add_argument("--keys", action="store_true")
    parser.add_argument("--headless", action="store_true")
    asked = parser.parse_args()
    if asked.headless:
        found = headless(asked.rate, asked.seconds)
    else:
        wide, high = map(int, re.fullmatch(r"(\d+)x(\d+)", asked.size).groups())  # type: ignore[union-attr]
        found = measure((wide, high), asked.rate, asked.seconds, asked.layout, asked.keys)
    for name, value in found.items():
        print(f"{name:26} {value:,.3f}")


if __name__ == "__main__":
    main()
