"""Members of a Binance message, compiled: where they are in the line, and what their values mean.

In a text, a place below 0 is the complement of one; no line has its 20th byte inside its object, so that a few small
numbers below 0 are free to mean something else.
"""

from __future__ import annotations

from typing import Final

from velox_engine.feeds.binance_levels import Staging, stage_levels
from velox_engine.feeds.decimal_text import OK, Bytes
from velox_engine.feeds.json_scan import (
    CLOSE_OBJECT,
    OPEN_OBJECT,
    QUOTE,
    name_words,
    next_member,
    read_integer,
    read_name,
    skip_name,
    skip_space,
    skip_string,
    skip_value,
)
from velox_engine.feeds.line_window import Counts, Cursor
from velox_engine.feeds.text import fault
from velox_engine.jit import inner

NOT_JSON: Final = 20
NO_TIME: Final = 21
NO_STREAM: Final = 22
BAD_BOOLEAN: Final = 23
TIME_TOO_LARGE: Final = 24

FIELDS: Final = (
    "b",
    "a",
    "U",
    "u",
    "pu",
    "E",
    "T",
    "p",
    "q",
    "t",
    "m",
    "stream",
    "data",
    "lastUpdateId",
    "bids",
    "asks",
)
"""Members that count: of a diff, of a trade, of a line, of a snapshot."""
BIDS, ASKS, FIRST, LAST, PREVIOUS, EVENT, TRANSACTED, PRICE, SIZE, TRADE, MAKER, STREAM, DATA, UPDATE = range(14)
ALL_BIDS: Final = 14
ALL_ASKS: Final = 15

OTHER_KIND: Final = 0
DEPTH_KIND: Final = 1
TICKER_KIND: Final = 2
TRADE_KIND: Final = 3

_B: Final = name_words("b")[0]
_A: Final = name_words("a")[0]
_FIRST: Final = name_words("U")[0]
_LAST_U: Final = name_words("u")[0]
_PU: Final = name_words("pu")[0]
_E: Final = name_words("E")[0]
_T: Final = name_words("T")[0]
_P: Final = name_words("p")[0]
_Q: Final = name_words("q")[0]
_TRADE_ID: Final = name_words("t")[0]
_M: Final = name_words("m")[0]
_STREAM: Final = name_words("stream")[0]
_DATA: Final = name_words("data")[0]
_UPDATE: Final = name_words("lastUpdateId")
_BIDS: Final = name_words("bids")[0]
_ASKS: Final = name_words("asks")[0]

_DEPTH_WORD: Final = name_words("depth")[0]
_TRADE_WORD: Final = name_words("trade")[0]
_TICKER_WORDS: Final = name_words("bookTicker")

_MOST_MILLISECONDS: Final = (2**63 - 1) // 1_000_000


@inner
def stream_kind(text: Bytes, at: int) -> tuple[int, int, int]:
    """What a stream's name (in a string, already checked) stands for: kind, and place and length of its symbol.

    The name is ``symbol@kind`` or ``symbol@kind@speed``.
    """
    first = at + 1
    at = first
    while text[at] != 64 and text[at] != QUOTE:
        at += 1
    length = at - first
    if text[at] == QUOTE or length == 0 or text[first] == 33:
        return OTHER_KIND, first, 0
    at += 1
    begin = at
    high = 0
    low = 0
    while text[at] != 64 and text[at] != QUOTE:
        if at - begin < 8:
            high = high << 8 | int(text[at])
        else:
            low = low << 8 | int(text[at])
        at += 1
    kind = OTHER_KIND
    if at - begin == 5 and high == _DEPTH_WORD:
        kind = DEPTH_KIND
    elif at - begin == 5 and high == _TRADE_WORD:
        kind = TRADE_KIND
    elif at - begin == 10 and high == _TICKER_WORDS[0] and low == _TICKER_WORDS[1]:
        kind = TICKER_KIND
    return kind, first, length


@inner
def read_milliseconds(text: Bytes, at: int, cursor: Cursor, field: int) -> int:
    """A time in ms as ns; below 0 for none, and then the cursor says why."""
    value, status = read_integer(text, at)
    if status != OK:
        fault(cursor, status, at, field)
        return -1
    if value < 0 or value > _MOST_MILLISECONDS:
        fault(cursor, TIME_TOO_LARGE, at, field)
        return -1
    return value * 1_000_000


@inner
def scan_line(text: Bytes, at: int, fields: Counts) -> int:
    """Where a line's members begin; the place behind the object, below 0 for no JSON."""
    for i in range(STREAM, len(FIELDS)):
        fields[i] = 0
    fields[EVENT] = 0
    fields[TRANSACTED] = 0
    if text[at] != OPEN_OBJECT:
        return ~at
    at = skip_space(text, at + 1)
    if text[at] == CLOSE_OBJECT:
        return at + 1
    while True:
        high, low, at = read_name(text, at)
        if at < 0:
            return at
        if low == 0:
            if high == _STREAM:
                fields[STREAM] = at
            elif high == _DATA:
                fields[DATA] = at
                if fields[STREAM] > 0:
                    return at  # what it holds is known, so that it need not be gone through twice
            elif high == _BIDS:
                fields[ALL_BIDS] = at
            elif high == _ASKS:
                fields[ALL_ASKS] = at
            elif high == _E:
                fields[EVENT] = at
            elif high == _T:
                fields[TRANSACTED] = at
        elif high == _UPDATE[0] and low == _UPDATE[1]:
            fields[UPDATE] = at
        at = skip_value(text, at)
        if at < 0:
            return at
        at = next_member(text, at)
        if at < 0:
            return at
        if text[at] == CLOSE_OBJECT:
            return at + 1


@inner
def scan_data(
    text: Bytes,
    at: int,
    cursor: Cursor,
    fields: Counts,
    staging: Staging,
    price_decimals: int,
    size_decimals: int,
    is_diff: bool,
) -> int:
    """Where the members of ``data`` begin, and a diff's levels into the staging area.

    The place behind the object, below 0 for no JSON, or what `stage_levels` has for the levels.
    """
    for i in range(STREAM):
        fields[i] = 0
    if text[at] != OPEN_OBJECT:
        return ~at
    at = skip_space(text, at + 1)
    if text[at] == CLOSE_OBJECT:
        return at + 1
    while True:
        high, low, at = read_name(text, at)
        if at < 0:
            return at
        field = _field_of(high) if low == 0 else -1
        if field >= 0:
            fields[field] = at
        if is_diff and field in (BIDS, ASKS):
            at = stage_levels(text, at, cursor, staging, field, field, price_decimals, size_decimals)
        elif text[at] == QUOTE:
            at = skip_string(text, at)
        else:
            at = skip_value(text, at)
        if at < 0:
            return at
        at = next_member(text, at)
        if at < 0:
            return at
        if text[at] == CLOSE_OBJECT:
            return at + 1


@inner
def _field_of(high: int) -> int:
    """Which of the members of ``data`` that count a name is, -1 for none."""
    if high == _B:
        return BIDS
    if high == _A:
        return ASKS
    if high == _FIRST:
        return FIRST
    if high == _LAST_U:
        return LAST
    if high == _PU:
        return PREVIOUS
    if high == _E:
        return EVENT
    if high == _T:
        return TRANSACTED
    if high == _P:
        return PRICE
    if high == _Q:
        return SIZE
    if high == _TRADE_ID:
        return TRADE
    if high == _M:
        return MAKER
    return -1


@inner
def line_rest(text: Bytes, at: int) -> int:
    """Past the members behind ``data`` and the line's closing brace."""
    while True:
        at = next_member(text, at)
        if at < 0:
            return at
        if text[at] == CLOSE_OBJECT:
            return at + 1
        at = skip_name(text, at)
        if at < 0:
            return at
        at = skip_value(text, at)
        if at < 0:
            return at
