"""The book over time as a heat map: price upwards, time to the right, the denser the more rests there."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from velox_tui.glyphs import Glyphs
from velox_tui.heat import PERIOD_S, HeatHistory
from velox_tui.lines import Drawn, Line, Part, line
from velox_tui.numbers import scaled, span
from velox_tui.scene import Scene
from velox_tui.widgets.panel import Panel
from velox_tui.widgets.throughput import time_axis

_ROLES: Final = ("text", "bids", "asks", "accent")
_TRADE: Final = 3


def price_scale(heat: HeatHistory, step: int, rows: int) -> tuple[int, int]:
    """Return the highest price step of the map (in steps) and how many ``step`` a row is.

    The middle of the newest column stands in the middle; it moves by a quarter of the height at once, so that the
    picture is still in between.
    """
    newest = heat.newest()
    sides = [side[:, 0] for side in (newest.bids, newest.asks) if len(side)]
    if not sides:
        return rows, 1
    best = [
        int(newest.bids[:, 0].max()) if len(newest.bids) else None,
        int(newest.asks[:, 0].min()) if len(newest.asks) else None,
    ]
    known = [price for price in best if price is not None]
    middle = sum(known) // len(known) // step
    jump = max(rows // 4, 1)
    return middle // jump * jump + jump // 2 + rows // 2, 1


def heat_matrix(
    heat: HeatHistory, step: int, top: int, rows: int, columns: int, period: int
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Return what rests at each row and column (sizes, the greatest of a column's moments) and whose it is.

    ``step``: price units a row; ``top``: the step of the first row; ``period``: moments a column. Kinds: 0 nothing,
    1 bid, 2 ask, 3 a trade happened there.
    """
    sizes, kinds = np.zeros((rows, columns), np.int64), np.zeros((rows, columns), np.int8)
    last = heat.number // period
    for moment in heat.columns():
        column = columns - 1 - (last - moment.number // period)
        if column < 0:
            break
        for kind, side in ((1, moment.bids), (2, moment.asks)):
            at = top - side[:, 0] // step
            inside = (at >= 0) & (at < rows)
            found = np.bincount(at[inside], weights=side[inside, 1], minlength=rows)[:rows].astype(np.int64)
            more = found > sizes[:, column]
            sizes[more, column] = found[more]
            kinds[more, column] = kind
        for price in moment.traded.tolist():
            row = top - price // step
            if 0 <= row < rows:
                kinds[row, column] = _TRADE
    return sizes, kinds


def heat_rows(
    heat: HeatHistory, instrument: dict[str, Any], group: int, window: int, width: int, height: int, glyphs: Glyphs
) -> list[Line]:
    """Draw the map with prices at the left and the time below. A trade is a dot of its own colour."""
    rows = height - 1
    decimals, tick = int(instrument["price_decimals"]), max(int(instrument["tick"]), 1)
    if not heat.count or rows < 2:
        return [line(("no book of this symbol yet", "dim"))]
    gutter = len(scaled(int(max(heat.newest().asks[:, 0].max(initial=0), 1)), decimals)) + 1
    columns = width - gutter
    if columns < 4:
        return [line(("too narrow for a map", "dim"))]
    step = tick * group
    top, _ = price_scale(heat, step, rows)
    period = max(round(window / PERIOD_S / columns), 1)
    sizes, kinds = heat_matrix(heat, step, top, rows, columns, period)
    # the root makes small sizes visible beside great ones; what is far above all others is cut
    filled = sizes[sizes > 0]
    most = float(np.percentile(filled, 98)) if len(filled) else 1.0
    shade = np.ceil(np.sqrt(np.minimum(sizes / max(most, 1.0), 1.0)) * (len(glyphs.shades) - 1)).astype(np.int64)
    signs = np.array(list(glyphs.shades))[shade]
    signs[kinds == _TRADE] = glyphs.running if glyphs.name != "braille" else "•"
    kinds = np.where((shade == 0) & (kinds != _TRADE), 0, kinds)
    found = []
    for row in range(rows):
        parts: list[Part] = []
        for kind, cells in groupby(range(columns), key=lambda column, row=row: int(kinds[row, column])):  # type: ignore[misc]
            parts.append(("".join(signs[row, column] for column in cells), _ROLES[kind]))
        price = scaled((top - row) * step, decimals) if row % 3 == 0 else ""
        found.append(line((f"{price:>{gutter - 1}} ", "dim"), *parts))
    axis = time_axis(columns, period * PERIOD_S, "-")
    return [*found, line((" " * gutter, "dim"), (axis, "dim"))]


class HeatMap(Panel):
    """The second view of the book."""

    title = "Depth over time"
    every = 0.5

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self._drawn: tuple[object, list[Line]] = (None, [])

    def draw(self, scene: Scene, width: int, height: int) -> Drawn:
        """Draw the map anew when it has a new column or another shape."""
        look = scene.look
        state = (
            scene.heat.number,
            look.group,
            look.window,
            look.symbol,
            width,
            height,
            scene.glyphs,
        )
        if self._drawn[0] != state:
            rows = heat_rows(scene.heat, scene.instrument, look.group, look.window, width, height, scene.glyphs)
            self._drawn = (state, rows)
        about = scene.glyphs.about if scene.book is not None and scene.book.approximate else ""
        return Drawn(f"{scene.instrument['symbol']} {about}{span(look.window)}", self._drawn[1])
