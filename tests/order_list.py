"""A list of order events as the book benchmarks read it: 24-byte records, made here or by any program that writes them.

``BOOKMSG1``, u64 preload, u64 count, then records ``u8 kind (0 add, 1 delete, 2 reduce, 3 execute), u8 side, u16 0,
u32 size, u64 id, i32 price, u32 level total after it``, little endian. The first ``preload`` records fill the book.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from velox_engine.records import TRANSACTION, Action, Flags, Transactions

MESSAGE = np.dtype(
    [("kind", "u1"), ("side", "u1"), ("_", "u2"), ("size", "u4"), ("id", "u8"), ("price", "i4"), ("total", "u4")]
)
ADD, DELETE, REDUCE, EXECUTE = range(4)
MIDDLE = 1 << 16


class _Flow:
    """Orders around a fair price that wanders a tick at a time; deletions favour young ones."""

    def __init__(self, seed: int, live: int) -> None:
        self.wanted = live
        self.random = random.Random(seed)
        self.fair = MIDDLE
        self.live: list[list[int]] = []  # id, side, price, size, place in this list
        self.queues: tuple[dict[int, deque[list[int]]], ...] = ({}, {})
        self.best: tuple[list[int], list[int]] = ([], [])  # heaps of prices, the bids' negated
        self.totals: dict[tuple[int, int], int] = {}
        self.messages: list[tuple[int, ...]] = []
        self.next_id = 0

    def emit(self, kind: int, order: list[int], size: int) -> None:
        number, side, price = order[:3]
        total = self.totals.get((side, price), 0) + (size if kind == ADD else -size)
        self.totals[side, price] = total
        self.messages.append((kind, side, 0, size, number, price, total))

    def best_price(self, side: int) -> int:
        heap, sign = self.best[side], 1 if side else -1
        while heap and self.totals.get((side, sign * heap[0]), 0) == 0:
            heapq.heappop(heap)
        return sign * heap[0] if heap else MIDDLE + sign

    def add(self) -> None:
        side = self.random.randrange(2)
        sign = 1 if side else -1
        far = self.random.random() < 0.05
        distance = self.random.randrange(1000) if far else int(self.random.expovariate(0.01))
        other = self.best_price(1 - side)
        price = max(self.fair + 1 + distance, other + 1) if side else min(self.fair - 1 - distance, other - 1)
        order = [self.next_id, side, price, self.random.randint(1, 500), len(self.live)]
        self.next_id += 1
        self.live.append(order)
        self.queues[side].setdefault(price, deque()).append(order)
        if self.totals.get((side, price), 0) == 0:
            heapq.heappush(self.best[side], sign * price)
        self.emit(ADD, order, order[3])

    def take(self, kind: int, order: list[int], size: int) -> None:
        self.emit(kind, order, size)
        order[3] -= size
        if order[3] == 0:
            last = self.live.pop()
            if last is not order:
                self.live[order[4]], last[4] = last, order[4]

    def step(self) -> None:
        if self.random.random() < 0.02:
            self.fair += self.random.choice((-1, 1))
        lean = -0.05 if len(self.live) > 1.05 * self.wanted else 0.05 if len(self.live) < 0.95 * self.wanted else 0.0
        kind = self.random.random()
        if kind < 0.47 + lean:
            self.add()
        elif kind < 0.87:
            young = self.random.random() < 0.7
            order = self.live[-1 - self.random.randrange(1500 if young else len(self.live))]
            self.take(DELETE, order, order[3])
        elif kind < 0.93:
            order = self.random.choice(self.live)
            if order[3] > 1:
                self.take(REDUCE, order, self.random.randint(1, order[3] - 1))
        else:
            side = self.random.randrange(2)
            queue = self.queues[side][self.best_price(side)]
            while queue[0][3] == 0:
                queue.popleft()
            whole = self.random.random() < 0.5
            self.take(EXECUTE, queue[0], queue[0][3] if whole else self.random.randint(1, queue[0][3]))


def generated(count: int, seed: int = 1, live: int = 4000) -> tuple[int, NDArray[np.void]]:
    """Return (preload, messages), ``count`` of them after the preload of ``live`` orders."""
    flow = _Flow(seed, live)
    while len(flow.messages) < live:
        flow.add()
    while len(flow.messages) < live + count:
        flow.step()
    return live, np.array(flow.messages, MESSAGE)


def write(path: Path, preload: int, messages: NDArray[np.void]) -> None:
    """Write a list."""
    head = np.array([preload, len(messages) - preload], "<u8")
    path.write_bytes(b"BOOKMSG1" + head.tobytes() + messages.tobytes())


def read(path: Path) -> tuple[int, NDArray[np.void]]:
    """Read a list: (preload, messages)."""
    content = path.read_bytes()
    if content[:8] != b"BOOKMSG1":
        raise SystemExit(f"{path} does not begin with BOOKMSG1")
    preload, count = np.frombuffer(content, "<u8", 2, 8).tolist()
    return preload, np.frombuffer(content, MESSAGE, preload + count, 24)


def aligned(count: int) -> Transactions:
    """So many empty records on a cache line each, as they lie in a ring."""
    memory = np.zeros((count + 1) * TRANSACTION.itemsize, np.uint8)
    start = -memory.ctypes.data % TRANSACTION.itemsize
    return memory[start : start + count * TRANSACTION.itemsize].view(TRANSACTION)


def as_transactions(messages: NDArray[np.void]) -> Transactions:
    """The list as records with price and side, each the last of its event; ids go up by one, so that none is 0."""
    records = aligned(len(messages))
    records["order_id"] = messages["id"] + np.uint64(1)
    for name in ("price", "size", "side"):
        records[name] = messages[name]
    records["flags"] = Flags.LAST
    kinds = np.array([Action.ADD, Action.DELETE, Action.CANCEL, Action.EXECUTE], np.uint8)
    records["action"] = kinds[messages["kind"]]
    return records
