"""The pipeline: what each stage does now and how full the ring before the next one is, so that a bottleneck is seen."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from velox_engine.snapshot import RingSnapshot, Snapshot, StageSnapshot, State
from velox_tui.glyphs import area, bar
from velox_tui.lines import Drawn, Line, line
from velox_tui.numbers import latency, percent, rate, short
from velox_tui.scene import Scene
from velox_tui.widgets.panel import Panel

NAMES = {"ingress": "INGRESS", "orderbook": "ORDER BOOK", "bundle": "BUNDLE", "output": "OUTPUT"}
UNITS = {"ingress": "slots", "bundle": "slots", "output": "bundles"}
_BOTTLENECK = 0.8
_FIGURES_WIDTH = 16
_WAITS_WIDTH, _WAITS_FROM = 28, 64  # columns: what waits, in figures
_MOST_PAST = 4  # rows


@dataclass(frozen=True, slots=True)
class Work:
    """What a stage did in the last second: its rate, the share of a core it took, what a transaction cost, a word."""

    name: str
    per_second: float
    share: float
    service_ns: float
    word: str


def work_of(stage: StageSnapshot, before: StageSnapshot, seconds: float, state: State) -> Work:
    """Judge a stage by what it did between two snapshots."""
    passed = max(stage.processed - before.processed, 0)
    service = stage.service.since(before.service)
    mean = service.mean if service.count else stage.service.mean
    share = min(mean * passed / 1e9 / seconds, 1.0) if seconds > 0 else 0.0
    steps, held = stage.steps - before.steps, stage.held - before.held
    if state >= State.STOPPED:
        word = "stopped"
    elif held > steps / 20 and held > 0:
        word = "held back"
    elif passed == 0:
        word = "paused" if stage.name == "ingress" and state is State.PAUSED else "idle"
    else:
        word = "busy" if share > 0.5 else "waiting"
    return Work(stage.name, passed / seconds if seconds > 0 else 0.0, share, mean, word)


def works(before: Snapshot, after: Snapshot) -> list[Work]:
    """Judge every stage."""
    seconds = (after.taken_unix_ns - before.taken_unix_ns) * 1e-9
    pairs = zip(after.stages, before.stages, strict=True)
    return [work_of(stage, earlier, seconds, after.state) for stage, earlier in pairs]


def bottleneck(found: list[Work]) -> str | None:
    """Name the stage that holds the others back: the last busy one behind those that are held, or a full core."""
    for work, following in zip(reversed(found[:-1]), reversed(found[1:]), strict=True):
        if work.word == "held back" and following.word != "held back":
            return following.name
    busiest = max(found, key=lambda work: work.share)
    return busiest.name if busiest.share >= _BOTTLENECK else None


def stage_line(work: Work, width: int, is_bottleneck: bool, scene: Scene) -> Line:
    """Write a stage: name, rate, what it does, share of a core, cost a transaction."""
    role = {"held back": "warn", "busy": "accent", "waiting": "text"}.get(work.word, "dim")
    word = "BOTTLENECK" if is_bottleneck else work.word
    parts = [
        (f"{NAMES[work.name]:10} ", "title"),
        (rate(work.per_second, 8), "text"),
        (f"  {word:10}", "bad" if is_bottleneck else role),
    ]
    if width < 60:
        parts.append((f"{percent(work.share)}{' of a core' if width >= 48 else ''}", "dim"))
    else:
        parts += [
            (f"{percent(work.share)} of a core", "text"),
            (f"  {latency(work.service_ns, scene.glyphs.micro)} each", "dim"),
        ]
    return line(*parts)


def bar_width(width: int) -> int:
    """Return how many columns of a panel's width a ring's bar has."""
    return max(width - _FIGURES_WIDTH - (_WAITS_WIDTH if width >= _WAITS_FROM else 0) - 4, 1)


def ring_line(ring: RingSnapshot, width: int, scene: Scene) -> Line:
    """Write a ring: its bar with the high-water mark, what waits, and the mark in figures."""
    share = ring.waiting / ring.capacity if ring.capacity else 0.0
    high = ring.high_water / ring.capacity if ring.capacity else 0.0
    figures = f"{percent(share, 5)}  high {percent(high)}"
    waits = f" {short(ring.waiting):>5} of {short(ring.capacity)} {UNITS[ring.name]}"
    if width >= _WAITS_FROM:
        figures += f"{waits:{_WAITS_WIDTH}}"
    full, rest = bar(share, bar_width(width), scene.glyphs, high)
    role = "bad" if share > 0.9 else "warn" if share > 0.5 else "ingress"
    return line(
        (f"  {scene.glyphs.down_arrow} ", "dim"),
        (full, role),
        (rest, "faint"),
        (figures, "dim" if share == 0 else "text"),
    )


def drained_lines(scene: Scene) -> list[Line]:
    """Write the final figures of a drained engine."""
    snapshot = scene.snapshot
    alike = len({stage.content for stage in snapshot.stages}) == 1
    equal = f"content {snapshot.output.content} alike in all four" if alike else "content DIFFERS between stages"
    return [
        line(
            (f"{scene.glyphs.yes if alike else scene.glyphs.no} ", "good" if alike else "bad"),
            (f"drained: {snapshot.ingress.processed:,} in, {snapshot.output.processed:,} out", "text"),
            (f" in {snapshot.bundles_out:,} bundles", "dim"),
        ),
        line((f"  {equal}", "dim" if alike else "bad")),
    ]


def draining_lines(scene: Scene, width: int) -> list[Line]:
    """Write how far a drain is: what is left where, and the deadline."""
    snapshot = scene.snapshot
    left = (snapshot.drain_deadline_unix_ns - snapshot.taken_unix_ns) * 1e-9 if snapshot.drain_deadline_unix_ns else 0.0
    counts = [stage.processed for stage in snapshot.stages]
    between = [max(a - b, 0) for a, b in pairwise(counts)]
    where = " ".join(
        f"{NAMES[s.name].lower()} {count:,}" for s, count in zip(snapshot.stages[1:], between, strict=True)
    )
    return [
        line(
            ("draining: ", "accent"),
            (f"{snapshot.inside:,} left", "title"),
            (f", given up in {max(left, 0):.1f} s", "dim"),
        ),
        line((f"  before {where}"[:width], "dim")),
    ]


def ring_past(reader: str, width: int, height: int, scene: Scene) -> list[Line]:
    """Draw how full the ring that a stage reads was over the time window, under its bar; the top is a full ring."""
    values, _ = scene.history.window(f"ring_{reader}", scene.look.window, bar_width(width) * scene.glyphs.across)
    return [line(("    ", "dim"), (text, "dim")) for text in area(values, height, 1.0, scene.glyphs)]


def pipeline_rows(scene: Scene, width: int, height: int) -> list[Line]:
    """Draw stages and rings from ingress to output, and each ring's past in the room that is left.

    With little room there are the stages alone.
    """
    found = works(scene.glance.second, scene.snapshot)
    slow = bottleneck(found) if scene.snapshot.state in (State.RUNNING, State.DRAINING) else None
    stages = [stage_line(work, width, work.name == slow, scene) for work in found]
    rings = [ring_line(ring, width, scene) for ring in scene.snapshot.rings]
    foot = foot_lines(scene, width)
    left = height - len(stages) - len(rings) - len(foot)
    past = min(max(left // len(rings), 0), _MOST_PAST)
    rows = [stages[0]]
    for stage, ring, work in zip(stages[1:], rings, found[1:], strict=True):
        if left >= 0:
            rows += [ring, *(ring_past(work.name, width, past, scene) if past else ())]
        rows.append(stage)
    return [*rows, *foot] if len(rows) + len(foot) <= height else [*rows[: max(height - len(foot), 0)], *foot]


def foot_lines(scene: Scene, width: int) -> list[Line]:
    """Write what there is to say of the whole: how far a drain is, the final figures, what is not conserved."""
    if scene.snapshot.state is State.DRAINED:
        return drained_lines(scene)
    if scene.snapshot.state is State.DRAINING:
        return draining_lines(scene, width)
    if not scene.snapshot.conservation.holds:
        return [line((f"{scene.glyphs.no} {problem}", "bad")) for problem in scene.snapshot.conservation.problems]
    return []


class Pipeline(Panel):
    """The four stages and their three rings."""

    title = "Pipeline"
    every = 0.2

    def draw(self, scene: Scene, width: int, height: int) -> Drawn:
        """Draw the stages under what is inside."""
        return Drawn(f"{scene.snapshot.inside:,} inside", pipeline_rows(scene, width, height))
