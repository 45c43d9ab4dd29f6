"""Order flow that is made up: ``"uniform"`` and ``"market"``. One random number stream, indexed by item.

**uniform**: adds only. Price 900,000 … 1,099,999 in 1e-4, size 1 … 999, either side, all equally likely. Nothing ever
leaves, so it is for the bucketed book only.

**market**: a zero-intelligence market after E. Smith, J. D. Farmer, L. Gillemot, S. Krishnamurthy, "Statistical theory
of the continuous double auction" (Quantitative Finance 3, 2003): limit orders, market orders and cancellations come at
random, and price formation follows from the rules of the auction alone. Where the paper's limit prices are uniform
below the opposite best, ours are log-uniform in their distance from it (0 … 254 ticks), because real flow is denser
near the best (I. Zovko, J. D. Farmer, "The power of patience", 2002). A market order takes what rests, front of the
best level first, one EXECUTE an order. Cancellations hit any live order alike; a fifth of them are partial. Adds and
cancellations balance near the number of live orders asked for.

The market keeps its own orders to know what it may cancel and what a market order meets. State, int64 ``words``:
0 kind, 1 key of the stream, 2 next item, 3 live orders, 4 live orders asked for, 5 and 6 best bid and ask level (-1 and
``LEVELS`` when empty), 7 size that a market order still has to take, 8 the side that it takes from, 9 free list,
10 executions so far, 11 last traded level, 12 whether each record but a call's first is given its due time, too: the
clock as it is just before the record is made.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velox_engine.by_reference import by_reference
from velox_engine.feeds.random_stream import random_word, stream_key
from velox_engine.jit import compiled, inner, int64
from velox_engine.lockfree.atomics import Words
from velox_engine.lockfree.clock import ticks
from velox_engine.records import Action, Flags, Instrument, Side, Transactions

UNIFORM: Final = 0
MARKET: Final = 1
MODELS: Final = {"uniform": UNIFORM, "market": MARKET}
SYNTHETIC_INSTRUMENT: Final = Instrument("SYNTH", price_decimals=4, size_decimals=0, tick=100)
UNIFORM_INSTRUMENT: Final = Instrument("SYNTH", price_decimals=4, size_decimals=0, tick=1)

CONTENT_STREAM: Final = 0
GAP_STREAM: Final = 1

KIND: Final = 0
KEY: Final = 1
ITEM: Final = 2
_LIVE: Final = 3
_WANTED: Final = 4
_BEST: Final = 5  # and 6: by side
_SWEEP: Final = 7
_SWEEP_SIDE: Final = 8
_FREE: Final = 9
_EXECUTIONS: Final = 10
_LAST_LEVEL: Final = 11
STAMP: Final = 12
_WORDS: Final = 16

LEVELS: Final = 16_384
FIRST_PRICE: Final = 1_000_000 - 100 * (LEVELS // 2)
TICK: Final = 100
NS_AN_ITEM: Final = 1_000
"""The synthetic venue's clock advances a microsecond an item, at whatever pace the items are played."""

_UNIFORM_LOW: Final = 900_000
_UNIFORM_SPAN: Final = 200_000
_SIZES: Final = 999

_MARKET_ORDERS: Final = 0.08  # of all decisions
_MARKET_BELOW: Final = int(_MARKET_ORDERS * 2**32)
_PARTIAL_BELOW: Final = 2**32 // 5  # of cancellations

# an order of the market: int32 fields
_LEVEL, _SIZE, _SIDE, _PREVIOUS, _NEXT, _PLACE = range(6)
_ORDER_FIELDS: Final = 8
_NONE: Final = -1

_ADD, _CANCEL, _DELETE, _EXECUTE = (int(action) for action in Action if action <= Action.EXECUTE)
_LAST: Final = int(Flags.LAST)
_BID, _ASK = int(Side.BID), int(Side.ASK)


@by_reference
class Synthetic(NamedTuple):
    """A synthetic source: ``words`` int64 (16,); the market's ``orders`` int32 (capacity, 8), their ``ids`` int64
    (capacity,), ``live`` int32 (capacity,) the slots of live orders, ``queues`` int32 (2, LEVELS, 2) first and last
    order of each level.
    """

    words: Words
    orders: NDArray[np.int32]
    ids: Words
    live: NDArray[np.int32]
    queues: NDArray[np.int32]


def make_synthetic(model: str, seed: int, live_orders: int) -> Synthetic:
    """Make a source of ``model`` (``"uniform"`` or ``"market"``) whose content follows from ``seed`` alone."""
    words = np.zeros(_WORDS, np.int64)
    words[KIND] = MODELS[model]
    words[KEY] = stream_key(seed, CONTENT_STREAM)
    words[_WANTED] = live_orders
    words[_BEST + _BID], words[_BEST + _ASK] = _NONE, LEVELS
    words[_LAST_LEVEL] = LEVELS // 2
    capacity = 2 * live_orders + 64 if model == "market" else 1
    orders = np.zeros((capacity, _ORDER_FIELDS), np.int32)
    orders[:, _NEXT] = np.arange(1, capacity + 1)
    orders[-1, _NEXT] = _NONE
    queues = np.full((2, LEVELS if model == "market" else 1, 2), _NONE, np.int32)
    return Synthetic(words, orders, np.zeros(capacity, np.int64), np.zeros(capacity, np.int32), queues)


@inner
def _put(
    records: Transactions, at: int, item: int, action: int, order_id: int, side: int, price: int, size: int, match: int
) -> None:
    """Write all fields but the sequence number and the due time, which are ingress's to give."""
    record = records[at]
    record.order_id = order_id
    record.price = price
    record.size = size
    record.event_ns = item * NS_AN_ITEM
    record.new_order_id = match
    record.symbol = 0
    record.action = action
    record.side = side
    record.flags = _LAST


@inner
def _fill_uniform(source: Synthetic, records: Transactions, start: int, count: int) -> None:
    item = source.words[ITEM]
    key = np.uint64(source.words[KEY])
    stamp = source.words[STAMP] != 0
    for step in range(count):
        if stamp and step > 0:
            records[start + step].due_ticks = ticks()
        word = random_word(key, item + step)
        price = _UNIFORM_LOW + int64(((word & np.uint64(0xFFFFFFFF)) * np.uint64(_UNIFORM_SPAN)) >> np.uint64(32))
        size = 1 + int64((((word >> np.uint64(32)) & np.uint64(0xFFFFFF)) * np.uint64(_SIZES)) >> np.uint64(24))
        side = int64(word >> np.uint64(63))
        _put(records, start + step, item + step, _ADD, item + step + 1, side, price, size, 0)
    source.words[ITEM] = item + count


@inner
def _below(word: np.uint64, limit: int) -> int:
    """Scale 32 random bits to 0 … limit - 1."""
    return int64((word * np.uint64(limit)) >> np.uint64(32))


@inner
def _enter(source: Synthetic, side: int, level: int, size: int, order_id: int) -> None:
    words, orders, queues = source.words, source.orders, source.queues
    slot = words[_FREE]
    order = orders[slot]
    words[_FREE] = order[_NEXT]
    last = queues[side, level, 1]
    order[_LEVEL], order[_SIZE], order[_SIDE], order[_PREVIOUS], order[_NEXT] = level, size, side, last, _NONE
    if last == _NONE:
        queues[side, level, 0] = slot
    else:
        orders[last, _NEXT] = slot
    queues[side, level, 1] = slot
    order[_PLACE] = words[_LIVE]
    source.live[words[_LIVE]] = slot
    source.ids[slot] = order_id
    words[_LIVE] += 1
    if side == _BID:
        words[_BEST + _BID] = max(words[_BEST + _BID], level)
    else:
        words[_BEST + _ASK] = min(words[_BEST + _ASK], level)


@inner
def _leave(source: Synthetic, slot: int) -> None:
    words, orders, queues = source.words, source.orders, source.queues
    order = orders[slot]
    side, level, previous, following = order[_SIDE], order[_LEVEL], order[_PREVIOUS], order[_NEXT]
    if previous == _NONE:
        queues[side, level, 0] = following
    else:
        orders[previous, _NEXT] = following
    if following == _NONE:
        queues[side, level, 1] = previous
    else:
        orders[following, _PREVIOUS] = previous
    words[_LIVE] -= 1
    moved = source.live[words[_LIVE]]
    source.live[order[_PLACE]] = moved
    orders[moved, _PLACE] = order[_PLACE]
    order[_NEXT] = words[_FREE]
    words[_FREE] = slot
    if side == _BID:
        best = words[_BEST + _BID]
        while best >= 0 and queues[_BID, best, 0] == _NONE:
            best -= 1
        words[_BEST + _BID] = best
    else:
        best = words[_BEST + _ASK]
        while best < LEVELS and queues[_ASK, best, 0] == _NONE:
            best += 1
        words[_BEST + _ASK] = best


@inner
def _add_level(source: Synthetic, side: int, word: np.uint64) -> int:
    """Choose a limit price's level: log-uniform behind the opposite best, or behind the last trade if there is none."""
    words = source.words
    octave = int64(word & np.uint64(7))
    distance = (1 << octave) - 1 + int64((word >> np.uint64(3)) & np.uint64((1 << octave) - 1))
    if side == _BID:
        opposite = words[_BEST + _ASK] if words[_BEST + _ASK] < LEVELS else words[_LAST_LEVEL] + 1
        # never on the highest level: where would an ask go then?
        return min(max(opposite - 1 - distance, 0), LEVELS - 2)
    opposite = words[_BEST + _BID] if words[_BEST + _BID] >= 0 else words[_LAST_LEVEL]
    return min(opposite + 1 + distance, LEVELS - 1)


@inner
def _next_of_market(source: Synthetic, records: Transactions, at: int, item: int) -> None:
    words, orders = source.words, source.orders
    key = np.uint64(words[KEY])
    first, second = random_word(key, 2 * item), random_word(key, 2 * item + 1)
    low, high = first & np.uint64(0xFFFFFFFF), first >> np.uint64(32)
    live = words[_LIVE]
    if words[_SWEEP] == 0 and low < np.uint64(_MARKET_BELOW) and live > words[_WANTED] // 8:
        side = int64(second & np.uint64(1))
        words[_SWEEP] = 1 + _below(second >> np.uint64(32), _SIZES)
        words[_SWEEP_SIDE] = side
    if words[_SWEEP] > 0:
        side = words[_SWEEP_SIDE]
        best = words[_BEST + side]
        if best >= 0 and best < LEVELS:
            slot = source.queues[side, best, 0]
            taken = min(int64(orders[slot, _SIZE]), words[_SWEEP])
            words[_SWEEP] -= taken
            words[_EXECUTIONS] += 1
            words[_LAST_LEVEL] = best
            price = FIRST_PRICE + best * TICK
            _put(records, at, item, _EXECUTE, source.ids[slot], side, price, taken, words[_EXECUTIONS])
            if taken == orders[slot, _SIZE]:
                _leave(source, slot)
            else:
                orders[slot, _SIZE] -= taken
            return
        words[_SWEEP] = 0  # nothing rests there: what is left of a market order is cancelled
    wanted = words[_WANTED]
    if live < orders.shape[0] - 1 and _below(high, live + wanted) < wanted:
        side = int64(second >> np.uint64(63))
        level = _add_level(source, side, second)
        size = 1 + _below((second >> np.uint64(16)) & np.uint64(0xFFFFFFFF), _SIZES)
        if (second >> np.uint64(62)) & np.uint64(1):
            size = (size // 100 + 1) * 100  # half of the flow comes in round lots
        _enter(source, side, level, size, item + 1)
        _put(records, at, item, _ADD, item + 1, side, FIRST_PRICE + level * TICK, size, 0)
        return
    slot = source.live[_below(second >> np.uint64(32), live)]
    side, price, size = int64(orders[slot, _SIDE]), FIRST_PRICE + orders[slot, _LEVEL] * TICK, orders[slot, _SIZE]
    if size > 1 and (second & np.uint64(0xFFFFFFFF)) < np.uint64(_PARTIAL_BELOW):
        part = 1 + _below(low, size - 1)
        orders[slot, _SIZE] -= part
        _put(records, at, item, _CANCEL, source.ids[slot], side, price, part, 0)
    else:
        _put(records, at, item, _DELETE, source.ids[slot], side, price, size, 0)
        _leave(source, slot)


@compiled
def synthetic_fill(source: Synthetic, records: Transactions, start: int, count: int) -> None:
    """Write the next ``count`` items into ``records[start : start + count]``, all fields but sequence and due time.

    Where ``STAMP`` is set, the due times of all but the first, too.
    """
    if source.words[KIND] == UNIFORM:
        _fill_uniform(source, records, start, count)
        return
    item = source.words[ITEM]
    stamp = source.words[STAMP] != 0
    for step in range(count):
        if stamp and step > 0:
            records[start + step].due_ticks = ticks()
        _next_of_market(source, records, start + step, item + step)
    source.words[ITEM] = item + count
