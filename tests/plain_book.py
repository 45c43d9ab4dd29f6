"""The exact book's obviously right twin: dictionaries and lists, one rule after the other as the design words it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from velox_engine.records import INT64_MAX, Action, Flags, Transaction


@dataclass
class Piece:
    """An order, or with id 0 a piece of anonymous size; ``count`` is how many orders it is known to stand for."""

    order_id: int
    size: int
    count: int = 1
    filled: int = 0
    seed: bool = False


@dataclass
class PlainBook:
    """One symbol's book: side → price → its queue, first in time first."""

    sides: tuple[dict[int, list[Piece]], dict[int, list[Piece]]] = field(default_factory=lambda: ({}, {}))
    stale: bool = False
    crossed: bool = False
    counts: Counter[str] = field(default_factory=Counter)

    def find(self, order_id: int) -> tuple[int, int, Piece] | None:
        for side in (0, 1):
            for price, queue in self.sides[side].items():
                for piece in queue:
                    if order_id and piece.order_id == order_id:
                        return side, price, piece
        return None

    def total(self, side: int, price: int) -> int:
        return sum(piece.size for piece in self.sides[side].get(price, []))

    def leave(self, side: int, price: int, piece: Piece) -> None:
        queue = self.sides[side][price]
        del queue[next(i for i, each in enumerate(queue) if each is piece)]
        if not queue:
            del self.sides[side][price]

    def apply(self, record: Transaction) -> None:
        self.counts[self.outcome(record)] += 1
        if record.flags & Flags.GAP:
            self.counts["gaps"] += 1
            self.stale = True
        if record.flags & Flags.SNAPSHOT:
            self.counts["seeded"] += 1
            self.stale = False
        if record.flags & Flags.LAST:
            bids, asks = self.sides
            self.crossed = bool(bids and asks and max(bids) > min(asks))
            self.counts["crossed"] += self.crossed

    def outcome(self, record: Transaction) -> str:
        match record.action:
            case Action.ADD:
                return self.add(record)
            case Action.CANCEL | Action.DELETE | Action.EXECUTE:
                return self.take(record)
            case Action.REPLACE:
                return self.replace(record)
            case Action.MODIFY:
                return self.modify(record)
            case Action.FILL:
                return self.fill(record)
            case Action.LEVEL:
                return self.level(record)
            case Action.CLEAR:
                self.sides = ({}, {})
                return "applied"
            case Action.TRADE | Action.STATUS:
                return "passed"
        return "invalid"

    def add(self, record: Transaction) -> str:
        if record.side > 1 or record.size <= 0:
            return "invalid"
        if self.find(record.order_id):
            return "duplicate"
        if self.total(record.side, record.price) + record.size > INT64_MAX:
            return "overflow"
        self.sides[record.side].setdefault(record.price, []).append(Piece(record.order_id, record.size))
        return "applied"

    def take(self, record: Transaction) -> str:
        whole = record.action == Action.DELETE
        if record.size <= 0 and not whole:
            return "invalid"
        found = self.find(record.order_id)
        if found is None:
            return self.take_from_seed(record)
        side, price, piece = found
        size = piece.size if whole else record.size
        if size > piece.size:
            self.counts["negative_remainder"] += 1
        if size >= piece.size:
            self.leave(side, price, piece)
        else:
            piece.size -= size
            piece.filled = 0
        return "applied"

    def take_from_seed(self, record: Transaction) -> str:
        if record.side > 1 or record.size <= 0:
            return "unknown"
        queue = self.sides[record.side].get(record.price, [])
        piece = next((each for each in queue if each.order_id == 0), None)
        if piece is None:
            return "unknown"
        if record.size > piece.size:
            self.counts["negative_remainder"] += 1
        if record.size >= piece.size:
            self.leave(record.side, record.price, piece)
        else:
            piece.size -= record.size
            piece.count = max(0, piece.count - 1) if record.action == Action.DELETE else 0
        return "from_seed"

    def move(self, found: tuple[int, int, Piece], price: int, size: int) -> bool:
        side, old_price, piece = found
        if self.total(side, price) - (piece.size if price == old_price else 0) + size > INT64_MAX:
            return False
        self.leave(side, old_price, piece)
        piece.size, piece.filled = size, 0
        self.sides[side].setdefault(price, []).append(piece)
        return True

    def replace(self, record: Transaction) -> str:
        if record.size <= 0 or record.new_order_id == 0:
            return "invalid"
        found = self.find(record.order_id)
        if found is None:
            return "unknown"
        if record.new_order_id != record.order_id and self.find(record.new_order_id):
            return "duplicate"
        if not self.move(found, record.price, record.size):
            return "overflow"
        found[2].order_id = record.new_order_id
        return "applied"

    def modify(self, record: Transaction) -> str:
        if record.size < 0:
            return "invalid"
        found = self.find(record.order_id)
        if found is None:
            return "unknown"
        side, price, piece = found
        if record.size == 0:
            self.leave(side, price, piece)
        elif record.price == price and record.size <= piece.size - piece.filled:
            piece.size, piece.filled = record.size, 0
        elif not self.move(found, record.price, record.size):
            return "overflow"
        return "applied"

    def fill(self, record: Transaction) -> str:
        if record.size < 0:
            return "invalid"
        found = self.find(record.order_id)
        if found is None:
            self.counts["unknown_fill"] += 1
        else:
            found[2].filled = min(INT64_MAX, found[2].filled + record.size)
        return "passed"

    def level(self, record: Transaction) -> str:
        if record.side > 1 or record.size < 0:
            return "invalid"
        levels = self.sides[record.side]
        queue = levels.get(record.price, [])
        count = record.new_order_id if record.new_order_id < 2**30 else 0
        piece = Piece(0, record.size, count, seed=True)
        if record.flags & Flags.SNAPSHOT:
            behind = queue[1:] if queue and queue[0].seed else queue
            if record.size and sum(each.size for each in behind) + record.size > INT64_MAX:
                return "overflow"
            queue = ([piece] if record.size else []) + behind
        else:
            self.counts["displaced"] += sum(each.order_id != 0 for each in queue)
            queue = [piece] if record.size else []
        if queue:
            levels[record.price] = queue
        else:
            levels.pop(record.price, None)
        return "applied"

    def depth(self, side: int) -> list[tuple[int, int, int]]:
        """Price, size, known orders of every level, best first."""
        prices = sorted(self.sides[side], reverse=side == 0)
        queues = [(price, self.sides[side][price]) for price in prices]
        return [(price, sum(p.size for p in queue), sum(p.count for p in queue)) for price, queue in queues]

    def orders(self, side: int) -> list[tuple[int, int, int]]:
        """Id, price, size of every piece in price-time order."""
        prices = sorted(self.sides[side], reverse=side == 0)
        return [(piece.order_id, price, piece.size) for price in prices for piece in self.sides[side][price]]

    @property
    def state(self) -> str:
        return "stale" if self.stale else "crossed" if self.crossed else "synced"
