"""Larger arrays for an exact book that ran out of something. Python's part: compiled code never allocates."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from velox_engine.books.exact_layout import (
    NO_RANK,
    NO_STEP,
    NODE_STEP,
    SLOT,
    ExactState,
    Need,
)
from velox_engine.books.exact_memory import slot_at
from velox_engine.books.exact_state import chain_free, hash_shift, order_table_length, touched, with_addresses
from velox_engine.books.exact_table import find, put
from velox_engine.jit import compiled

_SLOT_BYTES: Final = SLOT.itemsize
_MOST_NODES: Final = (1 << 32) // NODE_STEP  # nodes name one another by 32 bits


@compiled
def exact_rehash(old: Any, length: Any, new: Any, shift: Any) -> None:
    """Put every entry of a table (its address and length) into a larger, empty one."""
    for i in range(length):
        slot = slot_at(old, _SLOT_BYTES * i)
        if slot.node != 0:
            put(new, find(new, slot.key, slot.tag, shift), slot.key, slot.tag, slot.node)


def _longer(array: NDArray[Any], length: int) -> NDArray[Any]:
    """A copy with ``length`` entries, the new ones 0."""
    result = touched(length, array.dtype)
    result[: len(array)] = array
    return result


def _larger_table(slots: NDArray[np.void], length: int) -> NDArray[np.void]:
    result = touched(length, SLOT)
    exact_rehash(slots.ctypes.data, len(slots), result.ctypes.data, hash_shift(length))
    return result


def grow(state: ExactState) -> ExactState:
    """Return a state with room for the record that `exact_apply` stopped at: twice as much of what ran out.

    The old state must not be used any more: what did not grow is shared with it. Raises `MemoryError` where memory or
    32-bit node numbers end, and then the old state is still good.
    """
    book = state.book[0]
    need, needed = Need(int(book["need"])), int(book["needed"])
    if need is Need.NODES:
        state = _more_nodes(state)
    elif need is Need.LEVEL_SLOTS:
        state = state._replace(level_slots=_larger_table(state.level_slots, 2 * len(state.level_slots)))
    elif need is Need.BLOCKS:
        length = max(2 * len(state.blocks), len(state.blocks) + needed)
        state = state._replace(blocks=_longer(state.blocks, length))
    elif need is Need.SYMBOLS:
        state = _more_symbols(state, needed + 1)
    book["need"] = Need.NOTHING
    return with_addresses(state)


def _more_nodes(state: ExactState) -> ExactState:
    old = len(state.nodes)
    if 2 * old > _MOST_NODES:
        raise MemoryError(f"an exact book holds at most {_MOST_NODES:,} orders and levels")
    nodes, fills = _longer(state.nodes, 2 * old), _longer(state.fills, 2 * old)
    slots = _larger_table(state.order_slots, order_table_length(2 * old))
    state.book[0]["free"] = chain_free(nodes, old, int(state.book[0]["free"]))
    return state._replace(nodes=nodes, fills=fills, order_slots=slots)


def _more_symbols(state: ExactState, least: int) -> ExactState:
    old = len(state.stale)
    symbols = max(2 * old, least)
    ladders = _longer(state.ladders, 2 * symbols)
    ladders["best"][2 * old :] = NO_RANK
    ladders["step"][2 * old :] = NO_STEP
    return state._replace(ladders=ladders, stale=_longer(state.stale, symbols), crossed=_longer(state.crossed, symbols))
