"""Throughput over time: ingress, order book, bundles, output and drops, in bands or one of them large."""

from __future__ import annotations

import math
from collections.abc import Mapping

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


def tops_of(peaks: Mapping[str, float]) -> dict[str, float]:
    """Return the tops of all series' scales: a round number above the peaks of everything that is shown with it."""
    together = max(peaks[name] for name in _TOGETHER)
    return {name: nice_above(together if name in _TOGETHER else peak) for name, peak in peaks.items()}


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
    found, seconds_per_point = scene.history.windows(SERIES, scene.look.window, points)
    peaks = np.fmax.reduce(found, axis=1, initial=0.0)
    tops = tops_of(dict(zip(SERIES, peaks.tolist(), strict=True)))
    bands = []
    base, extra = divmod(height - 1, len(names))
    for index, name in enumerate(names):
        rows = base + (index < extra)
        top = tops[name]
        drawn = area(found[SERIES.index(name)], rows, top, glyphs, scene.look.log)
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
