"""Lines of Coinbase's full channel, compiled: one JSON object each, its members in any order."""

from __future__ import annotations

from typing import Final

from velox_engine.feeds.coinbase_fields import (
    MAKER,
    NEW_PRICE,
    NEW_SIZE,
    ORDER,
    PRICE,
    PRODUCT,
    REMAINING,
    SEQUENCE,
    SIDE,
    SIZE,
    TIME,
    TRADE,
    TYPE,
    read_id,
    read_side,
    read_time,
    scan,
    short_text,
)
from velox_engine.feeds.decimal_text import OK, Bytes
from velox_engine.feeds.json_scan import QUOTE, name_words, read_integer, read_number, skip_space
from velox_engine.feeds.line_window import AT, COUNT, FAULT_AT, FAULT_FIELD, GAPS, LINE, STOP, SURVEY_AT, Counts, Cursor
from velox_engine.feeds.live_orders import LiveOrders, enter_order, find_order, is_full, leave_order
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
from velox_engine.feeds.text import FAULT, FULL, LEFT_OVER, MISSING, MORE, fault, put
from velox_engine.jit import compiled, inner
from velox_engine.records import Action, Flags, Transactions

OTHER_TYPE: Final = 11
"""Status: the line was of a type that does not concern the book; its name is where the cursor's fault words say."""
GROW_ORDERS: Final = 12
"""Status: the table of live orders needs more room."""

NOT_JSON: Final = 20
BAD_TIME: Final = 21
BAD_SIDE: Final = 22
BAD_ID: Final = 23
LIVE_ALREADY: Final = 24
NOT_POSITIVE: Final = 25
NO_TEXT: Final = 26

# indices of the counters
OTHER_SYMBOLS: Final = 0
OLD_SEQUENCE: Final = 1
RECEIVED: Final = 2
DONE_ELSEWHERE: Final = 3
CHANGED_ELSEWHERE: Final = 4

_RECEIVED: Final = name_words("received")[0]
_OPEN: Final = name_words("open")[0]
_MATCH: Final = name_words("match")[0]
_DONE: Final = name_words("done")[0]
_CHANGE: Final = name_words("change")[0]

_NOTHING: Final = 0
_WROTE: Final = 1  # neither is `FAULT`

LAST_SEQUENCE: Final = OWN
_GAP_BEFORE: Final = OWN + 1

_ADD: Final = int(Action.ADD)
_EXECUTE: Final = int(Action.EXECUTE)
_MODIFY: Final = int(Action.MODIFY)
_DELETE: Final = int(Action.DELETE)
_LAST: Final = int(Flags.LAST)
_GAP: Final = int(Flags.GAP)


@compiled
def survey(text: Bytes, cursor: Cursor, table: SymbolTable, fields: Counts) -> int:
    """Raise each product's decimals to what the window's lines need; stops at the first line that is no JSON."""
    at = cursor[SURVEY_AT]
    while at < cursor[STOP]:
        cursor[SURVEY_AT] = at
        at = scan(text, at, fields)
        if at < 0:
            return MORE
        at = skip_space(text, at)
        if text[at] != 10:
            return MORE
        at += 1
        if fields[PRODUCT] == 0 or text[fields[PRODUCT]] != QUOTE:
            continue
        _, length = short_text(text, fields[PRODUCT])
        entry = find_symbol(table, cursor, text, fields[PRODUCT] + 1, length)
        if entry < 0:
            return NEW_SYMBOL
        for field in (PRICE, NEW_PRICE):
            if fields[field] > 0:
                note_price(table, entry, text, fields[field] + (1 if text[fields[field]] == QUOTE else 0))
        for field in (SIZE, REMAINING, NEW_SIZE):
            if fields[field] > 0:
                note_size(table, entry, text, fields[field] + (1 if text[fields[field]] == QUOTE else 0))
    return MORE


@inner
def _event(
    text: Bytes,
    cursor: Cursor,
    out: Transactions,
    orders: LiveOrders,
    skipped: Counts,
    fields: Counts,
    kind: int,
    event_ns: int,
    instrument: int,
    price_decimals: int,
    size_decimals: int,
    flags: int,
) -> int:
    """One message that can touch the book: `_WROTE`, `_NOTHING` or `FAULT`."""
    id_field = MAKER if kind == _MATCH else ORDER
    if fields[id_field] == 0:
        return fault(cursor, MISSING, cursor[AT], id_field)
    high, low, is_id = read_id(text, fields[id_field])
    if not is_id:
        return fault(cursor, BAD_ID, fields[id_field], id_field)
    slot = find_order(orders, high)
    live = orders.size[slot] != 0 and orders.low[slot] == low
    if kind == _DONE and not live:
        skipped[DONE_ELSEWHERE] += 1
        return _NOTHING
    # a change of a market order tells its funds and no size
    if kind == _CHANGE and (not live or fields[NEW_SIZE] == 0):
        skipped[CHANGED_ELSEWHERE] += 1
        return _NOTHING
    if orders.size[slot] != 0 and (not live or kind == _OPEN):
        return fault(cursor, LIVE_ALREADY, fields[id_field], id_field)

    price_field = NEW_PRICE if kind == _CHANGE and fields[NEW_PRICE] > 0 else PRICE
    for field in (price_field, SIDE):
        if fields[field] == 0:
            return fault(cursor, MISSING, cursor[AT], field)
    price, status = read_number(text, fields[price_field], price_decimals)
    if status != OK:
        return fault(cursor, status, fields[price_field], price_field, price_decimals)
    side = read_side(text, fields[SIDE])
    if side < 0:
        return fault(cursor, BAD_SIDE, fields[SIDE], SIDE)

    size = orders.size[slot]
    if kind != _DONE:
        size_field = REMAINING if kind == _OPEN else SIZE if kind == _MATCH else NEW_SIZE
        if fields[size_field] == 0:
            return fault(cursor, MISSING, cursor[AT], size_field)
        size, status = read_number(text, fields[size_field], size_decimals)
        if status != OK:
            return fault(cursor, status, fields[size_field], size_field, size_decimals)
        if size < 0 or (size == 0 and kind != _CHANGE):
            return fault(cursor, NOT_POSITIVE, fields[size_field], size_field)

    match = 0
    if kind == _OPEN:
        action = _ADD
        enter_order(orders, slot, high, low, size)
    elif kind == _MATCH:
        action = _EXECUTE
        if fields[TRADE] > 0:
            match, status = read_integer(text, fields[TRADE])
            if status != OK:
                return fault(cursor, status, fields[TRADE], TRADE)
        if live and orders.size[slot] > size:
            orders.size[slot] -= size
        elif live:
            leave_order(orders, slot)
    elif kind == _DONE:
        action = _DELETE
        leave_order(orders, slot)
    else:
        action = _MODIFY
        if size > 0:
            orders.size[slot] = size
        else:
            leave_order(orders, slot)
    put(out, cursor, high, price, size, event_ns, event_ns, match, instrument, action, side, flags | _LAST)
    return _WROTE


@compiled
def decode(
    text: Bytes,
    cursor: Cursor,
    out: Transactions,
    table: SymbolTable,
    orders: LiveOrders,
    skipped: Counts,
    fields: Counts,
) -> int:
    """Lines of the window into records; gives a status."""
    facts = table.facts
    while True:
        if cursor[COUNT] == len(out):
            return FULL
        if cursor[AT] >= cursor[STOP]:
            return MORE
        if is_full(orders):
            return GROW_ORDERS
        at = scan(text, cursor[AT], fields)
        if at < 0:
            return fault(cursor, NOT_JSON, ~at, TYPE)
        at = skip_space(text, at)
        if text[at] != 10:
            return fault(cursor, LEFT_OVER, at, TYPE)
        after = at + 1
        if fields[TYPE] == 0:
            return fault(cursor, MISSING, cursor[AT], TYPE)
        kind, length = short_text(text, fields[TYPE])
        if kind != _OPEN and kind != _DONE and kind != _RECEIVED and kind != _MATCH and kind != _CHANGE:
            if text[fields[TYPE]] != QUOTE:
                return fault(cursor, NO_TEXT, fields[TYPE], TYPE)
            cursor[FAULT_AT] = fields[TYPE] + 1
            cursor[FAULT_FIELD] = length
            cursor[AT] = after
            cursor[LINE] += 1
            return OTHER_TYPE
        for field in (PRODUCT, SEQUENCE, TIME):
            if fields[field] == 0:
                return fault(cursor, MISSING, cursor[AT], field)
        if text[fields[PRODUCT]] != QUOTE:
            return fault(cursor, NO_TEXT, fields[PRODUCT], PRODUCT)
        _, length = short_text(text, fields[PRODUCT])
        entry = find_symbol(table, cursor, text, fields[PRODUCT] + 1, length)
        if entry < 0:
            return NEW_SYMBOL
        instrument = facts[entry, INSTRUMENT]
        if instrument < 0:
            skipped[OTHER_SYMBOLS] += 1
            cursor[AT] = after
            cursor[LINE] += 1
            continue
        sequence, status = read_integer(text, fields[SEQUENCE])
        if status != OK:
            return fault(cursor, status, fields[SEQUENCE], SEQUENCE)
        last = facts[entry, LAST_SEQUENCE]
        if last >= 0 and sequence <= last:
            skipped[OLD_SEQUENCE] += 1
            cursor[AT] = after
            cursor[LINE] += 1
            continue
        event_ns = read_time(text, fields[TIME])
        if event_ns < 0:
            return fault(cursor, BAD_TIME, fields[TIME], TIME)
        if sequence != last + 1 or last < 0:
            # without a seed the book before the first message is missing, which is a gap too
            cursor[GAPS] += 1
            facts[entry, _GAP_BEFORE] = 1
        facts[entry, LAST_SEQUENCE] = sequence
        if kind == _RECEIVED:
            skipped[RECEIVED] += 1
        else:
            price_decimals = facts[entry, PRICE_DECIMALS]
            size_decimals = facts[entry, SIZE_DECIMALS]
            flags = _GAP if facts[entry, _GAP_BEFORE] == 1 else 0
            came = _event(
                text, cursor, out, orders, skipped, fields, kind, event_ns, instrument,
                price_decimals, size_decimals, flags,
            )  # fmt: skip
            if came == FAULT:
                return FAULT
            if came == _WROTE:
                facts[entry, _GAP_BEFORE] = 0
        cursor[AT] = after
        cursor[LINE] += 1
