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

Two open-addressing tables find them: (order id, symbol) → order, (price, side) → level. Each side of a symbol keeps
the prices of its levels in a sorted array whose best price is last, since nearly all levels come and go there.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

NODE: Final = np.dtype(
    [("key", "i8"), ("size", "i8"), ("prev", "u4"), ("next", "u4"), ("owner", "u4"), ("count", "u4")], align=True
)
"""An order or a level, 32 bytes; node 0 is nobody. Free nodes are chained through ``next``."""

SLOT: Final = np.dtype([("key", "i8"), ("tag", "u4"), ("node", "u4")], align=True)
"""A table entry, 16 bytes: what is looked up, and the node it stands for; node 0 is an empty slot."""

LADDER: Final = np.dtype([("best", "i8"), ("start", "i8"), ("length", "i8"), ("room", "i8")], align=True)
"""One side of one symbol: its levels' ranks are ``ranks[start : start + length]``, ascending; ``room`` is how many fit
there, and ``best`` repeats the last one (`NO_RANK` when the side is empty)."""

NO_RANK: Final = -(2**63)
"""The best rank of an empty side. A rank is the price of a bid and ``~price`` of an ask: higher is always better."""

# marks in the ``count`` of a node, above 30 bits that count
HAS_FILLS: Final = 1 << 31
"""Of an order: fills were reported since its last change; ``fills[node]`` says how much."""
IS_SEED: Final = 1 << 30
"""Of an anonymous piece: it was put at the front by a seeded or aggregated ``LEVEL``."""
HAS_ANONYMOUS: Final = 1 << 31
"""Of a level: its queue has or had anonymous pieces."""
COUNT_MASK: Final = (1 << 30) - 1


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
    [(name, "i8") for name in ("nodes", "fills", "order_slots", "level_slots", "ladders", "ranks", "free_ranks")]
    + [(name, "i8") for name in ("stale", "crossed", "outcomes")]
    + [(name, "i8") for name in ("symbols", "order_shift", "level_shift", "most_levels", "most_ranks", "windowed")]
    + [(name, "i8") for name in ("free", "nodes_used", "levels", "ranks_used", "need", "needed")],
    align=True,
)
"""What travels through the compiled functions: the addresses of `ExactState`'s arrays under their names, then

=============== =====================================================================================
``symbols``     symbol indices that there is room for
``order_shift`` 64 less the binary logarithm of the length of ``order_slots``; ``level_shift`` likewise
``most_levels`` levels that ``level_slots`` takes, half its length
``most_ranks``  length of ``ranks``
``windowed``    1 where the feed shows only the best levels
``free``        the first free node, 0 for none
``nodes_used``  nodes that are orders or levels; ``levels`` of them are levels
``ranks_used``  where the never used part of ``ranks`` begins
``need``        the `Need` that the last record stopped at, and ``needed``: which symbol, or how many ranks
=============== =====================================================================================
"""

LEAST_ROOM: Final = 8
"""Levels that fit into the first stretch of a side."""


class Need(IntEnum):
    """What ran out."""

    NOTHING = 0
    NODES = 1
    LEVEL_SLOTS = 2
    RANKS = 3
    SYMBOLS = 4


class ExactState(NamedTuple):
    """Exact books of many symbols. One thread writes; nobody else may read meanwhile.

    The arrays are replaced, never resized: `grow` returns a state with larger ones.
    """

    nodes: NDArray[np.void]
    """`NODE`, shape (nodes,)."""
    fills: NDArray[np.int64]
    """Shape (nodes,): size of reported fills of an order, of meaning only with `HAS_FILLS`."""
    order_slots: NDArray[np.void]
    """`SLOT`, shape (a power of two, at least twice the nodes,); tag is the symbol."""
    level_slots: NDArray[np.void]
    """`SLOT`, shape (a power of two,); tag is the side, ``2 * symbol + side``."""
    ladders: NDArray[np.void]
    """`LADDER`, shape (2 * symbols,), by side."""
    ranks: NDArray[np.int64]
    """The ladders' sorted arrays, in stretches of a power of two each."""
    stale: NDArray[np.uint8]
    """Shape (symbols,): 1 while records are missing."""
    crossed: NDArray[np.uint8]
    """Shape (symbols,): 1 while the book is crossed, as of its last event."""
    free_ranks: NDArray[np.int64]
    """Shape (64,), by binary logarithm of its length: where the first free stretch of ``ranks`` begins, plus 1, or 0.
    A free stretch holds the next one in its first entry."""
    outcomes: NDArray[np.int64]
    """Counts by `Outcome`."""
    book: NDArray[np.void]
    """`BOOK`, shape (1,)."""


def power_of_two(least: int) -> int:
    """The smallest power of two that is not below ``least``."""
    return 1 << max(0, least - 1).bit_length()


def hash_shift(slots: int) -> int:
    """How far a 64-bit hash is shifted down to index a table of that many slots."""
    return 65 - slots.bit_length()


def make_exact(symbols: int, *, windowed: bool = False, orders: int = 8192) -> ExactState:
    """Make empty books for symbol indices below ``symbols``, with room for at least ``orders`` orders and levels.

    Every size given here is a beginning, not a limit.
    """
    nodes = power_of_two(max(4, orders + 1))
    levels = power_of_two(min(nodes, 1024))
    state = ExactState(
        nodes=np.zeros(nodes, NODE),
        fills=np.zeros(nodes, np.int64),
        order_slots=np.zeros(2 * nodes, SLOT),
        level_slots=np.zeros(2 * levels, SLOT),
        ladders=np.zeros(2 * max(1, symbols), LADDER),
        ranks=np.zeros(max(LEAST_ROOM, 2 * levels), np.int64),
        stale=np.zeros(max(1, symbols), np.uint8),
        crossed=np.zeros(max(1, symbols), np.uint8),
        free_ranks=np.zeros(64, np.int64),
        outcomes=np.zeros(len(Outcome), np.int64),
        book=np.zeros(1, BOOK),
    )
    chain_free(state.nodes, 1)
    state.ladders["best"] = NO_RANK
    state.book["free"] = 1
    state.book["windowed"] = windowed
    return with_addresses(state)


def with_addresses(state: ExactState) -> ExactState:
    """Write the arrays' addresses and lengths into their book, after arrays were made or replaced."""
    book = state.book[0]
    for name in ("nodes", "fills", "order_slots", "level_slots", "ladders", "ranks"):
        book[name] = getattr(state, name).ctypes.data
    for name in ("free_ranks", "stale", "crossed", "outcomes"):
        book[name] = getattr(state, name).ctypes.data
    book["symbols"] = len(state.stale)
    book["order_shift"] = hash_shift(len(state.order_slots))
    book["level_shift"] = hash_shift(len(state.level_slots))
    book["most_levels"] = len(state.level_slots) // 2
    book["most_ranks"] = len(state.ranks)
    return state


def chain_free(nodes: NDArray[np.void], first: int) -> None:
    """Chain the nodes from ``first`` on as free, each to the next and the last to none."""
    nodes["next"][first:] = np.arange(first + 1, len(nodes) + 1)
    nodes["next"][-1] = 0
