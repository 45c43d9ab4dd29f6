"""Levels of a Binance message, compiled: read from the text into a staging area, and from there into batches.

A message's levels are staged before any of them becomes a record, so that a damaged message leaves nothing behind and
one that is longer than a batch goes on in the next.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velox_engine.feeds.decimal_text import NOT_A_NUMBER, OK, Bytes, read_decimal
from velox_engine.feeds.json_scan import CLOSE_LIST, COMMA, OPEN_LIST, QUOTE, skip_space, skip_value
from velox_engine.feeds.line_window import COUNT, Cursor
from velox_engine.feeds.symbol_table import SymbolTable, note_price, note_size
from velox_engine.feeds.text import fault, put
from velox_engine.jit import inner
from velox_engine.records import Action, Flags, Side, Transactions

NO_ROOM: Final = -1
"""Not a place in the text: the staging area is too small."""
FAULTY: Final = -2
"""Not a place in the text: the cursor says what is wrong."""

BAD_LEVELS: Final = 30
NEGATIVE_SIZE: Final = 31

# words of ``meta``
STAGED: Final = 0
"""Levels in the staging area."""
NEXT: Final = 1
"""The next of them to be written."""
CLEAR_FIRST: Final = 2
"""1: the book is emptied before them."""
LEVEL_FLAGS: Final = 3
GAP_BEFORE: Final = 4
"""1: the next record of the book carries `Flags.GAP`."""
EVENT_NS: Final = 5
DUE_NS: Final = 6
FIRST_ID: Final = 7
"""The message's first update id (``U``); of a snapshot its only one."""
LAST_ID: Final = 8
"""Its last update id (``u``)."""
PREVIOUS_ID: Final = 9
"""The last update id of the message before it (``pu``, futures only), -1 without one."""
SYNCED: Final = 10
"""1: the book follows the messages, and `BOOK_ID` is the last update in it."""
BOOK_ID: Final = 11
ENTRY: Final = 12
"""The symbol table's entry of the symbol that is read, -1 for none."""
WAITS: Final = 13
"""1: there is more to be staged before the next line is read."""
META_WORDS: Final = 14

_LEVEL: Final = int(Action.LEVEL)
_CLEAR: Final = int(Action.CLEAR)
_NO_SIDE: Final = int(Side.NONE)
_LAST: Final = int(Flags.LAST)
_SNAPSHOT: Final = int(Flags.SNAPSHOT)
_GAP: Final = int(Flags.GAP)


class Staging(NamedTuple):
    """Levels that wait to be written."""

    price: NDArray[np.int64]
    """Shape (n,)."""
    size: NDArray[np.int64]
    """Shape (n,)."""
    side: NDArray[np.int64]
    """Shape (n,): 0 bid, 1 ask."""
    meta: NDArray[np.int64]
    """Shape (META_WORDS,), by the words above."""


def empty_staging(room: int, meta: NDArray[np.int64]) -> Staging:
    """A staging area for ``room`` levels."""
    price, size, side = (np.zeros(room, np.int64) for _ in range(3))
    return Staging(price, size, side, meta)


@inner
def _quoted(text: Bytes, at: int, decimals: int) -> tuple[int, int, int]:
    """A number in a string, the place behind its closing quote, and how it went."""
    if text[at] != QUOTE:
        return 0, at, NOT_A_NUMBER
    value, at, status = read_decimal(text, at + 1, decimals)
    if status == OK and text[at] != QUOTE:
        status = NOT_A_NUMBER
    return value, at + 1, status


@inner
def _level_end(text: Bytes, at: int) -> int:
    """Past what may follow price and size, and the bracket; below 0 for no list."""
    at = skip_space(text, at)
    while text[at] == COMMA:
        at = skip_value(text, at + 1)
        if at < 0:
            return at
        at = skip_space(text, at)
    return at + 1 if text[at] == CLOSE_LIST else ~at


@inner
def stage_levels(
    text: Bytes, at: int, cursor: Cursor, staging: Staging, side: int, field: int,
    price_decimals: int, size_decimals: int,
) -> int:  # fmt: skip
    """Stage a list of ``[price, size]``; the place behind it, or `NO_ROOM`, or `FAULTY`."""
    meta = staging.meta
    room = len(staging.price)
    if text[at] != OPEN_LIST:
        fault(cursor, BAD_LEVELS, at, field)
        return FAULTY
    at = skip_space(text, at + 1)
    if text[at] == CLOSE_LIST:
        return at + 1
    count = meta[STAGED]
    while True:
        if text[at] != OPEN_LIST:
            fault(cursor, BAD_LEVELS, at, field)
            return FAULTY
        at = skip_space(text, at + 1)
        begin = at
        price, at, status = _quoted(text, at, price_decimals)
        if status != OK:
            fault(cursor, status, begin, field, price_decimals)
            return FAULTY
        at = skip_space(text, at)
        if text[at] != COMMA:
            fault(cursor, BAD_LEVELS, at, field)
            return FAULTY
        at = skip_space(text, at + 1)
        begin = at
        size, at, status = _quoted(text, at, size_decimals)
        if status != OK or size < 0:
            fault(cursor, NEGATIVE_SIZE if status == OK else status, begin, field, size_decimals)
            return FAULTY
        at = _level_end(text, at)
        if at < 0:
            fault(cursor, BAD_LEVELS, ~at, field)
            return FAULTY
        if count == room:
            return NO_ROOM
        staging.price[count] = price
        staging.size[count] = size
        staging.side[count] = side
        count += 1
        at = skip_space(text, at)
        if text[at] == CLOSE_LIST:
            meta[STAGED] = count
            return at + 1
        if text[at] != COMMA:
            fault(cursor, BAD_LEVELS, at, field)
            return FAULTY
        at = skip_space(text, at + 1)


@inner
def note_levels(text: Bytes, at: int, table: SymbolTable, entry: int) -> int:
    """Note the prices and sizes of a list of levels; the place behind it, below 0 for what is no such list."""
    if text[at] != OPEN_LIST:
        return ~at
    at = skip_space(text, at + 1)
    if text[at] == CLOSE_LIST:
        return at + 1
    while True:
        if text[at] != OPEN_LIST:
            return ~at
        at = skip_space(text, at + 1)
        if text[at] != QUOTE:
            return ~at
        note_price(table, entry, text, at + 1)
        at = skip_value(text, at)
        if at < 0:
            return at
        at = skip_space(text, at)
        if text[at] != COMMA:
            return ~at
        at = skip_space(text, at + 1)
        if text[at] != QUOTE:
            return ~at
        note_size(table, entry, text, at + 1)
        at = skip_value(text, at)
        if at < 0:
            return at
        at = _level_end(text, at)
        if at < 0:
            return at
        at = skip_space(text, at)
        if text[at] == CLOSE_LIST:
            return at + 1
        if text[at] != COMMA:
            return ~at
        at = skip_space(text, at + 1)


@inner
def write_levels(out: Transactions, cursor: Cursor, staging: Staging) -> bool:
    """Write staged levels as records while there is room; whether all are written."""
    meta = staging.meta
    if meta[CLEAR_FIRST] == 1:
        if cursor[COUNT] == len(out):
            return False
        flags = _SNAPSHOT | (_LAST if meta[STAGED] == 0 else 0)
        put(out, cursor, 0, 0, 0, meta[EVENT_NS], meta[DUE_NS], 0, 0, _CLEAR, _NO_SIDE, flags)
        meta[CLEAR_FIRST] = 0
    at = meta[NEXT]
    stop = min(meta[STAGED], at + len(out) - cursor[COUNT])
    while at < stop:
        flags = meta[LEVEL_FLAGS]
        if meta[GAP_BEFORE] == 1:
            flags |= _GAP
            meta[GAP_BEFORE] = 0
        if at == meta[STAGED] - 1:
            flags |= _LAST
        put(
            out, cursor, 0, staging.price[at], staging.size[at], meta[EVENT_NS], meta[DUE_NS], 0, 0,
            _LEVEL, staging.side[at], flags,
        )  # fmt: skip
        at += 1
    meta[NEXT] = at
    return at == meta[STAGED]
