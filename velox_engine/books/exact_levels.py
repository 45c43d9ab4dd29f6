"""Nodes, queues and levels: taking and freeing nodes, linking them, and opening and closing levels.

Functions that may need room say so by their result, before they have changed anything.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from velox_engine.books.exact_entry import enter
from velox_engine.books.exact_ladder import enter_price, leave_price
from velox_engine.books.exact_layout import Need
from velox_engine.books.exact_memory import book_at, node_at
from velox_engine.books.exact_table import erase, find, put
from velox_engine.jit import entered, inlined

_NODES, _LEVEL_SLOTS = int(Need.NODES), int(Need.LEVEL_SLOTS)


@inlined
def take_node(book: Any) -> Any:
    """Take the first free node; it must not be the last."""
    node = book.free
    book.free = np.int64(node_at(book.nodes, node).next)
    return node


@inlined
def free_node(book: Any, node: Any) -> None:
    """Give a node back."""
    node_at(book.nodes, node).next = book.free
    book.free = np.int64(node)


@inlined
def has_free_node(book: Any) -> bool:
    """Whether a node can be taken; else nodes are what is needed."""
    if node_at(book.nodes, book.free).next != 0:
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
def open_level(book: Any, side: Any, price: Any, slot: Any) -> Any:
    """Make a level at a price that has none; ``slot`` is where `find` says it belongs. 0 where room is needed.

    A node for the order that comes to it is sure to be left.
    """
    return enter(book.open_level, book, side, price, slot)


@inlined
def close_level(book: Any, number: Any) -> None:
    """Take an empty level away."""
    enter(book.close_level, book, number, 0, 0)


@entered
def open_level_entry(book_address: int, side: int, price: int, slot: int) -> int:
    """`open_level`."""
    book = book_at(book_address, 0)
    if book.levels == book.most_levels:
        book.need = _LEVEL_SLOTS
        return 0
    if node_at(book.nodes, node_at(book.nodes, book.free).next).next == 0:
        book.need = _NODES
        return 0
    if not enter_price(book, side, price):
        return 0
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


@entered
def close_level_entry(book_address: int, number: int, _2: int, _3: int) -> int:
    """`close_level`."""
    book = book_at(book_address, 0)
    level = node_at(book.nodes, number)
    side = np.int64(level.owner)
    leave_price(book, side, level.key)
    erase(book.level_slots, find(book.level_slots, level.key, side, book.level_shift), book.level_shift)
    free_node(book, number)
    book.levels -= 1
    return 0
