"""What watchers cost an engine: its throughput at maximum rate on one core, with and without three attached dashboards.

Run by hand, on a machine with two cores or more that does nothing else: ``python -m tests.watch_cost``. The engine's
one worker is bound to the first core, the watchers to the others, each in a pseudo-terminal that is read at once.
Stretches with and without them take turns, so that what the machine does otherwise falls on both alike.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from tests.attaching import engine, found_of, own_directory, surroundings
from tests.command import velox
from tests.running import report_at
from tests.ui_terminal import Terminal
from velox_engine.attached import AttachedEngine

CORES = sorted(os.sched_getaffinity(0))


@contextmanager
def watching(home, count):
    """Attach dashboards on the other cores, and read what they draw."""
    os.sched_setaffinity(0, CORES[1:])  # what is started from here inherits it
    screens = [Terminal(home, "attach", "busy", size=(120, 40), env=surroundings()) for _ in range(count)]
    ended = threading.Event()

    def read():
        while not ended.is_set():
            for each in screens:
                each.read(0.02)

    reader = threading.Thread(target=read)
    for each in screens:
        each.until("RUNNING")
    reader.start()
    yield screens
    ended.set()
    reader.join()
    for each in screens:
        each.close()


def passed(watcher, seconds):
    """Return transactions a second over a stretch."""
    begun, before = time.monotonic(), watcher.snapshot().output.processed
    time.sleep(seconds)
    return (watcher.snapshot().output.processed - before) / (time.monotonic() - begun)


def used(screens):
    """Return the processor time of the watchers, s."""
    ticks = 0
    for each in screens:
        fields = Path(f"/proc/{each.process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def first_frames(home, times):
    """Measure from the command to the first picture of the engine, s, and how long `snapshot` and `ctl` take."""
    found = {"attach": [], "snapshot": [], "ctl": [], "ps": []}
    for _ in range(times):
        begun = time.monotonic()
        screen = Terminal(home, "attach", "busy", env=surroundings())
        screen.until("RUNNING")
        found["attach"].append(time.monotonic() - begun)
        screen.close()
        for words in (["snapshot", "busy"], ["ctl", "rate", "20000", "busy"], ["ps"]):
            begun = time.monotonic()
            assert velox(home, *words, env=surroundings()).returncode == 0
            found[words[0]].append(time.monotonic() - begun)
    return {name: statistics.median(each) for name, each in found.items()}


def main():
    """Measure and print."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--seconds", type=float, default=5.0)
    asked.add_argument("--turns", type=int, default=5)
    asked = asked.parse_args()
    with own_directory(), tempfile.TemporaryDirectory() as home:
        core = CORES[0]
        stages = [f"--set=threads.{stage}_core={core}" for stage in ("ingress", "orderbook", "bundle", "output")]
        words = ["--rate", "max", "--name", "busy", "--seed", "7", "--report", "r.json", *stages]
        with engine(home, *words) as made:
            os.sched_setaffinity(0, CORES[1:])
            watcher = AttachedEngine(found_of(made))
            alone, watched, shares = [], [], []
            for _ in range(asked.turns):
                alone.append(passed(watcher, asked.seconds))
                with watching(home, 3) as screens:
                    passed(watcher, 2.0)
                    before, begun = used(screens), time.monotonic()
                    watched.append(passed(watcher, asked.seconds))
                    shares.append((used(screens) - before) / (time.monotonic() - begun) / 3)
            watcher.set_rate(20_000)
            times = first_frames(home, asked.turns)
            made.process.send_signal(signal.SIGTERM)
            made.end()
        report = report_at(home)
        lost = [100 * (1 - with_them / without) for without, with_them in zip(alone, watched, strict=True)]
        print(f"alone    {statistics.median(alone):12,.0f} transactions/s (median of {asked.turns})")
        print(f"watched  {statistics.median(watched):12,.0f} transactions/s, {statistics.median(lost):.2f} % less")
        print(f"each     {', '.join(f'{each:.2f} %' for each in lost)}")
        print(f"watcher  {100 * statistics.median(shares):.1f} % of a core each")
        print("from the command, s: " + ", ".join(f"{name} {each:.2f}" for name, each in times.items()))
        print(f"conserved {report['conserved']}, dropped {report['ingress']['dropped']}, problems {report['problems']}")


if __name__ == "__main__":
    main()
