"""Lines of a raw Binance capture, compiled: ``local_ns SPACE json``, one websocket message or REST snapshot each."""

from __future__ import annotations

from typing import Final

from velox_engine.feeds.binance_fields import (
    ALL_ASKS,
    ALL_BIDS,
    ASKS,
    BAD_BOOLEAN,
    BIDS,
    DATA,
    DEPTH_KIND,
    EVENT,
    FIRST,
    LAST,
    MAKER,
    NO_STREAM,
    NO_TIME,
    NOT_JSON,
    OTHER_KIND,
    PREVIOUS,
    PRICE,
    SIZE,
    STREAM,
    TICKER_KIND,
    TRADE,
    TRADE_KIND,
    TRANSACTED,
    UPDATE,
    line_rest,
    read_milliseconds,
    scan_data,
    scan_line,
    stream_kind,
)
from velox_engine.feeds.binance_levels import (
    BOOK_ID,
    DUE_NS,
    ENTRY,
    EVENT_NS,
    FAULTY,
    FIRST_ID,
    LAST_ID,
    LEVEL_FLAGS,
    NEXT,
    NO_ROOM,
    PREVIOUS_ID,
    STAGED,
    SYNCED,
    WAITS,
    Staging,
    stage_levels,
    write_levels,
)
from velox_engine.feeds.decimal_text import OK, Bytes, read_whole
from velox_engine.feeds.json_scan import QUOTE, read_integer, read_number, skip_space, skip_value
from velox_engine.feeds.line_window import AT, COUNT, FAULT_AT, LINE, STOP, Counts, Cursor
from velox_engine.feeds.symbol_table import (
    INSTRUMENT,
    NEW_SYMBOL,
    PRICE_DECIMALS,
    SIZE_DECIMALS,
    SymbolTable,
    find_symbol,
)
from velox_engine.feeds.text import FAULT, FULL, LEFT_OVER, MISSING, MORE, NEGATIVE, fault, put
from velox_engine.jit import compiled, inner
from velox_engine.records import Action, Flags, Side, Transactions

OTHER_STREAM: Final = 11
"""Status: the line was of a stream that makes no record; its name is where the cursor's fault words say."""
DIFF: Final = 12
"""Status: a diff that does not simply follow is staged; what becomes of it is for Python to say."""
SNAPSHOT: Final = 13
"""Status: a snapshot is staged, and the book needs one."""
NEXT_STAGED: Final = 14
"""Status: all that was staged is written, and more was announced."""
GROW_STAGING: Final = 15
"""Status: the line has more levels than the staging area takes."""

# indices of the counters
OTHER_SYMBOLS: Final = 0
BOOK_TICKER: Final = 1
EMPTY_DIFF: Final = 2
SPARE_SNAPSHOT: Final = 3
NOT_A_STREAM: Final = 4
OLD_DIFF: Final = 5

_TRADE_ACTION: Final = int(Action.TRADE)
_BID: Final = int(Side.BID)
_ASK: Final = int(Side.ASK)
_LAST: Final = int(Flags.LAST)
_SNAPSHOT: Final = int(Flags.SNAPSHOT)


@inner
def _read_trade(
    text: Bytes, cursor: Cursor, out: Transactions, fields: Counts, due_ns: int, price_decimals: int, size_decimals: int
) -> int:  # fmt: skip
    """Write a trade, whose members have been found; `FAULT` or not."""
    for field in (PRICE, SIZE, MAKER):
        if fields[field] == 0:
            return fault(cursor, MISSING, cursor[AT], field)
    price, status = read_number(text, fields[PRICE], price_decimals)
    if status != OK:
        return fault(cursor, status, fields[PRICE], PRICE, price_decimals)
    size, status = read_number(text, fields[SIZE], size_decimals)
    if status != OK or size < 0:
        return fault(cursor, NEGATIVE if status == OK else status, fields[SIZE], SIZE, size_decimals)
    time_field = TRANSACTED if fields[TRANSACTED] > 0 else EVENT
    if fields[time_field] == 0:
        return fault(cursor, MISSING, cursor[AT], time_field)
    event_ns = read_milliseconds(text, fields[time_field], cursor, time_field)
    if event_ns < 0:
        return FAULT
    match = 0
    if fields[TRADE] > 0:
        match, status = read_integer(text, fields[TRADE])
        if status != OK:
            return fault(cursor, status, fields[TRADE], TRADE)
    # where the buyer was there first, the seller came to meet it
    first = text[fields[MAKER]]
    if first != 116 and first != 102:
        return fault(cursor, BAD_BOOLEAN, fields[MAKER], MAKER)
    side = _ASK if first == 116 else _BID
    put(out, cursor, 0, price, size, event_ns, due_ns, match, 0, _TRADE_ACTION, side, _LAST)
    return MORE


@inner
def _note_diff(text: Bytes, cursor: Cursor, staging: Staging, fields: Counts, due_ns: int) -> int:
    """Note the ids and times of a diff whose levels are staged; `FAULT` or not."""
    meta = staging.meta
    for field in (FIRST, LAST, BIDS, ASKS):
        if fields[field] == 0:
            return fault(cursor, MISSING, cursor[AT], field)
    meta[PREVIOUS_ID] = -1
    # the words of ``meta`` come in the order of the fields: U, u, pu
    for field in range(FIRST, PREVIOUS + 1):
        if fields[field] > 0:
            number, status = read_integer(text, fields[field])
            if status != OK or number < 0:
                return fault(cursor, NEGATIVE if status == OK else status, fields[field], field)
            meta[FIRST_ID + field - FIRST] = number
    time_field = TRANSACTED if fields[TRANSACTED] > 0 else EVENT
    if fields[time_field] == 0:
        return fault(cursor, MISSING, cursor[AT], time_field)
    event_ns = read_milliseconds(text, fields[time_field], cursor, time_field)
    if event_ns < 0:
        return FAULT
    meta[EVENT_NS] = event_ns
    meta[DUE_NS] = due_ns
    meta[LEVEL_FLAGS] = 0
    return MORE


@inner
def _read_snapshot(
    text: Bytes, cursor: Cursor, staging: Staging, fields: Counts, due_ns: int, price_decimals: int, size_decimals: int
) -> int:  # fmt: skip
    """Stage a snapshot: `SNAPSHOT`, `GROW_STAGING` or `FAULT`."""
    meta = staging.meta
    meta[STAGED] = 0
    update, status = read_integer(text, fields[UPDATE])
    if status != OK or update < 0:
        return fault(cursor, NEGATIVE if status == OK else status, fields[UPDATE], UPDATE)
    event_ns = due_ns
    time_field = TRANSACTED if fields[TRANSACTED] > 0 else EVENT
    if fields[time_field] > 0:
        event_ns = read_milliseconds(text, fields[time_field], cursor, time_field)
        if event_ns < 0:
            return FAULT
    for side in (_BID, _ASK):
        field = ALL_BIDS if side == _BID else ALL_ASKS
        if fields[field] == 0:
            return fault(cursor, MISSING, cursor[AT], field)
        at = stage_levels(text, fields[field], cursor, staging, side, field, price_decimals, size_decimals)
        if at < 0:
            meta[STAGED] = 0
            return GROW_STAGING if at == NO_ROOM else FAULT
    meta[FIRST_ID] = meta[LAST_ID] = update
    meta[EVENT_NS] = event_ns
    meta[DUE_NS] = due_ns
    meta[LEVEL_FLAGS] = _SNAPSHOT
    return SNAPSHOT


@inner
def _follows(meta: Counts) -> bool:
    """Whether the staged diff goes on where the book is: it holds the next update and leaves out none before it."""
    if meta[PREVIOUS_ID] >= 0:
        return meta[PREVIOUS_ID] <= meta[BOOK_ID] < meta[LAST_ID]
    return meta[FIRST_ID] - 1 <= meta[BOOK_ID] < meta[LAST_ID]


@inner
def _next_line(cursor: Cursor, after: int) -> None:
    cursor[AT] = after
    cursor[LINE] += 1


@inner
def _line(
    text: Bytes,
    cursor: Cursor,
    out: Transactions,
    table: SymbolTable,
    staging: Staging,
    skipped: Counts,
    fields: Counts,
) -> int:
    """One line; `MORE` where nothing is needed from outside."""
    meta = staging.meta
    facts = table.facts
    meta[STAGED] = 0
    meta[NEXT] = 0
    begin = cursor[AT]
    due_ns, at, status = read_whole(text, begin)
    if status != OK or due_ns < 0 or text[at] != 32:
        return fault(cursor, NO_TIME, begin, STREAM)
    at = scan_line(text, at + 1, fields)
    if at < 0:
        return fault(cursor, NOT_JSON, ~at, STREAM)
    inside = fields[DATA] > 0 and at == fields[DATA]
    kind = OTHER_KIND
    length = 0
    name = 0
    if fields[STREAM] > 0:
        if text[fields[STREAM]] != QUOTE:
            return fault(cursor, NO_STREAM, fields[STREAM], STREAM)
        if fields[DATA] == 0:
            return fault(cursor, MISSING, begin, DATA)
        kind, name, length = stream_kind(text, fields[STREAM])
    entry = -1
    price_decimals = 0
    size_decimals = 0
    if kind in (DEPTH_KIND, TRADE_KIND):
        entry = find_symbol(table, cursor, text, name, length)
        if entry < 0:
            return NEW_SYMBOL
        if facts[entry, INSTRUMENT] < 0:
            entry = -1
    if entry >= 0:
        is_diff = kind == DEPTH_KIND
        price_decimals, size_decimals = facts[entry, PRICE_DECIMALS], facts[entry, SIZE_DECIMALS]
        end = scan_data(text, fields[DATA], cursor, fields, staging, price_decimals, size_decimals, is_diff)
        if end in (NO_ROOM, FAULTY):
            meta[STAGED] = 0
            return GROW_STAGING if end == NO_ROOM else FAULT
    elif inside:
        end = skip_value(text, at)
    else:
        end = at
    if inside:
        at = end if end < 0 else line_rest(text, end)
    elif end < 0:
        at = end
    if at < 0:
        return fault(cursor, NOT_JSON, ~at, STREAM)
    at = skip_space(text, at)
    if text[at] != 10:
        return fault(cursor, LEFT_OVER, at, STREAM)
    after = at + 1
    status = MORE
    if entry >= 0:
        if kind == TRADE_KIND:
            status = _read_trade(text, cursor, out, fields, due_ns, price_decimals, size_decimals)
        else:
            status = _note_diff(text, cursor, staging, fields, due_ns)
            if status != FAULT:
                if meta[SYNCED] == 0 or not _follows(meta):
                    status = DIFF
                else:
                    meta[BOOK_ID] = meta[LAST_ID]
                    skipped[EMPTY_DIFF] += meta[STAGED] == 0
    elif kind in (DEPTH_KIND, TRADE_KIND):
        skipped[OTHER_SYMBOLS] += 1
    elif kind == TICKER_KIND:
        skipped[BOOK_TICKER] += 1
    elif fields[STREAM] > 0:
        cursor[FAULT_AT] = fields[STREAM] + 1
        status = OTHER_STREAM
    elif fields[UPDATE] == 0:
        skipped[NOT_A_STREAM] += 1
    elif meta[ENTRY] < 0 or meta[SYNCED] == 1:
        skipped[SPARE_SNAPSHOT] += 1
    else:
        entry = meta[ENTRY]
        price_decimals, size_decimals = facts[entry, PRICE_DECIMALS], facts[entry, SIZE_DECIMALS]
        status = _read_snapshot(text, cursor, staging, fields, due_ns, price_decimals, size_decimals)
    if status != FAULT and status != GROW_STAGING:
        _next_line(cursor, after)
    return status


@compiled
def decode(
    text: Bytes,
    cursor: Cursor,
    out: Transactions,
    table: SymbolTable,
    staging: Staging,
    skipped: Counts,
    fields: Counts,
) -> int:
    """What is staged, then lines of the window, into records; gives a status."""
    meta = staging.meta
    while True:
        if not write_levels(out, cursor, staging):
            return FULL
        if meta[WAITS] == 1:
            meta[WAITS] = 0
            return NEXT_STAGED
        if cursor[COUNT] == len(out):
            return FULL
        if cursor[AT] >= cursor[STOP]:
            return MORE
        status = _line(text, cursor, out, table, staging, skipped, fields)
        if status == FAULT:
            meta[STAGED] = 0
        if status != MORE:
            return status
