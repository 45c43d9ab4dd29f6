"""What the exact book does less often: seeds, aggregated levels, moves, references to orders that it does not know.

Each function handles one record. Those that may need room return whether they handled it: False means that nothing
was changed and that ``book.need`` says what ran out.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from velox_engine.books.exact_entry import enter
from velox_engine.books.exact_ladder import forget_prices, rank_in, turned
from velox_engine.books.exact_layout import COUNT_MASK, HAS_ANONYMOUS, HAS_FILLS, IS_SEED, NODE_STEP, Outcome
from velox_engine.books.exact_levels import append, close_level, free_node, has_free_node, open_level, take_node, unlink
from velox_engine.books.exact_memory import (
    add_to,
    address_of_record,
    block_at,
    book_at,
    highest_bit,
    ladder_at,
    load,
    node_at,
    quotient,
    record_at,
    slot_at,
    stand_aside,
    store,
)
from velox_engine.books.exact_table import erase, find, put
from velox_engine.jit import aside, entered, inlined
from velox_engine.records import INT64_MAX, Action, Flags

_ADD, _DELETE, _EXECUTE = int(Action.ADD), int(Action.DELETE), int(Action.EXECUTE)
_REPLACE, _MODIFY, _FILL, _TRADE = int(Action.REPLACE), int(Action.MODIFY), int(Action.FILL), int(Action.TRADE)
_LEVEL, _CLEAR, _STATUS = int(Action.LEVEL), int(Action.CLEAR), int(Action.STATUS)
_SNAPSHOT: Final = int(Flags.SNAPSHOT)
# int64 in so many words: of a plain int numba would compile `instead` once for each value
_APPLIED, _PASSED, _FROM_SEED = np.int64(Outcome.APPLIED), np.int64(Outcome.PASSED), np.int64(Outcome.FROM_SEED)
_UNKNOWN, _DUPLICATE, _OVERFLOW = np.int64(Outcome.UNKNOWN), np.int64(Outcome.DUPLICATE), np.int64(Outcome.OVERFLOW)
_INVALID, _UNKNOWN_FILL = np.int64(Outcome.INVALID), np.int64(Outcome.UNKNOWN_FILL)
_NEGATIVE_REMAINDER, _DISPLACED = np.int64(Outcome.NEGATIVE_REMAINDER), np.int64(Outcome.DISPLACED)


@inlined
def instead(book: Any, outcome: Any) -> None:
    """Count a record under ``outcome`` and not under `Outcome.APPLIED`, where `exact_apply` counts every record."""
    add_to(book.outcomes, _APPLIED, -1)
    add_to(book.outcomes, outcome, 1)


@aside
def _level_if_any(book: Any, side: Any, price: Any) -> Any:
    """The level at a price, or 0."""
    stand_aside()
    slot = find(book.level_slots, price, side, book.level_shift)
    return np.int64(slot_at(book.level_slots, slot).node)


@aside
def _order_if_any(book: Any, record: Any) -> Any:
    """The order that a record names, or 0."""
    stand_aside()
    slot = find(book.order_slots, np.int64(record.order_id), np.int64(record.symbol), book.order_shift)
    return np.int64(slot_at(book.order_slots, slot).node)


@aside
def _forget_order(book: Any, order_id: Any, symbol: Any) -> None:
    """Take an order's id out of its table."""
    stand_aside()
    erase(book.order_slots, find(book.order_slots, order_id, symbol, book.order_shift), book.order_shift)


@aside
def _level_at(book: Any, side: Any, price: Any) -> Any:
    """The level at a price, made if there is none (then it is empty: fill it at once); 0 where room is needed."""
    stand_aside()
    slot = find(book.level_slots, price, side, book.level_shift)
    level = np.int64(slot_at(book.level_slots, slot).node)
    return level if level != 0 else open_level(book, side, price, slot)


@aside
def _leave(book: Any, node: Any) -> None:
    """Take a whole piece out of its level, and the level away if it was the last; its id is the caller's."""
    stand_aside()
    piece = node_at(book.nodes, node)
    number = np.int64(piece.owner)
    level = node_at(book.nodes, number)
    unlink(book, node)
    level.size -= piece.size
    level.count -= piece.count & COUNT_MASK
    free_node(book, node)
    if level.next == number:
        close_level(book, number)


@aside
def take_from_seed(book: Any, record: Any) -> None:
    """A CANCEL, DELETE or EXECUTE of an order that is not known: take its size from the anonymous size at its price.

    The piece nearest the front gives it. Whether an order left with it is known only for a DELETE, so a count that was
    known is no longer known after the others.
    """
    stand_aside()
    size = record.size
    if record.side <= 1 and size > 0:
        number = _level_if_any(book, 2 * np.int64(record.symbol) + record.side, record.price)
        level = node_at(book.nodes, number)
        if number != 0 and level.count & HAS_ANONYMOUS:
            node = np.int64(level.next)
            while node != number and node_at(book.nodes, node).key != 0:
                node = np.int64(node_at(book.nodes, node).next)
            if node != number:
                instead(book, _FROM_SEED)
                piece = node_at(book.nodes, node)
                if size >= piece.size:
                    if size > piece.size:
                        add_to(book.outcomes, _NEGATIVE_REMAINDER, 1)
                    _leave(book, node)
                    return
                piece.size -= size
                level.size -= size
                count = piece.count & COUNT_MASK
                if count != 0:
                    gone = 1 if record.action == _DELETE else count
                    piece.count -= gone
                    level.count -= gone
                return
            level.count &= COUNT_MASK
    instead(book, _UNKNOWN)


@aside
def add_anonymous(book: Any, record: Any) -> bool:
    """An ADD whose source gives no id: a piece of size at the back of its level's queue."""
    stand_aside()
    if not has_free_node(book):
        return False
    number = _level_at(book, 2 * np.int64(record.symbol) + record.side, record.price)
    if number == 0:
        return False
    level = node_at(book.nodes, number)
    if level.size > INT64_MAX - record.size:
        instead(book, _OVERFLOW)
        return True
    node = take_node(book)
    node_at(book.nodes, node).key = 0
    append(book, number, node, record.size)
    level.count |= HAS_ANONYMOUS
    return True


@aside
def _seed_level(book: Any, side: Any, price: Any, size: Any, count: Any) -> bool:
    """Make the anonymous size at the front of a level's queue ``size``; its orders stay behind it."""
    stand_aside()
    if size == 0:
        number = _level_if_any(book, side, price)
        if number != 0:
            first = np.int64(node_at(book.nodes, number).next)
            if node_at(book.nodes, first).count & IS_SEED:
                _leave(book, first)
        return True
    if not has_free_node(book):
        return False
    number = _level_at(book, side, price)
    if number == 0:
        return False
    level = node_at(book.nodes, number)
    node = np.int64(level.next)
    there = node_at(book.nodes, node).size if node != number and node_at(book.nodes, node).count & IS_SEED else 0
    if level.size - there > INT64_MAX - size:
        instead(book, _OVERFLOW)
        return True
    if there == 0:
        first = level.next
        node = take_node(book)
        fresh = node_at(book.nodes, node)
        fresh.key = 0
        fresh.prev = number
        fresh.next = first
        fresh.owner = number
        fresh.count = 0
        node_at(book.nodes, first).prev = node
        level.next = node
    seed = node_at(book.nodes, node)
    level.size += size - there
    level.count = (level.count - (seed.count & COUNT_MASK) + count) | HAS_ANONYMOUS
    seed.size = size
    seed.count = count | IS_SEED
    return True


@aside
def _empty_queue(book: Any, number: Any, keep: Any) -> None:
    """Free every piece in a level's queue but ``keep``; what the level then holds is the caller's."""
    stand_aside()
    level = node_at(book.nodes, number)
    node = np.int64(level.next)
    while node != number:
        piece = node_at(book.nodes, node)
        behind = np.int64(piece.next)
        if node != keep:
            if piece.key != 0:
                _forget_order(book, piece.key, np.int64(level.owner) >> 1)
                add_to(book.outcomes, _DISPLACED, 1)
            free_node(book, node)
        node = behind
    level.prev = number
    level.next = number


@aside
def set_level(book: Any, record: Any) -> bool:
    """A LEVEL: the whole level becomes one anonymous size (0: none), or with SNAPSHOT only its seed does."""
    stand_aside()
    size = record.size
    if record.side > 1 or size < 0:
        instead(book, _INVALID)
        return True
    side = 2 * np.int64(record.symbol) + record.side
    told = np.int64(record.new_order_id)
    count = told if 0 <= told <= COUNT_MASK else 0
    if record.flags & _SNAPSHOT:
        return _seed_level(book, side, record.price, size, count)
    number = _level_if_any(book, side, record.price)
    if number == 0:
        return size == 0 or _seed_level(book, side, record.price, size, count)
    level = node_at(book.nodes, number)
    if size == 0:
        _empty_queue(book, number, 0)
        close_level(book, number)
        return True
    node = np.int64(level.next)
    if not node_at(book.nodes, node).count & IS_SEED:  # only orders stand there; each gives its node back
        _empty_queue(book, number, 0)
        node = take_node(book)
    elif level.prev != node:
        _empty_queue(book, number, node)
    seed = node_at(book.nodes, node)
    seed.key = 0
    seed.prev = number
    seed.next = number
    seed.owner = number
    seed.size = size
    seed.count = count | IS_SEED
    level.prev = node
    level.next = node
    level.size = size
    level.count = count | HAS_ANONYMOUS
    return True


@aside
def _move(book: Any, node: Any, price: Any, size: Any) -> Any:
    """Put an order at the back of the queue at ``price``: 1 done, 0 room is needed, -1 its level would overflow."""
    stand_aside()
    order = node_at(book.nodes, node)
    old_number = np.int64(order.owner)
    old = node_at(book.nodes, old_number)
    number = _level_at(book, np.int64(old.owner), price)
    if number == 0:
        return 0
    level = node_at(book.nodes, number)
    own = order.size if number == old_number else 0
    if level.size - own > INT64_MAX - size:
        return -1
    unlink(book, node)
    old.size -= order.size
    old.count -= 1
    append(book, number, node, size)
    if old.next == old_number:
        close_level(book, old_number)
    return 1


@aside
def replace(book: Any, record: Any) -> bool:
    """A REPLACE: the order gets a new id, price and size and goes to the back; its side stays."""
    stand_aside()
    slots, shift, symbol = book.order_slots, book.order_shift, np.int64(record.symbol)
    old_id, new_id = np.int64(record.order_id), np.int64(record.new_order_id)
    node = _order_if_any(book, record)
    if record.size <= 0 or new_id == 0:
        instead(book, _INVALID)
    elif node == 0:
        instead(book, _UNKNOWN)
    elif new_id != old_id and slot_at(slots, find(slots, new_id, symbol, shift)).node != 0:
        instead(book, _DUPLICATE)
    else:
        moved = _move(book, node, record.price, record.size)
        if moved == 0:
            return False
        if moved < 0:
            instead(book, _OVERFLOW)
        elif new_id != old_id:
            _forget_order(book, old_id, symbol)
            put(slots, find(slots, new_id, symbol, shift), new_id, symbol, node)
            node_at(book.nodes, node).key = new_id
    return True


@aside
def modify(book: Any, record: Any) -> bool:
    """A MODIFY: new price and size under the same id, size 0 takes it away.

    It keeps its place only at the same price and with a size not above what is left after reported fills (CME's rule
    for icebergs: a display size that is put back is an increase).
    """
    stand_aside()
    size = record.size
    if size < 0:
        instead(book, _INVALID)
        return True
    node = _order_if_any(book, record)
    if node == 0:
        instead(book, _UNKNOWN)
        return True
    if size == 0:
        _leave(book, node)
        _forget_order(book, np.int64(record.order_id), np.int64(record.symbol))
        return True
    order = node_at(book.nodes, node)
    level = node_at(book.nodes, order.owner)
    left = order.size
    if order.count & HAS_FILLS:
        left -= load(book.fills, quotient(node, NODE_STEP))
    if record.price == level.key and size <= left:
        level.size -= order.size - size
        order.size = size
        order.count = 1
        return True
    moved = _move(book, node, record.price, size)
    if moved < 0:
        instead(book, _OVERFLOW)
    return moved != 0


@aside
def note_fill(book: Any, record: Any) -> None:
    """A FILL: nothing changes yet; remember how much of the order is spoken for."""
    stand_aside()
    if record.size < 0:
        instead(book, _INVALID)
        return
    instead(book, _PASSED)
    node = _order_if_any(book, record)
    if node == 0:
        add_to(book.outcomes, _UNKNOWN_FILL, 1)
        return
    order = node_at(book.nodes, node)
    filled = record.size
    if order.count & HAS_FILLS:
        filled += load(book.fills, quotient(node, NODE_STEP))
    store(book.fills, quotient(node, NODE_STEP), filled if filled >= 0 else INT64_MAX)  # below 0: beyond int64
    order.count |= HAS_FILLS


@aside
def clear(book: Any, symbol: Any) -> None:
    """Take every order and level of a symbol away."""
    stand_aside()
    for side in range(2 * symbol, 2 * symbol + 2):
        ladder = ladder_at(book.ladders, side)
        for i in range(ladder.length):
            block = block_at(book.blocks, ladder.start + i)
            mask = block.mask
            while mask != 0:
                bit = highest_bit(mask)
                mask ^= 1 << bit
                price = turned(rank_in(block, bit, ladder, side), side)
                slot = find(book.level_slots, price, side, book.level_shift)
                number = np.int64(slot_at(book.level_slots, slot).node)
                node = np.int64(node_at(book.nodes, number).next)
                while node != number:
                    piece = node_at(book.nodes, node)
                    behind = np.int64(piece.next)
                    if piece.key != 0:
                        _forget_order(book, piece.key, symbol)
                    free_node(book, node)
                    node = behind
                erase(book.level_slots, slot, book.level_shift)
                free_node(book, number)
                book.levels -= 1
        forget_prices(book, side)


@inlined
def apply_rare(book: Any, record: Any) -> bool:
    """Apply a record that is not an order added under its id, nor taken by a known one; False where room is needed."""
    return enter(book.apply_rare, book, address_of_record(record), 0, 0) != 0


@entered
def apply_rare_entry(book_address: int, record_address: int, _2: int, _3: int) -> int:
    """`apply_rare`."""
    book = book_at(book_address, 0)
    record = record_at(record_address, 0)
    action = record.action
    handled = True
    if action == _LEVEL:
        handled = set_level(book, record)
    elif action == _MODIFY:
        handled = modify(book, record)
    elif action == _REPLACE:
        handled = replace(book, record)
    elif action == _ADD:
        handled = add_anonymous(book, record)
    elif _ADD < action <= _EXECUTE:
        take_from_seed(book, record)
    elif action == _FILL:
        note_fill(book, record)
    elif action in (_TRADE, _STATUS):
        instead(book, _PASSED)
    elif action == _CLEAR:
        clear(book, np.int64(record.symbol))
    else:
        instead(book, _INVALID)
    return 1 if handled else 0
