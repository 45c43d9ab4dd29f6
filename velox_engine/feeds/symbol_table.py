"""Which instrument a name in the text stands for: looked up in compiled code, added to from Python.

A kernel that meets a name it does not know gives `NEW_SYMBOL` back with the name's place; Python adds it, and the
kernel reads the line again. That happens once for each name.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velox_engine.feeds.decimal_text import Bytes, number_shape
from velox_engine.feeds.line_window import FAULT_AT, FAULT_FIELD, Cursor
from velox_engine.jit import compiled, inner

NEW_SYMBOL: Final = 10
"""A kernel's status: the name at ``cursor[FAULT_AT]``, ``cursor[FAULT_FIELD]`` bytes long, is not in the table."""

LONGEST: Final = 64
"""Bytes of the longest name that is taken."""

# columns of ``facts``; all but the first are -1 at first
INSTRUMENT: Final = 0
"""Index into the feed's instruments, -1 for a symbol that was not asked for."""
PRICE_DECIMALS: Final = 1
SIZE_DECIMALS: Final = 2
SIZE_NEEDED: Final = 3
"""Decimals of sizes without trailing zeros, while decimals are being learned."""
SIZE_WHOLE: Final = 4
"""Digits of the largest size before its point, likewise."""
OWN: Final = 5
"""First of two columns that a format uses as it likes."""
_COLUMNS: Final = 7

PADDED: Final = 8
"""So many places Binance spot and Coinbase fill up with zeros, whatever the instrument."""
_MOST_DECIMALS: Final = 18


class SymbolTable(NamedTuple):
    """Open addressing by a hash of the name; ``n`` entries at most, a power of two, in twice as many slots."""

    slots: NDArray[np.int64]
    """Shape (2n,): entry + 1, or 0."""
    names: NDArray[np.uint8]
    """Shape (n * LONGEST,)."""
    lengths: NDArray[np.int64]
    """Shape (n,)."""
    facts: NDArray[np.int64]
    """Shape (n, 7), by the columns above."""


@compiled
def _slot_of(slots: NDArray[np.int64], name: Bytes, at: int, length: int) -> int:
    value = 1_469_598_103
    for i in range(at, at + length):
        value = (value ^ name[i]) * 1_099_511_628_211
    return (value ^ (value >> 32)) & (len(slots) - 1)


@inner
def _is_name(names: Bytes, first: int, text: Bytes, at: int, length: int) -> bool:
    for i in range(length):  # noqa: SIM110  # a generator does not compile
        if text[at + i] != names[first + i]:
            return False
    return True


@inner
def find_symbol(table: SymbolTable, cursor: Cursor, text: Bytes, at: int, length: int) -> int:
    """The entry of this name, -1 where it is new; then the cursor says where it stands."""
    slot = _slot_of(table.slots, text, at, length)
    while True:
        entry = table.slots[slot] - 1
        if entry < 0:
            cursor[FAULT_AT] = at
            cursor[FAULT_FIELD] = length
            return -1
        if table.lengths[entry] == length and _is_name(table.names, entry * LONGEST, text, at, length):
            return entry
        slot = (slot + 1) & (len(table.slots) - 1)


@inner
def note_price(table: SymbolTable, entry: int, text: Bytes, at: int) -> None:
    """Raise the symbol's price decimals to what this price needs."""
    _, written, needed = number_shape(text, at)
    decimals = min(written if written < PADDED else needed, _MOST_DECIMALS)
    table.facts[entry, PRICE_DECIMALS] = max(table.facts[entry, PRICE_DECIMALS], decimals)


@inner
def note_size(table: SymbolTable, entry: int, text: Bytes, at: int) -> None:
    """Raise what is known of the symbol's sizes to this one."""
    whole, written, needed = number_shape(text, at)
    facts = table.facts
    facts[entry, SIZE_DECIMALS] = max(facts[entry, SIZE_DECIMALS], min(written, _MOST_DECIMALS))
    facts[entry, SIZE_NEEDED] = max(facts[entry, SIZE_NEEDED], min(needed, _MOST_DECIMALS))
    facts[entry, SIZE_WHOLE] = max(facts[entry, SIZE_WHOLE], whole)


class Symbols:
    """The table and its growing; ``table`` is what kernels take, and is replaced when it grows."""

    def __init__(self, room: int = 16) -> None:
        self.count = 0
        self.table = self._empty(room)

    def add(self, name: bytes, instrument: int, price_decimals: int = -1, size_decimals: int = -1) -> int:
        """Add a name and give its entry."""
        if self.count == len(self.table.lengths):
            self._grow()
        entry = self.count
        first = entry * LONGEST
        self.table.names[first : first + len(name)] = np.frombuffer(name, np.uint8)
        self.table.lengths[entry] = len(name)
        self.table.facts[entry] = (instrument, price_decimals, size_decimals, -1, -1, -1, -1)
        self._link(self.table, entry)
        self.count += 1
        return entry

    def entry_of(self, name: bytes) -> int:
        """The entry of a name, -1 for one that is not in the table."""
        for entry in range(self.count):
            first = entry * LONGEST
            if self.table.names[first : first + int(self.table.lengths[entry])].tobytes() == name:
                return entry
        return -1

    def _grow(self) -> None:
        old = self.table
        self.table = self._empty(2 * self.count)
        self.table.names[: len(old.names)] = old.names
        self.table.lengths[: self.count] = old.lengths
        self.table.facts[: self.count] = old.facts
        for entry in range(self.count):
            self._link(self.table, entry)

    @staticmethod
    def _link(table: SymbolTable, entry: int) -> None:
        slot = int(_slot_of(table.slots, table.names, entry * LONGEST, int(table.lengths[entry])))
        while table.slots[slot]:
            slot = (slot + 1) % len(table.slots)
        table.slots[slot] = entry + 1

    @staticmethod
    def _empty(room: int) -> SymbolTable:
        return SymbolTable(
            np.zeros(2 * room, np.int64),
            np.zeros(room * LONGEST, np.uint8),
            np.zeros(room, np.int64),
            np.full((room, _COLUMNS), -1, np.int64),
        )


def symbol_at(text: Bytes, cursor: Cursor) -> bytes:
    """The new name that a kernel found."""
    at, length = int(cursor[FAULT_AT]), int(cursor[FAULT_FIELD])
    return text[at : at + length].tobytes()
