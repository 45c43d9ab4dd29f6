"""Which orders are on the book, by their 128-bit ids: what a feed has to know to tell a cancel from no news.

An open-addressing table with linear probing; an entry that leaves lets those behind it move up, so nothing is ever
marked as deleted and the table does not age.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velox_engine.jit import compiled, inner

_SPREAD: Final = -7_046_029_254_386_353_131  # 2^64 / the golden ratio: ids that count up land far apart

LEAST_ROOM: Final = 1 << 12


class LiveOrders(NamedTuple):
    """``n`` slots, a power of two, at most half of them taken."""

    high: NDArray[np.int64]
    """Shape (n,): the first 8 bytes of the id."""
    low: NDArray[np.int64]
    """Shape (n,): the last 8 bytes, 0 for an id that is a number."""
    size: NDArray[np.int64]
    """Shape (n,): what is left of the order; 0 is a free slot."""
    live: NDArray[np.int64]
    """Shape (1,): how many there are."""


def empty_orders(room: int) -> LiveOrders:
    """A table in which at least ``room`` orders fit."""
    slots = 1 << max(2 * room, LEAST_ROOM).bit_length()
    high, low, size = (np.zeros(slots, np.int64) for _ in range(3))
    return LiveOrders(high, low, size, np.zeros(1, np.int64))


@inner
def _home(high: int, slots: int) -> int:
    spread = high * _SPREAD
    return (spread ^ (spread >> 32)) & (slots - 1)


@inner
def is_full(orders: LiveOrders) -> bool:
    """Whether one more order needs a larger table."""
    return 2 * orders.live[0] >= len(orders.size)


@inner
def find_order(orders: LiveOrders, high: int) -> int:
    """The slot of the order whose id begins so, or the free slot where it belongs."""
    mask = len(orders.size) - 1
    slot = _home(high, len(orders.size))
    while orders.size[slot] != 0 and orders.high[slot] != high:
        slot = (slot + 1) & mask
    return slot


@inner
def enter_order(orders: LiveOrders, slot: int, high: int, low: int, size: int) -> None:
    """Fill a free slot that `find_order` gave."""
    orders.high[slot] = high
    orders.low[slot] = low
    orders.size[slot] = size
    orders.live[0] += 1


@inner
def leave_order(orders: LiveOrders, slot: int) -> None:
    """Free a slot, and let the entries behind it move up to where they are found."""
    slots = len(orders.size)
    mask = slots - 1
    orders.live[0] -= 1
    behind = slot
    while True:
        orders.size[slot] = 0
        while True:
            behind = (behind + 1) & mask
            if orders.size[behind] == 0:
                return
            home = _home(orders.high[behind], slots)
            # it may move up unless its home lies behind the free slot, seen around the end of the table
            if ((behind - home) & mask) >= ((behind - slot) & mask):
                break
        orders.high[slot] = orders.high[behind]
        orders.low[slot] = orders.low[behind]
        orders.size[slot] = orders.size[behind]
        slot = behind


@compiled
def enter_all(orders: LiveOrders, high: NDArray[np.int64], low: NDArray[np.int64], size: NDArray[np.int64]) -> int:
    """Enter many orders into a table with room for them; the index of the first that is live already, or -1."""
    for i in range(len(high)):
        slot = find_order(orders, high[i])
        if orders.size[slot] != 0:
            return i
        enter_order(orders, slot, high[i], low[i], size[i])
    return -1


def larger(orders: LiveOrders, room: int = 0) -> LiveOrders:
    """The same orders in a table of twice the size, or one with ``room`` for more."""
    taken = np.flatnonzero(orders.size)
    grown = empty_orders(max(len(orders.size), len(taken) + room))
    enter_all(grown, orders.high[taken], orders.low[taken], orders.size[taken])
    return grown
