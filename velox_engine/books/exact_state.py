"""Making an exact book's state: its arrays, their first sizes, and the addresses in its `BOOK`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from velox_engine.books.exact_core import apply_batch
from velox_engine.books.exact_entry import entry_address
from velox_engine.books.exact_layout import (
    BLOCK,
    BOOK,
    COUNT_MASK,
    LADDER,
    LEAST_ROOM,
    NO_RANK,
    NO_STEP,
    NODE,
    NODE_STEP,
    SLOT,
    ExactState,
    Need,
    Outcome,
    Status,
)
from velox_engine.books.exact_levels import close_level_entry, open_level_entry
from velox_engine.books.exact_rare import apply_rare_entry

__all__ = ["COUNT_MASK", "ExactState", "Need", "Outcome", "Status", "make_exact"]

_SMALL_TABLE: Final = 1 << 16


def power_of_two(least: int) -> int:
    """The smallest power of two that is not below ``least``."""
    return 1 << max(0, least - 1).bit_length()


def hash_shift(slots: int) -> int:
    """How far a 64-bit hash is shifted down to become a place, in bytes, in a table of that many slots."""
    return 65 - (slots * SLOT.itemsize).bit_length()


def order_table_length(entries: int) -> int:
    """Slots of the orders' table for so many nodes (a power of two): short runs while that is cheap."""
    return entries * (4 if entries <= _SMALL_TABLE else 2)


def touched(length: int, dtype: Any) -> NDArray[Any]:
    """An array of zeros whose pages are in memory: a first touch costs microseconds, so it is not left to a step."""
    array = np.empty(length, dtype)
    array.view(np.uint8)[:] = 0
    return array


def make_exact(symbols: int, *, windowed: bool = False, orders: int = 8192) -> ExactState:
    """Make empty books for symbol indices below ``symbols``, with room for about ``orders`` orders and levels.

    Every size given here is a beginning, not a limit. It must be given to `with_entries` before it is used.
    """
    nodes = power_of_two(max(4, orders))
    levels = min(nodes, 1024)
    sides = 2 * max(1, symbols)
    state = ExactState(
        nodes=touched(nodes, NODE),
        fills=touched(nodes, np.int64),
        order_slots=touched(order_table_length(nodes), SLOT),
        level_slots=touched(2 * levels, SLOT),
        ladders=touched(sides, LADDER),
        blocks=touched(max(LEAST_ROOM, levels), BLOCK),
        free_blocks=touched(64, np.int64),
        stale=touched(sides // 2, np.uint8),
        crossed=touched(sides // 2, np.uint8),
        outcomes=touched(len(Outcome), np.int64),
        book=touched(1, BOOK),
    )
    state.book["free"] = chain_free(state.nodes, 1, 0)
    state.ladders["best"] = NO_RANK
    state.ladders["step"] = NO_STEP
    state.book["windowed"] = windowed
    return with_addresses(state)


def with_addresses(state: ExactState) -> ExactState:
    """Write the arrays' addresses and lengths into their book, after arrays were made or replaced."""
    book = state.book[0]
    for name in ("nodes", "fills", "order_slots", "level_slots", "ladders", "blocks"):
        book[name] = getattr(state, name).ctypes.data
    for name in ("free_blocks", "stale", "crossed", "outcomes"):
        book[name] = getattr(state, name).ctypes.data
    book["symbols"] = len(state.stale)
    book["order_shift"] = hash_shift(len(state.order_slots))
    book["level_shift"] = hash_shift(len(state.level_slots))
    book["most_levels"] = len(state.level_slots) // 2
    book["most_blocks"] = len(state.blocks)
    return state


ENTRIES: Final = {
    "apply": apply_batch,
    "apply_rare": apply_rare_entry,
    "open_level": open_level_entry,
    "close_level": close_level_entry,
}
"""What a book is entered by, by the names of their addresses in `BOOK`."""


def with_entries(state: ExactState) -> ExactState:
    """Write the addresses of compiled code into a book, without which it must not be used; compile it where needed."""
    for name, function in ENTRIES.items():
        state.book[name] = entry_address(function)
    return state


def chain_free(nodes: NDArray[np.void], first: int, then: int) -> int:
    """Chain the nodes from index ``first`` on as free, the last to node ``then``; return the first one's number."""
    nodes["next"][first:] = NODE_STEP * np.arange(first + 1, len(nodes) + 1)
    nodes["next"][-1] = then
    return NODE_STEP * first
