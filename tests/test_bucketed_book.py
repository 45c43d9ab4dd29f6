"""The bucketed book against a plain one, with every action, and at the borders of its numbers."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.plain_bucketed import PlainBucketed
from velox_engine.books.bucketed import (
    BUCKET_UNITS,
    BUCKETS,
    Outcome,
    bucketed_apply,
    bucketed_depth,
    bucketed_summary,
    grow_bucketed,
    make_bucketed,
)
from velox_engine.books.running import RunningBucketed
from velox_engine.records import INT64_MAX, TRANSACTION, Action, Flags, Side
from velox_engine.snapshot import BookState

FIELDS = ("action", "symbol", "side", "price", "size", "flags")
LEAST = -(2**63)
BID, ASK, NONE = Side.BID, Side.ASK, Side.NONE
SYMBOLS = 2


def records_of(rows):
    records = np.zeros(len(rows), TRANSACTION)
    for record, row in zip(records, rows, strict=True):
        for field, value in zip(FIELDS, row, strict=True):
            record[field] = value
    return records


def row(action, price=0, size=0, side=BID, flags=0, symbol=0):
    return (action, symbol, side, price, size, flags)


class Book:
    """The compiled book, with what it shows as plain numbers."""

    def __init__(self, symbols=SYMBOLS):
        self.state = make_bucketed(symbols)

    def apply(self, *rows):
        return bucketed_apply(self.state, records_of(rows), 0, len(rows))

    def depth(self, side, symbol=0, levels=BUCKETS):
        out = np.full(3 * levels + 2, 77, np.int64)
        found = bucketed_depth(self.state, symbol, side, levels, out, 1)
        assert out[0] == 77
        assert (out[3 * found + 1 :] == 77).all()
        levels = out[1 : 3 * found + 1].reshape(-1, 3).tolist()
        assert all(orders == 0 for *_, orders in levels)
        return [(price, size) for price, size, _ in levels]

    def summary(self, symbol=0):
        out = np.full(10, 77, np.int64)
        bucketed_summary(self.state, symbol, out, 1)
        assert (out[0], out[9]) == (77, 77)
        return out[1:9].tolist()

    @property
    def outcomes(self):
        assert not self.state.outcomes[len(Outcome) :].any()
        return {outcome.name.lower(): int(self.state.outcomes[outcome]) for outcome in Outcome}

    def counted(self, **expected):
        return self.outcomes == {**dict.fromkeys(self.outcomes, 0), **expected}


PRICES = st.sampled_from([0, 1, 15, 16, 17, -1, -16, -17, 16_383, 16_384, INT64_MAX, LEAST]) | st.integers(1_000, 1_100)
SIZES = st.sampled_from([0, 1, 2, 3, 10, INT64_MAX, INT64_MAX - 1, 2**62])
ROWS = st.tuples(
    st.sampled_from(list(Action)),
    st.integers(0, SYMBOLS - 1),
    st.sampled_from(list(Side)),
    PRICES,
    SIZES,
    st.sampled_from([0, 0, 0, Flags.LAST, Flags.SNAPSHOT, Flags.GAP, Flags.GAP | Flags.SNAPSHOT]),
).filter(lambda one: one[2] != NONE or one[0] not in (Action.ADD, Action.LEVEL))
NEAR = st.tuples(
    st.sampled_from([Action.ADD, Action.ADD, Action.CANCEL, Action.DELETE, Action.EXECUTE]),
    st.just(0),
    st.sampled_from([BID, ASK]),
    st.integers(900, 1_100),
    st.integers(1, 3),
    st.just(0),
)


@settings(max_examples=150)
@given(st.lists(ROWS, max_size=40) | st.lists(NEAR, max_size=60))
@example([row(Action.ADD, 1_000, 5), row(Action.LEVEL, 1_032, 0, flags=Flags.SNAPSHOT)])
@example([row(Action.ADD, 1_000, 5), row(Action.DELETE, 1_000, 0)])
def test_any_records_make_the_book_that_the_plain_one_makes(rows):
    book, plain = Book(), PlainBucketed(SYMBOLS)
    assert book.apply(*rows) == len(rows)
    for one in rows:
        plain.apply(*one)
    for symbol in range(SYMBOLS):
        assert book.summary(symbol) == plain.summary(symbol)
        for side in (BID, ASK):
            assert book.depth(side, symbol) == plain.sides[symbol][side].depth()
    assert book.outcomes == plain.outcomes


@given(st.lists(ROWS, max_size=20), st.lists(st.integers(0, 20), max_size=3))
def test_batches_of_any_size_make_one_book(rows, cuts):
    whole, cut = Book(), Book()
    whole.apply(*rows)
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(rows)], strict=True):
        cut.apply(*rows[start:end])
    assert [whole.summary(symbol) for symbol in range(SYMBOLS)] == [cut.summary(symbol) for symbol in range(SYMBOLS)]
    assert (whole.state.cells == cut.state.cells).all()
    assert whole.outcomes == cut.outcomes


@given(st.lists(NEAR, max_size=60))
def test_within_16_384_units_the_best_is_never_more_than_15_units_off(rows):
    book, exact = Book(1), {BID: {}, ASK: {}}
    for one in rows:
        action, _, side, price, size, _ = one
        if action != Action.ADD:
            # what a venue may send: it takes only what rests at a price
            price = min(exact[side], default=None) if side == ASK else max(exact[side], default=None)
            if price is None:
                continue
            size = min(size, exact[side][price])
            exact[side][price] -= size
            if not exact[side][price]:
                del exact[side][price]
        else:
            exact[side][price] = exact[side].get(price, 0) + size
        book.apply(row(action, price, size, side))
    assert book.counted()
    _, bid, bid_size, ask, ask_size, *_ = book.summary()
    for prices, best, size, pick in ((exact[BID], bid, bid_size, max), (exact[ASK], ask, ask_size, min)):
        assert size == sum(held for price, held in prices.items() if price // 16 == best // 16 and prices)
        if prices:
            assert abs(best - pick(prices)) < BUCKET_UNITS
        else:
            assert (best, size) == (0, 0)


def test_an_empty_book_shows_nothing():
    book = Book()
    assert book.summary() == [BookState.SYNCED, 0, 0, 0, 0, 0, 0, 0]
    assert (book.depth(BID), book.depth(ASK)) == ([], [])


@pytest.mark.parametrize("side", [BID, ASK])
@pytest.mark.parametrize("price", [0, -1, INT64_MAX, LEAST])
def test_every_price_of_64_bits_has_a_bucket(side, price):
    book = Book()
    book.apply(row(Action.ADD, price, 7, side))
    assert book.depth(side) == [(price, 7)]
    assert book.summary()[1 + 2 * side : 3 + 2 * side] == [price, 7]
    book.apply(row(Action.DELETE, price, 7, side))
    assert book.summary() == [0] * 8
    assert book.counted()


@pytest.mark.parametrize(("price", "shares"), [(16, False), (31, True), (32, False), (15, False)])
def test_a_bucket_holds_16_prices_from_a_multiple_of_16_on(price, shares):
    book = Book()
    book.apply(row(Action.ADD, 17, 1), row(Action.ADD, price, 2))
    assert len(book.depth(BID)) == (1 if shares or price == 16 else 2)


def test_a_quantity_that_would_overflow_is_not_applied_and_counted():
    book = Book()
    book.apply(row(Action.ADD, 100, INT64_MAX), row(Action.ADD, 100, 1), row(Action.ADD, 101, INT64_MAX))
    assert book.counted(overflow=2)
    assert book.depth(BID) == [(100, INT64_MAX)]
    book.apply(row(Action.EXECUTE, 100, 1), row(Action.ADD, 100, 1))
    assert book.counted(overflow=2)
    assert book.depth(BID) == [(100, INT64_MAX)]


def test_more_than_there_is_empties_the_bucket_and_is_counted():
    book = Book()
    book.apply(row(Action.ADD, 100, 5), row(Action.CANCEL, 100, 6), row(Action.EXECUTE, 100, 1))
    assert book.counted(negative_remainder=2)
    assert book.summary() == [0] * 8


@pytest.mark.parametrize("action", [Action.CANCEL, Action.DELETE, Action.EXECUTE])
def test_what_has_no_side_of_its_own_is_counted_and_not_guessed(action):
    book = Book()
    book.apply(row(Action.ADD, 100, 5), row(action, 100, 5, NONE))
    assert book.counted(unpriced=1)
    assert book.depth(BID) == [(100, 5)]


def test_a_deletion_that_does_not_say_how_much_is_counted():
    book = Book()
    book.apply(row(Action.ADD, 100, 5), row(Action.DELETE, 100, 0))
    assert book.counted(unpriced=1)
    assert book.depth(BID) == [(100, 5)]


@pytest.mark.parametrize("action", [Action.REPLACE, Action.MODIFY, Action.LEVEL])
def test_what_speaks_of_an_order_or_a_level_is_counted_and_not_applied(action):
    book = Book()
    book.apply(row(Action.ADD, 100, 5), row(action, 100, 9))
    assert book.counted(unsupported=1)
    assert book.depth(BID) == [(100, 5)]


@pytest.mark.parametrize("action", [Action.FILL, Action.TRADE, Action.STATUS])
def test_what_does_not_touch_a_book_does_not_touch_this_one(action):
    book = Book()
    book.apply(row(Action.ADD, 100, 5), row(action, 100, 5))
    assert book.counted()
    assert book.depth(BID) == [(100, 5)]


def test_a_seed_adds_what_rests_and_a_level_of_nothing_adds_no_level():
    book = Book()
    book.apply(row(Action.LEVEL, 100, 5, flags=Flags.SNAPSHOT), row(Action.LEVEL, 200, 0, flags=Flags.SNAPSHOT))
    assert book.counted()
    assert book.summary() == [0, 100, 5, 0, 0, 1, 0, 0]


def test_a_gap_makes_the_book_stale_until_the_next_snapshot():
    book = Book()
    book.apply(row(Action.ADD, 100, 5, flags=Flags.GAP))
    assert (book.summary(0)[0], book.summary(1)[0]) == (BookState.STALE, BookState.SYNCED)
    assert book.depth(BID) == [(100, 5)]
    book.apply(row(Action.CLEAR))
    assert book.summary() == [BookState.STALE, 0, 0, 0, 0, 0, 0, 0]
    book.apply(row(Action.CLEAR, flags=Flags.SNAPSHOT))
    assert book.summary()[0] == BookState.SYNCED
    assert book.counted(gaps=1)


def test_clearing_one_symbol_leaves_the_others():
    book = Book()
    book.apply(row(Action.ADD, 100, 5), row(Action.ADD, 300, 6, ASK, symbol=1), row(Action.CLEAR))
    assert book.summary(0) == [0] * 8
    assert book.depth(ASK, symbol=1) == [(300, 6)]


def test_after_the_best_is_gone_the_next_one_is_found():
    book = Book()
    book.apply(*(row(Action.ADD, price, 1, side) for side in (BID, ASK) for price in (1_000, 1_100, 1_300)))
    assert (book.summary()[1], book.summary()[3]) == (1_300, 1_000)
    book.apply(row(Action.DELETE, 1_300, 1, BID), row(Action.DELETE, 1_000, 1, ASK))
    assert (book.summary()[1], book.summary()[3]) == (1_100, 1_100)
    book.apply(row(Action.DELETE, 1_100, 1, BID), row(Action.DELETE, 1_100, 1, ASK))
    assert (book.summary()[1], book.summary()[3]) == (1_000, 1_300)


@pytest.mark.parametrize("side", [BID, ASK])
def test_the_best_bucket_may_be_emptied_at_another_of_its_prices(side):
    book = Book()
    book.apply(row(Action.ADD, 1_007, 1, side), row(Action.ADD, 900, 2, side), row(Action.ADD, 1_100, 3, side))
    best = book.summary()[1 + 2 * side]
    book.apply(row(Action.DELETE, best // BUCKET_UNITS * BUCKET_UNITS + (best + 1) % BUCKET_UNITS, 3, side))
    assert book.summary()[1 + 2 * side : 3 + 2 * side] == [1_007, 1]


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_depth_shows_the_best_levels_first_and_no_more_than_asked_for(levels):
    book = Book()
    book.apply(*(row(Action.ADD, price, price, side) for side in (BID, ASK) for price in (1_100, 1_000, 1_300)))
    assert book.depth(BID, levels=levels) == [(1_300, 1_300), (1_100, 1_100), (1_000, 1_000)][:levels]
    assert book.depth(ASK, levels=levels) == [(1_000, 1_000), (1_100, 1_100), (1_300, 1_300)][:levels]


def test_an_unknown_symbol_stops_the_batch_before_it_and_more_room_lets_it_go_on():
    rows = [row(Action.ADD, 100, 1), row(Action.ADD, 100, 2, symbol=5), row(Action.ADD, 100, 4)]
    records = records_of(rows)
    book = RunningBucketed(1)
    assert bucketed_apply(book.state, records, 0, 3) == 1
    assert bucketed_apply(book.state, records, 1, 2) == 0
    for _ in range(3):
        book.grow()
    assert len(book.state.status) == 8
    assert bucketed_apply(book.state, records, 1, 2) == 2
    assert (book.summary(0).best_bid_size, book.summary(5).best_bid_size) == (5, 2)


def test_growing_keeps_everything():
    book = Book(2)
    book.apply(row(Action.ADD, 100, 5), row(Action.ADD, 300, 6, ASK, symbol=1, flags=Flags.GAP))
    before = [book.summary(symbol) for symbol in range(2)]
    book.state = grow_bucketed(book.state, 5)
    assert [book.summary(symbol) for symbol in range(5)] == [*before, *([[0] * 8] * 3)]
    assert book.counted(gaps=1)
    book.apply(row(Action.ADD, 500, 1, symbol=4))
    assert book.summary(4) == [0, 500, 1, 0, 0, 1, 0, 0]


def test_the_names_of_the_counters_are_those_of_the_outcomes():
    assert RunningBucketed(1).outcomes == ("overflow", "negative_remainder", "unsupported", "unpriced", "gaps")
