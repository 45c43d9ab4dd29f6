"""Which prices of a side have levels, in order: blocks of 64 ticks with a bit each, sorted, best last.

A level that opens or closes near the best price is found within a step or two from the end, and most only flip a bit.
The tick is not told: it is the greatest common divisor of the prices seen. A price that it does not divide makes it
smaller, and the side's blocks are written anew; that happens a few times in the life of a symbol.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from velox_engine.books.exact_layout import BLOCK, CROSSED_NOW, LEAST_ROOM, NO_RANK, NO_STEP, Need
from velox_engine.books.exact_memory import (
    block_at,
    highest_bit,
    ladder_at,
    load,
    load_byte,
    move_bytes,
    quotient,
    stand_aside,
    store,
    store_byte,
)
from velox_engine.jit import aside, inlined

_BYTES: Final = BLOCK.itemsize
_BLOCKS: Final = int(Need.BLOCKS)
_LINEAR: Final = 8
"""Blocks that are looked at one by one from the best, before the search halves the rest."""


@inlined
def turned(price: Any, side: Any) -> Any:
    """``price`` of a bid, ``~price`` of an ask: higher is better. It is its own inverse."""
    return price ^ -np.int64(side & 1)


@inlined
def rank_in(block: Any, bit: Any, ladder: Any, side: Any) -> Any:
    """The rank (turned price) of a bit in a block."""
    return turned(turned(64 * block.key + bit, side) * ladder.step, side)


@inlined
def _last_not_above(blocks: Any, length: Any, key: Any) -> Any:
    """The index of the last block whose key is not above this one, or -1."""
    at = length - 1
    if at < 0:
        return at
    guess = at - (block_at(blocks, at).key - key)  # where it is if no block between is missing: the rule near the best
    if 0 <= guess <= at and block_at(blocks, guess).key == key:
        return guess
    least = length - _LINEAR
    while at >= 0 and at >= least and block_at(blocks, at).key > key:
        at -= 1
    if at >= least or at < 0:
        return at
    low = 0  # the first of [low, at] above the key
    high = at + 1
    while low < high:
        middle = (low + high) >> 1
        if block_at(blocks, middle).key > key:
            high = middle
        else:
            low = middle + 1
    return low - 1


@aside
def _take_stretch(book: Any, length: Any) -> Any:
    """A stretch of blocks, of a power of two's length; -1 where there is none."""
    stand_aside()
    power = highest_bit(length)
    start = load(book.free_blocks, power) - 1
    if start >= 0:
        store(book.free_blocks, power, block_at(book.blocks, start).key)
    elif book.blocks_used + length <= book.most_blocks:
        start = book.blocks_used
        book.blocks_used += length
    else:
        book.need = _BLOCKS
        book.needed = length
    return start


@aside
def _free_stretch(book: Any, ladder: Any) -> None:
    """Give a side's stretch of blocks back, if it has one."""
    stand_aside()
    if ladder.room:
        power = highest_bit(np.int64(ladder.room))
        block_at(book.blocks, ladder.start).key = load(book.free_blocks, power)
        store(book.free_blocks, power, ladder.start + 1)


@aside
def _make_room(book: Any, side: Any) -> bool:
    """Move a side's blocks into a stretch twice as long; False where there is none."""
    stand_aside()
    ladder = ladder_at(book.ladders, side)
    room = 2 * np.int64(ladder.room) if ladder.room else LEAST_ROOM
    start = _take_stretch(book, room)
    if start < 0:
        return False
    move_bytes(book.blocks + _BYTES * start, book.blocks + _BYTES * ladder.start, _BYTES * np.int64(ladder.length))
    _free_stretch(book, ladder)
    ladder.start = start
    ladder.room = room
    return True


@aside
def _refine(book: Any, side: Any, price: Any) -> bool:
    """Make the step smaller so that it divides ``price`` too; False where the blocks need a longer stretch."""
    stand_aside()
    ladder = ladder_at(book.ladders, side)
    step = -price if price < 0 else price
    # where there are levels it is a step, of prices ±(2^63 - 1)
    rest = 0 if ladder.step == NO_STEP and ladder.length == 0 else ladder.step
    while rest != 0:
        step, rest = rest, step % rest
    if step <= 0:  # of price 0, and of -2^63 whose absolute value is no int64
        step = 1
    levels = 0
    for i in range(ladder.length):
        mask = block_at(book.blocks, ladder.start + i).mask
        while mask != 0:
            mask &= mask - 1
            levels += 1
    if levels:
        room = LEAST_ROOM
        while room <= levels:
            room *= 2
        start = _take_stretch(book, room)
        if start < 0:
            return False
        times = ladder.step // step
        length = 0
        for i in range(ladder.length):
            block = block_at(book.blocks, ladder.start + i)
            mask = block.mask
            while mask != 0:
                lowest = mask & -mask
                mask ^= lowest
                tick = turned(turned(64 * block.key + highest_bit(lowest), side) * times, side)
                if length == 0 or block_at(book.blocks, start + length - 1).key != tick >> 6:
                    block_at(book.blocks, start + length).key = tick >> 6
                    block_at(book.blocks, start + length).mask = 0
                    length += 1
                block_at(book.blocks, start + length - 1).mask |= 1 << (tick & 63)
        _free_stretch(book, ladder)
        ladder.start = start
        ladder.room = room
        ladder.length = length
    ladder.step = step
    return True


@inlined
def _note_best(book: Any, side: Any) -> None:
    """Note whether the symbol's book is crossed, after one of its best prices changed."""
    symbol = side >> 1
    crossed = ladder_at(book.ladders, 2 * symbol).best > ~ladder_at(book.ladders, 2 * symbol + 1).best
    then = load_byte(book.crossed, symbol) & ~CROSSED_NOW
    store_byte(book.crossed, symbol, then | CROSSED_NOW if crossed else then)


@inlined
def enter_price(book: Any, side: Any, price: Any) -> bool:
    """Set the bit of a price that had no level; False where room is needed, and then nothing was changed."""
    ladder = ladder_at(book.ladders, side)
    ticks = quotient(price, ladder.step)
    if ticks * ladder.step != price:
        if not _refine(book, side, price):
            return False
        ticks = quotient(price, ladder.step)
    tick = turned(ticks, side)
    key = tick >> 6
    blocks = book.blocks + _BYTES * ladder.start
    length = np.int64(ladder.length)
    at = _last_not_above(blocks, length, key)
    if at >= 0 and block_at(blocks, at).key == key:
        block_at(blocks, at).mask |= 1 << (tick & 63)
    else:
        if length == ladder.room:
            if not _make_room(book, side):
                return False
            blocks = book.blocks + _BYTES * ladder.start
        at += 1
        move_bytes(blocks + _BYTES * (at + 1), blocks + _BYTES * at, _BYTES * (length - at))
        block_at(blocks, at).key = key
        block_at(blocks, at).mask = 1 << (tick & 63)
        ladder.length = length + 1
    rank = turned(price, side)
    if rank > ladder.best or ladder.best == NO_RANK:
        ladder.best = rank
        _note_best(book, side)
    return True


@inlined
def leave_price(book: Any, side: Any, price: Any) -> None:
    """Clear the bit of a price whose level is gone."""
    ladder = ladder_at(book.ladders, side)
    tick = turned(quotient(price, ladder.step), side)
    blocks = book.blocks + _BYTES * ladder.start
    length = np.int64(ladder.length)
    at = _last_not_above(blocks, length, tick >> 6)
    block = block_at(blocks, at)
    block.mask &= ~(1 << (tick & 63))
    if block.mask == 0:
        length -= 1
        move_bytes(blocks + _BYTES * at, blocks + _BYTES * (at + 1), _BYTES * (length - at))
        ladder.length = length
    if ladder.best == turned(price, side):
        ladder.best = NO_RANK
        if length:
            last = block_at(blocks, length - 1)
            ladder.best = rank_in(last, highest_bit(last.mask), ladder, side)
        _note_best(book, side)


@inlined
def forget_prices(book: Any, side: Any) -> None:
    """Clear every bit of a side."""
    ladder = ladder_at(book.ladders, side)
    ladder.length = 0
    ladder.best = NO_RANK
    _note_best(book, side)
