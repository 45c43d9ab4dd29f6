"""Which structure should keep a side's levels in order: ``python tests/bench_ladders.py [--list FILE] [--rounds N]``.

From a list of order events (`tests/order_list.py`) the moments are taken at which a level opens or closes. Four
compiled structures replay only these and keep the best price of both sides; the table gives nanoseconds for one opening
or closing, the median and the best round. All agree on the sum of the best prices that they saw.

*sorted array* keeps every price, best last, finds its place by halving and moves what lies behind it; *sorted array,
from the best* looks for the place one by one from the end; *blocks* is what the exact book does: a sorted array of 64
ticks each with a bit a level; *ladder* is a bit for each tick of a range known in advance with two floors of bits above
it, the fastest that there can be, but of no use where the range is not known or is wide, as with 10,000 symbols.

Pytest does not collect this file.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from numpy.typing import NDArray

from tests import order_list
from velox_engine.bench.statistics import spread
from velox_engine.books.exact_grow import grow
from velox_engine.books.exact_ladder import enter_price, leave_price
from velox_engine.books.exact_memory import highest_bit, ladder_at
from velox_engine.books.exact_state import Need, make_exact, with_entries
from velox_engine.jit import compiled

TICKS = 1 << 18


def moments(messages: NDArray[np.void]) -> NDArray[np.int64]:
    """Rows (opens, side, price) where a level opens or closes."""
    held: dict[tuple[int, int], int] = {}
    rows = []
    for side, price, total in zip(*(messages[name].tolist() for name in ("side", "price", "total")), strict=True):
        before = held.get((side, price), 0)
        if (before == 0) != (total == 0):
            rows.append((int(total != 0), side, price))
        held[side, price] = total
    return np.array(rows, np.int64)


@compiled
def sorted_array(rows: Any, ranks: Any, length: Any, linear: Any) -> Any:
    """Ranks ascending, best last, a row of ``ranks`` a side."""
    seen = 0
    for i in range(rows.shape[0]):
        opens, side, price = rows[i, 0], rows[i, 1], rows[i, 2]
        rank = price ^ -side
        n = length[side]
        if linear:
            place = n
            while place > 0 and ranks[side, place - 1] >= rank:
                place -= 1
        else:
            place, above = 0, n
            while place < above:
                middle = (place + above) >> 1
                if ranks[side, middle] < rank:
                    place = middle + 1
                else:
                    above = middle
        if opens:
            for k in range(n, place, -1):
                ranks[side, k] = ranks[side, k - 1]
            ranks[side, place] = rank
            length[side] = n + 1
        else:
            for k in range(place, n - 1):
                ranks[side, k] = ranks[side, k + 1]
            length[side] = n - 1
        for each in range(2):
            if length[each]:
                seen += ranks[each, length[each] - 1]
    return seen


@compiled
def blocks(rows: Any, books: Any, done: Any, seen: Any) -> Any:
    """The exact book's own ladder; returns at which row it needs room."""
    book = books[0]
    for i in range(done, rows.shape[0]):
        opens, side, price = rows[i, 0], rows[i, 1], rows[i, 2]
        if not opens:
            leave_price(book, side, price)
        elif not enter_price(book, side, price):
            return i
        for each in range(2):
            if ladder_at(book.ladders, each).length:
                seen[0] += ladder_at(book.ladders, each).best
    return rows.shape[0]


@compiled
def ladder(rows: Any, low: Any, middle: Any, high: Any, best: Any) -> Any:
    """A bit for each tick, of which there are 2^18, and two floors above; rows of the arrays are sides.

    ``best`` begins at -1; the ticks of asks are turned round, so that higher is better.
    """
    seen = 0
    for i in range(rows.shape[0]):
        opens, side, price = rows[i, 0], rows[i, 1], rows[i, 2]
        tick = price if side == 0 else TICKS - 1 - price
        if opens:
            low[side, tick >> 6] |= 1 << (tick & 63)
            middle[side, tick >> 12] |= 1 << ((tick >> 6) & 63)
            high[side] |= 1 << (tick >> 12)
            best[side] = max(best[side], tick)
        else:
            low[side, tick >> 6] &= ~(1 << (tick & 63))
            if low[side, tick >> 6] == 0:
                middle[side, tick >> 12] &= ~(1 << ((tick >> 6) & 63))
                if middle[side, tick >> 12] == 0:
                    high[side] &= ~(1 << (tick >> 12))
            if tick == best[side]:
                best[side] = -1
                if high[side]:
                    third = highest_bit(high[side])
                    second = (third << 6) + highest_bit(middle[side, third])
                    best[side] = (second << 6) + highest_bit(low[side, second])
        if best[0] >= 0:
            seen += best[0]
        if best[1] >= 0:
            seen += ~(TICKS - 1 - best[1])
    return seen


def timed(name: str, rows: NDArray[np.int64]) -> tuple[float, int]:
    """Run one structure from empty; returns seconds and the sum that it saw."""
    if name == "blocks":
        state, done, seen = with_entries(make_exact(1)), 0, np.zeros(1, np.int64)
        begin = time.perf_counter()
        while (done := blocks(rows, state.book, done, seen)) < len(rows):
            assert state.book[0]["need"] == Need.BLOCKS
            state = grow(state)
        return time.perf_counter() - begin, int(seen[0])
    if name == "ladder":
        floors = [np.zeros((2, TICKS >> 6), np.int64), np.zeros((2, TICKS >> 12), np.int64), np.zeros(2, np.int64)]
        best = np.full(2, -1, np.int64)
        begin = time.perf_counter()
        total = ladder(rows, *floors, best)
    else:
        ranks, length = np.zeros((2, 1 << 14), np.int64), np.zeros(2, np.int64)
        begin = time.perf_counter()
        total = sorted_array(rows, ranks, length, "from the best" in name)
    return time.perf_counter() - begin, int(total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", type=Path, help="file with the events")
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    _, messages = order_list.read(chosen.list) if chosen.list else order_list.generated(1_000_000)
    rows = moments(messages)
    names = ("sorted array", "sorted array, from the best", "blocks", "ladder")
    spent: dict[str, list[float]] = {name: [] for name in names}
    for round_number in range(chosen.rounds + 1):
        sums = set()
        for name in names:
            seconds, total = timed(name, rows)
            sums.add(total)
            if round_number:  # the first one compiles
                spent[name].append(seconds / len(rows) * 1e9)
        if len(sums) != 1:
            raise SystemExit(f"the structures disagree: {sums}")
    print(f"{len(rows):,} openings and closings in {len(messages):,} messages")
    print(f"{'ns each':30} {'median':>8} {'best':>8}")
    for name, found in spent.items():
        print(f"{name:30} {spread(found).median:8.1f} {min(found):8.1f}")


if __name__ == "__main__":
    main()
