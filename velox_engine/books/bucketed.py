"""The bucketed book: a fixed array of 1,024 buckets a side, 16 price units a bucket, indexed by shift and mask.

It is for volume analytics, not for matching. It cannot tell prices inside a bucket apart, knows no orders and no time
priority, and prices 16,384 units apart share a bucket; ``docs/ORDERBOOK_LIMITATIONS.md`` shows each limit. What it
promises: arithmetic is checked, and every record is either applied or counted under an `Outcome`.

State, one flat array each, because the strides of a several-dimensional one are looked up and multiplied at every
access: ``cells`` int64 (symbols × 2 sides × 1,024 buckets × 2): quantity, and the price last seen in the bucket, which
stands for all of it; ``sides`` int64 (symbols × 2 × 4): best price as last seen, buckets in use, unused, unused;
``status`` int64 (symbols,): 3 stale (`BookState`); ``outcomes`` int64 (16,).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from velox_engine.by_reference import by_reference
from velox_engine.jit import compiled, inner, int64
from velox_engine.lockfree.atomics import Words
from velox_engine.lockfree.memory import aligned_words
from velox_engine.records import INT64_MAX, Action, Flags, Side, Transactions

BUCKETS: Final = 1024
BUCKET_SHIFT: Final = 4
BUCKET_UNITS: Final = 1 << BUCKET_SHIFT
_MASK: Final = BUCKETS - 1

_CELL: Final = 2
_PRICE: Final = 1
_SIDE: Final = 4
_BEST: Final = 0
_USED: Final = 1

_ADD, _CANCEL, _DELETE = int(Action.ADD), int(Action.CANCEL), int(Action.DELETE)
_EXECUTE, _REPLACE, _MODIFY = int(Action.EXECUTE), int(Action.REPLACE), int(Action.MODIFY)
_LEVEL, _CLEAR = int(Action.LEVEL), int(Action.CLEAR)
_BID: Final = int(Side.BID)
_NO_SIDE: Final = int(Side.NONE)
_GAP: Final = int(Flags.GAP)
_SNAPSHOT: Final = int(Flags.SNAPSHOT)
_MAX: Final = INT64_MAX
_STALE: Final = 3


class Outcome(IntEnum):
    """What became of records that the book could not apply as they stand; the values index its counters."""

    OVERFLOW = 0
    """The bucket's quantity would exceed int64: not applied."""
    NEGATIVE_REMAINDER = 1
    """More was taken than the bucket holds: it is empty now."""
    UNSUPPORTED = 2
    """A REPLACE, MODIFY or LEVEL: it speaks of an order or a level, which this book does not know."""
    UNPRICED = 3
    """A cancellation, deletion or execution without a side or a size: only the order itself would tell them."""
    GAPS = 4
    """Records were lost before this one."""


@by_reference
class BucketedState(NamedTuple):
    """The book of all symbols, as the module describes it."""

    cells: Words
    sides: Words
    status: Words
    outcomes: Words


def make_bucketed(symbols: int) -> BucketedState:
    """Make empty books for ``symbols`` symbols."""
    return BucketedState(
        aligned_words(symbols * 2 * BUCKETS * _CELL),
        aligned_words(symbols * 2 * _SIDE),
        aligned_words(symbols),
        aligned_words(16),
    )


def grow_bucketed(state: BucketedState, symbols: int) -> BucketedState:
    """Return the same books with room for ``symbols`` symbols."""
    grown = make_bucketed(symbols)
    for new, old in zip(grown[:3], state[:3], strict=True):
        new[: len(old)] = old
    return grown._replace(outcomes=state.outcomes)


@inner
def _cell(symbol: int, side: int, price: int) -> int:
    """Return where a price's bucket lies in ``cells``."""
    return (((symbol << 1) | side) * BUCKETS + ((price >> BUCKET_SHIFT) & _MASK)) * _CELL


@inner
def _side(symbol: int, side: int) -> int:
    """Return where a side's words lie in ``sides``."""
    return ((symbol << 1) | side) * _SIDE


@inner
def _better(side: int, price: int, than: int) -> bool:
    # complementing both turns the order around without overflow, and without a branch that guesses the side
    return (price ^ -side) > (than ^ -side)


@inner
def _find_best(state: BucketedState, symbol: int, side: int) -> None:
    """Walk from the emptied best bucket away from the market to the next one in use, around the array once."""
    words = _side(symbol, side)
    price = state.sides[words + _BEST]
    step = -BUCKET_UNITS if side == _BID else BUCKET_UNITS
    for _ in range(BUCKETS):
        price += step
        cell = _cell(symbol, side, price)
        if state.cells[cell] > 0:
            state.sides[words + _BEST] = state.cells[cell + _PRICE]
            return


@inner
def _add(state: BucketedState, symbol: int, side: int, price: int, size: int) -> None:
    cell, words = _cell(symbol, side, price), _side(symbol, side)
    held = state.cells[cell]
    if size == 0:
        return  # a seed's empty level: it must not become the best one
    if size > _MAX - held:
        state.outcomes[Outcome.OVERFLOW] += 1
        return
    state.cells[cell] = held + size
    state.cells[cell + _PRICE] = price
    if held == 0:
        state.sides[words + _USED] += 1
        if state.sides[words + _USED] == 1:
            state.sides[words + _BEST] = price
    if _better(side, price, state.sides[words + _BEST]):
        state.sides[words + _BEST] = price


@inner
def _take(state: BucketedState, symbol: int, side: int, price: int, size: int) -> None:
    cell, words = _cell(symbol, side, price), _side(symbol, side)
    held = state.cells[cell]
    if size > held:
        state.outcomes[Outcome.NEGATIVE_REMAINDER] += 1
        size = held
    state.cells[cell] = held - size
    if held > 0 and held == size:
        state.sides[words + _USED] -= 1
        if _cell(symbol, side, state.sides[words + _BEST]) == cell and state.sides[words + _USED] > 0:
            _find_best(state, symbol, side)


@compiled
def bucketed_apply(state: BucketedState, records: Transactions, start: int, count: int) -> int:
    """Apply ``records[start : start + count]``; return how many: fewer when a symbol beyond the books comes next."""
    for at in range(start, start + count):
        record = records[at]
        symbol, side, action = int64(record.symbol), int64(record.side), record.action
        if symbol >= state.status.size:
            return at - start
        if record.flags & _GAP:
            state.status[symbol] = _STALE
            state.outcomes[Outcome.GAPS] += 1
        if action == _ADD:
            _add(state, symbol, side, record.price, record.size)
        elif action in (_CANCEL, _DELETE, _EXECUTE):
            if side == _NO_SIDE or record.size == 0:
                state.outcomes[Outcome.UNPRICED] += 1
            else:
                _take(state, symbol, side, record.price, record.size)
        elif action == _CLEAR:
            state.cells[_cell(symbol, 0, 0) : _cell(symbol + 1, 0, 0)] = 0
            state.sides[_side(symbol, 0) : _side(symbol + 1, 0)] = 0
            if record.flags & _SNAPSHOT:
                state.status[symbol] = 0
        elif action == _LEVEL and record.flags & _SNAPSHOT:
            _add(state, symbol, side, record.price, record.size)  # a seed: size that rests there
        elif action in (_REPLACE, _MODIFY, _LEVEL):
            state.outcomes[Outcome.UNSUPPORTED] += 1
    return count


@inner
def bucketed_mark_stale(state: BucketedState, symbol: int) -> None:
    """Something of this symbol was lost: its book is not the venue's any more."""
    state.status[symbol] = _STALE


@compiled
def bucketed_depth(state: BucketedState, symbol: int, side: int, levels: int, out: Words, at: int) -> int:
    """Write up to ``levels`` buckets, best first, as price, quantity, 0 into ``out[at …]``; return how many.

    The price is the one last seen in the bucket: within 15 units of any other in it. Order counts are not known.
    """
    if state.sides[_side(symbol, side) + _USED] == 0:
        return 0
    step = -BUCKET_UNITS if side == _BID else BUCKET_UNITS
    price = state.sides[_side(symbol, side) + _BEST]
    found = 0
    for _ in range(BUCKETS):
        cell = _cell(symbol, side, price)
        if state.cells[cell] > 0:
            out[at + 3 * found] = state.cells[cell + _PRICE]
            out[at + 3 * found + 1] = state.cells[cell]
            out[at + 3 * found + 2] = 0
            found += 1
            if found == levels:
                break
        price += step
    return found


@compiled
def bucketed_summary(state: BucketedState, symbol: int, out: Words, at: int) -> None:
    """Write state, best bid, its size, best ask, its size, bid levels, ask levels, orders (unknown: 0) to ``out``."""
    out[at] = state.status[symbol]
    for side in range(2):
        words = _side(symbol, side)
        used, best = state.sides[words + _USED], state.sides[words + _BEST]
        out[at + 1 + 2 * side] = best if used else 0
        out[at + 2 + 2 * side] = state.cells[_cell(symbol, side, best)] if used else 0
        out[at + 5 + side] = used
    out[at + 7] = 0
