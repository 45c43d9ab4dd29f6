"""Prometheus metrics of the books: totals always, each book by its symbol where there are few."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Final

import numpy as np

from velox_engine.exporters.families import Family, gauge, gauges
from velox_engine.exporters.watch import Look
from velox_engine.snapshot import BookState, BookSummary

_COLUMN: Final = {each.name: column for column, each in enumerate(fields(BookSummary))}
_STATE, _ORDERS = _COLUMN["state"], _COLUMN["orders"]
_SIDES: Final = tuple(
    (side, _COLUMN[f"best_{side}"], _COLUMN[f"best_{side}_size"], _COLUMN[f"{side}_levels"]) for side in ("bid", "ask")
)


def book_families(look: Look) -> Iterator[Family]:
    """Make the families of the books."""
    books = look.books
    held = np.bincount(books[:, _STATE], minlength=len(BookState))
    yield gauges("books", "Books by how far each can be trusted.", ("state",), _by_state(held.tolist()))
    yield gauge("books_orders", "Orders that rest in all books.", int(books[:, _ORDERS].sum()))
    yield gauges(
        "books_levels",
        "Price levels of all books.",
        ("side",),
        {side: int(books[:, levels].sum()) for side, _, _, levels in _SIDES},
    )
    yield from _by_symbol(look)


def _by_state(counts: list[int]) -> dict[str, float]:
    return {state.name.lower(): counts[state] for state in BookState}


def _by_symbol(look: Look) -> Iterator[Family]:
    orders: dict[str, float] = {}
    levels: dict[tuple[str, ...], float] = {}
    prices: dict[tuple[str, ...], float] = {}
    sizes: dict[tuple[str, ...], float] = {}
    for instrument, row in zip(look.instruments, look.books.tolist(), strict=False):
        symbol = str(instrument["symbol"])
        price_unit, size_unit = (10 ** int(str(instrument[key])) for key in ("price_decimals", "size_decimals"))
        orders[symbol] = row[_ORDERS]
        for side, price, size, level in _SIDES:
            levels[symbol, side] = row[level]
            sizes[symbol, side] = row[size] / size_unit
            if row[size]:  # an empty side has no price
                prices[symbol, side] = row[price] / price_unit
    if orders:
        both = ("symbol", "side")
        yield gauges("book_orders", "Orders that rest in the book.", ("symbol",), orders)
        yield gauges("book_levels", "Price levels of the book.", both, levels)
        yield gauges("book_best_price", "Best price, absent while the side is empty.", both, prices)
        yield gauges("book_best_size", "Size at the best price.", both, sizes)
