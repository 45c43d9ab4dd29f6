"""The compiled part of DBN: mbo, trades, mbp-1 and mbp-10 records into ours.

Source: Databento's DBN versions 1 to 3; these four records are the same in all of them. All numbers are little-endian.
A record's head: length in words of 4 bytes (1 byte), record type (1), publisher (2), instrument id (4), ts_event (8).
"""

from __future__ import annotations

from typing import Final

from velox_engine.feeds.bits import RECORD_WORDS, Bytes, Words, little16, little32, little64, put, tail
from velox_engine.feeds.dbn_state import (
    BOOKS,
    GAPS,
    HEAD_BYTES,
    LAST_SLOT,
    LAST_TIME,
    MAPPING,
    MBO,
    MBP_1,
    NO_PRICE,
    NO_SIDE,
    OTHER_SYMBOLS,
    PACING,
    ROWS_AT_ONCE,
    TIME_BACK,
    TRADE,
    DbnState,
    place,
)
from velox_engine.feeds.dbn_window import UNDEFINED, WINDOW_WORDS, forget, show, show_top
from velox_engine.feeds.kernel_feed import Stop
from velox_engine.jit import compiled, inlined
from velox_engine.records import Action, Flags, Side

# why the decoder comes back, besides FULL and MORE
NO_LENGTH: Final = int(Stop.OWN)
SHORT: Final = NO_LENGTH + 1
WRONG_LENGTH: Final = NO_LENGTH + 2
LEARN: Final = NO_LENGTH + 3
"""The record at the start is of an instrument that has no slot, or whose slot is for another time."""
NAME: Final = NO_LENGTH + 4
"""The record at the start is a symbol mapping."""
BAD_SIDE: Final = NO_LENGTH + 5
BAD_TIME: Final = NO_LENGTH + 6
MIXED: Final = NO_LENGTH + 7
"""The record at the start would keep the books in another way than the ones before it."""

_FULL, _MORE = int(Stop.FULL), int(Stop.MORE)
_NO_TIME: Final = -1  # 2^64 - 1 as int64
_F_LAST, _F_TOP, _F_SNAPSHOT, _F_BAD = 128, 64, 32, 4
_A, _B, _C, _F, _M, _N, _R, _T = (ord(letter) for letter in "ABCFMNRT")

_ADD, _CANCEL, _MODIFY, _FILL = int(Action.ADD), int(Action.CANCEL), int(Action.MODIFY), int(Action.FILL)
_TRADE, _CLEAR, _STATUS = int(Action.TRADE), int(Action.CLEAR), int(Action.STATUS)
_BID, _ASK, _NO_SIDE = int(Side.BID), int(Side.ASK), int(Side.NONE)
_LAST, _SNAPSHOT, _GAP = int(Flags.LAST), int(Flags.SNAPSHOT), int(Flags.GAP)


@compiled
def decode(data: Bytes, start: int, end: int, words: Words, row: int, state: DbnState) -> tuple[int, int, int]:
    """Turn records of ``data[start:end]`` into ours from ``row`` on.

    Returns where the first record stands that is not decoded yet, the next row, and why it stopped. A record that
    makes it stop is not consumed.
    """
    last_row = len(words) // RECORD_WORDS - ROWS_AT_ONCE
    lengths, keys, slots, owners, symbols = state.lengths, state.keys, state.slots, state.owners, state.symbols
    since, until, bad, windows, counters = state.since, state.until, state.bad, state.windows, state.counters
    while True:
        if end - start < 2:
            return start, row, NO_LENGTH if end > start and data[start] == 0 else _MORE
        length = 4 * int(data[start])
        kind = int(data[start + 1])
        if length == 0:
            return start, row, NO_LENGTH
        if length < HEAD_BYTES:
            return start, row, SHORT
        if lengths[kind] != 0 and length != lengths[kind]:
            return start, row, WRONG_LENGTH
        if start + length > end:
            return start, row, _MORE
        if lengths[kind] == 0:
            state.skipped[kind] += 1
            start += length
            continue
        if kind == MAPPING:
            return start, row, NAME
        if row > last_row:
            return start, row, _FULL

        # mbo has its order id in front of what it shares with the others, and its flags elsewhere
        is_mbo = kind == MBO
        shared = start + 8 if is_mbo else start
        raw = int(data[start + 36 if is_mbo else start + 30])
        letter = int(data[shared + 30 if is_mbo else shared + 28])
        side = _side_of(data[shared + 31 if is_mbo else shared + 29])
        if side < 0:
            return start, row, BAD_SIDE
        event, pacing = little64(data, start + 8), little64(data, shared + 32)
        if event == _NO_TIME:
            event = pacing
        if pacing == _NO_TIME:
            pacing = event
        if pacing == _NO_TIME and counters[LAST_TIME] >= 0:
            event = pacing = counters[LAST_TIME]
        if event < 0 or pacing < 0:
            return start, row, BAD_TIME

        key = (little16(data, start + 2) << 32 | little32(data, start + 4)) + 1
        slot = counters[LAST_SLOT]
        if owners[slot] != key:
            at = place(key, len(keys))
            while keys[at] != 0 and keys[at] != key:
                at = (at + 1) & (len(keys) - 1)
            slot = slots[at]
        if owners[slot] != key or pacing < since[slot] or pacing > until[slot]:
            counters[PACING] = pacing
            return start, row, LEARN
        counters[LAST_SLOT] = slot
        if kind != TRADE and counters[BOOKS] != kind + 1:
            if counters[BOOKS] != 0:
                return start, row, MIXED
            counters[BOOKS] = kind + 1
        symbol = symbols[slot]
        if symbol < 0:
            counters[OTHER_SYMBOLS] += 1
            start += length
            continue

        flags = _SNAPSHOT if raw & _F_SNAPSHOT else 0
        price, size = little64(data, shared + 16), little32(data, shared + 24)
        order_id = little64(data, start + 16) if is_mbo else 0
        action = _action_of(letter) if is_mbo or letter in (_T, _R) else 0
        priced = price != UNDEFINED
        first = row
        if action == _CLEAR:
            forget(windows, slot * WINDOW_WORDS)
            put(words, row, 0, 0, 0, event, pacing, 0, tail(symbol, _CLEAR, _NO_SIDE, flags))
            row += 1
        elif action in (_ADD, _MODIFY) and side == _NO_SIDE:
            counters[NO_SIDE] += 1
        elif action == _ADD and raw & _F_TOP:
            row = show_top(
                words,
                row,
                windows,
                slot * WINDOW_WORDS,
                symbol,
                side,
                price,
                size,
                event,
                pacing,
                flags,
            )
        elif action in (_CANCEL, _FILL) and not priced:
            # the order is named by its id; what is no price must not name a level
            put(words, row, order_id, 0, size, event, pacing, 0, tail(symbol, action, _NO_SIDE, flags))
            row += 1
        elif action != 0 and not priced:
            counters[NO_PRICE] += 1
        elif action != 0:
            put(words, row, order_id, price, size, event, pacing, 0, tail(symbol, action, side, flags))
            row += 1
        elif is_mbo or kind == TRADE:
            state.letters[letter] += 1
        if not is_mbo and kind != TRADE:
            levels = 1 if kind == MBP_1 else 10
            row = show(data, start + 48, levels, words, row, windows, slot * WINDOW_WORDS, symbol, event, pacing, flags)
        start += length

        if raw & _F_LAST:
            if row == first:
                # the event ends with a record that changes nothing; its end must not be lost
                put(words, row, 0, 0, 0, event, pacing, 0, tail(symbol, _STATUS, _NO_SIDE, flags))
                row += 1
            words[row * RECORD_WORDS - 1] |= _LAST << 48
        if row > first:
            if raw & _F_BAD and bad[slot] == 0:
                words[(first + 1) * RECORD_WORDS - 1] |= _GAP << 48
                counters[GAPS] += 1
            bad[slot] = 1 if raw & _F_BAD else 0
            if pacing < counters[LAST_TIME]:
                counters[TIME_BACK] += 1
            counters[LAST_TIME] = pacing


@inlined
def _side_of(letter: int) -> int:
    if letter == _B:
        return _BID
    if letter == _A:
        return _ASK
    return _NO_SIDE if letter == _N else -1


@inlined
def _action_of(letter: int) -> int:
    if letter == _A:
        return _ADD
    if letter == _C:
        return _CANCEL
    if letter == _M:
        return _MODIFY
    if letter == _F:
        return _FILL
    if letter == _T:
        return _TRADE
    return _CLEAR if letter == _R else 0
