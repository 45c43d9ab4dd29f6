"""The bundles: how many a second and why they went out, and how large they are."""

from __future__ import annotations

import numpy as np

from velox_tui.glyphs import area, bar
from velox_tui.lines import Drawn, Line, line
from velox_tui.numbers import percent, rate, short
from velox_tui.scene import Scene, rate_between
from velox_tui.widgets.panel import Panel

REASONS = (("by_size", "full"), ("by_timeout", "late"), ("by_drain", "drained"))


def size_columns(sizes: np.ndarray, largest: int, columns: int) -> np.ndarray:
    """Return the share of bundles in each of ``columns`` equal parts of the sizes 1 … ``largest``."""
    counts = sizes[1 : largest + 1].astype(np.float64)
    whole = counts.sum()
    shares = counts / whole if whole else counts
    if columns >= largest:
        each = columns // largest
        return np.repeat(shares, each)
    edges = (np.arange(columns) * largest) // columns
    return np.add.reduceat(shares, edges)


def bundle_rows(scene: Scene, width: int, height: int) -> list[Line]:
    """Write the flushes of the last second by reason, then the sizes of the last ten."""
    glance, snapshot = scene.glance, scene.snapshot
    rates = [max(rate_between(glance.second, snapshot, key), 0.0) for key, _ in REASONS]
    whole = sum(rates)
    rows: list[Line] = []
    for (_, word), each in zip(REASONS, rates, strict=True):
        full, rest = bar(each / whole if whole else 0.0, max(width - 23, 0), scene.glyphs)
        share = percent(each / whole if whole else 0.0, 5)
        rows.append(
            line(
                (f"{word:8}", "dim"),
                (f"{rate(each, 9)}", "text"),
                (f"{share} ", "dim"),
                (full, "bundles"),
                (rest, "faint"),
            )
        )
    sizes = snapshot.bundle_sizes - glance.ten.bundle_sizes
    if not sizes.any():
        sizes = snapshot.bundle_sizes
    count = int(sizes.sum())
    mean = float((np.arange(len(sizes)) * sizes).sum() / count) if count else 0.0
    rows.append(line(("mean size ", "dim"), (f"{mean:5.1f}", "text"), (f"   open now {snapshot.open_bundle}", "dim")))
    left = height - len(rows)
    if left < 2:
        return rows[:height]
    largest = int(snapshot.config.get("bundle", {}).get("max_size", 16))
    points = width * scene.glyphs.across
    shares = size_columns(sizes, largest, points)
    shares = np.concatenate([shares, np.full((-len(shares)) % scene.glyphs.across, np.nan)])
    top = max(float(np.nanmax(shares, initial=0.0)), 1e-9)
    values = shares * 1e6 if scene.look.log else shares
    drawn = area(values, left - 1, top * 1e6 if scene.look.log else top, scene.glyphs, scene.look.log)
    long = len(drawn[0]) if drawn else width
    axis = f"1{f'{largest}':>{max(long - 1, 1)}}" if largest > 1 else "1"
    return [
        *rows,
        *(line((text, "bundles")) for text in drawn),
        line((axis, "dim"), (" size" if long + 5 <= width else "", "dim")),
    ]


class Bundles(Panel):
    """What leaves together."""

    title = "Bundles"
    every = 0.25

    def draw(self, scene: Scene, width: int, height: int) -> Drawn:
        """Draw them under their rate."""
        figure = f"{rate(scene.glance.rate('bundles'), 0)}, {short(scene.snapshot.flushed)} in all"
        return Drawn(figure, bundle_rows(scene, width, height))
