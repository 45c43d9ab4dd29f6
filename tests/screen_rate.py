"""Compare the throughput with the screen to that without, by runs in turn: what else the machine does hits both.

``python -m tests.screen_rate [--rate max] [--pairs 5] [--seconds 10] [--set pipeline.batch=64 …]`` prints each pair,
then the medians. With ``--workers one`` all stages share the first core and the screen has the others; with
``--workers all`` every core of this machine has a worker.
"""

from __future__ import annotations

import argparse
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import threading
from json import loads
from pathlib import Path
from typing import Any

from tests.screen_cost import ROOT, Reader

_STAGES = ("ingress", "orderbook", "bundle", "output")


def placement(workers: str) -> list[str]:
    """Return the settings that put the stages on one core, or two by two on the first and the last."""
    cores = sorted(os.sched_getaffinity(0))
    chosen = {"auto": None, "one": [cores[0]] * 4, "all": [cores[0]] * 2 + [cores[-1]] * 2}[workers]
    pairs = zip(_STAGES, chosen or (), strict=False)
    return [f"threads.{stage}_core={core}" for stage, core in pairs]


def run(rate: str, seconds: int, settings: list[str], screen: bool) -> dict[str, Any]:
    """Run for a time with the screen in a terminal, or without; return the report."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "velox_tui", "--seed", "7", "--rate", rate, "--report", str(report)]
        command += [word for each in settings for word in ("--set", each)]
        terms = {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        env = {**os.environ, **terms, "COLUMNS": "120", "LINES": "40"}
        if screen:
            master, follower = pty.openpty()
            reader = Reader(master)
            reader.start()
            process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, cwd=folder, env=env)
            reader.until(b"RUNNING", 120)
            stop = threading.Timer(seconds, process.terminate)
            stop.start()
            process.wait(seconds + 60)
            os.close(follower)
        else:
            command += ["--no-ui", "--duration", str(seconds)]
            subprocess.run(command, check=True, cwd=folder, env=env, stdout=subprocess.DEVNULL)
        found: dict[str, Any] = loads(report.read_text())
    if not found["conserved"]:
        raise SystemExit("not conserved")
    return found


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", default="max")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--workers", choices=("auto", "one", "all"), default="auto")
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()
    settings = [*placement(asked.workers), *asked.set]
    shares = []
    for pair in range(asked.pairs):
        order = (True, False) if pair % 2 else (False, True)  # neither is always the one after
        found = {screen: run(asked.rate, asked.seconds, settings, screen) for screen in order}
        with_screen, without = (found[each]["throughput_per_s"] for each in (True, False))
        dropped = [found[each]["ingress"]["dropped"] for each in (True, False)]
        shares.append(with_screen / without)
        print(
            f"with the screen {with_screen:14,.0f}/s, without {without:14,.0f}/s: {shares[-1]:7.2%}, "
            f"dropped {dropped[0]:,} and {dropped[1]:,}",
            flush=True,
        )
    print(f"median {statistics.median(shares):.2%}")


if __name__ == "__main__":
    main()
