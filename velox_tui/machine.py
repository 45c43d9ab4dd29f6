"""What the machine tells about its cores, and what the screen itself costs; never an error where it tells nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import psutil

_TEMPERATURES: Final = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "acpitz")


@dataclass(frozen=True, slots=True)
class Core:
    """A core: its number, busy share of the last second, frequency and temperature where the machine tells them."""

    number: int
    busy: float
    mhz: float | None = None
    celsius: float | None = None


def own_cores() -> tuple[int, ...]:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


class CoreMeter:
    """Reads the cores; each reading is about the time since the one before."""

    def __init__(self, cores: tuple[int, ...] | None = None) -> None:
        self.cores = own_cores() if cores is None else cores
        psutil.cpu_percent(percpu=True)

    def read(self) -> tuple[Core, ...]:
        """Return every core that was asked for, or else every core of this process."""
        busy = psutil.cpu_percent(percpu=True)
        mhz, celsius = _frequencies(), _temperature()
        return tuple(
            Core(core, busy[core] / 100 if core < len(busy) else float("nan"), mhz.get(core), celsius)
            for core in self.cores
        )


def _frequencies() -> dict[int, float]:
    try:
        read = psutil.cpu_freq(percpu=True) or []
    except (OSError, AttributeError, NotImplementedError, RuntimeError):
        return {}
    found = {core: each.current for core, each in enumerate(read) if each.current > 0}
    return found if len(read) > 1 or (os.cpu_count() or 1) == 1 else {}


def _temperature() -> float | None:
    try:
        sensors = psutil.sensors_temperatures()
    except (OSError, AttributeError, NotImplementedError, RuntimeError):
        return None
    for name in _TEMPERATURES:
        if sensors.get(name):
            return float(max(each.current for each in sensors[name]))
    return None


class CostMeter:
    """Measures the share of a core that this process takes beside the engine's workers."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._at = time.monotonic()
        self._used = 0.0
        self._begun = False

    def read(self, workers: Iterable[int]) -> float:
        """Return the share since the last reading; ``workers`` are the thread ids of the engine's workers.

        NaN at the first reading.
        """
        now, ids = time.monotonic(), set(workers)
        try:
            threads = self._process.threads()
        except psutil.Error:  # some systems let nobody look
            return float("nan")
        used = time.process_time() - sum(each.user_time + each.system_time for each in threads if each.id in ids)
        share = (used - self._used) / max(now - self._at, 1e-9)
        self._at, self._used = now, used
        begun, self._begun = self._begun, True
        return max(share, 0.0) if begun else float("nan")
