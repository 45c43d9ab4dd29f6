"""The compiled part of DBN: mbo, trades, mbp-1 and mbp-10 records into ours.

Source: Databento's DBN versions 1 to 3; these four records are the same in all of them. All numbers are little-endian.
A record's head: length in words of 4 bytes (1 byte), record type (1), publisher (2), instrument id (4), ts_event (8).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from velox_engine.feeds.bits import RECORD_WORDS, Bytes, Words, inlined, little16, little32, little64, put, tail
from velox_engine.feeds.kernel_feed import Stop
from velox_engine.jit import compiled, inner
from velox_engine.records import Action, Flags, Side

MBO: Final = 160
TRADE: Final = 0
MBP_1: Final = 1
MBP_10: Final = 10
MAPPING: Final = 22
HEAD_BYTES: Final = 16
LENGTHS: Final = {MBO: 56, TRADE: 48, MBP_1: 80, MBP_10: 368}
OTHERS: Final = {
    0x11: "ohlcv",
    0x12: "status",
    0x13: "definition",
    0x14: "imbalance",
    0x15: "error",
    MAPPING: "symbol mapping",
    0x17: "system",
    0x18: "statistics",
    0x20: "ohlcv-1s",
    0x21: "ohlcv-1m",
    0x22: "ohlcv-1h",
    0x23: "ohlcv-1d",
    0x24: "ohlcv-eod",
    0xB1: "cmbp-1",
    0xC0: "cbbo-1s",
    0xC1: "cbbo-1m",
    0xC2: "tcbbo",
    0xC3: "bbo-1s",
    0xC4: "bbo-1m",
}
"""Record types that concern no book."""

ROWS_AT_ONCE: Final = 48
"""More than one record can become: a TRADE, a CLEAR, and of 10 levels a side all old ones gone and all new ones set."""

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

# what `DbnState.counters` holds
LAST_TIME: Final = 0
TIME_BACK: Final = 1
OTHER_SYMBOLS: Final = 2
NO_PRICE: Final = 3
NO_SIDE: Final = 4
GAPS: Final = 5
LAST_SLOT: Final = 6
PACING: Final = 7
"""The pacing time of the record that made it stop with `LEARN`."""
BOOKS: Final = 8
"""The record type that keeps the books, plus 1; 0 while there was none."""
COUNTERS: Final = 9

LEVEL_WORDS: Final = 4
"""A level is kept as its record has it: bid price, ask price, both sizes, both counts (bid in the low half)."""
WINDOW_WORDS: Final = 10 * LEVEL_WORDS

_FIRST_SLOTS: Final = 16
_FIRST_KEYS: Final = 4 * _FIRST_SLOTS  # and so always at least half of them empty

_FULL, _MORE = int(Stop.FULL), int(Stop.MORE)
_UNDEFINED: Final = 2**63 - 1
_MASK32: Final = 2**32 - 1
_NO_TIME: Final = -1  # 2^64 - 1 as int64
_F_LAST, _F_TOP, _F_SNAPSHOT, _F_BAD = 128, 64, 32, 4
_A, _B, _C, _F, _M, _N, _R, _T = (ord(letter) for letter in "ABCFMNRT")
_SPREAD: Final = -7046029254386353131  # 2^64 / golden ratio, as int64

_ADD, _CANCEL, _MODIFY, _FILL = int(Action.ADD), int(Action.CANCEL), int(Action.MODIFY), int(Action.FILL)
_TRADE, _LEVEL, _CLEAR, _STATUS = int(Action.TRADE), int(Action.LEVEL), int(Action.CLEAR), int(Action.STATUS)
_BID, _ASK, _NO_SIDE = int(Side.BID), int(Side.ASK), int(Side.NONE)
_LAST, _SNAPSHOT, _GAP = int(Flags.LAST), int(Flags.SNAPSHOT), int(Flags.GAP)


class DbnState(NamedTuple):
    """What the decoder knows between two calls. All arrays are int64; n slots, one for each publisher's instrument.

    ============ ============= ==============================================================================
    field        shape         meaning
    ============ ============= ==============================================================================
    lengths      (256,)        by record type: its length in bytes, 0 for types that are skipped
    keys         (2^k,)        open addressing: publisher × 2^32 + instrument id + 1, or 0
    slots        (2^k,)        beside each key: its slot
    owners       (n,)          the key of the slot
    symbols      (n,)          the instrument's index, or -1 if it is not wanted
    since, until (n,)          for which pacing times that is so, both included
    bad          (n,)          1 while records say that the book may be bad
    windows      (40 n,)       mbp: the levels that were shown last, an empty one has size 0 or no price
    skipped      (256,)        by record type: records that concern no book
    letters      (256,)        by action letter: records whose action is none of ours
    counters     (9,)          by the names above
    ============ ============= ==============================================================================
    """

    lengths: Words
    keys: Words
    slots: Words
    owners: Words
    symbols: Words
    since: Words
    until: Words
    bad: Words
    windows: Words
    skipped: Words
    letters: Words
    counters: Words


def _zeros(count: int) -> Words:
    return np.zeros(count, np.int64)


def new_state(*, ts_out: bool, mapping_bytes: int) -> DbnState:
    """A state without instruments; with ``ts_out`` each record is 8 bytes longer."""
    lengths = _zeros(256)
    for kind, length in (LENGTHS | {MAPPING: mapping_bytes}).items():
        lengths[kind] = length + 8 * ts_out
    state = DbnState(
        lengths=lengths,
        keys=_zeros(_FIRST_KEYS),
        slots=_zeros(_FIRST_KEYS),
        owners=_zeros(_FIRST_SLOTS),
        symbols=_zeros(_FIRST_SLOTS),
        since=_zeros(_FIRST_SLOTS),
        until=_zeros(_FIRST_SLOTS),
        bad=_zeros(_FIRST_SLOTS),
        windows=_zeros(_FIRST_SLOTS * WINDOW_WORDS),
        skipped=_zeros(256),
        letters=_zeros(256),
        counters=_zeros(COUNTERS),
    )
    state.counters[LAST_TIME] = -(2**63)
    return state


def larger(state: DbnState, used: int) -> DbnState:
    """The state with room for twice as many slots, ``used`` of which are taken."""
    grown = {name: _twice(getattr(state, name)) for name in ("owners", "symbols", "since", "until", "bad", "windows")}
    keys, slots = _zeros(2 * len(state.keys)), _zeros(2 * len(state.keys))
    for slot in range(used):
        enter(keys, slots, state.owners[slot], slot)
    return state._replace(keys=keys, slots=slots, **grown)


def _twice(array: Words) -> Words:
    return np.concatenate([array, np.zeros_like(array)])


@inlined
def _place(key: int, size: int) -> int:
    return (key * _SPREAD >> 20) & (size - 1)


@compiled
def enter(keys: Words, slots: Words, key: int, slot: int) -> None:
    """Let a key that is not there yet stand for a slot."""
    at = _place(key, len(keys))
    while keys[at] != 0:
        at = (at + 1) & (len(keys) - 1)
    keys[at] = key
    slots[at] = slot


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
            at = _place(key, len(keys))
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
        priced = price != _UNDEFINED
        first = row
        if action == _CLEAR:
            _forget(windows, slot * WINDOW_WORDS)
            put(words, row, 0, 0, 0, event, pacing, 0, tail(symbol, _CLEAR, _NO_SIDE, flags))
            row += 1
        elif action in (_ADD, _MODIFY) and side == _NO_SIDE:
            counters[NO_SIDE] += 1
        elif action == _ADD and raw & _F_TOP:
            row = _show_top(
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
            row = _show(
                data, start + 48, levels, words, row, windows, slot * WINDOW_WORDS, symbol, event, pacing, flags
            )
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


@inner
def _forget(windows: Words, first: int) -> None:
    for at in range(first, first + WINDOW_WORDS):
        windows[at] = 0


@inner
def _show_top(
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
    shown = 0 if price == _UNDEFINED else size
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
def _show(
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
                if changed and price != _UNDEFINED:
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
            if price == _UNDEFINED or _half(windows[had + 2], side) == 0:
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
            if price == _UNDEFINED or size == 0:
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
