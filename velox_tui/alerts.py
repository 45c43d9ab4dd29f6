"""What deserves attention: each condition is told once when it begins and once when it is over, with hysteresis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from velox_engine.config import LimitSettings
from velox_engine.lockfree.histogram_view import Histogram
from velox_engine.snapshot import Snapshot

RING_FULL: Final = 0.9
RING_EASY: Final = 0.7
CALM: Final = 20
"""So many looks in a row (2 s) a condition must be absent before it is over."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition: ``key`` names it, ``panels`` are those that it concerns."""

    key: str
    text: str
    severity: str
    panels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """A condition that began or is over."""

    alert: Alert
    begins: bool


class AlertKeeper:
    """Follows the conditions from look to look."""

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._held: dict[str, Alert] = {}
        self._calm: dict[str, int] = {}
        self._before: Snapshot | None = None

    def use(self, limits: LimitSettings) -> None:
        """Go by other limits from now on."""
        self._limits = limits

    @property
    def panels(self) -> frozenset[str]:
        """The panels that an alert concerns now."""
        return frozenset(name for alert in self._held.values() for name in alert.panels)

    @property
    def held(self) -> tuple[Alert, ...]:
        """The alerts that last."""
        return tuple(self._held.values())

    def look(self, snapshot: Snapshot, latency: Callable[[], Histogram]) -> list[Turn]:
        """Judge a snapshot and the latency of the last 10 s (asked for if there is a limit); return the turns."""
        found = {alert.key: alert for alert in self._found(snapshot, latency)}
        turns = [Turn(alert, True) for key, alert in found.items() if key not in self._held]
        for key in list(self._held):
            self._calm[key] = 0 if key in found else self._calm.get(key, 0) + 1
            if self._calm[key] >= CALM:
                turns.append(Turn(self._held.pop(key), False))
        for key, alert in found.items():
            self._held.setdefault(key, alert)
        self._before = snapshot
        return turns

    def _found(self, snapshot: Snapshot, latency: Callable[[], Histogram]) -> list[Alert]:
        found = []
        dropped = snapshot.dropped - (self._before.dropped if self._before is not None else 0)
        if dropped > 0:
            found.append(Alert("dropped", f"ingress drops: {snapshot.dropped:,} so far", "warning", ("throughput",)))
        for ring in snapshot.rings:
            share = ring.waiting / ring.capacity if ring.capacity else 0.0
            if share > (RING_EASY if f"ring {ring.name}" in self._held else RING_FULL):
                text = f"the {ring.name} ring is over {RING_FULL:.0%} full"
                found.append(Alert(f"ring {ring.name}", text, "warning", ("pipeline",)))
        limit = self._limits.max_p99_us
        if limit != "off" and (recent := latency()).count:
            p99 = recent.percentile(99) / 1000
            if p99 > float(limit) * (0.9 if "p99" in self._held else 1.0):
                text = f"p99 over 10 s is {p99:,.0f} µs, the limit is {limit:g} µs"
                found.append(Alert("p99", text, "warning", ("latency",)))
        found += [
            Alert(f"stalled {worker}", f"worker {worker} has stalled", "error", ("cores", "pipeline"))
            for worker in snapshot.stalled_workers
        ]
        if not snapshot.conservation.holds:
            text = "not conserved: " + "; ".join(snapshot.conservation.problems)
            found.append(Alert("conserved", text, "error", ("pipeline",)))
        return found
