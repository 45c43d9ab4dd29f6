"""The cores: how busy each is and was, and which stages work there."""

from __future__ import annotations

import math

from velox_engine.snapshot import State, WorkerSnapshot
from velox_tui.glyphs import area, bar, spark
from velox_tui.lines import Drawn, Line, line
from velox_tui.machine import Core
from velox_tui.numbers import percent, span
from velox_tui.scene import Scene
from velox_tui.widgets.panel import Panel

SHORT = {"ingress": "ingress", "orderbook": "book", "bundle": "bundle", "output": "output"}
_STALE_S = 1.0
_INDENT = 4  # columns before a bar
_LEAST_PAST, _MOST_PAST = 2, 6  # rows of a graph of its own


def busy_share(before: WorkerSnapshot, after: WorkerSnapshot) -> float:
    """Return the share of its time that a worker worked between two snapshots; NaN where no time was counted."""
    busy = after.busy_s - before.busy_s
    whole = busy + after.starved_s - before.starved_s + after.held_s - before.held_s
    return busy / whole if whole > 0 else math.nan


def stages_of(worker: WorkerSnapshot) -> str:
    """Name a worker's stages in few words."""
    return "all stages" if len(worker.stages) == 4 else "+".join(SHORT[name] for name in worker.stages)


def worker_parts(scene: Scene, worker: WorkerSnapshot) -> tuple[str, str]:
    """Write a worker: its stages, its own busy share, and how old its heartbeat is when that is worth telling."""
    before = next((each for each in scene.glance.second.workers if each.index == worker.index), worker)
    late = worker.heartbeat_age_s > _STALE_S and scene.snapshot.state < State.DRAINED
    if worker.index in scene.snapshot.stalled_workers or late:
        return f"{stages_of(worker)} STALLED, beat {worker.heartbeat_age_s:.1f} s ago", "bad"
    return f"{stages_of(worker)} {percent(busy_share(before, worker))} busy", "text"


def core_line(scene: Scene, core: Core, width: int, with_past: bool = True) -> Line:
    """Write a core: number, bar, share, its past, frequency and temperature, and who works there."""
    workers = [worker for worker in scene.snapshot.workers if worker.core == core.number]
    told = ", ".join(worker_parts(scene, worker)[0] for worker in workers)
    role = "bad" if any(worker_parts(scene, worker)[1] == "bad" for worker in workers) else "text" if workers else "dim"
    extra = (f" {core.mhz / 1000:.1f}GHz" if core.mhz else "") + (f" {core.celsius:.0f}C" if core.celsius else "")
    head = f"{core.number:>3} "
    room = width - len(head) - 5 - 1
    bar_width = min(max(room // 4, 4), 16)
    past_width = max(min(room - bar_width - 26, 40), 0) if with_past else 0
    full, rest = bar(0.0 if math.isnan(core.busy) else core.busy, bar_width, scene.glyphs)
    parts = [
        (head, "dim"),
        (full, "ingress"),
        (rest, "faint"),
        (percent(core.busy, 5), "warn" if core.busy > 0.95 else "text"),
        (" ", "text"),
    ]
    if past_width >= 6:
        values, _ = scene.history.window(f"core_{core.number}", scene.look.window, past_width)
        parts += [(spark(values, 1.0, scene.glyphs), "dim"), (" ", "text")]
    if extra and (width >= 76 if with_past else width >= 48):
        parts.append((f"{extra} ", "dim"))
    return line(*parts, (told or "no stage", role))


def core_past(scene: Scene, core: Core, width: int, height: int) -> list[Line]:
    """Draw a core's past as a graph of its own where there is room for one; the top is a whole core."""
    room = width - _INDENT - 1
    if height < _LEAST_PAST or room < 1:
        return []
    values, _ = scene.history.window(f"core_{core.number}", scene.look.window, room * scene.glyphs.across)
    drawn = area(values, height, 1.0, scene.glyphs)
    return [line((" " * _INDENT, "dim"), (text, "orderbook")) for text in drawn]


def core_rows(scene: Scene, width: int, height: int) -> list[Line]:
    """Write the cores, those with workers first where there is not room for all, then workers that are not pinned."""
    cores = list(scene.glance.cores)
    pinned = {worker.core for worker in scene.snapshot.workers}
    loose = [worker for worker in scene.snapshot.workers if worker.core not in {core.number for core in cores}]
    if len(cores) + len(loose) > height:
        cores.sort(key=lambda core: (core.number not in pinned, core.number))
    tall = min(height // max(len(cores) + len(loose), 1) - 1, _MOST_PAST)
    rows = []
    for core in cores:
        rows += [core_line(scene, core, width, tall < _LEAST_PAST), *core_past(scene, core, width, tall)]
    for worker in loose:
        text, role = worker_parts(scene, worker)
        rows.append(line((f"  {scene.glyphs.dash} ", "dim"), (f"unpinned: {text}", role)))
    hidden = len(rows) - height
    if hidden > 0 and height > 1:
        rows = [*rows[: height - 1], line((f"    and {hidden + 1} more", "dim"))]
    return rows[:height]


class Cores(Panel):
    """Every core that this process may use."""

    title = "Cores"
    every = 0.5

    def draw(self, scene: Scene, width: int, height: int) -> Drawn:
        """Draw the cores under their mean."""
        known = [core.busy for core in scene.glance.cores if not math.isnan(core.busy)]
        figure = f"{percent(sum(known) / len(known), 0)} of {len(known)}, {span(scene.look.window)}" if known else ""
        return Drawn(figure, core_rows(scene, width, height))
