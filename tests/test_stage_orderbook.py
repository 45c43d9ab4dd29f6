"""The order book's stage, step by step: the books, what it shows of them, growing and waiting."""

import numpy as np

from tests.line import (
    BUNDLE,
    INGRESS,
    MUST_GROW,
    ORDERBOOK,
    Line,
    blank,
)
from tests.plain_bucketed import PlainBucketed
from velox_engine.feeds.synthetic import make_synthetic, synthetic_fill
from velox_engine.records import TRANSACTION, Action, Side
from velox_engine.snapshot import BookState, Doing
from velox_engine.stages import control as word
from velox_engine.telemetry import layout
from velox_engine.telemetry.reader import TelemetryReader


def test_the_book_is_what_its_records_make_it_and_the_flow_goes_on():
    line = Line(pipeline__batch=64)
    line.run_from(gap=0.0)
    line.turns(20)
    line.drain()
    plain, count = PlainBucketed(1), line.passed()[ORDERBOOK]
    made = make_synthetic("market", 7, 50)
    records = np.zeros(count, TRANSACTION)
    synthetic_fill(made, records, 0, count)
    for record in records:
        plain.apply(*(int(record[field]) for field in ("action", "symbol", "side", "price", "size", "flags")))
    summary = line.assembly.book.summary(0)
    state, bid, bid_size, ask, ask_size, bids, asks, _ = plain.summary(0)
    assert (summary.best_bid, summary.best_bid_size, summary.bid_levels) == (bid, bid_size, bids)
    assert (summary.best_ask, summary.best_ask_size, summary.ask_levels) == (ask, ask_size, asks)
    assert summary.state == state


def test_the_order_book_waits_for_room_and_counts_it():
    line = Line(buffers__bundle_ring_size=64, pipeline__batch=48)
    line.run_from(gap=0.0)
    line.turns(6, stages=[INGRESS])
    assert line.turns(4, stages=[ORDERBOOK]).tolist() == [48, 16, 0, 0]
    assert line.count(ORDERBOOK, "STAGE_HELD") == 2
    assert line.image(ORDERBOOK)[layout.STAGE_DOING] == Doing.HELD_BACK
    line.step(BUNDLE)
    assert line.step(ORDERBOOK) == 48


def test_a_book_that_must_grow_stops_before_the_record_and_goes_on_after_it():
    line = Line()
    records = blank(10)
    records["symbol"][4:7] = 3
    line.put(line.stages.ingress_ring, records)
    assert line.step(ORDERBOOK) == 4
    assert (line.step(MUST_GROW), line.step(MUST_GROW)) == (1, 0)
    assert line.step(ORDERBOOK) == 0
    assert line.step(MUST_GROW)
    line.assembly.book.grow()
    line.assembly.book.grow()
    assert line.step(ORDERBOOK) == 6
    assert not line.step(MUST_GROW)
    line.turns(3)
    assert line.passed() == [0, 10, 10, 0]
    assert line.count(ORDERBOOK, "STAGE_DISORDER") == 0
    assert [line.assembly.book.summary(symbol).best_bid_size for symbol in (0, 3)] == [7, 3]


def test_the_last_trades_are_kept_and_all_are_counted():
    line = Line()
    records = blank(200)
    records["action"][50:] = np.where(np.arange(150) % 3 == 0, Action.TRADE, Action.EXECUTE)
    records["price"], records["event_ns"], records["side"] = np.arange(200) + 1_000, np.arange(200), Side.ASK
    line.put(line.stages.ingress_ring, records)
    line.turns(3)
    snapshot = line.snapshot()
    assert snapshot.trades_seen == 150
    assert [trade.sequence for trade in snapshot.trades] == list(range(200 - 64, 200))
    last = snapshot.trades[-1]
    assert (last.price, last.size, last.event_ns, last.side, last.action) == (
        1_199,
        1,
        199,
        Side.ASK,
        records[-1]["action"],
    )


def test_depth_is_shown_for_leased_symbols_until_they_are_given_back():
    line = Line()
    records = blank(6)
    records["price"], records["side"], records["size"] = (
        [1_000, 1_020, 1_040, 1_100, 1_120, 1_140],
        [0, 0, 0, 1, 1, 1],
        5,
    )
    line.put(line.stages.ingress_ring, records)
    line.step(ORDERBOOK)
    assert line.snapshot().depths == ()
    line.stages.control.words[word.LEASES + 2] = 1
    (depth,) = line.snapshot().depths
    assert (depth.symbol, depth.approximate, depth.sequence, depth.state) == (0, True, 6, BookState.SYNCED)
    assert depth.bids[:, 0].tolist() == [1_040, 1_020, 1_000]
    assert depth.asks[:, 0].tolist() == [1_100, 1_120, 1_140]
    assert (depth.bids[:, 1:] == [5, 0]).all()
    line.stages.control.words[word.LEASES + 2] = 99  # a symbol that the book has not met
    (depth,) = line.snapshot().depths
    assert (depth.symbol, len(depth.bids), len(depth.asks)) == (98, 0, 0)
    line.stages.control.words[word.LEASES + 2] = 0
    assert line.snapshot().depths == ()


def test_the_summaries_of_all_books_are_published():
    line = Line()
    records = blank(1)
    line.put(line.stages.ingress_ring, records)
    line.step(ORDERBOOK)
    line.snapshot()
    (book,) = TelemetryReader(line.assembly.region).books()
    assert (book.best_bid, book.best_bid_size, book.bid_levels) == (1_000, 1, 1)
