"""Levels come and go: the sorted array of a side's prices, and the queue of each level.

Functions that may need room say so by their result, before they have changed anything.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from velox_engine.books.exact_memory import inlined, ladder_at, load, move_words, node_at, store
from velox_engine.books.exact_state import LEAST_ROOM, NO_RANK, Need
from velox_engine.books.exact_table import erase, find, put
from velox_engine.jit import compiled

_NODES, _LEVEL_SLOTS, _RANKS = int(Need.NODES), int(Need.LEVEL_SLOTS), int(Need.RANKS)


@inlined
def rank_of(price: Any, side: Any) -> Any:
    """A number that is higher for a better price: the price of a bid, ``~price`` of an ask; it is its own inverse."""
    return price ^ -np.int64(side & 1)


@inlined
def take_node(book: Any) -> Any:
    """Take the first free node; there must be one."""
    node = book.free
    book.free = np.int64(node_at(book.nodes, node).next)
    book.nodes_used += 1
    return node


@inlined
def free_node(book: Any, node: Any) -> None:
    """Give a node back."""
    node_at(book.nodes, node).next = book.free
    book.free = np.int64(node)
    book.nodes_used -= 1


@inlined
def has_two_free(book: Any) -> bool:
    """Whether there are nodes for an order and its level; else that is what is needed."""
    if book.free != 0 and node_at(book.nodes, book.free).next != 0:
        return True
    book.need = _NODES
    return False


@inlined
def append(book: Any, level: Any, node: Any, size: Any) -> None:
    """Put an order at the back of a level's queue and into its totals."""
    queue = node_at(book.nodes, level)
    order = node_at(book.nodes, node)
    last = queue.prev
    order.size = size
    order.prev = last
    order.next = level
    order.owner = level
    order.count = 1
    node_at(book.nodes, last).next = node
    queue.prev = node
    queue.size += size
    queue.count += 1


@inlined
def unlink(book: Any, node: Any) -> None:
    """Take a node out of its queue; the level's totals are the caller's."""
    order = node_at(book.nodes, node)
    before, behind = order.prev, order.next
    node_at(book.nodes, before).next = behind
    node_at(book.nodes, behind).prev = before


@inlined
def _binary_logarithm(room: Any) -> Any:
    power = 0
    while (1 << power) < room:
        power += 1
    return power


@compiled
def make_room(book: Any, side: Any) -> bool:
    """Move a side's full sorted array into a stretch twice as long; False where `ranks` has none left."""
    ladder = ladder_at(book.ladders, side)
    room = max(LEAST_ROOM, 2 * ladder.room)
    power = _binary_logarithm(room)
    start = load(book.free_ranks, power) - 1
    if start >= 0:
        store(book.free_ranks, power, load(book.ranks, start))
    elif book.ranks_used + room <= book.most_ranks:
        start = book.ranks_used
        book.ranks_used += room
    else:
        book.need = _RANKS
        book.needed = room
        return False
    move_words(book.ranks + 8 * start, book.ranks + 8 * ladder.start, ladder.length)
    if ladder.room:
        power = _binary_logarithm(ladder.room)
        store(book.ranks, ladder.start, load(book.free_ranks, power))
        store(book.free_ranks, power, ladder.start + 1)
    ladder.start = start
    ladder.room = room
    return True


@inlined
def _place_of(ranks: Any, length: Any, rank: Any) -> Any:
    """How many of the sorted ranks are below this one."""
    low = 0
    while length > 1:
        half = length >> 1
        low = low + half if load(ranks, low + half - 1) < rank else low
        length -= half
    return low + (1 if length == 1 and load(ranks, low) < rank else 0)


@compiled
def open_level(book: Any, side: Any, price: Any, slot: Any) -> Any:
    """Make a level at a price that has none; ``slot`` is where `find` says it belongs. 0 where room is needed."""
    ladder = ladder_at(book.ladders, side)
    if book.levels == book.most_levels:
        book.need = _LEVEL_SLOTS
        return 0
    if book.free == 0:
        book.need = _NODES
        return 0
    if ladder.length == ladder.room and not make_room(book, side):
        return 0
    rank = rank_of(price, side)
    ranks = book.ranks + 8 * ladder.start
    place = ladder.length
    if rank > ladder.best or place == 0:
        ladder.best = rank
    else:
        place = _place_of(ranks, ladder.length, rank)
        move_words(ranks + 8 * place + 8, ranks + 8 * place, ladder.length - place)
    store(ranks, place, rank)
    ladder.length += 1
    number = take_node(book)
    level = node_at(book.nodes, number)
    level.key = price
    level.size = 0
    level.prev = number
    level.next = number
    level.owner = side
    level.count = 0
    put(book.level_slots, slot, price, side, number)
    book.levels += 1
    return number


@compiled
def close_level(book: Any, number: Any) -> None:
    """Take an empty level away."""
    level = node_at(book.nodes, number)
    side = np.int64(level.owner)
    ladder = ladder_at(book.ladders, side)
    rank = rank_of(level.key, side)
    ranks = book.ranks + 8 * ladder.start
    ladder.length -= 1
    if ladder.best != rank:
        place = _place_of(ranks, ladder.length, rank)
        move_words(ranks + 8 * place, ranks + 8 * place + 8, ladder.length - place)
    elif ladder.length:
        ladder.best = load(ranks, ladder.length - 1)
    else:
        ladder.best = NO_RANK
    erase(book.level_slots, find(book.level_slots, level.key, side, book.level_shift), book.level_shift)
    free_node(book, number)
    book.levels -= 1
