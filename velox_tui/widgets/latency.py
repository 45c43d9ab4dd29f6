"""Latency: percentiles from due time to each stage, service times, the histogram, and the host's own hiccups."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from velox_engine.lockfree.histogram_view import FLOORS, Histogram
from velox_tui.glyphs import area
from velox_tui.lines import Drawn, Line, line
from velox_tui.numbers import latency
from velox_tui.sampler import recent
from velox_tui.scene import Scene
from velox_tui.widgets.panel import Panel

PERCENTILES: Final = ((50.0, "p50"), (90.0, "p90"), (99.0, "p99"), (99.9, "p99.9"), (100.0, "max"))
_LABEL: Final = 11
_FIGURE: Final = 7
_WIDE: Final = 90
_TO: Final = ("to ingress", "to book", "to bundle", "end to end")
_SERVICE: Final = ("ingress", "order book", "bundle", "output")


def figures(histogram: Histogram) -> list[float]:
    """Return the percentiles shown; NaN where nothing was recorded."""
    if not histogram.count:
        return [math.nan] * len(PERCENTILES)
    found = histogram.percentiles(*(percent for percent, _ in PERCENTILES[:-1]))
    return [*map(float, found), float(histogram.largest)]


def figure_line(label: str, histogram: Histogram, role: str, micro: str, width: int) -> Line:
    """Write a row of the table: what it is, then each percentile."""
    kept = max(min((width - _LABEL) // _FIGURE, len(PERCENTILES)), 1)
    numbers = figures(histogram)
    chosen = numbers if kept == len(numbers) else [*numbers[: kept - 1], numbers[-1]]
    return line((f"{label:{_LABEL}}", "dim"), ("".join(latency(each, micro, _FIGURE) for each in chosen), role))


def head_line(label: str, width: int) -> Line:
    """Write the head of the table."""
    kept = max(min((width - _LABEL) // _FIGURE, len(PERCENTILES)), 1)
    words = [word for _, word in PERCENTILES]
    chosen = words if kept == len(words) else [*words[: kept - 1], words[-1]]
    return line((f"{label:{_LABEL}}" + "".join(f"{word:>{_FIGURE}}" for word in chosen), "dim"))


def decades(*histograms: Histogram) -> tuple[int, int]:
    """Return the powers of ten of ns between which everything lies."""
    held = [each for each in histograms if each.count]
    if not held:
        return 3, 6
    low = min(max(each.least, 1) for each in held)
    high = max(max(each.largest, 1) for each in held)
    first = math.floor(math.log10(low))
    return first, max(math.floor(math.log10(high)) + 1, first + 2)


def by_column(histogram: Histogram, first: int, last: int, columns: int) -> NDArray[np.float64]:
    """Return the share of a histogram's values that falls into each of ``columns`` equal parts of the decades."""
    held = np.flatnonzero(histogram.buckets)
    shares = np.zeros(columns)
    if len(held) and columns > 0:
        middle = np.maximum((FLOORS[held] + FLOORS[held + 1] - 1) / 2, 1.0)
        at = ((np.log10(middle) - first) / (last - first) * columns).astype(np.int64)
        np.add.at(shares, np.clip(at, 0, columns - 1), histogram.buckets[held] / histogram.buckets.sum())
    return shares


def decade_axis(first: int, last: int, width: int, micro: str) -> str:
    """Write the axis below the histogram: each power of ten with its unit where it fits."""
    axis = [" "] * width
    free = 0
    for power in range(first, last + 1):
        unit = {0: "ns", 1: f"{micro}s", 2: "ms", 3: "s"}[min(power // 3, 3)]
        text = f"{10 ** (power - 3 * min(power // 3, 3))}{unit}"
        at = min(round((power - first) / (last - first) * width), width - len(text))
        if at >= free and at >= 0:
            axis[at : at + len(text)] = text
            free = at + len(text) + 1
    return "".join(axis)


def histogram_rows(now: Histogram, host: Histogram, scene: Scene, width: int, height: int) -> list[Line]:
    """Draw the latencies of the last 10 s, the host's hiccups below them on the same axis, and the axis."""
    first, last = decades(now, host)
    glyphs, log = scene.glyphs, scene.look.log
    points = width * glyphs.across

    def drawn(histogram: Histogram, rows: int, role: str, label: str) -> list[Line]:
        shares = by_column(histogram, first, last, points)
        top = max(float(shares.max(initial=0.0)), 1e-9)
        values = shares * 1e6 if log else shares  # in millionths, a decade begins at one in a million
        texts = area(values, rows, top * 1e6 if log else top, glyphs, log)
        if texts[0].endswith(" " * (len(label) + 2)):  # only where it covers nothing
            return [line((texts[0][: -len(label)], role), (label, role)), *(line((text, role)) for text in texts[1:])]
        return [line((text, role)) for text in texts]

    host_rows = height // 4 if height >= 8 else 0
    rows = drawn(now, max(height - 1 - host_rows, 1), "output", "end to end")
    if host_rows:
        rows += drawn(host, host_rows, "dim", "host" if width < _WIDE else "host: how late a sleeping thread wakes")
    return [*rows, line((decade_axis(first, last, width, glyphs.micro), "dim"))]


def latency_rows(scene: Scene, width: int, height: int) -> list[Line]:
    """Write the table, as much of it as there is room for, and the histogram in the rest."""
    glance, snapshot, micro = scene.glance, scene.snapshot, scene.glyphs.micro
    ends = recent(glance.ten.output.latency, snapshot.output.latency)
    host = recent(glance.ten.hiccup, snapshot.hiccup)
    rows = [
        head_line("last 10 s", width),
        figure_line("end to end", ends, "text", micro, width),
        figure_line("host", host, "dim", micro, width),
        figure_line("whole run", snapshot.output.latency, "text", micro, width),
    ]
    wide = width >= 2 * (_LABEL + 5 * _FIGURE) + 4
    more = [head_line("due until", width)]
    stages = list(zip(snapshot.stages, glance.ten.stages, strict=True))
    for label, (stage, before) in zip(_TO, stages, strict=True):
        more.append(figure_line(label, recent(before.latency, stage.latency), "text", micro, width))
    service = [head_line("service", width)]
    for label, (stage, before) in zip(_SERVICE, stages, strict=True):
        service.append(figure_line(label, recent(before.service, stage.service), "text", micro, width))
    if wide and height >= 18:
        gap = ((" " * 4, "text"),)
        side = _LABEL + 5 * _FIGURE
        rows += [(), *((*_padded(a, side), *gap, *b) for a, b in zip(more, service, strict=True)), ()]
    elif height >= 21:
        rows += [(), *more, (), *service, ()]
    elif height >= 14:
        rows += [*service]
    left = height - len(rows)
    return [*rows, *histogram_rows(ends, host, scene, width, left)] if left >= 2 else rows[:height]


def _padded(row: Line, width: int) -> Line:
    used = sum(len(text) for text, _ in row)
    return (*row, (" " * max(width - used, 0), "text"))


class Latency(Panel):
    """How long things take."""

    title = "Latency"
    every = 0.25

    def draw(self, scene: Scene, width: int, height: int) -> Drawn:
        """Draw the table and the histogram under the p99 of the last 10 s."""
        ends = recent(scene.glance.ten.output.latency, scene.snapshot.output.latency)
        figure = f"p99 {latency(ends.percentile(99), scene.glyphs.micro, 0)}" if ends.count else ""
        return Drawn(figure, latency_rows(scene, width, height))
