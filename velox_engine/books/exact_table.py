"""The tables that find orders and levels: open addressing, linear probing, no tombstones.

A table is never more than half full, so a probe is short and always ends. The hash is multiplicative (Knuth, *The Art
of Computer Programming* 3, §6.4): consecutive ids, which venues like to give, spread evenly over the table. Taking an
entry out moves later ones of its run back into the hole (ibid., algorithm R), so runs never grow old.

A table is given by the address of its `SLOT` array, and ``shift``: 64 less the binary logarithm of its bytes. Places in
it are counted in bytes.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from velox_engine.books.exact_layout import SLOT
from velox_engine.books.exact_memory import slot_at
from velox_engine.jit import inlined

_BYTES: Final = SLOT.itemsize
_WHOLE: Final = -_BYTES
"""Cuts a place off to a whole slot."""
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_APART: Final = np.uint64(40)
"""Symbols lie far apart in what is hashed, so that id 8 of symbol 0 is not id 7 of symbol 1."""
_ALL: Final = np.uint64(0xFFFFFFFFFFFFFFFF)


@inlined
def home(key: Any, tag: Any, shift: Any) -> Any:
    """The place where the search for (key, tag) begins."""
    product = (np.uint64(key) + (np.uint64(tag) << _APART)) * _GOLDEN
    return np.int64(product >> np.uint64(shift)) & _WHOLE


@inlined
def find(slots: Any, key: Any, tag: Any, shift: Any) -> Any:
    """The place of (key, tag), or else the empty one where it belongs (its node is 0)."""
    mask = np.int64(_ALL >> np.uint64(shift)) & _WHOLE
    at = home(key, tag, shift)
    while True:
        slot = slot_at(slots, at)
        if slot.node == 0 or (slot.key == key and slot.tag == tag):
            return at
        at = (at + _BYTES) & mask


@inlined
def put(slots: Any, at: Any, key: Any, tag: Any, node: Any) -> None:
    """Fill the empty place that `find` returned."""
    slot = slot_at(slots, at)
    slot.key = key
    slot.tag = tag
    slot.node = node


@inlined
def erase(slots: Any, hole: Any, shift: Any) -> None:
    """Empty a place, and close the hole that it would leave in a run."""
    mask = np.int64(_ALL >> np.uint64(shift)) & _WHOLE
    at = hole
    while True:
        at = (at + _BYTES) & mask
        slot = slot_at(slots, at)
        if slot.node == 0:
            break
        first = home(slot.key, np.int64(slot.tag), shift)
        if ((at - first) & mask) >= ((at - hole) & mask):  # it may stand as early as the hole
            put(slots, hole, slot.key, np.int64(slot.tag), np.int64(slot.node))
            hole = at
    slot_at(slots, hole).node = 0
