"""The compiled part of DBN that keeps windows: which levels a venue showed last, and what its next record changes.

A window is 40 words, ten levels of four: each level as its record has it.
"""

from __future__ import annotations

from typing import Final

from velox_engine.feeds.bits import Bytes, Words, little32, little64, put, tail
from velox_engine.jit import inlined, inner
from velox_engine.records import Action

UNDEFINED: Final = 2**63 - 1
"""The price that is none."""
LEVEL_WORDS: Final = 4
"""Bid price, ask price, both sizes, both counts (bid in the low half)."""
WINDOW_WORDS: Final = 10 * LEVEL_WORDS

_LEVEL: Final = int(Action.LEVEL)
_MASK32: Final = 2**32 - 1


@inner
def forget(windows: Words, first: int) -> None:
    """Empty a window."""
    for at in range(first, first + WINDOW_WORDS):
        windows[at] = 0


@inner
def show_top(
    words: Words,
    row: int,
    windows: Words,
    mine: int,
    symbol: int,
    side: int,
    price: int,
    size: int,
    event: int,
    pacing: int,
    flags: int,
) -> int:
    """An mbo record of a venue that shows only its best level: this level is now all of its side, or the side is empty
    (no price). The window's first two levels are the sides here: price and size."""
    best = mine + side * LEVEL_WORDS
    shown = 0 if price == UNDEFINED else size
    if windows[best + 1] != 0 and (windows[best] != price or shown == 0):
        put(words, row, 0, windows[best], 0, event, pacing, 0, tail(symbol, _LEVEL, side, flags))
        row += 1
        windows[best + 1] = 0
    if windows[best + 1] != shown:
        put(words, row, 0, price, shown, event, pacing, 0, tail(symbol, _LEVEL, side, flags))
        row += 1
        windows[best], windows[best + 1] = price, shown
    return row


@inlined
def _half(both: int, side: int) -> int:
    return both >> (32 * side) & _MASK32


@inlined
def show(
    data: Bytes,
    levels_at: int,
    levels: int,
    words: Words,
    row: int,
    windows: Words,
    mine: int,
    symbol: int,
    event: int,
    pacing: int,
    flags: int,
) -> int:
    """Make the book hold exactly the levels that the record shows: mostly the same prices with other sizes."""
    for level in range(levels):
        at, had = levels_at + 32 * level, mine + LEVEL_WORDS * level
        if little64(data, at) != windows[had] or little64(data, at + 8) != windows[had + 1]:
            return _scroll(data, levels_at, levels, words, row, windows, mine, symbol, event, pacing, flags)
    for level in range(levels):
        at, had = levels_at + 32 * level, mine + LEVEL_WORDS * level
        sizes, counts = little64(data, at + 16), little64(data, at + 24)
        if sizes != windows[had + 2] or counts != windows[had + 3]:
            for side in range(2):
                price, size, count = windows[had + side], _half(sizes, side), _half(counts, side)
                before = _half(windows[had + 2], side)
                changed = size != before or (size != 0 and count != _half(windows[had + 3], side))
                if changed and price != UNDEFINED:
                    put(words, row, 0, price, size, event, pacing, count, tail(symbol, _LEVEL, side, flags))
                    row += 1
            windows[had + 2] = sizes
            windows[had + 3] = counts
    return row


@inner
def _scroll(
    data: Bytes,
    levels_at: int,
    levels: int,
    words: Words,
    row: int,
    windows: Words,
    mine: int,
    symbol: int,
    event: int,
    pacing: int,
    flags: int,
) -> int:
    """The same where prices are new or gone: those that are gone leave first, of both sides, so that the book is never
    crossed on the way; then those that are new or changed are set.

    A level is looked for where it was, then one place on, as when a level comes or goes above it, then everywhere.
    """
    last = levels_at + 32 * (levels - 1)
    for side in range(2):
        for level in range(levels):
            had = mine + LEVEL_WORDS * level
            price = windows[had + side]
            if price == UNDEFINED or _half(windows[had + 2], side) == 0:
                continue
            at = levels_at + 32 * level
            if little64(data, at + 8 * side) != price:
                at = min(at + 32, last)
            if little64(data, at + 8 * side) != price:
                at = max(at - 64, levels_at)
            if little64(data, at + 8 * side) != price or little32(data, at + 16 + 4 * side) == 0:
                at = levels_at
                while at <= last and (
                    little64(data, at + 8 * side) != price or little32(data, at + 16 + 4 * side) == 0
                ):
                    at += 32
            if at > last:
                put(words, row, 0, price, 0, event, pacing, 0, tail(symbol, _LEVEL, side, flags))
                row += 1
    end = mine + LEVEL_WORDS * levels
    for side in range(2):
        for level in range(levels):
            at = levels_at + 32 * level
            price, size = little64(data, at + 8 * side), little32(data, at + 16 + 4 * side)
            count = little32(data, at + 24 + 4 * side)
            if price == UNDEFINED or size == 0:
                continue
            had = mine + LEVEL_WORDS * level
            if windows[had + side] != price:
                had = min(had + LEVEL_WORDS, end - LEVEL_WORDS)
            if windows[had + side] != price:
                had = max(had - 2 * LEVEL_WORDS, mine)
            if windows[had + side] != price or _half(windows[had + 2], side) == 0:
                had = mine
                while had < end and (windows[had + side] != price or _half(windows[had + 2], side) == 0):
                    had += LEVEL_WORDS
            if had == end or _half(windows[had + 2], side) != size or _half(windows[had + 3], side) != count:
                put(words, row, 0, price, size, event, pacing, count, tail(symbol, _LEVEL, side, flags))
                row += 1
    for word in range(LEVEL_WORDS * levels):
        windows[mine + word] = little64(data, levels_at + 8 * word)
    return row
