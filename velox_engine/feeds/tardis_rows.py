"""Rows of Tardis CSV files, compiled.

Whether a row is the last of its message is known only from the row behind it, so one record is held back: it is
written when the next row of an asked-for symbol has been read, or at the end of the file.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from velox_engine.feeds.decimal_text import (
    NOT_A_NUMBER,
    OK,
    Bytes,
    read_decimal,
    read_whole,
)
from velox_engine.feeds.json_scan import read_uuid, same_bytes
from velox_engine.feeds.line_window import AT, COUNT, GAPS, LAST_DUE, LINE, STOP, SURVEY_AT, TIME_BACK, Counts, Cursor
from velox_engine.feeds.symbol_table import (
    INSTRUMENT,
    NEW_SYMBOL,
    OWN,
    PRICE_DECIMALS,
    SIZE_DECIMALS,
    SymbolTable,
    find_symbol,
    note_price,
    note_size,
)
from velox_engine.feeds.text import FULL, LEFT_OVER, MORE, NEGATIVE, fault, line_end, put
from velox_engine.jit import compiled, inner
from velox_engine.records import Action, Flags, Side, Transactions

OTHER_EXCHANGE: Final = 20
NO_SYMBOL: Final = 21
BAD_BOOLEAN: Final = 22
BAD_SIDE: Final = 23
TIME_TOO_LARGE: Final = 24

COLUMNS: Final = 8
_COMMA: Final = 44
_MOST_MICROSECONDS: Final = (2**63 - 1) // 1000
_SNAPSHOT_SEEN: Final = OWN  # whether the symbol's last row was a snapshot's: -1 no row yet, 0 no, 1 yes

HOLDS: Final = 0
"""Word of ``state``: whether a record is held."""
IS_TRADES: Final = 1
"""Word of ``state``: whether the file holds trades."""

_LEVEL: Final = int(Action.LEVEL)
_CLEAR: Final = int(Action.CLEAR)
_TRADE: Final = int(Action.TRADE)
_BID: Final = int(Side.BID)
_ASK: Final = int(Side.ASK)
_NO_SIDE: Final = int(Side.NONE)
_LAST: Final = int(Flags.LAST)
_SNAPSHOT: Final = int(Flags.SNAPSHOT)
_GAP: Final = int(Flags.GAP)

_WORDS: Final = np.frombuffer(b"true,false,bid,ask,buy,sell,unknown,", np.uint8)


@inner
def _word(text: Bytes, at: int, first: int, length: int) -> bool:
    """Whether the column that begins here is this word of `_WORDS` (its comma counts)."""
    for i in range(length):  # noqa: SIM110  # a generator does not compile
        if text[at + i] != _WORDS[first + i]:
            return False
    return True


@inner
def _column_end(text: Bytes, at: int) -> int:
    """Where the column ends: its comma, or the line's end."""
    while text[at] != _COMMA and text[at] != 10:
        at += 1
    return at


@compiled
def survey(text: Bytes, cursor: Cursor, table: SymbolTable) -> int:
    """Raise each symbol's decimals to the longest fraction in the window; stops at the first row that is none."""
    at = cursor[SURVEY_AT]
    while at < cursor[STOP]:
        cursor[SURVEY_AT] = at
        end = _column_end(text, at)
        if text[end] != _COMMA:
            return MORE  # behind the last line's end there is nothing that may be looked at
        begin = end + 1
        end = _column_end(text, begin)
        if text[end] != _COMMA:
            return MORE
        entry = find_symbol(table, cursor, text, begin, end - begin)
        if entry < 0:
            return NEW_SYMBOL
        at = end
        for _ in range(4):
            if text[at] != _COMMA:
                return MORE
            at = _column_end(text, at + 1)
        if text[at] != _COMMA:
            return MORE
        price = at + 1
        at = _column_end(text, price)
        if text[at] != _COMMA:
            return MORE
        note_price(table, entry, text, price)
        note_size(table, entry, text, at + 1)
        at = _column_end(text, at + 1)
        if text[at] != 10:
            return MORE
        at += 1
    return MORE


@compiled
def release(out: Transactions, cursor: Cursor, held: Transactions, state: Counts, last: bool) -> None:
    """Write the held record, if there is one; the caller has made sure of room."""
    if state[HOLDS] == 0:
        return
    record = held[0]
    if last:
        record.flags |= _LAST
    out[cursor[COUNT]] = record
    cursor[COUNT] += 1
    if record.due_ticks < cursor[LAST_DUE]:
        cursor[TIME_BACK] += 1
    cursor[LAST_DUE] = record.due_ticks
    state[HOLDS] = 0


@inner
def _read_id(text: Bytes, at: int, end: int) -> int:
    """A trade's id: itself if it is a number, the first 8 bytes of a UUID, else 0."""
    value, behind, status = read_whole(text, at)
    if status == OK and behind == end and value >= 0:
        return value
    high, _, behind = read_uuid(text, at)
    return high if behind == end else 0


@compiled
def decode(
    text: Bytes,
    cursor: Cursor,
    out: Transactions,
    table: SymbolTable,
    exchange: Bytes,
    skipped: Counts,
    held: Transactions,
    state: Counts,
) -> int:
    """Rows of the window into records; gives a status."""
    trades = state[IS_TRADES] != 0
    facts = table.facts
    while True:
        if cursor[COUNT] == len(out):
            return FULL
        at = cursor[AT]
        if at >= cursor[STOP]:
            return MORE
        if not same_bytes(text, at, exchange, len(exchange)):
            return fault(cursor, OTHER_EXCHANGE, at, 0)
        begin = at + len(exchange)
        at = _column_end(text, begin)
        if at == begin or text[at] != _COMMA:
            return fault(cursor, NO_SYMBOL, begin, 1)
        entry = find_symbol(table, cursor, text, begin, at - begin)
        if entry < 0:
            return NEW_SYMBOL
        begin = at + 1
        event, at, status = read_whole(text, begin)
        if status != OK or text[at] != _COMMA:
            return fault(cursor, status or NOT_A_NUMBER, begin, 2)
        if event > _MOST_MICROSECONDS or event < -_MOST_MICROSECONDS:
            return fault(cursor, TIME_TOO_LARGE, begin, 2)
        begin = at + 1
        local, at, status = read_whole(text, begin)
        if status != OK or text[at] != _COMMA:
            return fault(cursor, status or NOT_A_NUMBER, begin, 3)
        if local > _MOST_MICROSECONDS or local < -_MOST_MICROSECONDS:
            return fault(cursor, TIME_TOO_LARGE, begin, 3)
        begin = at + 1
        match = 0
        is_snapshot = 0
        if trades:
            at = _column_end(text, begin)
            if text[at] == _COMMA:
                match = _read_id(text, begin, at)
        elif _word(text, begin, 0, 5):
            is_snapshot = 1
            at = begin + 4
        elif _word(text, begin, 5, 6):
            at = begin + 5
        else:
            return fault(cursor, BAD_BOOLEAN, begin, 4)
        if text[at] != _COMMA:
            return fault(cursor, LEFT_OVER, at, 4)
        begin = at + 1
        if trades:
            if _word(text, begin, 19, 4):
                side = _BID
                at = begin + 3
            elif _word(text, begin, 23, 5):
                side = _ASK
                at = begin + 4
            elif _word(text, begin, 28, 8):
                side = _NO_SIDE
                at = begin + 7
            else:
                return fault(cursor, BAD_SIDE, begin, 5)
        elif _word(text, begin, 11, 4):
            side = _BID
            at = begin + 3
        elif _word(text, begin, 15, 4):
            side = _ASK
            at = begin + 3
        else:
            return fault(cursor, BAD_SIDE, begin, 5)
        begin = at + 1
        price, at, status = read_decimal(text, begin, facts[entry, PRICE_DECIMALS])
        if status != OK or text[at] != _COMMA:
            return fault(cursor, status or NOT_A_NUMBER, begin, 6, facts[entry, PRICE_DECIMALS])
        begin = at + 1
        size, at, status = read_decimal(text, begin, facts[entry, SIZE_DECIMALS])
        if status != OK or size < 0:
            return fault(cursor, status or NEGATIVE, begin, 7, facts[entry, SIZE_DECIMALS])
        after = line_end(text, at)
        if after < 0:
            return fault(cursor, LEFT_OVER, at, 7)
        instrument = facts[entry, INSTRUMENT]
        if instrument < 0:
            skipped[0] += 1
        elif trades:
            put(out, cursor, 0, price, size, event * 1000, local * 1000, match, instrument, _TRADE, side, _LAST)
        else:
            begins = is_snapshot == 1 and facts[entry, _SNAPSHOT_SEEN] == 0
            same = held[0].symbol == instrument and held[0].due_ticks == local * 1000
            release(out, cursor, held, state, begins or not same)
            flags = _SNAPSHOT if is_snapshot else 0
            if is_snapshot == 0 and facts[entry, _SNAPSHOT_SEEN] < 0:
                flags = _GAP
                cursor[GAPS] += 1
            facts[entry, _SNAPSHOT_SEEN] = is_snapshot
            record = held[0]
            record.event_ns = event * 1000
            record.due_ticks = local * 1000
            record.symbol = instrument
            record.flags = flags
            state[HOLDS] = 1
            if begins:
                # the row stays: it is read again behind the record that empties the book
                record.action = _CLEAR
                record.side = _NO_SIDE
                record.price = 0
                record.size = 0
                continue
            record.action = _LEVEL
            record.side = side
            record.price = price
            record.size = size
        cursor[AT] = after
        cursor[LINE] += 1
