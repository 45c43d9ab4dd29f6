"""The order book as a ladder: asks above, bids below, best prices in the middle; and the last trades beside it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velox_engine.snapshot import BookState, DepthSnapshot, Trade
from velox_tui.glyphs import Glyphs, bar
from velox_tui.lines import Drawn, Line, clip, columns, line
from velox_tui.numbers import percent, scaled, short
from velox_tui.scene import Scene
from velox_tui.widgets.panel import Panel

Levels = NDArray[np.int64]
_STATES = {
    BookState.SYNCED: ("synced", "good"),
    BookState.STALE: ("stale", "bad"),
    BookState.WINDOWED: ("windowed", "accent"),
    BookState.CROSSED: ("crossed", "warn"),
}
_BID, _ASK = 0, 1
_HEAD_FROM = 8  # rows
_TRADES_WIDTH, _BESIDE_FROM = 21, 54  # columns: the last trades stand beside the ladder where it is so wide
_TRADES_BELOW, _BELOW_FROM = 5, 22  # rows: else below it where it is so high


class Side(NamedTuple):
    """One side of a ladder, best first: int64 (n,) each; ``total`` is of everything that was published."""

    prices: Levels
    sizes: Levels
    orders: Levels
    total: int


def grouped(levels: Levels, step: int, side: int, depth: int) -> Side:
    """Put levels (n, 3) into steps of price, best first, at most ``depth`` of them.

    A group bears the price that is farthest from the other side: for bids the floor, for asks the ceiling, so that
    everything in it is at that price or better.
    """
    order = np.argsort(levels[:, 0], kind="stable")
    ordered = levels[order[::-1] if side == _BID else order]
    if not len(ordered):
        empty = np.zeros(0, np.int64)
        return Side(empty, empty, empty, 0)
    price = ordered[:, 0]
    marks = price // step * step if side == _BID else -(-price // step) * step
    begins = np.flatnonzero(np.concatenate(([True], marks[1:] != marks[:-1])))
    sizes, orders = np.add.reduceat(ordered[:, 1], begins), np.add.reduceat(ordered[:, 2], begins)
    return Side(marks[begins][:depth], sizes[:depth], orders[:depth], int(ordered[:, 1].sum()))


def side_rows(height: int) -> tuple[int, int]:
    """Return how many asks and bids ``height`` rows have room for, beside the middle and, where it fits, the head."""
    left = max(height - (2 if height >= _HEAD_FROM else 1), 1)
    return max(left // 2, 1), max(left - left // 2, 1)


def imbalance(bids: Side, asks: Side) -> float:
    """Return the bids' share of the size that is shown; NaN where there is none."""
    whole = int(bids.sizes.sum() + asks.sizes.sum())
    return int(bids.sizes.sum()) / whole if whole else float("nan")


def ladder_rows(
    book: DepthSnapshot, instrument: dict[str, Any], depth: int, group: int, width: int, height: int, glyphs: Glyphs
) -> list[Line]:
    """Draw the ladder in ``height`` rows: price, size, cumulative size, orders where they are known, size bars."""
    decimals, tick = int(instrument["price_decimals"]), max(int(instrument["tick"]), 1)
    above, below = side_rows(height)
    shown = min(depth, above)
    asks = grouped(book.asks, tick * group, _ASK, shown)
    bids = grouped(book.bids, tick * group, _BID, min(depth, below))
    about = glyphs.about if book.approximate else ""
    price_width = max(
        (len(scaled(int(price), decimals)) for price in (*bids.prices[:1], *asks.prices[:1], *asks.prices[-1:])),
        default=7,
    ) + len(about)
    with_orders = bool(bids.orders.any() or asks.orders.any()) and width >= price_width + 26
    with_total = width >= price_width + 20
    fixed = price_width + 7 + (7 if with_total else 0) + (5 if with_orders else 0)
    greatest = max(int(bids.sizes.max(initial=1)), int(asks.sizes.max(initial=1)))
    heads = f"{'price':>{price_width}}{'size':>7}" + (f"{'total':>7}" if with_total else "")
    rows: list[Line] = [line((heads + (f"{'ord':>5}" if with_orders else ""), "dim"))]

    def level(side: Side, row: int, role: str) -> Line:
        price = about + scaled(int(side.prices[row]), decimals)
        size = side.sizes[row] / 10 ** int(instrument["size_decimals"])
        total = side.sizes[: row + 1].sum() / 10 ** int(instrument["size_decimals"])
        full, _ = bar(int(side.sizes[row]) / greatest, max(width - fixed - 1, 0), glyphs)
        return line(
            (f"{price:>{price_width}}", role),
            (f"{short(size):>7}", "text"),
            (f"{short(total):>7}" if with_total else "", "dim"),
            (f"{int(side.orders[row]):>5}" if with_orders else "", "dim"),
            (" ", "text"),
            (full, f"{role}s"),
        )

    upper = [level(asks, row, "ask") for row in range(len(asks.prices) - 1, -1, -1)]
    rows = [*rows[: height >= _HEAD_FROM], *[()] * (shown - len(upper)), *upper]
    rows.append(_middle(book, bids, asks, decimals, about, width, glyphs))
    rows += [level(bids, row, "bid") for row in range(len(bids.prices))]
    return rows


def _middle(book: DepthSnapshot, bids: Side, asks: Side, decimals: int, about: str, width: int, glyphs: Glyphs) -> Line:
    if not len(book.bids) or not len(book.asks):
        side = "bids" if len(book.bids) else "asks" if len(book.asks) else ""
        return line((clip(f"only {side}" if side else "the book is empty", width), "dim"))
    bid, ask = int(book.bids[:, 0].max()), int(book.asks[:, 0].min())
    spread, middle = scaled(ask - bid, decimals), scaled((bid + ask) * 5, decimals + 1)
    text = f"{about}{middle} mid"
    more = f"  spread {about}{spread}"
    share = imbalance(bids, asks)
    leaning = f"  bids {percent(share)}"
    for part in (more, leaning):
        text += part if len(text) + len(part) <= width else ""
    room = width - len(text) - 2
    full, rest = bar(share, min(room, 16), glyphs) if room >= 4 else ("", "")
    return line((text, "title"), ("  " if full or rest else "", "text"), (full, "bids"), (rest, "asks"))


def trade_rows(
    trades: tuple[Trade, ...], instrument: dict[str, Any], symbol: int, height: int, glyphs: Glyphs
) -> list[Line]:
    """Write the last trades of a symbol, the newest first: price, size, and which side was resting."""
    decimals, digits = int(instrument["price_decimals"]), int(instrument["size_decimals"])
    rows: list[Line] = [line(("last trades", "dim"))]
    for trade in reversed(trades):
        if trade.symbol != symbol or len(rows) >= height:
            continue
        sign, role = {0: (glyphs.down_arrow, "ask"), 1: (glyphs.up_arrow, "bid")}.get(trade.side, (glyphs.dot, "text"))
        size = short(trade.size / 10**digits)
        rows.append(line((f"{sign} {scaled(trade.price, decimals):>10}", role), (f"{size:>7}", "text")))
    return rows


class Depth(Panel):
    """The book of the chosen symbol."""

    title = "Depth"
    every = 0.2

    def draw(self, scene: Scene, width: int, height: int) -> Drawn:
        """Draw the ladder, with the last trades beside it where there is room."""
        book, instrument, look = scene.book, scene.instrument, scene.look
        name = scene.glyphs.plain(str(instrument["symbol"]))
        if book is None:
            return Drawn(name, [line(("no book of this symbol yet", "dim"))])
        state, _ = _STATES[book.state]
        tick = max(int(instrument["tick"]), 1)
        steps = scaled(tick * look.group, int(instrument["price_decimals"])).rstrip("0").rstrip(".")
        beside = width >= _BESIDE_FROM
        below = _TRADES_BELOW if not beside and height >= _BELOW_FROM else 0
        shown = min(look.depth, max(side_rows(height - below)))
        figure = f"{name} {state}, {shown} {scene.glyphs.plain('×')} {steps}"
        room = width - _TRADES_WIDTH - 1 if beside else width
        rows = ladder_rows(book, instrument, look.depth, look.group, room, height - below, scene.glyphs)
        trades = trade_rows(scene.snapshot.trades, instrument, look.symbol, below or height, scene.glyphs)
        if beside:
            rows = columns(rows, trades, room)
        elif below:
            rows = [*rows, *[()] * (height - below - len(rows)), *trades]
        return Drawn(figure, rows)
