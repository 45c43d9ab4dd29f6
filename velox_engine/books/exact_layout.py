"""The exact book in memory: every array that it consists of, and what their fields mean.

All symbols share one pool of 32-byte *nodes*. An order is a node; a price level is a node too: the sentinel of the
circular list that is its queue, so that linking and unlinking need no special case for the first or last order.

============ ================================= ==========================================
field        in an order (or anonymous piece)  in a level
============ ================================= ==========================================
``key``      order id (0: anonymous)           price
``size``     what is left of it                total of its queue
``prev``     the order before it, or the level last order, or the level itself when empty
``next``     the order behind it, or the level first order, or the level itself when empty
``owner``    its level                         its side: ``2 * symbol + side``
``count``    orders it stands for, and marks   orders in its queue, and `HAS_ANONYMOUS`
============ ================================= ==========================================

Two open-addressing tables find them: (order id, symbol) → order, (price, side) → level. Which prices have a level is
kept by side in a sorted array of blocks, a bit for each of 64 neighbouring ticks, the best block last since nearly all
levels come and go there.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velox_engine.by_reference import by_reference

NODE: Final = np.dtype(
    [("key", "i8"), ("size", "i8"), ("prev", "u4"), ("next", "u4"), ("owner", "u4"), ("count", "u4")], align=True
)
"""An order or a level, 32 bytes. Free nodes are chained through ``next``; the last one of the chain is never given out,
so that the chain never ends."""

NODE_STEP: Final = 4
"""A node's number is its index times this; number 0 is nobody."""

SLOT: Final = np.dtype([("key", "i8"), ("tag", "u4"), ("node", "u4")], align=True)
"""A table entry, 16 bytes: what is looked up, and the node it stands for; node 0 is an empty slot."""

BLOCK: Final = np.dtype([("key", "i8"), ("mask", "i8")], align=True)
"""64 neighbouring prices of one side, 16 bytes: bit ``i`` of ``mask`` is set where ``64 * key + i`` has a level."""

LADDER: Final = np.dtype(
    [("best", "i8"), ("step", "i8"), ("start", "i8"), ("length", "u4"), ("room", "u4")], align=True
)
"""One side of one symbol, 32 bytes: which prices have levels, best last.

``best`` is the *rank* of the best price, `NO_RANK` when the side is empty: the price of a bid, ``~price`` of an ask, so
that higher is better. ``step`` divides every price that the side has had (`NO_STEP` before the first): the tick.
``blocks[start : start + length]`` hold ``price // step`` (of an ask: its inverse), ascending by key; ``room`` is how
many blocks fit there.
"""

NO_RANK: Final = -(2**63)
NO_STEP: Final = 2**63 - 1

# marks in the ``count`` of a node, above 30 bits that count
HAS_FILLS: Final = 1 << 31
"""Of an order: fills were reported since its last change; ``fills[node]`` says how much."""
IS_SEED: Final = 1 << 30
"""Of an anonymous piece: it was put at the front by a seeded or aggregated ``LEVEL``."""
HAS_ANONYMOUS: Final = 1 << 31
"""Of a level: its queue has or had anonymous pieces."""
COUNT_MASK: Final = (1 << 30) - 1


CROSSED_NOW: Final = 1
"""In ``crossed``: the best bid is above the best ask."""
CROSSED_THEN: Final = 2
"""In ``crossed``: it was after the symbol's last event."""


class Outcome(IntEnum):
    """What became of the records; the values index `ExactState.outcomes`.

    The first group parts the records: each is counted in exactly one of them, so they add up to all records. The
    second tells what was noticed besides.
    """

    APPLIED = 0
    """The book did what the record says."""
    PASSED = 1
    """Nothing to do: a print, a fill reported ahead, a status."""
    FROM_SEED = 2
    """It named an order that is not known, and its size was taken from the anonymous size at its price."""
    UNKNOWN = 3
    """It named an order that is not known, and there was no anonymous size to take from."""
    DUPLICATE = 4
    """An order with this id is live already; the record was left out."""
    OVERFLOW = 5
    """The level's total would exceed 2^63 - 1; the record was left out."""
    INVALID = 6
    """Its action, side or size is outside `RULES`, or a REPLACE gives no new id; the record was left out."""

    SEEDED = 7
    """Records that carried the SNAPSHOT flag."""
    NEGATIVE_REMAINDER = 8
    """More was taken from an order than it had; it left, and no more."""
    UNKNOWN_FILL = 9
    """A fill was reported of an order that is not known."""
    DISPLACED = 10
    """Orders with an id that left because an aggregated LEVEL spoke for their whole level."""
    CROSSED = 11
    """Events (records with the LAST flag) after which the symbol's best bid was above its best ask."""
    GAPS = 12
    """Records that carried the GAP flag, and drops told by `exact_mark_stale`."""


class Status(IntEnum):
    """What a symbol's book is worth, the worst that holds."""

    SYNCED = 0
    """All of the venue's book, as far as the feed shows it."""
    WINDOWED = 1
    """The feed shows only the best levels of it."""
    CROSSED = 2
    """After its last event the best bid was above the best ask."""
    STALE = 3
    """Records are missing; wrong until the next snapshot."""


BOOK: Final = np.dtype(
    [(name, "i8") for name in ("nodes", "fills", "order_slots", "level_slots", "ladders", "blocks", "free_blocks")]
    + [(name, "i8") for name in ("stale", "crossed", "outcomes")]
    + [(name, "i8") for name in ("apply", "apply_rare", "open_level", "close_level")]
    + [(name, "i8") for name in ("symbols", "order_shift", "level_shift", "most_levels", "most_blocks", "windowed")]
    + [(name, "i8") for name in ("free", "levels", "blocks_used", "need", "needed")],
    align=True,
)
"""What travels through the compiled functions: the addresses of `ExactState`'s arrays under their names, of the
functions that are entered by address (`exact_entry`), then

=============== =====================================================================================
``symbols``     symbol indices that there is room for
``order_shift`` 64 less the binary logarithm of the bytes of ``order_slots``; ``level_shift`` likewise
``most_levels`` levels that ``level_slots`` takes
``most_blocks`` length of ``blocks``
``windowed``    1 where the feed shows only the best levels
``free``        the first free node
``levels``      levels that there are
``blocks_used`` where the never used part of ``blocks`` begins
``need``        the `Need` that the last record stopped at, and ``needed``: which symbol, or how many blocks
=============== =====================================================================================
"""

LEAST_ROOM: Final = 8
"""Blocks that fit into the first stretch of a side."""


class Need(IntEnum):
    """What ran out."""

    NOTHING = 0
    NODES = 1
    LEVEL_SLOTS = 2
    BLOCKS = 3
    SYMBOLS = 4


@by_reference
class ExactState(NamedTuple):
    """Exact books of many symbols. One thread writes; nobody else may read meanwhile.

    The arrays are replaced, never resized: `grow` returns a state with larger ones.
    """

    nodes: NDArray[np.void]
    """`NODE`, shape (nodes,)."""
    fills: NDArray[np.int64]
    """Shape (nodes,): size of reported fills of an order, of meaning only with `HAS_FILLS`."""
    order_slots: NDArray[np.void]
    """`SLOT`, shape (a power of two,); tag is the symbol."""
    level_slots: NDArray[np.void]
    """`SLOT`, shape (a power of two,); tag is the side, ``2 * symbol + side``."""
    ladders: NDArray[np.void]
    """`LADDER`, shape (2 * symbols,), by side."""
    blocks: NDArray[np.void]
    """`BLOCK`: the ladders' blocks, in stretches of a power of two each."""
    free_blocks: NDArray[np.int64]
    """Shape (64,), by binary logarithm of its length: where the first free stretch of ``blocks`` begins, plus 1, or 0.
    A free stretch holds the next one as its first key."""
    stale: NDArray[np.uint8]
    """Shape (symbols,): 1 while records are missing."""
    crossed: NDArray[np.uint8]
    """Shape (symbols,): `CROSSED_NOW` and `CROSSED_THEN`."""
    outcomes: NDArray[np.int64]
    """Counts by `Outcome`."""
    book: NDArray[np.void]
    """`BOOK`, shape (1,)."""
