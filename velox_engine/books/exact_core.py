"""The exact book's step: apply a batch of records. Adding and taking, nearly all of the flow, are done right here."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from velox_engine.books.exact_entry import enter
from velox_engine.books.exact_layout import CROSSED_NOW, CROSSED_THEN, Need, Outcome
from velox_engine.books.exact_levels import append, close_level, free_node, has_free_node, open_level, take_node, unlink
from velox_engine.books.exact_memory import (
    add_to,
    address_of,
    book_at,
    load_byte,
    node_at,
    prefetch,
    record_at,
    slot_at,
    store_byte,
)
from velox_engine.books.exact_rare import apply_rare, instead
from velox_engine.books.exact_table import erase, find, home, put
from velox_engine.jit import compiled, entered, inlined, inner
from velox_engine.records import TRANSACTION, Action, Flags

_ADD, _CANCEL, _DELETE, _EXECUTE = int(Action.ADD), int(Action.CANCEL), int(Action.DELETE), int(Action.EXECUTE)
_LAST, _GAP, _SNAPSHOT = int(Flags.LAST), int(Flags.GAP), int(Flags.SNAPSHOT)
_APPLIED, _DUPLICATE = np.int64(Outcome.APPLIED), np.int64(Outcome.DUPLICATE)
_OVERFLOW, _INVALID = np.int64(Outcome.OVERFLOW), np.int64(Outcome.INVALID)
_NEGATIVE_REMAINDER = np.int64(Outcome.NEGATIVE_REMAINDER)
_CROSSED, _GAPS, _SEEDED = int(Outcome.CROSSED), int(Outcome.GAPS), int(Outcome.SEEDED)
_SYMBOLS: Final = int(Need.SYMBOLS)
_RECORD: Final = TRANSACTION.itemsize
_AHEAD: Final = 8
"""How many records ahead the order's slot is asked for: long enough for memory to answer, short enough to be kept."""


@inlined
def _add(book: Any, record: Any) -> bool:
    size, symbol = record.size, np.int64(record.symbol)
    if record.side > 1 or size <= 0:
        instead(book, _INVALID)
        return True
    order_id = np.int64(record.order_id)
    if order_id == 0:
        return apply_rare(book, record)
    order_slot = find(book.order_slots, order_id, symbol, book.order_shift)
    if slot_at(book.order_slots, order_slot).node != 0:
        instead(book, _DUPLICATE)
        return True
    if not has_free_node(book):
        return False
    side = 2 * symbol + record.side
    level_slot = find(book.level_slots, record.price, side, book.level_shift)
    level = np.int64(slot_at(book.level_slots, level_slot).node)
    if level == 0:
        level = open_level(book, side, record.price, level_slot)
        if level == 0:
            return False
    elif node_at(book.nodes, level).size + size < 0:  # beyond int64
        instead(book, _OVERFLOW)
        return True
    node = take_node(book)
    node_at(book.nodes, node).key = order_id
    append(book, level, node, size)
    put(book.order_slots, order_slot, order_id, symbol, node)
    return True


@inlined
def _take(book: Any, record: Any) -> None:
    size, whole = record.size, record.action == _DELETE
    if size <= 0 and not whole:
        instead(book, _INVALID)
        return
    slot = find(book.order_slots, np.int64(record.order_id), np.int64(record.symbol), book.order_shift)
    node = np.int64(slot_at(book.order_slots, slot).node)
    if node == 0:
        apply_rare(book, record)
        return
    order = node_at(book.nodes, node)
    number = np.int64(order.owner)
    level = node_at(book.nodes, number)
    if not whole and size < order.size:
        order.size -= size
        order.count = 1
        level.size -= size
        return
    if not whole and size > order.size:
        add_to(book.outcomes, _NEGATIVE_REMAINDER, 1)
    unlink(book, node)
    level.size -= order.size
    level.count -= 1
    free_node(book, node)
    erase(book.order_slots, slot, book.order_shift)
    if level.next == number:
        close_level(book, number)


@inlined
def apply_one(book: Any, record: Any) -> bool:
    """Apply one record whose symbol the book has; False where room is needed, and then nothing was changed."""
    action = record.action
    if action == _ADD:
        if not _add(book, record):
            return False
    elif _CANCEL <= action <= _EXECUTE:  # and DELETE between them
        _take(book, record)
    elif not apply_rare(book, record):
        return False
    symbol, flags = np.int64(record.symbol), record.flags
    if flags & (_GAP | _SNAPSHOT):
        if flags & _GAP:
            add_to(book.outcomes, _GAPS, 1)
            store_byte(book.stale, symbol, 1)
        if flags & _SNAPSHOT:
            add_to(book.outcomes, _SEEDED, 1)
            store_byte(book.stale, symbol, 0)
    if flags & _LAST and load_byte(book.crossed, symbol):
        if load_byte(book.crossed, symbol) & CROSSED_NOW:
            add_to(book.outcomes, _CROSSED, 1)
            store_byte(book.crossed, symbol, CROSSED_NOW | CROSSED_THEN)
        else:
            store_byte(book.crossed, symbol, 0)
    return True


@inlined
def step(book: Any, first: Any, at: Any, count: Any) -> bool:
    """Apply record ``at`` of ``count`` from the address ``first`` on; False where room is needed."""
    coming = at + _AHEAD
    ahead = record_at(first, coming if coming < count else count - 1)
    prefetch(book.order_slots + home(np.int64(ahead.order_id), np.int64(ahead.symbol), book.order_shift))
    record = record_at(first, at)
    if np.int64(record.symbol) >= book.symbols:
        book.need = _SYMBOLS
        book.needed = np.int64(record.symbol)
        return False
    return apply_one(book, record)


@entered
def apply_batch(book_address: int, first: int, count: int, _3: int) -> int:
    """Apply ``count`` records from the address ``first`` on; `exact_apply` says the rest."""
    book = book_at(book_address, 0)
    done = 0
    while done < count and step(book, first, done, count):
        done += 1
    add_to(book.outcomes, _APPLIED, done)
    return done


@compiled
def apply_records(books: Any, records: Any, start: Any, count: Any) -> Any:
    """`exact_apply` for callers that have the state's ``book`` array at hand: a cheaper call from Python."""
    book = books[0]
    return enter(book.apply, book, address_of(records) + _RECORD * start, count, 0)


@inner
def exact_apply(state: Any, records: Any, start: Any, count: Any) -> Any:
    """Apply ``records[start : start + count]`` (1-D, `TRANSACTION`) and return how many were applied.

    Fewer than ``count`` means that room is needed: the next record has changed nothing; let `grow` make a larger
    state, and go on from that record.
    """
    book = state.book[0]
    return enter(book.apply, book, address_of(records) + _RECORD * start, count, 0)


@inner
def exact_mark_stale(state: Any, symbol: Any) -> bool:
    """Say that a record of this symbol was lost, as a GAP flag would; False where `grow` must make room for it."""
    return mark_stale(state.book, symbol)


@compiled
def mark_stale(books: Any, symbol: Any) -> bool:
    """`exact_mark_stale` for callers that have the state's ``book`` array at hand."""
    book = books[0]
    if symbol >= book.symbols:
        book.need = _SYMBOLS
        book.needed = symbol
        return False
    store_byte(book.stale, symbol, 1)
    add_to(book.outcomes, _GAPS, 1)
    return True
