"""The order books alone, on the flow of the synthetic market: applied batch by batch, and as Python callers use them.

Every run begins with a book that holds the flow's first half million records, so that it is full. That the exact book's
levels add up to its orders, and that nothing about the flow is odd, is checked before the first run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache, partial
from typing import Final

from velox_engine.bench.loops import apply_and_read
from velox_engine.bench.measure import Bench, BenchError, Figure, Measure
from velox_engine.books.bucketed import bucketed_apply, make_bucketed
from velox_engine.books.exact import ExactBook
from velox_engine.books.exact_core import apply_records
from velox_engine.books.exact_grow import grow
from velox_engine.books.exact_state import ExactState, make_exact, with_entries
from velox_engine.feeds.synthetic import SYNTHETIC_INSTRUMENT, make_synthetic, synthetic_fill
from velox_engine.lockfree.memory import aligned_words
from velox_engine.records import TRANSACTION, Transactions
from velox_engine.stages.slots import make_slots

BATCH: Final = 256
"""What the order-book stage applies at once."""
PYTHON_BATCH: Final = 4096
SEED: Final = 7
LIVE_ORDERS: Final = 10_000
_FULL: Final = 500_000
_ONE_BY_ONE: Final = 20_000

Begun = Callable[[], tuple[float, int]]
"""Runs once; returns seconds and how many records it applied in them."""


def fill(records: Transactions, preload: int) -> ExactState:
    """Make an exact book of one symbol and apply the first ``preload`` records to it."""
    return _applied(with_entries(make_exact(1)), records, 0, preload)


def _applied(state: ExactState, records: Transactions, start: int, end: int, batch: int = 1 << 30) -> ExactState:
    """Apply ``records[start:end]``, at most ``batch`` a call; return the state, which may have grown."""
    done = start
    while done < end:
        count = min(batch, end - done)
        applied = apply_records(state.book, records, done, count)
        done += applied
        if applied < count:
            state = grow(state)
    return state


def read_each(records: Transactions, preload: int) -> Begun:
    """All in one call, and both best prices read after each: what a program does that trades on them."""
    seen = aligned_words(1)

    def run() -> tuple[float, int]:
        state, done = fill(records, preload), preload
        begun = time.perf_counter()
        while done < len(records):
            done += apply_and_read(state.book, records, done, len(records) - done, seen)
            if done < len(records):
                state = grow(state)
        return time.perf_counter() - begun, len(records) - preload

    return run


def in_batches(records: Transactions, preload: int) -> Begun:
    """Batches that lie in cache, as the order-book stage finds them on the ring."""
    ring = make_slots(PYTHON_BATCH).records

    def run() -> tuple[float, int]:
        state, spent = fill(records, preload), 0.0
        for start in range(preload, len(records), PYTHON_BATCH):
            part = records[start : start + PYTHON_BATCH]
            ring[: len(part)] = part  # what decoding costs is not the book's
            begun = time.perf_counter()
            state = _applied(state, ring, 0, len(part), BATCH)
            spent += time.perf_counter() - begun
        return spent, len(records) - preload

    return run


def from_python(records: Transactions, preload: int) -> Begun:
    """`ExactBook.apply`, an array of 4,096 records a call."""

    def run() -> tuple[float, int]:
        book = ExactBook([SYNTHETIC_INSTRUMENT])
        book.apply(records[:preload])
        begun = time.perf_counter()
        for start in range(preload, len(records), PYTHON_BATCH):
            book.apply(records[start : start + PYTHON_BATCH])
        return time.perf_counter() - begun, len(records) - preload

    return run


def one_by_one(records: Transactions, preload: int, count: int) -> Begun:
    """`ExactBook.apply` of one record a call, and ``best`` after each."""
    singles = [records[at : at + 1] for at in range(preload, preload + count)]

    def run() -> tuple[float, int]:
        book = ExactBook([SYNTHETIC_INSTRUMENT])
        book.apply(records[:preload])
        begun = time.perf_counter()
        for single in singles:
            book.apply(single)
            book.best(SYNTHETIC_INSTRUMENT.symbol)
        return time.perf_counter() - begun, len(singles)

    return run


def bucketed(records: Transactions, preload: int) -> Begun:
    """A bucketed book, in batches that lie in cache."""
    ring = make_slots(PYTHON_BATCH).records

    def run() -> tuple[float, int]:
        state, spent = make_bucketed(1), 0.0
        bucketed_apply(state, records, 0, preload)
        for start in range(preload, len(records), PYTHON_BATCH):
            part = records[start : start + PYTHON_BATCH]
            ring[: len(part)] = part
            begun = time.perf_counter()
            for at in range(0, len(part), BATCH):
                bucketed_apply(state, ring, at, min(BATCH, len(part) - at))
            spent += time.perf_counter() - begun
        return spent, len(records) - preload

    return run


@cache
def market_flow(count: int) -> Transactions:
    """Return the first ``count`` records of the synthetic market, a cache line each."""
    records = aligned_words(count * TRANSACTION.itemsize // 8).view(TRANSACTION)
    synthetic_fill(make_synthetic("market", SEED, LIVE_ORDERS), records, 0, count)
    return records


def book_measures(bench: Bench) -> Iterator[Measure]:
    """Yield the books' speed in million records a second."""
    count = _FULL + (250_000 if bench.brief else 1_000_000)
    makers: dict[str, Callable[[Transactions, int], Begun]] = {
        "book.bucketed": bucketed,
        "book.exact.batches": in_batches,
        "book.exact.read_each": read_each,
        "book.exact.python": from_python,
        "book.exact.python_one_by_one": partial(one_by_one, count=_ONE_BY_ONE),
    }
    figures = (Figure("", "M records/s", "higher"),)
    for name, maker in makers.items():
        yield Measure(name, figures, partial(_run, bench, maker, count))


def _run(bench: Bench, maker: Callable[[Transactions, int], Begun], count: int) -> tuple[float]:
    _verify(count)
    seconds, applied = bench.alone(maker(market_flow(count), _FULL))
    return (applied / seconds / 1e6,)


@cache
def _verify(count: int) -> None:
    """Check an exact book of this flow, and compile what is timed."""
    records, symbol = market_flow(count), SYNTHETIC_INSTRUMENT.symbol
    book = ExactBook([SYNTHETIC_INSTRUMENT])
    outcomes = asdict(book.apply(records))
    odd = {name: number for name, number in outcomes.items() if number and name != "applied"}
    state = fill(records, 1)  # kept while its book is used: what the book points to belongs to it
    apply_and_read(state.book, records, 1, 1, aligned_words(1))
    bucketed_apply(make_bucketed(1), records, 0, 0)
    for side, levels in enumerate(book.depth(symbol, len(records))):
        orders = book.orders(symbol, side)
        if odd or int(orders["size"].sum()) != int(levels["size"].sum()) or len(orders) != int(levels["orders"].sum()):
            raise BenchError(f"book: side {side} does not add up, odd outcomes {odd or 'none'}")
