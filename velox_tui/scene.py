"""What the panels are given to draw: immutable values. A `Glance` is what was seen, a `Look` how it is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from velox_engine.snapshot import DepthSnapshot, Event, Snapshot, State
from velox_tui.glyphs import BRAILLE, Glyphs
from velox_tui.heat import HeatHistory
from velox_tui.history import History
from velox_tui.machine import Core

WINDOWS: Final = (10, 30, 60, 300, 900)
"""Time windows of the graphs, s."""
DEPTHS: Final = (5, 10, 20, 50, 100, 200)
GROUPS: Final = (1, 2, 5, 10, 20, 50, 100)
"""Ticks to a row of the ladder."""
LAYOUTS: Final = ("overview", "pipeline", "book", "latency")
SERIES: Final = ("ingress", "orderbook", "bundles", "output", "dropped")


@dataclass(frozen=True, slots=True)
class Glance:
    """One look at the engine and the machine.

    ``second`` and ``ten`` are snapshots from about one and ten seconds before, for rates and recent latencies; where
    the run is younger they are the first one. ``cost`` is the screen's share of a core, ``frame_ms`` what a frame
    costs the thread that draws.
    """

    serial: int
    snapshot: Snapshot
    second: Snapshot
    ten: Snapshot
    cores: tuple[Core, ...] = ()
    events: tuple[Event, ...] = ()
    instruments: tuple[dict[str, Any], ...] = ()
    cost: float = float("nan")

    def rate(self, name: str) -> float:
        """Return what passed a stage in a second (``bundles``, ``dropped`` and ``generated`` likewise)."""
        return rate_between(self.second, self.snapshot, name)


def counted(snapshot: Snapshot, name: str) -> int:
    """Return a count of a snapshot by the name of its series."""
    if name == "bundles":
        return snapshot.bundles_out
    if name in ("dropped", "generated", "by_size", "by_timeout", "by_drain", "trades_seen"):
        return int(getattr(snapshot, name))
    return next(stage.processed for stage in snapshot.stages if stage.name == name)


def rate_between(before: Snapshot, after: Snapshot, name: str) -> float:
    """Return a count's growth a second between two snapshots; 0 where no time passed."""
    seconds = (after.taken_unix_ns - before.taken_unix_ns) * 1e-9
    return (counted(after, name) - counted(before, name)) / seconds if seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """How the user wants to see it."""

    window: int = 60
    log: bool = False
    series: str = "all"
    depth: int = 20
    group: int = 1
    symbol: int = 0
    heat: bool | None = None  # as the layout has it
    layout: str = "overview"
    zoomed: str = ""
    frozen: bool = False
    severity: str = "info"  # the least that Events shows


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a panel needs to draw itself."""

    glance: Glance
    history: History
    heat: HeatHistory
    look: Look = field(default_factory=Look)
    glyphs: Glyphs = BRAILLE
    alerts: frozenset[str] = frozenset()
    events: tuple[Event, ...] = ()
    fps: float = 10.0
    frame_ms: float = float("nan")
    read_only: bool = False
    attached: bool = False  # the engine runs in another process
    gone: str = ""  # what became of that process: "ended" or "died"
    slowed: bool = False  # frames were left out lately

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot."""
        return self.glance.snapshot

    @property
    def instrument(self) -> dict[str, Any]:
        """The chosen symbol's instrument."""
        known = self.glance.instruments
        if 0 <= self.look.symbol < len(known):
            return known[self.look.symbol]
        return {"symbol": f"#{self.look.symbol}", "price_decimals": 0, "size_decimals": 0, "tick": 1}

    @property
    def book(self) -> DepthSnapshot | None:
        """The chosen symbol's book, ``None`` while none was published."""
        return next((depth for depth in self.snapshot.depths if depth.symbol == self.look.symbol), None)


AT_REST: Final = (State.DRAINED, State.STOPPED, State.FAILED)
