"""What the order-book stage asks of exact books beside applying records: a symbol's summary in telemetry's words."""

from __future__ import annotations

from typing import Any

import numpy as np

from velox_engine.books.exact_ladder import rank_in
from velox_engine.books.exact_memory import block_at, highest_bit, ladder_at, node_at, slot_at
from velox_engine.books.exact_read import exact_best, exact_status
from velox_engine.books.exact_state import COUNT_MASK
from velox_engine.books.exact_table import find
from velox_engine.jit import compiled, inlined


@inlined
def _level_of(book: Any, side: Any, price: Any) -> Any:
    slot = find(book.level_slots, price, side, book.level_shift)
    return np.int64(slot_at(book.level_slots, slot).node)


@compiled
def exact_summary(state: Any, symbol: Any, out: Any, at: Any) -> None:
    """Write state, best bid, its size, best ask, its size, bid levels, ask levels, known orders to ``out[at …]``.

    It walks the levels, not the orders: some nanoseconds a level.
    """
    book = state.book[0]
    out[at] = exact_status(state, symbol)
    exact_best(state, symbol, out[at + 1 : at + 5])
    out[at + 5], out[at + 6], out[at + 7] = 0, 0, 0
    if symbol >= book.symbols:
        return
    for side in range(2):
        number = 2 * symbol + side
        ladder = ladder_at(book.ladders, number)
        for i in range(ladder.start, ladder.start + ladder.length):
            block = block_at(book.blocks, i)
            mask = block.mask
            while mask != 0:
                bit = highest_bit(mask)
                mask ^= 1 << bit
                # a rank is the price of a bid and its complement of an ask
                price = rank_in(block, bit, ladder, side) ^ -np.int64(side)
                out[at + 5 + side] += 1
                out[at + 7] += node_at(book.nodes, _level_of(book, number, price)).count & COUNT_MASK
