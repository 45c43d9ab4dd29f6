"""The status bar: the top line, with everything that must be seen at any size."""

from __future__ import annotations

import math

from velox_engine.snapshot import Snapshot, State
from velox_tui.glyphs import Glyphs
from velox_tui.lines import Line, Part, fitted, line, width_of
from velox_tui.numbers import clock, rate, short
from velox_tui.scene import Scene
from velox_tui.widgets.panel import Rows

_ROLES = {
    State.STARTING: "accent",
    State.RUNNING: "good",
    State.PAUSED: "warn",
    State.DRAINING: "accent",
    State.DRAINED: "accent",
    State.STOPPED: "dim",
    State.FAILED: "bad",
}

_LONGEST_SOURCE = 24


def state_word(snapshot: Snapshot) -> tuple[str, str]:
    """Return the state in words and its role; a stall goes before the state that it befell."""
    if snapshot.stalled_workers and snapshot.state < State.DRAINED:
        return "STALLED", "bad"
    word, role = snapshot.state.word.upper(), _ROLES[snapshot.state]
    if snapshot.state is State.DRAINING:
        word += f" {snapshot.inside:,} left"
    return word, role


def source_of(snapshot: Snapshot, points: str) -> str:
    """Say where transactions come from, in few words."""
    source = snapshot.config.get("source", {})
    kind = str(source.get("kind", ""))
    if kind == "synthetic":
        return f"{source.get('model', '')} flow"
    name = kind.rsplit("/", 1)[-1]
    return name if len(name) <= _LONGEST_SOURCE else name[: _LONGEST_SOURCE - 1] + points


def state_sign(snapshot: Snapshot, glyphs: Glyphs) -> str:
    """Return the sign before the state."""
    return glyphs.paused if snapshot.state in (State.PAUSED, State.DRAINED) else glyphs.running


def title_of(scene: Scene, wide: bool) -> str:
    """Name the engine; of one in another process its pid, and what became of it."""
    name, pid = scene.snapshot.name, scene.snapshot.pid
    if not scene.attached:
        return name
    if scene.gone:
        return f"{name} (pid {pid}) has {scene.gone}" if wide else f"{name} {scene.gone}"
    return f"attached to {name} (pid {pid})" if wide else f"{name}@{pid}"


def status_parts(scene: Scene, wide: bool) -> list[list[Part]]:
    """Return the parts of the bar, the most important first, each to be left out where there is no room."""
    snapshot, glance = scene.snapshot, scene.glance
    word, role = state_word(snapshot)
    kept = snapshot.conservation.holds
    asked = "recorded pace" if math.isnan(snapshot.rate_per_s) else rate(snapshot.rate_per_s, 0)
    reached = rate(glance.rate("ingress"), 7)
    dropped = snapshot.dropped
    cost = "" if math.isnan(glance.cost) else f"ui {scene.frame_ms:4.1f}ms {100 * glance.cost:4.1f}%"
    slowed = ("slowed  " if scene.slowed else " ", "warn")
    frozen: list[Part] = [(" FROZEN ", "badge"), (" ", "text")] if scene.look.frozen else []
    if snapshot.config.get("chaos", {}).get("enabled"):
        frozen += [(" CHAOS ", "badge"), (" ", "text")]
    return [
        [(f" {title_of(scene, wide)} ", "title")],
        [(f"{state_sign(snapshot, scene.glyphs)} {word}", role), ("  ", "text"), *frozen],
        [("read-only  " if scene.read_only else "", "accent")],
        [(reached, "text"), (f" of {asked}  ", "dim")],
        [("drop ", "dim"), (short(dropped), "bad" if dropped else "text"), ("  ", "text")],
        [
            ("conserved ", "dim"),
            (scene.glyphs.yes if kept else scene.glyphs.no, "good" if kept else "bad"),
            ("  ", "text"),
        ],
        [(f"{clock(snapshot.uptime_s)}  ", "text")],
        [(f"{cost} " if cost else "", "dim"), slowed]
        if wide
        else [(f"ui {100 * glance.cost:4.1f}% " if cost else "", "dim"), slowed],
        [(f"{source_of(snapshot, scene.glyphs.points[:1])}  ", "dim")],
    ]


def status_line(scene: Scene, width: int) -> Line:
    """Write the bar: what does not fit is left out, the least important first."""
    order = (0, 1, 2, 6, 3, 4, 5, 8, 7)
    parts = status_parts(scene, width >= 90)
    kept, room = [], width
    for index, part in enumerate(parts):
        need = width_of(tuple(part))
        if need <= room or index == 0:
            kept.append(index)
            room -= need
    return fitted(line(*(part for index in order if index in kept for part in parts[index])), width)


class Status(Rows):
    """The top line."""

    every = 0.2

    def paint(self, scene: Scene) -> None:
        """Draw it."""
        width, height = self.size
        if width and height:
            self.show([status_line(scene, width)], width)
