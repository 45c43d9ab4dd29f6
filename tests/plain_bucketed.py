"""A bucketed book that is obviously right: dictionaries of buckets, and numbers that cannot overflow."""

from velox_engine.records import INT64_MAX, Action, Flags, Side
from velox_engine.snapshot import BookState

UNITS, BUCKETS = 16, 1024


class PlainSide:
    """One side of one symbol: what each bucket holds, the price last seen in it, and the best price."""

    def __init__(self, side):
        self.away = -1 if side == Side.BID else 1
        self.quantity = {}
        self.price = {}
        self.best = None

    def add(self, price, size):
        """Put size into the price's bucket; say whether it fits into 64 bits."""
        bucket = price // UNITS % BUCKETS
        if self.quantity.get(bucket, 0) + size > INT64_MAX:
            return False
        if size == 0:
            return True
        self.quantity[bucket] = self.quantity.get(bucket, 0) + size
        self.price[bucket] = price
        if self.best is None or (self.best - price) * self.away > 0:
            self.best = price
        return True

    def take(self, price, size):
        """Take size out of the price's bucket; say whether so much was there."""
        bucket = price // UNITS % BUCKETS
        held = self.quantity.get(bucket, 0)
        if held > size:
            self.quantity[bucket] = held - size
        elif held:
            del self.quantity[bucket]
            if bucket == self.best // UNITS % BUCKETS:
                self.best = next((self.price[each] for each in self.order()), None)
        return size <= held

    def order(self):
        """The buckets in use, from the best one away from the market, around once."""
        first = self.best // UNITS % BUCKETS
        around = ((first + self.away * step) % BUCKETS for step in range(BUCKETS))
        return [bucket for bucket in around if bucket in self.quantity]

    def depth(self):
        """Price and quantity of every bucket in use, best first."""
        return [(self.price[bucket], self.quantity[bucket]) for bucket in self.order()] if self.quantity else []


class PlainBucketed:
    """Bucketed books of several symbols."""

    def __init__(self, symbols):
        self.sides = [[PlainSide(side) for side in (Side.BID, Side.ASK)] for _ in range(symbols)]
        self.stale = [False] * symbols
        self.outcomes = dict.fromkeys(("overflow", "negative_remainder", "unsupported", "unpriced", "gaps"), 0)

    def apply(self, action, symbol, side, price, size, flags):
        """Apply one record."""
        if flags & Flags.GAP:
            self.stale[symbol] = True
            self.outcomes["gaps"] += 1
        seeds = action == Action.LEVEL and flags & Flags.SNAPSHOT
        if action == Action.ADD or seeds:
            self.outcomes["overflow"] += not self.sides[symbol][side].add(price, size)
        elif action in (Action.CANCEL, Action.DELETE, Action.EXECUTE):
            if side == Side.NONE or size == 0:
                self.outcomes["unpriced"] += 1
            else:
                self.outcomes["negative_remainder"] += not self.sides[symbol][side].take(price, size)
        elif action == Action.CLEAR:
            self.sides[symbol] = [PlainSide(side) for side in (Side.BID, Side.ASK)]
            if flags & Flags.SNAPSHOT:
                self.stale[symbol] = False
        elif action in (Action.REPLACE, Action.MODIFY, Action.LEVEL):
            self.outcomes["unsupported"] += 1

    def summary(self, symbol):
        """The eight words of the telemetry's block."""
        words = [int(BookState.STALE if self.stale[symbol] else BookState.SYNCED)]
        for side in self.sides[symbol]:
            best = side.best if side.quantity else 0
            words += [best, side.quantity[best // UNITS % BUCKETS] if side.quantity else 0]
        return [*words, *(len(side.quantity) for side in self.sides[symbol]), 0]
