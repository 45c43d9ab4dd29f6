"""What the exact book can be asked: best prices, depth, orders in their queue, and what the book is worth.

Functions named ``…_of`` take the state's ``book`` array, which makes for a cheap call from Python; the ``exact_…`` ones
take the state, for compiled callers. A symbol that the state has no room for yet has an empty book.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from velox_engine.books.exact_ladder import rank_in, turned
from velox_engine.books.exact_layout import COUNT_MASK, CROSSED_THEN, Status
from velox_engine.books.exact_memory import block_at, highest_bit, ladder_at, load_byte, node_at, slot_at
from velox_engine.books.exact_table import find
from velox_engine.jit import compiled, inlined, inner

_SYNCED, _WINDOWED = int(Status.SYNCED), int(Status.WINDOWED)
_CROSSED, _STALE = int(Status.CROSSED), int(Status.STALE)


@inlined
def _level_at_rank(book: Any, side: Any, rank: Any) -> Any:
    slot = find(book.level_slots, turned(rank, side), side, book.level_shift)
    return np.int64(slot_at(book.level_slots, slot).node)


@compiled
def depth_of(books: Any, symbol: Any, side: Any, levels: Any, out_price: Any, out_size: Any, out_orders: Any) -> Any:
    """Write the best ``levels`` levels of one side into three int64 arrays, best first; return how many there were.

    ``out_orders`` counts the orders of a level as far as they are known: an aggregated or seeded size whose count the
    feed does not tell adds 0.
    """
    book = books[0]
    if symbol >= book.symbols:
        return 0
    ladder = ladder_at(book.ladders, 2 * symbol + side)
    shown = 0
    for i in range(ladder.start + ladder.length - 1, ladder.start - 1, -1):
        block = block_at(book.blocks, i)
        mask = block.mask
        while mask != 0:
            if shown >= levels:
                return shown
            bit = highest_bit(mask)
            mask ^= 1 << bit
            level = node_at(book.nodes, _level_at_rank(book, 2 * symbol + side, rank_in(block, bit, ladder, side)))
            out_price[shown] = level.key
            out_size[shown] = level.size
            out_orders[shown] = level.count & COUNT_MASK
            shown += 1
    return shown


@compiled
def best_of(books: Any, symbol: Any, out: Any) -> None:
    """Write best bid price, its size, best ask price, its size into ``out`` (int64, shape (4,)); size 0: no level."""
    book = books[0]
    out[:] = 0
    if symbol >= book.symbols:
        return
    for side in range(2):
        ladder = ladder_at(book.ladders, 2 * symbol + side)
        if ladder.length:
            level = node_at(book.nodes, _level_at_rank(book, 2 * symbol + side, ladder.best))
            out[2 * side] = level.key
            out[2 * side + 1] = level.size


@compiled
def totals_of(books: Any, symbol: Any, out: Any) -> None:
    """Write levels, known orders and queue pieces of the bid side, then of the ask side (int64, shape (6,))."""
    book = books[0]
    out[:] = 0
    if symbol >= book.symbols:
        return
    for side in range(2):
        ladder = ladder_at(book.ladders, 2 * symbol + side)
        for i in range(ladder.start, ladder.start + ladder.length):
            block = block_at(book.blocks, i)
            mask = block.mask
            while mask != 0:
                bit = highest_bit(mask)
                mask ^= 1 << bit
                number = _level_at_rank(book, 2 * symbol + side, rank_in(block, bit, ladder, side))
                level = node_at(book.nodes, number)
                out[3 * side] += 1
                out[3 * side + 1] += level.count & COUNT_MASK
                node = np.int64(level.next)
                while node != number:
                    out[3 * side + 2] += 1
                    node = np.int64(node_at(book.nodes, node).next)


@compiled
def orders_of(books: Any, symbol: Any, side: Any, out_id: Any, out_price: Any, out_size: Any) -> Any:
    """Write every piece of one side in price-time order into int64 arrays (ids as their bits); return how many.

    It stops when the arrays are full: `exact_totals` tells how many there are.
    """
    book = books[0]
    if symbol >= book.symbols:
        return 0
    ladder = ladder_at(book.ladders, 2 * symbol + side)
    written = 0
    for i in range(ladder.start + ladder.length - 1, ladder.start - 1, -1):
        block = block_at(book.blocks, i)
        mask = block.mask
        while mask != 0:
            bit = highest_bit(mask)
            mask ^= 1 << bit
            number = _level_at_rank(book, 2 * symbol + side, rank_in(block, bit, ladder, side))
            level = node_at(book.nodes, number)
            node = np.int64(level.next)
            while node != number and written < out_id.shape[0]:
                piece = node_at(book.nodes, node)
                out_id[written] = piece.key
                out_price[written] = level.key
                out_size[written] = piece.size
                written += 1
                node = np.int64(piece.next)
    return written


@compiled
def status_of(books: Any, symbol: Any) -> Any:
    """What a symbol's book is worth: a `Status`."""
    book = books[0]
    if symbol < book.symbols:
        if load_byte(book.stale, symbol):
            return _STALE
        if load_byte(book.crossed, symbol) & CROSSED_THEN:
            return _CROSSED
    return _WINDOWED if book.windowed else _SYNCED


@inner
def exact_depth(state: Any, symbol: Any, side: Any, levels: Any, out_price: Any, out_size: Any, out_orders: Any) -> Any:
    """`depth_of` for compiled callers."""
    return depth_of(state.book, symbol, side, levels, out_price, out_size, out_orders)


@inner
def exact_best(state: Any, symbol: Any, out: Any) -> None:
    """`best_of` for compiled callers."""
    best_of(state.book, symbol, out)


@inner
def exact_status(state: Any, symbol: Any) -> Any:
    """`status_of` for compiled callers."""
    return status_of(state.book, symbol)
