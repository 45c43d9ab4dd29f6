"""The compiled part of ITCH 5.0: messages into records, as fast as the bytes come.

Source: NASDAQ TotalView-ITCH 5.0, chapter 4 (messages, offsets, lengths); all numbers are big-endian, and every message
begins with its type (1 byte), stock locate (2), tracking number (2) and nanoseconds since midnight (6).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from velox_engine.feeds.bits import Bytes, Words, big16, big32, big64, put, tail
from velox_engine.feeds.kernel_feed import Stop
from velox_engine.jit import compiled, inlined
from velox_engine.records import Action, Flags, Side

KNOWN: Final[dict[str, tuple[int, str]]] = {
    "S": (12, "system event"),
    "R": (39, "stock directory"),
    "H": (25, "trading action"),
    "Y": (20, "Reg SHO restriction"),
    "L": (26, "market participant position"),
    "V": (35, "circuit breaker levels"),
    "W": (12, "circuit breaker breach"),
    "K": (28, "IPO quoting period"),
    "J": (35, "auction collar"),
    "h": (21, "operational halt"),
    "A": (36, "add order"),
    "F": (40, "add order with attribution"),
    "E": (31, "order executed"),
    "C": (36, "order executed at a price"),
    "X": (23, "order cancel"),
    "D": (19, "order delete"),
    "U": (35, "order replace"),
    "P": (44, "trade"),
    "Q": (40, "cross trade"),
    "B": (19, "broken trade"),
    "I": (50, "net order imbalance"),
    "N": (20, "retail interest"),
}
"""Message types: length without the two bytes in front, and name."""

STOCK_AT: Final = {"R": 11, "H": 11, "A": 24, "F": 24, "P": 24, "Q": 19}
"""Where a message names its stock; only these can make a stock locate known."""

UNLISTED: Final = -1
UNWANTED: Final = -2

# why the decoder comes back, besides FULL and MORE
LEARN: Final = int(Stop.OWN)
"""The message at the start names a stock that its locate does not stand for yet."""
NO_LENGTH: Final = LEARN + 1
WRONG_LENGTH: Final = LEARN + 2
BAD_SIDE: Final = LEARN + 3
TOO_LARGE: Final = LEARN + 4

# what `ItchState.counters` holds
LAST_TIME: Final = 0
TIME_BACK: Final = 1
OTHER_SYMBOLS: Final = 2
INSTRUMENTS: Final = 3
ENDED: Final = 4
"""1 once the last message was a system event C, end of messages."""
COUNTERS: Final = 5

_FULL: Final = int(Stop.FULL)
_MORE: Final = int(Stop.MORE)
_HEADER: Final = 2
_MASK48: Final = (1 << 48) - 1
_S, _R, _H, _A, _F, _E, _C, _X, _D, _U, _P, _Q, _B = (ord(kind) for kind in "SRHAFECXDUPQB")
_BUY, _SELL = ord("B"), ord("S")
_END_OF_MESSAGES: Final = ord("C")

_ADD, _CANCEL, _DELETE, _EXECUTE = (int(a) for a in (Action.ADD, Action.CANCEL, Action.DELETE, Action.EXECUTE))
_REPLACE, _TRADE, _STATUS = (int(a) for a in (Action.REPLACE, Action.TRADE, Action.STATUS))
_BID, _ASK, _NO_SIDE = int(Side.BID), int(Side.ASK), int(Side.NONE)
_LAST: Final = int(Flags.LAST)


class ItchState(NamedTuple):
    """What the decoder knows between two calls. All arrays are int64.

    ============ ========= ==================================================================================
    field        shape     meaning
    ============ ========= ==================================================================================
    lengths      (256,)    by message type: its length, 0 for an unknown type
    stock_at     (256,)    by message type: where the stock's name stands, 0 where it has none
    locates      (65536,)  by stock locate: the instrument's index, `UNLISTED` or `UNWANTED`
    names        (65536,)  by stock locate: the name's 8 bytes, big-endian; 0 while unlisted
    skipped      (256,)    by message type: messages that gave no record since their type does not concern the book
    unlisted     (256,)    by message type: messages that gave no record since nothing named their stock
    counters     (5,)      by the names above
    ============ ========= ==================================================================================
    """

    lengths: Words
    stock_at: Words
    locates: Words
    names: Words
    skipped: Words
    unlisted: Words
    counters: Words


def new_state() -> ItchState:
    """A state that knows the message types and no stock."""
    lengths, stock_at = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for kind, (length, _) in KNOWN.items():
        lengths[ord(kind)] = length
    for kind, at in STOCK_AT.items():
        stock_at[ord(kind)] = at
    counters = np.zeros(COUNTERS, np.int64)
    return ItchState(
        lengths,
        stock_at,
        np.full(65536, UNLISTED, np.int64),
        np.zeros(65536, np.int64),
        np.zeros(256, np.int64),
        np.zeros(256, np.int64),
        counters,
    )


@compiled
def decode(data: Bytes, start: int, end: int, words: Words, row: int, state: ItchState) -> tuple[int, int, int]:
    """Turn messages of ``data[start:end]`` into records from ``row`` on.

    Returns where the first message stands that is not decoded yet, the next row, and why it stopped. A message that
    makes it stop is not consumed.
    """
    rows = len(words) // 8
    counters = state.counters
    while True:
        if end - start < _HEADER:
            return start, row, _MORE
        length = big16(data, start)
        if length == 0:
            return start, row, NO_LENGTH
        body = start + _HEADER
        if body == end:
            return start, row, _MORE
        kind = int(data[body])
        expected = state.lengths[kind]
        if expected != 0 and length != expected:
            return start, row, WRONG_LENGTH
        after = body + length
        if after > end:
            return start, row, _MORE
        counters[ENDED] = 0
        if expected == 0:
            state.skipped[kind] += 1
            start = after
            continue

        locate = big16(data, body + 1)
        stock_at = state.stock_at[kind]
        if stock_at != 0 and big64(data, body + stock_at) != state.names[locate]:
            return start, row, LEARN
        symbol = state.locates[locate]
        if kind == _S:
            # a system event concerns every stock; the first one carries it
            symbol = 0 if counters[INSTRUMENTS] > 0 else UNLISTED
        if row == rows:
            return start, row, _FULL
        # the record's fields, as most messages have them
        action, side, order_id, price, size, new_order_id = 0, _NO_SIDE, 0, 0, 0, 0
        if kind in (_A, _F):
            action, order_id = _ADD, big64(data, body + 11)
            side = _side(data[body + 19])
            if side == _NO_SIDE:
                return start, row, BAD_SIDE
            size, price = big32(data, body + 20), big32(data, body + 32)
        elif kind == _D:
            action, order_id = _DELETE, big64(data, body + 11)
        elif kind in (_E, _C):
            action, order_id, size = _EXECUTE, big64(data, body + 11), big32(data, body + 19)
            new_order_id = big64(data, body + 23)
            if kind == _C:
                price = big32(data, body + 32)
        elif kind == _X:
            action, order_id, size = _CANCEL, big64(data, body + 11), big32(data, body + 19)
        elif kind == _U:
            action, order_id, new_order_id = _REPLACE, big64(data, body + 11), big64(data, body + 19)
            size, price = big32(data, body + 27), big32(data, body + 31)
        elif kind == _P:
            action, order_id, new_order_id = _TRADE, big64(data, body + 11), big64(data, body + 36)
            size, price = big32(data, body + 20), big32(data, body + 32)
        elif kind == _Q:
            action, size, price = _TRADE, big64(data, body + 11), big32(data, body + 27)
            new_order_id = big64(data, body + 31)
            if size < 0:
                return start, row, TOO_LARGE
        elif kind == _H:
            action, size = _STATUS, int(data[body + 19])
        elif kind == _S:
            action, size = _STATUS, int(data[body + 11])
            counters[ENDED] = 1 if size == _END_OF_MESSAGES else 0
        elif kind == _B:
            action, size, new_order_id = _STATUS, kind, big64(data, body + 11)

        start = after
        if action == 0:
            state.skipped[kind] += 1
        elif symbol >= 0:
            time = big64(data, body + 3) & _MASK48
            if time < counters[LAST_TIME]:
                counters[TIME_BACK] += 1
            counters[LAST_TIME] = time
            put(words, row, order_id, price, size, time, time, new_order_id, tail(symbol, action, side, _LAST))
            row += 1
        elif symbol == UNWANTED:
            counters[OTHER_SYMBOLS] += 1
        else:
            state.unlisted[kind] += 1


@inlined
def _side(letter: int) -> int:
    if letter == _BUY:
        return _BID
    return _ASK if letter == _SELL else _NO_SIDE
