"""Order book: applies each transaction to the book of its symbol, hands it on, and keeps the depth that screens show.

The step is written once for every kind of book; which functions it calls follows from the type of the book's state
when it is compiled.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from numba.extending import overload

from velox_engine.books.bucketed import BucketedState, bucketed_apply, bucketed_depth, bucketed_summary
from velox_engine.books.exact_core import exact_apply
from velox_engine.books.exact_read import exact_depth
from velox_engine.books.exact_stage import exact_summary
from velox_engine.books.exact_state import ExactState
from velox_engine.by_reference import Reference, by_reference
from velox_engine.jit import compiled, inner, int64
from velox_engine.lockfree.atomics import Words, load_acquire, load_relaxed, store_release
from velox_engine.lockfree.memory import aligned_words
from velox_engine.lockfree.ring import Ring, ring_consumed, ring_publish, ring_ready, ring_release, ring_room
from velox_engine.records import Action, Transactions
from velox_engine.stages.common import Stage, note_idle, note_passed, room_to_checkpoint
from velox_engine.stages.control import DRAINED, LEASES, Control
from velox_engine.stages.slots import Slots, slot_of
from velox_engine.telemetry.layout import (
    BOOK_WORDS,
    BOOKS_COUNT,
    BOOKS_FIRST,
    DEPTH_APPROXIMATE,
    DEPTH_ASKS,
    DEPTH_BIDS,
    DEPTH_LENGTH,
    DEPTH_LEVEL_WORDS,
    DEPTH_LEVELS,
    DEPTH_SEQUENCE,
    DEPTH_SIDE,
    DEPTH_SLOTS,
    DEPTH_STATE,
    DEPTH_SYMBOL,
    DEPTH_TICKS,
    GUARD_WORDS,
    INGRESS,
    LINE_WORDS,
    ORDERBOOK,
    ORDERBOOK_ERRORS,
    ORDERBOOK_TRADES,
    STAGE_PROCESSED,
    TRADE_WORDS,
    TRADES_COUNT,
    TRADES_FIRST,
    TRADES_KEPT,
    TRADES_LENGTH,
)
from velox_engine.telemetry.writer import publish

_BATCH: Final = 0
_GROW: Final = 1
_DEPTH_BLOCK: Final = 2  # words in the region where the blocks begin
_TRADES_BLOCK: Final = 3
_BOOKS_BLOCK: Final = 4
_BOOKS_ROOM: Final = 5  # symbols that fit into the block
_DEPTH_STRIDE: Final = 6
_NEXT_BOOK: Final = 7
_LENGTH: Final = 16

_EXECUTE, _TRADE = int(Action.EXECUTE), int(Action.TRADE)
_SIDE_WORDS: Final = DEPTH_LEVELS * DEPTH_LEVEL_WORDS
_IN: Final = DRAINED + INGRESS * LINE_WORDS
_OUT: Final = DRAINED + ORDERBOOK * LINE_WORDS


@by_reference
class OrderBook(NamedTuple):
    """The stage's state: its telemetry, ``words`` int64 as named above, images of the blocks that it writes."""

    stage: Stage
    words: Words
    depth: Words
    trades: Words
    books: Words
    scratch: Words


def make_orderbook(
    stage: Stage, *, batch: int, depth_block: int, depth_stride: int, trades_block: int, books_block: int, symbols: int
) -> OrderBook:
    """Make the stage's state; the blocks are words of the stage's region, ``symbols`` fit into the books block."""
    words = aligned_words(_LENGTH)
    words[_BATCH] = batch
    words[_DEPTH_BLOCK], words[_DEPTH_STRIDE] = depth_block, depth_stride
    words[_TRADES_BLOCK], words[_BOOKS_BLOCK], words[_BOOKS_ROOM] = trades_block, books_block, symbols
    books = aligned_words(BOOKS_FIRST + symbols * BOOK_WORDS)
    return OrderBook(
        stage, words, aligned_words(DEPTH_LENGTH), aligned_words(TRADES_LENGTH), books, aligned_words(BOOK_WORDS)
    )


def book_apply(book: Any, records: Transactions, start: int, count: int) -> int:
    """Apply records to a book of any kind; return how many, fewer when the book must grow first. Compiled code only."""
    raise NotImplementedError


def book_depth(book: Any, symbol: int, side: int, levels: int, out: Words, at: int) -> int:
    """Write the best levels of a book of any kind as price, size, orders; return how many. Compiled code only."""
    raise NotImplementedError


def book_summary(book: Any, symbol: int, out: Words, at: int) -> None:
    """Write the eight words of the BOOKS block for a symbol. Compiled code only."""
    raise NotImplementedError


def book_symbols(book: Any) -> int:
    """Return how many symbols the book has room for. Compiled code only."""
    raise NotImplementedError


def book_is_approximate(book: Any) -> bool:
    """Say whether its prices stand for a range. Compiled code only."""
    raise NotImplementedError


def book_errors(book: Any, out: Words, at: int) -> None:
    """Write the counters of a book's outcomes. Compiled code only."""
    raise NotImplementedError


def _is(book: Any, state: type) -> bool:
    return isinstance(book, Reference) and book.instance_class is state


@overload(book_apply)
def _book_apply(book, records, start, count):  # type: ignore[no-untyped-def]
    if _is(book, BucketedState):
        return lambda book, records, start, count: bucketed_apply(book, records, start, count)
    if _is(book, ExactState):
        return lambda book, records, start, count: exact_apply(book, records, start, count)
    return None


@overload(book_depth)
def _book_depth(book, symbol, side, levels, out, at):  # type: ignore[no-untyped-def]
    if _is(book, BucketedState):
        return lambda book, symbol, side, levels, out, at: bucketed_depth(book, symbol, side, levels, out, at)
    if _is(book, ExactState):

        def depth(book, symbol, side, levels, out, at):  # type: ignore[no-untyped-def]
            end = at + 3 * levels
            return exact_depth(book, symbol, side, levels, out[at:end:3], out[at + 1 : end : 3], out[at + 2 : end : 3])

        return depth
    return None


@overload(book_summary)
def _book_summary(book, symbol, out, at):  # type: ignore[no-untyped-def]
    if _is(book, BucketedState):
        return lambda book, symbol, out, at: bucketed_summary(book, symbol, out, at)
    if _is(book, ExactState):
        return lambda book, symbol, out, at: exact_summary(book, symbol, out, at)
    return None


@overload(book_symbols)
def _book_symbols(book):  # type: ignore[no-untyped-def]
    if _is(book, BucketedState):
        return lambda book: book.status.size
    if _is(book, ExactState):
        return lambda book: book.stale.size
    return None


@overload(book_is_approximate)
def _book_is_approximate(book):  # type: ignore[no-untyped-def]
    approximate = _is(book, BucketedState)
    return lambda book: approximate


@overload(book_errors)
def _book_errors(book, out, at):  # type: ignore[no-untyped-def]
    if _is(book, BucketedState) or _is(book, ExactState):

        def copy(book, out, at):  # type: ignore[no-untyped-def]
            for outcome in range(book.outcomes.size):
                out[at + outcome] = book.outcomes[outcome]

        return copy
    return None


@inner
def _note_trades(orderbook: OrderBook, slots: Slots, start: int, count: int) -> None:
    """Keep the last trades, fills and prints alike."""
    trades = orderbook.trades
    for slot in range(start, start + count):
        record = slots.records[slot]
        if record.action == _EXECUTE or record.action == _TRADE:
            at = TRADES_FIRST + (trades[TRADES_COUNT] % TRADES_KEPT) * TRADE_WORDS
            trades[at] = int64(record.sequence)
            trades[at + 1] = record.event_ns
            trades[at + 2] = int64(record.symbol)
            trades[at + 3] = record.price
            trades[at + 4] = record.size
            trades[at + 5] = int64(record.side)
            trades[at + 6] = int64(record.action)
            trades[TRADES_COUNT] += 1


@compiled
def orderbook_step(
    orderbook: OrderBook, book: Any, control: Control, slots: Slots, source: Ring, target: Ring, now: int
) -> int:
    """Do at most one batch; return how many transactions it handed on."""
    upstream = load_acquire(control.words, _IN)
    ready = ring_ready(source)
    if ready == 0:
        if upstream != load_relaxed(control.words, _OUT):
            store_release(control.words, _OUT, upstream)
        note_idle(orderbook.stage, False)
        return 0
    ready = min(ready, orderbook.words[_BATCH])
    room = ring_room(target, ready)
    if room == 0:
        note_idle(orderbook.stage, True)
        return 0
    start = slot_of(slots, ring_consumed(source))
    count = min(ready, room, slots.records.size - start)
    count = room_to_checkpoint(orderbook.stage, count)
    applied = book_apply(book, slots.records, start, count)
    if applied < count:
        orderbook.words[_GROW] = 1
        if applied == 0:
            return 0
    _note_trades(orderbook, slots, start, applied)
    note_passed(orderbook.stage, slots, start, applied, now)
    ring_publish(target, applied)
    ring_release(source, applied)
    return applied


@inner
def orderbook_must_grow(orderbook: OrderBook) -> bool:
    """Say, once, whether the book asked for more memory."""
    must = orderbook.words[_GROW] != 0
    orderbook.words[_GROW] = 0
    return must


@inner
def publish_depth(orderbook: OrderBook, book: Any, control: Control, now: int) -> None:
    """Publish the books of the leased symbols, the last trades, and the book's counters into the stage's image."""
    stage, words, depth = orderbook.stage, orderbook.words, orderbook.depth
    for slot in range(DEPTH_SLOTS):
        symbol = load_relaxed(control.words, LEASES + slot) - 1
        if symbol < 0 and depth_symbol(orderbook, slot) < 0:
            continue
        depth[DEPTH_SYMBOL] = symbol
        depth[DEPTH_SEQUENCE] = stage.image[STAGE_PROCESSED]
        depth[DEPTH_TICKS] = now
        depth[DEPTH_BIDS], depth[DEPTH_ASKS] = 0, 0
        depth[DEPTH_APPROXIMATE] = 1 if book_is_approximate(book) else 0
        if 0 <= symbol < book_symbols(book):
            depth[DEPTH_BIDS] = book_depth(book, symbol, 0, DEPTH_LEVELS, depth, DEPTH_SIDE)
            depth[DEPTH_ASKS] = book_depth(book, symbol, 1, DEPTH_LEVELS, depth, DEPTH_SIDE + _SIDE_WORDS)
            book_summary(book, symbol, orderbook.scratch, 0)
            depth[DEPTH_STATE] = orderbook.scratch[0]
        publish(stage.region, words[_DEPTH_BLOCK] + slot * words[_DEPTH_STRIDE], depth)
    publish(stage.region, words[_TRADES_BLOCK], orderbook.trades)
    book_errors(book, stage.image, ORDERBOOK_ERRORS)
    stage.image[ORDERBOOK_TRADES] = orderbook.trades[TRADES_COUNT]


@inner
def depth_symbol(orderbook: OrderBook, slot: int) -> int:
    """Return the symbol that a depth block shows now."""
    block = orderbook.words[_DEPTH_BLOCK] + slot * orderbook.words[_DEPTH_STRIDE]
    return orderbook.stage.region[block + GUARD_WORDS + DEPTH_SYMBOL]


@inner
def summarize_books(orderbook: OrderBook, book: Any, count: int) -> None:
    """Bring the summaries of the next ``count`` symbols up to date, round and round: many symbols take their time."""
    books, words = orderbook.books, orderbook.words
    symbols = min(book_symbols(book), words[_BOOKS_ROOM])
    for _ in range(min(count, symbols)):
        symbol = words[_NEXT_BOOK] if words[_NEXT_BOOK] < symbols else 0
        book_summary(book, symbol, books, BOOKS_FIRST + symbol * BOOK_WORDS)
        words[_NEXT_BOOK] = symbol + 1
    books[BOOKS_COUNT] = symbols


@inner
def publish_books(orderbook: OrderBook) -> None:
    """Publish the summaries as they stand."""
    publish(orderbook.stage.region, orderbook.words[_BOOKS_BLOCK], orderbook.books)
