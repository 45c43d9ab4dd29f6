"""Where a benchmark took place, and what else the machine did meanwhile: what its figures have to be read with."""

from __future__ import annotations

import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil

from velox_engine.placement import Machine
from velox_engine.report import environment

_GOVERNOR: Final = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def load_average() -> float | None:
    """Return the system's load of the last minute, ``None`` where it tells none."""
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return None


class Surroundings:
    """Watches the machine from its making on: its load, what other processes and other guests of its host took."""

    def __init__(self, machine: Machine, clock_source: str) -> None:
        self._machine = machine
        self._clock = clock_source
        self._load = load_average()
        self._times = psutil.cpu_times()
        self._begun, self._used = time.monotonic(), own_s()

    def describe(self) -> dict[str, Any]:
        """Return what is known, ready for JSON.

        ``others_percent`` is what other processes took, in percent of a core; ``steal_percent`` what other guests of
        the host took, in percent of all cores, ``None`` where the system does not tell it.
        """
        now, before = psutil.cpu_times(), self._times
        passed, used = time.monotonic() - self._begun, own_s() - self._used
        whole = sum(now) - sum(before)
        others = max(busy_s(now) - busy_s(before) - used, 0.0)
        stolen = getattr(now, "steal", None)
        percent = None if stolen is None or whole <= 0 else round(100 * (stolen - before.steal) / whole, 2)
        limit = self._machine.limit
        return {
            **environment(self._clock),
            "llvmlite": version("llvmlite"),
            "cores_limit": None if limit == float("inf") else limit,
            "threads_are_bound": self._machine.pins,
            "governor": _governor(),
            "load_before": self._load,
            "load_after": load_average(),
            "others_percent": round(100 * others / passed, 1) if passed > 0 else None,
            "steal_percent": percent,
        }


def own_s() -> float:
    """Return the processor time of this process and of those that it started and waited for, s."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def busy_s(times: Any) -> float:
    """Return what all processes together took; guests of this machine are counted as ``user`` already."""
    return float(sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")))


def _governor() -> str | None:
    try:
        return _GOVERNOR.read_text().strip()
    except OSError:
        return None
