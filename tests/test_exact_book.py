"""The exact book against its plain twin, and at its borders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.plain_book import PlainBook
from velox_engine.books.exact import ExactBook
from velox_engine.errors import OrderBookError
from velox_engine.records import INT64_MAX, TRANSACTION, Action, Flags, Instrument, Side, Transactions

SYMBOLS = 3
FIELDS = ("action", "side", "price", "size", "order_id", "new_order_id", "symbol", "flags")
LAST, SNAPSHOT, GAP = int(Flags.LAST), int(Flags.SNAPSHOT), int(Flags.GAP)


def instruments(count: int) -> list[Instrument]:
    return [Instrument(f"S{i}") for i in range(count)]


def rows(*events: tuple[int, ...]) -> Transactions:
    """Records from (action, side, price, size, order_id, new_order_id, symbol, flags); what is left out is 0, LAST."""
    records = np.zeros(len(events), TRANSACTION)
    records["flags"] = LAST
    for record, event in zip(records, events, strict=True):
        for name, value in zip(FIELDS, event, strict=False):
            record[name] = value
    return records


def add(order_id: int, side: int, price: int, size: int, symbol: int = 0) -> tuple[int, ...]:
    return (Action.ADD, side, price, size, order_id, 0, symbol, LAST)


class Row:
    """A record as the twin reads it: plain Python integers under the record's names."""

    def __init__(self, record: np.void) -> None:
        for name in FIELDS:
            setattr(self, name, int(record[name]))


def compare(book: ExactBook, plain: list[PlainBook]) -> None:
    for index, twin in enumerate(plain):
        depth = book.depth(index, 10_000)
        for side in (0, 1):
            assert depth[side].tolist() == twin.depth(side)
            assert book.orders(index, side).tolist() == twin.orders(side)
        (bid_price, bid_size), (ask_price, ask_size) = (
            twin.depth(side)[0][:2] if twin.sides[side] else (0, 0) for side in (0, 1)
        )
        assert book.best(index) == (bid_price, bid_size, ask_price, ask_size)
        assert book.state(index) == twin.state
        levels = [len(twin.sides[side]) for side in (0, 1)]
        known = [sum(count for _, _, count in twin.depth(side)) for side in (0, 1)]
        assert book.totals(index) == (levels[0], known[0], levels[1], known[1])


def counted(plain: Iterable[PlainBook]) -> dict[str, int]:
    return {name: sum(twin.counts[name] for twin in plain) for name in asdict(ExactBook([]).outcomes)}


# Few ids and prices, so that records meet; wide ones and borders, so that nothing relies on them being near
PRICES = st.one_of(
    st.integers(-3, 12),
    st.integers(-40, 40).map(lambda tick: 250 * tick),
    st.integers(-300, 300),
    st.sampled_from([-(2**63), 1 - 2**63, INT64_MAX, INT64_MAX - 1, 0]),
    st.integers(-(2**63), INT64_MAX),
)
SIZES = st.one_of(st.integers(0, 9), st.integers(1, 300), st.sampled_from([-1, INT64_MAX, INT64_MAX - 5, -(2**63)]))
IDS = st.one_of(st.integers(0, 12), st.sampled_from([2**64 - 1, 2**63, 2**40, 2**40 + 1]), st.integers(0, 2**64 - 1))
EVENTS = st.tuples(
    st.sampled_from([1, 1, 1, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12, 0, 200]),
    st.sampled_from([0, 0, 0, 1, 1, 1, 2, 255]),
    PRICES,
    SIZES,
    IDS,
    st.one_of(IDS, st.just(2**30)),
    st.integers(0, SYMBOLS - 1),
    st.sampled_from([0, LAST, LAST, LAST, SNAPSHOT, SNAPSHOT | LAST, GAP, GAP | SNAPSHOT, GAP | LAST]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EVENTS, max_size=60))
@example([(1, 1, 1 - 2**63, 1, 0, 0, 0, 0), (1, 1, 2, 1, 0, 2**30, 0, 0)])
@example([(1, 0, INT64_MAX, 1, 0, 0, 0, 0), (1, 0, -3, 1, 0, 2**30, 0, 0)])
def test_every_level_and_queue_equals_the_plain_twins_after_every_event(events: list[tuple[int, ...]]) -> None:
    book = ExactBook(instruments(SYMBOLS), orders=1)
    plain = [PlainBook() for _ in range(SYMBOLS)]
    for record in rows(*events):
        book.apply(np.array([record]))
        plain[record["symbol"]].apply(Row(record))  # type: ignore[arg-type]
        compare(book, plain)
    assert asdict(book.outcomes) == counted(plain)
    assert book.outcomes.records == len(events)


def random_flow(generator: np.random.Generator, count: int, symbols: int, prices: int, ids: int) -> Transactions:
    """Many adds and takes around a middle, some of everything else; ids are drawn from so many."""
    records = np.zeros(count, TRANSACTION)
    actions = [1] * 9 + [2, 2, 3, 3, 3, 4, 4, 5, 6, 6, 7, 8, 9]
    records["action"] = generator.choice(actions, count)
    rare = generator.random(count) < 0.002
    records["action"][rare] = generator.choice([10, 11, 12], int(rare.sum()))
    records["side"] = generator.integers(0, 2, count)
    records["price"] = generator.integers(-prices, prices, count) * generator.choice([1, 5, 100], count)
    records["size"] = generator.integers(1, 100, count)
    records["order_id"] = generator.integers(0, ids, count)
    records["new_order_id"] = generator.integers(0, ids, count)
    records["symbol"] = generator.integers(0, symbols, count)
    records["flags"] = generator.choice([LAST, LAST, LAST, 0, SNAPSHOT, LAST | GAP], count)
    return records


@pytest.mark.parametrize(
    ("symbols", "prices", "ids"), [(1, 4, 400), (2, 400, 2000), (40, 40, 300)], ids=["narrow", "deep", "many symbols"]
)
def test_long_flow_equals_the_plain_twin_in_batches(symbols: int, prices: int, ids: int) -> None:
    records = random_flow(np.random.default_rng(symbols), 6000, symbols, prices, ids)
    book = ExactBook(instruments(symbols), orders=1)
    plain = [PlainBook() for _ in range(symbols)]
    for start in range(0, len(records), 500):
        batch = records[start : start + 500]
        book.apply(batch)
        for record in batch:
            plain[record["symbol"]].apply(Row(record))  # type: ignore[arg-type]
        compare(book, plain)
    assert asdict(book.outcomes) == counted(plain)


def test_batch_size_does_not_matter() -> None:
    records = random_flow(np.random.default_rng(7), 4000, 3, 60, 500)
    whole, single = ExactBook(instruments(3)), ExactBook(instruments(3), orders=1)
    total = whole.apply(records)
    for i in range(len(records)):
        single.apply(records[i : i + 1])
    assert single.outcomes == total == whole.outcomes
    for symbol in range(3):
        for side in (0, 1):
            assert whole.orders(symbol, side).tolist() == single.orders(symbol, side).tolist()


def test_an_empty_book_is_empty_and_synced() -> None:
    book = ExactBook([Instrument("A"), Instrument("B")])
    bids, asks = book.depth("A")
    assert len(bids) == len(asks) == 0
    assert book.best("B") == (0, 0, 0, 0)
    assert len(book.orders("B", Side.ASK)) == 0
    assert book.totals("A") == (0, 0, 0, 0)
    assert book.state("A") == "synced"
    assert book.apply(rows()).records == 0


def test_depth_is_cut_to_what_is_asked() -> None:
    book = ExactBook([Instrument("A")])
    book.apply(rows(*(add(i, 0, i, 10 * i) for i in range(1, 200)), *(add(1000 + i, 1, 300 + i, 1) for i in range(5))))
    bids, asks = book.depth("A", levels=3)
    assert bids.tolist() == [(199, 1990, 1), (198, 1980, 1), (197, 1970, 1)]
    assert asks["price"].tolist() == [300, 301, 302]
    assert [len(side) for side in book.depth("A", levels=0)] == [0, 0]
    assert [len(side) for side in book.depth("A", levels=1000)] == [199, 5]


def test_unknown_symbol_is_an_order_book_error_with_its_name() -> None:
    book = ExactBook([Instrument("A")])
    for ask in (book.best, book.depth, book.state, book.totals, book.mark_stale):
        with pytest.raises(OrderBookError) as caught:
            ask("NOPE")
        assert caught.value.symbol == "NOPE"
    with pytest.raises(OrderBookError):
        book.orders(1, 0)


def test_symbols_learned_on_the_way_are_taken() -> None:
    table = [Instrument("A")]
    book = ExactBook(table)
    with pytest.raises(OrderBookError) as caught:
        book.apply(rows(add(1, 0, 10, 1), add(2, 0, 10, 1, symbol=1), add(3, 0, 10, 1)))
    assert caught.value.symbol == 1
    assert book.orders("A", 0)["order_id"].tolist() == [1]
    for number in range(1, 10):
        table.append(Instrument(f"B{number}"))
        assert book.best(number) == (0, 0, 0, 0)
        book.apply(rows(add(number, 0, 10, 1, symbol=number)))
        assert book.orders(f"B{number}", 0)["order_id"].tolist() == [number]
        with pytest.raises(OrderBookError):
            book.apply(rows(add(3, 0, 10, 1, symbol=number + 1)))
    with pytest.raises(OrderBookError):
        ExactBook([]).apply(rows(add(1, 0, 10, 1)))


def test_ten_thousand_symbols_keep_their_own_orders() -> None:
    count = 10_000
    book = ExactBook(instruments(count), orders=1)
    batch = np.zeros(3 * count, TRANSACTION)
    batch["action"], batch["flags"] = Action.ADD, LAST
    batch["symbol"] = np.tile(np.arange(count), 3)
    batch["order_id"] = np.repeat([1, 2, 3], count)  # the same ids in every symbol
    batch["side"] = np.repeat([0, 0, 1], count)
    batch["price"] = batch["symbol"] + np.repeat([0, 0, 10], count)
    batch["size"] = batch["symbol"] + batch["order_id"]
    assert book.apply(batch).applied == 3 * count
    for symbol in range(0, count, 997):
        assert book.best(symbol) == (symbol, 2 * symbol + 3, symbol + 10, symbol + 3)
        assert book.orders(symbol, 0)["order_id"].tolist() == [1, 2]


def test_it_grows_from_a_tiny_pool_to_many_orders_and_levels() -> None:
    count = 200_000
    book = ExactBook([Instrument("A")], orders=1)
    batch = np.zeros(count, TRANSACTION)
    batch["action"], batch["flags"], batch["size"] = Action.ADD, LAST, 3
    batch["order_id"] = np.arange(1, count + 1)
    batch["price"] = np.random.default_rng(1).permutation(count) * 7  # as many levels as orders, in no order
    assert book.apply(batch).applied == count
    assert book.totals("A") == (count, count, 0, 0)
    assert book.best("A") == (7 * (count - 1), 3, 0, 0)
    assert book.orders("A", 0)["price"].tolist() == list(range(7 * (count - 1), -1, -7))
    batch["action"] = Action.DELETE
    assert book.apply(batch[::-1]).applied == count
    assert book.totals("A") == (0, 0, 0, 0)


def test_what_was_freed_is_used_again() -> None:
    book = ExactBook([Instrument("A")], orders=64)
    flow = np.concatenate([rows(*(add(i, i % 2, 100 + i % 7, 5) for i in range(1, 30))), rows((Action.CLEAR,))])
    book.apply(flow)
    nodes = len(book._state.nodes)
    for _ in range(50):
        book.apply(flow)
    assert len(book._state.nodes) == nodes
    assert book.totals("A") == (0, 0, 0, 0)


def test_a_level_takes_int64_to_the_brim_and_no_more() -> None:
    book = ExactBook([Instrument("A")])
    counts = book.apply(
        rows(add(1, 0, 10, INT64_MAX - 1), add(2, 0, 10, 1), add(3, 0, 10, 1), add(4, 0, 11, INT64_MAX))
    )
    assert (counts.applied, counts.overflow) == (3, 1)
    assert book.depth("A")[0].tolist() == [(11, INT64_MAX, 1), (10, INT64_MAX, 2)]
    counts = book.apply(
        rows(
            (Action.MODIFY, 0, 11, 1, 2), (Action.REPLACE, 0, 11, 1, 2, 9), (Action.LEVEL, 0, 11, 1, 0, 0, 0, SNAPSHOT)
        )
    )
    assert counts.overflow == 3
    assert book.orders("A", 0).tolist() == [(4, 11, INT64_MAX), (1, 10, INT64_MAX - 1), (2, 10, 1)]


def test_a_live_id_is_not_added_twice() -> None:
    book = ExactBook([Instrument("A"), Instrument("B")])
    counts = book.apply(
        rows(
            add(7, 0, 10, 1),
            add(7, 1, 20, 2),
            add(7, 1, 20, 2, symbol=1),
            add(8, 0, 9, 4),
            (Action.REPLACE, 0, 11, 5, 8, 7),
        )
    )
    assert (counts.applied, counts.duplicate) == (3, 2)
    assert book.orders("A", 0).tolist() == [(7, 10, 1), (8, 9, 4)]
    assert book.apply(rows((Action.DELETE, 0, 0, 0, 7), add(7, 0, 8, 6))).applied == 2
    assert book.orders("A", 0).tolist() == [(8, 9, 4), (7, 8, 6)]


def test_orders_without_an_id_stand_in_the_queue_as_anonymous_pieces() -> None:
    book = ExactBook([Instrument("A")])
    book.apply(rows(add(0, 0, 10, 5), add(1, 0, 10, 7), add(0, 0, 10, 9)))
    assert book.orders("A", 0).tolist() == [(0, 10, 5), (1, 10, 7), (0, 10, 9)]
    counts = book.apply(
        rows((Action.EXECUTE, 0, 10, 5, 0), (Action.DELETE, 0, 10, 4, 99), (Action.CANCEL, 0, 10, 9, 0))
    )
    assert (counts.from_seed, counts.negative_remainder) == (3, 1)
    assert book.orders("A", 0).tolist() == [(1, 10, 7)]
    assert book.apply(rows((Action.DELETE, 0, 10, 1, 0))).unknown == 1


def test_a_seed_stands_in_front_and_unknown_orders_take_from_it() -> None:
    book = ExactBook([Instrument("A")], windowed=True)
    seed = (Action.LEVEL, 1, 100, 50, 0, 3, 0, SNAPSHOT | LAST)
    counts = book.apply(
        rows(add(1, 1, 100, 8), seed, (Action.DELETE, 1, 100, 10, 77), (Action.EXECUTE, 1, 100, 15, 78))
    )
    assert (counts.from_seed, counts.seeded, counts.unknown) == (2, 1, 0)
    assert book.orders("A", 1).tolist() == [(0, 100, 25), (1, 100, 8)]
    assert book.depth("A")[1].tolist() == [(100, 33, 1)]
    assert book.apply(rows((Action.CANCEL, 1, 101, 1, 79), (Action.CANCEL, 2, 100, 1, 79))).unknown == 2
    assert book.state("A") == "windowed"


def test_an_iceberg_that_shows_its_size_again_goes_to_the_back() -> None:
    book = ExactBook([Instrument("A")])
    book.apply(rows(add(1, 0, 10, 5), add(2, 0, 10, 5)))
    book.apply(rows((Action.FILL, 0, 10, 5, 1), (Action.MODIFY, 0, 10, 5, 1)))
    assert book.orders("A", 0)["order_id"].tolist() == [2, 1]
    book.apply(rows((Action.FILL, 0, 10, 2, 2), (Action.MODIFY, 0, 10, 3, 2)))
    assert book.orders("A", 0).tolist() == [(2, 10, 3), (1, 10, 5)]
    book.apply(rows((Action.MODIFY, 0, 10, 3, 2)))  # the fill was before the last change
    assert book.orders("A", 0)["order_id"].tolist() == [2, 1]


@pytest.mark.parametrize("take", [Action.EXECUTE, Action.CANCEL])
def test_a_fill_counts_only_until_the_orders_next_change(take: Action) -> None:
    book = ExactBook([Instrument("A")])
    book.apply(rows(add(1, 0, 10, 9), add(2, 0, 10, 5), (Action.FILL, 0, 10, 4, 1), (take, 0, 10, 4, 1)))
    book.apply(rows((Action.MODIFY, 0, 10, 4, 1)))  # of the 5 that are left
    assert book.orders("A", 0).tolist() == [(1, 10, 4), (2, 10, 5)]
    book.apply(rows((Action.FILL, 0, 10, 3, 1), (Action.REPLACE, 0, 10, 6, 1, 3), (Action.MODIFY, 0, 10, 5, 3)))
    assert book.orders("A", 0).tolist() == [(2, 10, 5), (3, 10, 5)]


def test_crossed_is_judged_at_the_end_of_an_event() -> None:
    book = ExactBook([Instrument("A")])
    crossing = rows(add(1, 0, 10, 1), add(2, 1, 9, 1), (Action.DELETE, 0, 0, 0, 1))
    crossing["flags"][1] = 0
    assert book.apply(crossing[:2]).crossed == 0
    assert book.state("A") == "synced"
    assert book.apply(crossing[2:]).crossed == 0
    book.apply(rows(add(3, 0, 9, 1)))
    assert book.state("A") == "synced"  # locked is not crossed
    assert book.apply(rows(add(4, 0, 10, 1), (Action.TRADE, 2, 10, 1))).crossed == 2
    assert book.state("A") == "crossed"
    assert book.apply(rows((Action.CLEAR,))).crossed == 0
    assert book.state("A") == "synced"


def test_stale_lasts_from_a_gap_to_the_next_snapshot() -> None:
    book = ExactBook([Instrument("A"), Instrument("B")])
    book.apply(rows(add(1, 0, 10, 1), (*add(2, 0, 10, 1)[:7], LAST | GAP)))
    assert (book.state("A"), book.state("B")) == ("stale", "synced")
    book.apply(rows((Action.CLEAR,), add(3, 0, 10, 1)))
    assert book.state("A") == "stale"
    book.apply(rows((Action.CLEAR, 2, 0, 0, 0, 0, 0, SNAPSHOT)))
    assert book.state("A") == "synced"
    book.mark_stale("B")
    assert book.state("B") == "stale"
    assert book.outcomes.gaps == 2


def test_apply_takes_any_transaction_array_and_nothing_else() -> None:
    records = rows(add(1, 0, 10, 1), add(2, 0, 11, 1), add(3, 0, 12, 1))
    book = ExactBook([Instrument("A")])
    book.apply(records[::2])
    read_only = records[1:2].copy()
    read_only.setflags(write=False)
    book.apply(read_only)
    book.apply(records[:0])
    assert book.orders("A", 0)["order_id"].tolist() == [3, 2, 1]
    with pytest.raises(TypeError):
        book.apply(np.zeros(3, np.int64))  # type: ignore[arg-type]
