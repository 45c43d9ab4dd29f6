"""The exact book's step: apply a batch of records. Adding and taking, nearly all of the flow, are done right here."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from velox_engine.books.exact_levels import append, close_level, free_node, has_free_node, open_level, take_node, unlink
from velox_engine.books.exact_memory import (
    add_to,
    address_of,
    aside,
    inlined,
    load_byte,
    node_at,
    prefetch,
    record_at,
    slot_at,
    stand_aside,
    store_byte,
)
from velox_engine.books.exact_rare import (
    add_anonymous,
    clear,
    instead,
    modify,
    note_fill,
    replace,
    set_level,
    take_from_seed,
)
from velox_engine.books.exact_state import CROSSED_NOW, CROSSED_THEN, Need, Outcome
from velox_engine.books.exact_table import erase, find, home, put
from velox_engine.jit import compiled
from velox_engine.records import Action, Flags

_ADD, _CANCEL, _DELETE, _EXECUTE = int(Action.ADD), int(Action.CANCEL), int(Action.DELETE), int(Action.EXECUTE)
_REPLACE, _MODIFY, _FILL, _TRADE = int(Action.REPLACE), int(Action.MODIFY), int(Action.FILL), int(Action.TRADE)
_LEVEL, _CLEAR, _STATUS = int(Action.LEVEL), int(Action.CLEAR), int(Action.STATUS)
_LAST, _GAP, _SNAPSHOT = int(Flags.LAST), int(Flags.GAP), int(Flags.SNAPSHOT)
_APPLIED, _PASSED, _DUPLICATE = np.int64(Outcome.APPLIED), np.int64(Outcome.PASSED), np.int64(Outcome.DUPLICATE)
_OVERFLOW, _INVALID = np.int64(Outcome.OVERFLOW), np.int64(Outcome.INVALID)
_NEGATIVE_REMAINDER = np.int64(Outcome.NEGATIVE_REMAINDER)
_CROSSED, _GAPS, _SEEDED = int(Outcome.CROSSED), int(Outcome.GAPS), int(Outcome.SEEDED)
_SYMBOLS: Final = int(Need.SYMBOLS)
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
        return add_anonymous(book, record)
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
        take_from_seed(book, record)
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


@aside
def _other(book: Any, record: Any) -> bool:
    """Apply a record that is neither added nor taken."""
    stand_aside()
    action = record.action
    if action == _LEVEL:
        return set_level(book, record)
    if action == _MODIFY:
        return modify(book, record)
    if action == _REPLACE:
        return replace(book, record)
    if action == _FILL:
        note_fill(book, record)
    elif action in (_TRADE, _STATUS):
        instead(book, _PASSED)
    elif action == _CLEAR:
        clear(book, np.int64(record.symbol))
    else:
        instead(book, _INVALID)
    return True


@inlined
def apply_one(book: Any, record: Any) -> bool:
    """Apply one record whose symbol the book has; False where room is needed, and then nothing was changed."""
    action = record.action
    if action == _ADD:
        if not _add(book, record):
            return False
    elif _CANCEL <= action <= _EXECUTE:  # and DELETE between them
        _take(book, record)
    elif not _other(book, record):
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


@compiled
def apply_records(books: Any, records: Any, start: Any, count: Any) -> Any:
    """`exact_apply` for callers that have the state's ``book`` array at hand: a cheaper call from Python."""
    book = books[0]
    first = address_of(records)
    last = start + count - 1
    done = 0
    while done < count:
        coming = start + done + _AHEAD
        ahead = record_at(first, coming if coming < last else last)
        prefetch(book.order_slots + home(np.int64(ahead.order_id), np.int64(ahead.symbol), book.order_shift))
        record = record_at(first, start + done)
        if np.int64(record.symbol) >= book.symbols:
            book.need = _SYMBOLS
            book.needed = np.int64(record.symbol)
            break
        if not apply_one(book, record):
            break
        done += 1
    add_to(book.outcomes, _APPLIED, done)
    return done


@compiled
def exact_apply(state: Any, records: Any, start: Any, count: Any) -> Any:
    """Apply ``records[start : start + count]`` (1-D, `TRANSACTION`) and return how many were applied.

    Fewer than ``count`` means that room is needed: the next record has changed nothing; let `grow` make a larger
    state, and go on from that record.
    """
    return apply_records(state.book, records, start, count)


@compiled
def exact_mark_stale(state: Any, symbol: Any) -> bool:
    """Say that a record of this symbol was lost, as a GAP flag would; False where `grow` must make room for it."""
    book = state.book[0]
    if symbol >= book.symbols:
        book.need = _SYMBOLS
        book.needed = symbol
        return False
    store_byte(book.stale, symbol, 1)
    add_to(book.outcomes, _GAPS, 1)
    return True
