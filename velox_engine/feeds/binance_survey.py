"""The first look at a raw Binance capture, compiled: which symbols it has, and the decimals of the one that is read."""

from __future__ import annotations

from velox_engine.feeds.binance_fields import (
    ALL_ASKS,
    ALL_BIDS,
    ASKS,
    BIDS,
    DATA,
    DEPTH_KIND,
    PRICE,
    SIZE,
    STREAM,
    TRADE_KIND,
    UPDATE,
    line_rest,
    scan_data,
    scan_line,
    stream_kind,
)
from velox_engine.feeds.binance_levels import ENTRY, Staging, note_levels
from velox_engine.feeds.decimal_text import OK, Bytes, read_whole
from velox_engine.feeds.json_scan import QUOTE, skip_space, skip_value
from velox_engine.feeds.line_window import STOP, SURVEY_AT, Counts, Cursor
from velox_engine.feeds.symbol_table import NEW_SYMBOL, SymbolTable, find_symbol, note_price, note_size
from velox_engine.feeds.text import MORE
from velox_engine.jit import compiled, inner


@inner
def _note_data(text: Bytes, table: SymbolTable, entry: int, fields: Counts, is_diff: bool) -> bool:
    """Note the prices and sizes of a diff or a trade; whether it is one."""
    if is_diff:
        for field in (BIDS, ASKS):
            if fields[field] == 0 or note_levels(text, fields[field], table, entry) < 0:
                return False
        return True
    if fields[PRICE] > 0 and text[fields[PRICE]] == QUOTE:
        note_price(table, entry, text, fields[PRICE] + 1)
    if fields[SIZE] > 0 and text[fields[SIZE]] == QUOTE:
        note_size(table, entry, text, fields[SIZE] + 1)
    return True


@compiled
def survey(text: Bytes, cursor: Cursor, table: SymbolTable, staging: Staging, fields: Counts) -> int:
    """Raise the symbol's decimals to what the window's lines need; stops at the first line that is damaged."""
    at = cursor[SURVEY_AT]
    while at < cursor[STOP]:
        cursor[SURVEY_AT] = at
        _, at, status = read_whole(text, at)
        if status != OK or text[at] != 32:
            return MORE
        at = scan_line(text, at + 1, fields)
        if at < 0:
            return MORE
        entry = staging.meta[ENTRY]
        if fields[STREAM] > 0:
            if text[fields[STREAM]] != QUOTE or fields[DATA] == 0:
                return MORE
            kind, name, length = stream_kind(text, fields[STREAM])
            if kind in (DEPTH_KIND, TRADE_KIND):
                found = find_symbol(table, cursor, text, name, length)
                if found < 0:
                    return NEW_SYMBOL
                if found == entry:
                    end = scan_data(text, fields[DATA], cursor, fields, staging, 0, 0, False)
                    if end < 0 or not _note_data(text, table, entry, fields, kind == DEPTH_KIND):
                        return MORE
            if at == fields[DATA]:
                at = skip_value(text, at)
                if at < 0:
                    return MORE
                at = line_rest(text, at)
                if at < 0:
                    return MORE
        elif fields[UPDATE] > 0 and entry >= 0 and fields[ALL_BIDS] > 0 and fields[ALL_ASKS] > 0:
            for field in (ALL_BIDS, ALL_ASKS):
                if note_levels(text, fields[field], table, entry) < 0:
                    return MORE
        at = skip_space(text, at)
        if text[at] != 10:
            return MORE
        at += 1
    return MORE
