"""Measure how long a key takes, from the press in the terminal to the engine's state and to the screen.

``python -m tests.key_latency [--size 120x40] [--rate max] [--presses 40] [--set threads.idle=spin …]`` prints medians
and the greatest. The engine's state is read from its telemetry region, as any watcher on this machine does; the screen
is what the terminal received. ``p`` pauses and resumes; ``f`` freezes the picture and lets it go.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

from tests.screen_cost import Session, session, size_of
from velox_engine.snapshot import State
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.telemetry.region import map_region, region_files

_PATIENCE_S = 10.0
_REST_S = 0.4  # between presses, not in step with the frames


def reader_of(pid: int) -> TelemetryReader:
    """Return a reader of a process' engine."""
    for path in region_files():
        try:
            reader = TelemetryReader(map_region(path))
        except (OSError, ValueError):
            continue
        if reader.pid == pid:
            return reader
    raise SystemExit(f"process {pid} has no telemetry region")


def until(reached: Callable[[], bool]) -> float:
    """Wait until something is so; return how long that took."""
    begun = time.perf_counter()
    while not reached():
        if time.perf_counter() - begun > _PATIENCE_S:
            raise SystemExit("a key had no effect")
        time.sleep(0.0005)
    return time.perf_counter() - begun


def delays(running: Session, presses: int) -> dict[str, list[float]]:
    """Press keys; return the seconds until the engine's state, and until the screen, for each press."""
    reader = reader_of(running.process.pid)
    found: dict[str, list[float]] = {"engine": [], "screen": [], "freeze": []}

    def press(key: bytes) -> float:
        running.reader.recent = b""
        os.write(running.master, key)
        return time.perf_counter()

    for press_number in range(presses):
        state, word = ((State.PAUSED, b"PAUSED"), (State.RUNNING, b"RUNNING"))[press_number % 2]
        begun = press(b"p")
        until(lambda state=state: reader.read().state is state)  # type: ignore[misc]
        found["engine"].append(time.perf_counter() - begun)
        until(lambda word=word: word in running.reader.recent)  # type: ignore[misc]
        found["screen"].append(time.perf_counter() - begun)
        time.sleep(_REST_S * (1 + press_number % 7 / 7))
    for press_number in range(presses):
        begun = press(b"f")
        if press_number % 2 == 0:
            until(lambda: b"FROZEN" in running.reader.recent)
            found["freeze"].append(time.perf_counter() - begun)
        time.sleep(_REST_S * (1 + press_number % 7 / 7))
    return found


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=size_of, default="120x40")
    parser.add_argument("--rate", default="max")
    parser.add_argument("--presses", type=int, default=40)
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()
    more = [word for each in asked.set for word in ("--set", each)]
    with session(asked.size, "--rate", asked.rate, *more) as running:
        found = delays(running, asked.presses)
    for what, key in (
        ("p to the engine's state", "engine"),
        ("p to the screen", "screen"),
        ("f to the screen", "freeze"),
    ):
        median, greatest = 1000 * statistics.median(found[key]), 1000 * max(found[key])
        print(f"{what:26} median {median:6.1f} ms, greatest {greatest:6.1f} ms")


if __name__ == "__main__":
    main()
