"""What DBN's decoder keeps between two calls, its record types, and its table of instruments."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from velox_engine.feeds.bits import Words
from velox_engine.feeds.dbn_window import WINDOW_WORDS
from velox_engine.jit import compiled, inlined

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

_FIRST_SLOTS: Final = 16
_FIRST_KEYS: Final = 4 * _FIRST_SLOTS  # and so always at least half of them empty
_SPREAD: Final = -7046029254386353131  # 2^64 / golden ratio, as int64


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
def place(key: int, size: int) -> int:
    """Where the search for a key begins, in tables of this size (a power of two)."""
    return (key * _SPREAD >> 20) & (size - 1)


@compiled
def enter(keys: Words, slots: Words, key: int, slot: int) -> None:
    """Let a key that is not there yet stand for a slot."""
    at = place(key, len(keys))
    while keys[at] != 0:
        at = (at + 1) & (len(keys) - 1)
    keys[at] = key
    slots[at] = slot
