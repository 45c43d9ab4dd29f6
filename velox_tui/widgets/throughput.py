"""Throughput over time: ingress, order book, bundles, output and drops, in bands or one of them large."""

from __future__ import annotations

import math

import numpy as np

from velox_tui.glyphs import area
from velox_tui.lines import Drawn, Line, line
from velox_tui.numbers import nice_above, rate, short, span
from velox_tui.scene import SERIES, Scene
from velox_tui.widgets.panel import Panel

NAMES = {"ingress": "ingress", "orderbook": "order book", "bundles": "bundles", "output": "output", "dropped": "drops"}
_IMPORTANT = ("output", "ingress", "dropped", "bundles", "orderbook")  # which stay where there is little room
_TOGETHER = ("ingress", "orderbook", "output")  # on one scale: they count the same transactions
_GUTTER = 18
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600)


def shown_series(look_series: str, rows: int) -> tuple[str, ...]:
    """Return the series that fit ``rows`` rows, two at least each, in the order of the flow."""
    if look_series != "all":
        return (look_series,)
    kept = _IMPORTANT[: max(min(rows // 2, len(_IMPORTANT)), 1)]
    return tuple(name for name in SERIES if name in kept)


def time_axis(width: int, seconds_per_column: float, glyphs_dash: str) -> str:
    """Write a time axis: ``now`` at the right, round times to the left of it where they fit."""
    axis = [" "] * width
    span_s = width * seconds_per_column
    step = next((tick for tick in _TICKS if tick / seconds_per_column >= 10), _TICKS[-1])
    marks = [(0.0, "now")]
    at = float(step)
    while at < span_s:
        marks.append((at, f"-{at / 60:g}min" if at >= 60 and at % 60 == 0 else f"-{at:g}s"))
        at += step
    free = width
    for seconds, text in marks:
        end = min(width - round(seconds / seconds_per_column) + len(text) // 2, width)
        begin = end - len(text)
        if begin < 0 or end > free:
            continue
        axis[begin:end] = text
        free = begin - 1
    return "".join(axis).replace("-", glyphs_dash)


def top_of(scene: Scene, name: str, seconds: float, points: int) -> float:
    """Return the top of a series' scale: a round number above everything that is shown with it."""
    greatest = 0.0
    for other in _TOGETHER if name in _TOGETHER else (name,):
        values, _ = scene.history.window(other, seconds, points)
        known = values[~np.isnan(values)]
        greatest = max(greatest, float(known.max()) if len(known) else 0.0)
    return nice_above(greatest)


def throughput_rows(scene: Scene, width: int, height: int) -> list[Line]:
    """Draw the bands, each with its name, its figure of the last second and its scale, and the time axis below."""
    gutter = _GUTTER if width >= 44 else 9
    graph = width - gutter
    if graph < 4 or height < 2:
        return [
            line((f"{NAMES[name]:10} ", "dim"), (rate(scene.glance.rate(name)), name))
            for name in shown_series(scene.look.series, 2 * height)
        ]
    names = shown_series(scene.look.series, height - 1)
    points, glyphs = graph * scene.glyphs.across, scene.glyphs
    bands, seconds_per_point = [], 1.0
    base, extra = divmod(height - 1, len(names))
    for index, name in enumerate(names):
        rows = base + (index < extra)
        values, seconds_per_point = scene.history.window(name, scene.look.window, points)
        top = top_of(scene, name, scene.look.window, points)
        drawn = area(values, rows, top, glyphs, scene.look.log)
        for row, text in enumerate(drawn):
            bands.append(
                line((_gutter(scene, name, row, rows, top, gutter), "text" if row == 0 else "dim"), (text, name))
            )
    axis = time_axis(graph, seconds_per_point * glyphs.across, "-")
    return [*bands, line((" " * gutter, "dim"), (axis, "dim"))]


def _gutter(scene: Scene, name: str, row: int, rows: int, top: float, width: int) -> str:
    """Write what stands left of a band's row: name and top of the scale first, then the figure, 0 at the bottom."""
    tee = scene.glyphs.tee
    figure = rate(scene.glance.rate(name), 0)
    label = short(top) if row == 0 else ("1" if scene.look.log else "0") if row == rows - 1 and rows > 2 else ""
    if width < _GUTTER:
        text = NAMES[name][:8] if row == 0 else figure if row == 1 else ""
        return f"{text:{width}}"
    text = NAMES[name] if row == 0 else figure if row == 1 else ""
    return f"{text:11}{label:>5}{tee if label else ' '} "[:width]


class Throughput(Panel):
    """The graph of everything that flows."""

    title = "Throughput"

    def draw(self, scene: Scene, width: int, height: int) -> Drawn:
        """Draw the bands under the rate that leaves."""
        output = scene.glance.rate("output")
        scale = ", log" if scene.look.log else ""
        chosen = "" if scene.look.series == "all" else f" {NAMES[scene.look.series]},"
        figure = f"{rate(output, 0) if not math.isnan(output) else ''} out,{chosen} {span(scene.look.window)}{scale}"
        return Drawn(figure, throughput_rows(scene, width, height))
