"""Coinbase's full channel: what each message becomes, the seed, gaps, what is refused, and the recorded minutes."""

from __future__ import annotations

import gzip
import json
import lzma
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.encoders import coinbase
from tests.encoders.coinbase import change, done, level3, lines, match, opened, order_uuid, received
from tests.encoders.tardis import units
from tests.recorded import recorded
from tests.text_feeds import damaged, drained, only_feed_errors, rows
from velox_engine.books.exact import ExactBook
from velox_engine.errors import FeedError
from velox_engine.feeds.base import TimeBase
from velox_engine.feeds.coinbase import CoinbaseFeed
from velox_engine.feeds.opening import open_feed
from velox_engine.records import Action, Flags, Instrument, Side, Transactions

LAST, SEED, GAP = int(Flags.LAST), int(Flags.SNAPSHOT), int(Flags.GAP)
START = 1_531_514_831_025_000_000
SHORT = ("action", "side", "order_id", "price", "size", "new_order_id", "flags")
ADD, EXECUTE, MODIFY, DELETE = int(Action.ADD), int(Action.EXECUTE), int(Action.MODIFY), int(Action.DELETE)
A, B, C = order_uuid(2**64 - 1), order_uuid(7), order_uuid(8)


def write(folder: Path, content: bytes, name: str = "messages.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read(path: Path, **options: Any) -> tuple[Transactions, FeedError | None, CoinbaseFeed]:
    feed = CoinbaseFeed(path, **options)
    return *drained(feed), feed


@pytest.mark.parametrize("batch_size", [1, 3, 4096])
@pytest.mark.parametrize("sort_keys", [False, True])
def test_each_type_becomes_the_record_that_its_rule_says(tmp_path: Path, batch_size: int, sort_keys: bool) -> None:
    content = lines(
        received(1, START, A, "buy", "100.25", "2.00000000"),
        opened(2, START + 1, A, "buy", "100.25", "2.00000000"),
        opened(3, START + 1000, B, "sell", "100.50000000", "0.00000001"),
        match(4, START + 2000, 55, A, C, "buy", "100.25", "0.5"),
        done(5, START + 3000, C, "sell", "100.25", "0", "filled"),
        change(6, START + 4000, A, "buy", "100.25", "1.25", old_size="1.5"),
        change(7, START + 5000, C, "buy", "100.25", "1.25", old_size="1.5"),
        change(8, START + 6000, B, "sell", None, "1", old_price="100.5", new_price="100.75", reason="modify_order"),
        {"type": "heartbeat", "sequence": 8, "last_trade_id": 55, "product_id": "BTC-USD", "time": "x"},
        {"type": "activate", "product_id": "BTC-USD", "order_id": C},
        {"type": "something new"},
        match(9, START + 7000, 56, B, C, "sell", "100.75", "1"),
        done(10, START + 8000, B, "sell", "100.75", "0", "filled"),
        done(11, START + 9000, A, "buy", "100.25", "1.25", "canceled"),
        sort_keys=sort_keys,
    )
    records, fault, feed = read(write(tmp_path, content), batch_size=batch_size)
    bid, ask = Side.BID, Side.ASK
    assert fault is None
    assert feed.instruments == [Instrument("BTC-USD", 2, 8, 0)]
    assert feed.time_base == TimeBase("unix")
    assert rows(records, SHORT) == [
        (ADD, bid, 2**64 - 1, 10_025, 200_000_000, 0, LAST | GAP),
        (ADD, ask, 7, 10_050, 1, 0, LAST),
        (EXECUTE, bid, 2**64 - 1, 10_025, 50_000_000, 55, LAST),
        (MODIFY, bid, 2**64 - 1, 10_025, 125_000_000, 0, LAST),
        (MODIFY, ask, 7, 10_075, 100_000_000, 0, LAST),
        (EXECUTE, ask, 7, 10_075, 100_000_000, 56, LAST),
        (DELETE, bid, 2**64 - 1, 10_025, 125_000_000, 0, LAST),
    ]
    expected_times = [START + offset for offset in (1, 1000, 2000, 4000, 6000, 7000, 9000)]
    assert records["event_ns"].tolist() == records["due_ticks"].tolist() == expected_times
    assert dict(feed.oddities.skipped) == {
        "received": 1,
        "done (not on the book)": 2,
        "change (not on the book)": 1,
        "heartbeat": 1,
        "activate": 1,
        "unknown 'something new'": 1,
    }


def test_without_a_seed_the_book_is_stale(tmp_path: Path) -> None:
    records, _, feed = read(write(tmp_path, lines(opened(5, START, A, "buy", "1", "1"))))
    assert (feed.oddities.gaps, feed.seed_source, records["flags"].tolist()) == (1, None, [LAST | GAP])
    book = ExactBook(feed.instruments)
    book.apply(records)
    assert book.state("BTC-USD") == "stale"


def test_gaps_are_told_and_repeated_sequences_left_out(tmp_path: Path) -> None:
    messages = [opened(sequence, START, order_uuid(sequence), "buy", "1", "1") for sequence in (1, 2, 5, 5, 4, 6, 9)]
    records, fault, feed = read(write(tmp_path, lines(*messages)))
    assert fault is None
    assert records["order_id"].tolist() == [1, 2, 5, 6, 9]
    assert (records["flags"] & GAP != 0).tolist() == [True, False, True, False, True]
    assert feed.oddities.gaps == 3
    assert feed.oddities.skipped == {"old sequence": 2}


def test_a_gap_is_told_by_the_next_record_that_there_is(tmp_path: Path) -> None:
    messages = [
        opened(1, START, A, "buy", "1", "1"),
        received(3, START, B, "buy", "1", "1"),
        done(4, START, B, "buy", "1", "1", "canceled"),
        opened(5, START, C, "buy", "1", "1"),
        opened(6, START, B, "buy", "1", "1"),
    ]
    records, _, feed = read(write(tmp_path, lines(*messages)))
    assert (records["flags"] & GAP != 0).tolist() == [True, True, False]
    assert feed.oddities.gaps == 2


def test_products_have_sequences_and_decimals_of_their_own(tmp_path: Path) -> None:
    messages = [
        opened(10, START, order_uuid(1), "buy", "1.5", "1", "BTC-USD"),
        opened(900, START, order_uuid(2), "buy", "0.12345", "1.5", "ETH-BTC"),
        opened(11, START, order_uuid(3), "buy", "2.5", "1", "BTC-USD"),
        opened(902, START, order_uuid(4), "buy", "0.1", "1", "ETH-BTC"),
    ]
    path = write(tmp_path, lines(*messages))
    records, fault, feed = read(path)
    assert fault is None
    assert feed.instruments == [Instrument("BTC-USD", 1, 0, 0), Instrument("ETH-BTC", 5, 8, 0)]
    assert rows(records, ("symbol", "price", "size", "flags")) == [
        (0, 15, 1, LAST | GAP),
        (1, 12_345, 150_000_000, LAST | GAP),
        (0, 25, 1, LAST),
        (1, 10_000, 100_000_000, LAST | GAP),
    ]
    records, _, feed = read(path, symbols=["ETH-BTC"])
    assert feed.instruments == [Instrument("ETH-BTC", 5, 8, 0)]
    assert records["order_id"].tolist() == [2, 4]
    assert feed.oddities.skipped == {"other symbols": 2}


# --- the seed ---------------------------------------------------------------------------------------------------------

BOOK = level3(
    100,
    [("10.5", "1", order_uuid(1)), ("10.5", "0.25", order_uuid(2)), ("10", "3", order_uuid(3))],
    [("11", "4", order_uuid(4))],
)
AFTER = lines(
    match(101, START, 9, order_uuid(1), A, "buy", "10.5", "1"),
    done(102, START, order_uuid(1), "buy", "10.5", "0", "filled"),
    done(103, START, order_uuid(4), "sell", "11", "4", "canceled"),
)
SEEDED = [
    (ADD, Side.BID, 1, 105, 100_000_000, 0, SEED),
    (ADD, Side.BID, 2, 105, 25_000_000, 0, SEED),
    (ADD, Side.BID, 3, 100, 300_000_000, 0, SEED),
    (ADD, Side.ASK, 4, 110, 400_000_000, 0, SEED | LAST),
]


@pytest.mark.parametrize("batch_size", [1, 3, 4096])
def test_seed_is_the_level_3_book_in_queue_order(tmp_path: Path, batch_size: int) -> None:
    path = write(tmp_path, AFTER)
    book = write(tmp_path, BOOK, "begin.json")
    records, fault, feed = read(path, batch_size=batch_size)
    assert fault is None
    assert (feed.seed_source, feed.oddities.gaps) == (str(book), 0)
    assert feed.instruments == [Instrument("BTC-USD", 1, 8, 0)]
    assert rows(records, SHORT) == [
        *SEEDED,
        (EXECUTE, Side.BID, 1, 105, 100_000_000, 9, LAST),
        (DELETE, Side.ASK, 4, 110, 400_000_000, 0, LAST),
    ]
    assert set(records["event_ns"].tolist()) == {START}
    exact = ExactBook(feed.instruments)
    exact.apply(records)
    assert exact.state("BTC-USD") == "synced"
    assert exact.orders("BTC-USD", 0)["order_id"].tolist() == [2, 3]
    assert exact.outcomes.unknown == 0


def test_seed_is_found_only_where_there_is_no_doubt(tmp_path: Path) -> None:
    path = write(tmp_path, AFTER)
    write(tmp_path, BOOK.replace(b": 100}", b": 99}"), "earlier.json")
    write(tmp_path, BOOK[:-20], "damaged.json")
    write(tmp_path, b"{}", "other.json")
    write(tmp_path, BOOK, "begin.txt")
    assert read(path)[2].seed_source is None
    found = write(tmp_path, gzip.compress(BOOK), "begin.json.gz")
    assert read(path)[2].seed_source == str(found)
    assert read(path, seed=False)[2].seed_source is None
    write(tmp_path, BOOK, "again.json")
    assert read(path)[2].seed_source is None
    assert read(path, seed=found)[2].seed_source == str(found)


def test_messages_that_the_seed_holds_are_left_out_and_missing_ones_are_a_gap(tmp_path: Path) -> None:
    early = lines(opened(99, START, A, "buy", "1.5", "1"), opened(100, START, B, "buy", "1", "1"))
    book = write(tmp_path, BOOK, "begin.json")
    records, _, feed = read(write(tmp_path, early + AFTER), seed=book)
    assert (feed.oddities.gaps, len(records), feed.oddities.skipped["old sequence"]) == (0, 6, 2)
    late = lines(opened(103, START, A, "buy", "1.5", "1"))
    records, _, feed = read(write(tmp_path, late), seed=str(book))
    assert (feed.oddities.gaps, records["flags"].tolist()[-1]) == (1, LAST | GAP)


def test_a_seed_of_a_product_that_is_not_asked_for_is_left_out(tmp_path: Path) -> None:
    book = write(tmp_path, BOOK, "begin.json")
    for seed in (None, book):
        records, fault, feed = read(write(tmp_path, AFTER), symbols=["ETH-USD"], seed=seed)
        assert (len(records), fault, feed.seed_source) == (0, None, None)


def test_level_3_books_may_be_printed_over_many_lines(tmp_path: Path) -> None:
    pretty = json.dumps({"sequence": 100, "auction": {"a": [1]}, **json.loads(BOOK)}, indent=2).encode()
    records, _, _ = read(write(tmp_path, AFTER), seed=write(tmp_path, pretty, "begin.json"))
    assert rows(records[:4], SHORT) == SEEDED


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"", "expected a level-3 book"),
        (b"[]", "expected a level-3 book"),
        (b'{"bids": [], "asks": []}', "expected a level-3 book"),
        (b'{"bids": [], "sequence": 1}', "expected a level-3 book"),
        (b'{"bids": {}, "asks": [], "sequence": 1}', "expected a level-3 book"),
        (BOOK[:-20], "expected a level-3 book"),
        (BOOK.rstrip()[:-1] + b', "bids": []}', "expected a level-3 book"),
        (BOOK.rstrip()[:-1] + b', "asks": []}', "expected a level-3 book"),
        (BOOK.rstrip()[:-1] + b', "sequence": 2}', "expected a level-3 book"),
        (BOOK + b"x", "expected a level-3 book"),
        (BOOK.replace(b'"10"', b"10"), "expected a number in a string"),
        (BOOK.replace(b'"10"', b'"1o"'), "expected a number in a string"),
        (BOOK.replace(b'"3"', b'"0"'), "expected a size above 0"),
        (BOOK.replace(b'"3"', b'"99999999999999999999"'), "fits 64 bits"),
        (BOOK.replace(order_uuid(3).encode(), b"nobody"), "expected a UUID or a number"),
        (BOOK.replace(order_uuid(3).encode(), order_uuid(2).encode()), "ids begin with 0000000000000002"),
    ],
)  # fmt: skip
def test_a_damaged_seed_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    seed = write(tmp_path, content, "begin.json")
    with pytest.raises(FeedError, match=problem) as raised:
        CoinbaseFeed(write(tmp_path, AFTER), seed=seed)
    assert raised.value.file == seed


# --- damage -----------------------------------------------------------------------------------------------------------


def test_two_live_orders_with_one_id_are_refused(tmp_path: Path) -> None:
    twin = order_uuid(7)[:-1] + "0"
    assert twin != B
    first = opened(1, START, B, "buy", "1", "1")
    for second in (
        opened(2, START, B, "buy", "1", "1"),
        opened(2, START, twin, "buy", "1", "1"),
        match(2, START, 1, twin, A, "buy", "1", "1"),
    ):
        records, fault, _ = read(write(tmp_path, lines(first, second)))
        assert len(records) == 1
        assert fault is not None
        assert fault.line == 2
        assert "an order whose first 8 bytes no live order has" in fault.problem
    # what never came to the book may share them
    records, fault, _ = read(write(tmp_path, lines(first, done(2, START, twin, "buy", "1", "1", "canceled"))))
    assert (len(records), fault) == (1, None)
    again = lines(first, done(2, START, B, "buy", "1", "1", "canceled"), opened(3, START, twin, "buy", "1", "1"))
    assert read(write(tmp_path, again))[1] is None


GOOD = opened(1, START, A, "buy", "1.25", "1.5")


def without(message: Any, member: str) -> Any:
    return {name: value for name, value in message.items() if name != member}


@pytest.mark.parametrize(
    "line, found, expected",
    [
        (b"", "the end of the line at column 1", "JSON"),
        (b"[]", "at column 1", "JSON"),
        (b'{"type": "open", }', "at column 18", "JSON"),
        (lines(GOOD)[:-10], "the end of the line at column", "JSON"),
        (lines(GOOD)[:-1] + b" 1", "'1' behind the message", "the end of the line"),
        (lines({"typ": "open"})[:-1], "found no type", "expected it in"),
        (lines({"type": 5})[:-1], "'5' as type", "a string"),
        *((lines(without(GOOD, name))[:-1], f"found no {name}", "expected it in") for name in coinbase.opened(
            2, START, A, "buy", "1", "1") if name != "type"),
        (lines({**GOOD, "product_id": 7})[:-1], "'7' as product_id", "a string"),
        (lines({**GOOD, "product_id": ""})[:-1], "the symbol ''", "printable ASCII"),
        (lines({**GOOD, "sequence": "x"})[:-1], "as sequence", "a number"),
        (lines({**GOOD, "sequence": 2**63})[:-1], "as sequence", "fits 64 bits"),
        (lines({**GOOD, "time": "2018-02-30T00:00:00Z"})[:-1], "as time", "a time like"),
        (lines({**GOOD, "time": "2018-07-13 20:47:11Z"})[:-1], "as time", "a time like"),
        (lines({**GOOD, "time": 15})[:-1], "as time", "a time like"),
        (lines({**GOOD, "side": "bid"})[:-1], "as side", "buy or sell"),
        (lines({**GOOD, "price": None})[:-1], "'null' as price", "a number"),
        (lines({**GOOD, "price": "1,5"})[:-1], "as price", "a number"),
        (lines({**GOOD, "price": "1" * 20})[:-1], "as price", "fits 64 bits"),
        (lines({**GOOD, "remaining_size": "0"})[:-1], "as remaining_size", "a size above 0"),
        (lines({**GOOD, "remaining_size": "-1"})[:-1], "as remaining_size", "a size above 0"),
        (lines({**GOOD, "order_id": "nobody"})[:-1], "as order_id", "a UUID or a number"),
        (lines({**GOOD, "order_id": 5})[:-1], "as order_id", "a UUID or a number"),
        (b"\xff\xfe{}", "'\\xff\\xfe{'", "JSON"),
    ],
)  # fmt: skip
def test_a_damaged_message_is_refused_with_its_line_and_after_all_before_it(
    tmp_path: Path, line: bytes, found: str, expected: str
) -> None:
    before = [opened(index + 100, START, order_uuid(index + 1), "buy", "1.25", "1.5") for index in range(9)]
    line = line.replace(b'"sequence": 1,', b'"sequence": 109,')
    records, fault, _ = read(write(tmp_path, lines(*before) + line + b"\n" + lines(GOOD)), batch_size=4)
    assert len(records) == 9
    assert fault is not None
    assert fault.line == 10
    assert found in fault.problem
    assert expected in fault.problem


def test_a_finer_price_than_the_rule_allows_is_refused(tmp_path: Path) -> None:
    filler = lines({"type": "heartbeat", "padding": "x" * 4_500_000}) * 2
    content = lines(GOOD) + filler + lines(opened(2, START, B, "buy", "1.255", "1"))
    records, fault, feed = read(write(tmp_path, content))
    assert (len(records), feed.oddities.skipped["heartbeat"]) == (1, 2)
    assert fault is not None
    assert fault.line == 4
    assert "as price, expected at most 2 decimals" in fault.problem


def test_files_without_messages(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="found an empty file"):
        CoinbaseFeed(write(tmp_path, b""))
    records, fault, feed = read(write(tmp_path, lines({"type": "subscriptions"})))
    assert (len(records), fault, feed.instruments, dict(feed.oddities.skipped)) == (0, None, [], {"subscriptions": 1})
    with pytest.raises(FeedError, match="names the product of the seed"):
        CoinbaseFeed(write(tmp_path, lines({"type": "subscriptions"})), seed=write(tmp_path, BOOK, "b.json"))


# --- round trips ------------------------------------------------------------------------------------------------------


def session(seed: int, steps: int) -> tuple[list[Any], list[tuple[int, ...]], set[str]]:
    """A random session: its messages, the records that they must become, and the orders that are left."""
    rng = random.Random(seed)
    live: dict[int, tuple[str, int, int]] = {}
    messages: list[Any] = []
    records: list[tuple[int, ...]] = []
    sequence, flag = 0, GAP
    for step in range(steps):
        sequence += 1
        if rng.random() < 0.05:
            sequence += rng.randint(1, 5)
            flag = GAP
        at = START + step * 1000
        kind = rng.choice(["open", "open", "match", "done", "change", "other"])
        number = rng.choice(list(live)) if live else 0
        if kind == "open" or (not live and kind != "other"):
            number, side = rng.getrandbits(64) | 1, rng.choice(["buy", "sell"])
            price, size = rng.randint(1, 10**6), rng.randint(1, 10**12)
            live[number] = (side, price, size)
            texts = (f"{price // 100}.{price % 100:02d}", f"{size // 10**8}.{size % 10**8:08d}")
            messages.append(opened(sequence, at, order_uuid(number), side, *texts))
            records.append((ADD, side == "sell", number, price, size, 0, LAST | flag))
        elif kind == "other":
            messages.append(received(sequence, at, order_uuid(rng.getrandbits(60)), "buy", "1.00", "1.00000000"))
            continue
        else:
            side, price, left = live[number]
            ask, price_text = side == "sell", f"{price // 100}.{price % 100:02d}"
            if kind == "match":
                size = rng.choice([left, rng.randint(1, left)])
                text = f"{size // 10**8}.{size % 10**8:08d}"
                messages.append(match(sequence, at, step, order_uuid(number), A, side, price_text, text))
                records.append((EXECUTE, ask, number, price, size, step, LAST | flag))
            elif kind == "done":
                size = left
                messages.append(done(sequence, at, order_uuid(number), side, price_text, "0", "canceled"))
                records.append((DELETE, ask, number, price, left, 0, LAST | flag))
            else:
                size = left - rng.randint(1, left)
                text = f"{size // 10**8}.{size % 10**8:08d}"
                messages.append(change(sequence, at, order_uuid(number), side, price_text, text))
                records.append((MODIFY, ask, number, price, size, 0, LAST | flag))
                size = left - size
            live[number] = (side, price, left - size)
            if live[number][2] == 0:
                del live[number]
        flag = 0
    return messages, records, {order_uuid(number) for number in live}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 60), batch_size=st.integers(1, 50), sort_keys=st.booleans())
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: int, batch_size: int, sort_keys: bool
) -> None:
    messages, expected, left = session(seed, steps)
    path = write(tmp_path_factory.mktemp("trip"), lines(*messages, sort_keys=sort_keys))
    records, fault, feed = read(path, batch_size=batch_size)
    assert fault is None
    if expected:
        assert feed.instruments == [Instrument("BTC-USD", 2, 8, 0)]
    assert rows(records, SHORT) == expected
    book = ExactBook(feed.instruments)
    book.apply(records)
    orders = [int(number) for side in (0, 1) if expected for number in book.orders(0, side)["order_id"]]
    assert {order_uuid(number) for number in orders} == left
    assert book.outcomes.unknown == 0


def test_many_live_orders_make_the_table_grow(tmp_path: Path) -> None:
    numbers = [index * 2**40 + 3 for index in range(1, 12_001)]
    adds = [opened(index, START, order_uuid(number), "buy", "1", "1") for index, number in enumerate(numbers, 1)]
    gone = numbers[::3] + numbers[1::3]
    ends = [
        done(index, START, order_uuid(number), "buy", "1", "1", "canceled") for index, number in enumerate(gone, 12_001)
    ]
    again = [
        done(index, START, order_uuid(number), "buy", "1", "1", "canceled") for index, number in enumerate(gone, 20_001)
    ]
    records, fault, feed = read(write(tmp_path, lines(*adds, *ends, *again)))
    assert fault is None
    assert records["order_id"].tolist() == numbers + gone
    assert feed.oddities.skipped == {"done (not on the book)": len(gone)}


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_damaged_file_gives_nothing_but_feed_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    messages, _, _ = session(data.draw(st.integers(0, 1000)), 8)
    folder = tmp_path_factory.mktemp("damage")
    only_feed_errors(write(folder, data.draw(damaged(lines(*messages)))), "coinbase")


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_damaged_book_gives_nothing_but_feed_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    seed = write(folder, data.draw(damaged(BOOK)), "begin.json")
    path = write(folder, AFTER)
    refused: FeedError | None = None
    try:
        records, fault, _ = read(path, seed=seed)
    except FeedError as error:
        refused = error
    if refused is None:
        assert fault is None or fault.line is not None
        assert len(records) > 0 or fault is not None
    else:
        assert refused.file == seed


# --- recorded ---------------------------------------------------------------------------------------------------------

MESSAGES = "btcusd_2018-07-13_messages_first20001.jsonl.xz"


def test_recorded_messages_end_in_the_recorded_book() -> None:
    feed = open_feed(recorded("coinbase_l3", MESSAGES), batch_size=1 << 17)
    assert feed.seed_source == str(recorded("coinbase_l3", "btcusd_2018-07-13_begin_level3.json.xz"))
    assert feed.instruments == [Instrument("BTC-USD", 2, 8, 0)]
    records, fault = drained(feed)
    assert (fault, feed.oddities.gaps, feed.oddities.time_back) == (None, 0, 0)
    assert feed.oddities.skipped["received"] == 6640
    seeds = int((records["flags"] & SEED != 0).sum())
    counts = np.bincount(records["action"], minlength=12)
    assert (seeds, counts[ADD], counts[EXECUTE]) == (23_265 + 43_546, seeds + 6420, 307)
    assert counts[DELETE] + feed.oddities.skipped["done (not on the book)"] == 6634
    book = ExactBook(feed.instruments)
    book.apply(records[:seeds])
    begin, in_front = seeds, 0
    for index in np.flatnonzero(records["action"] == EXECUTE).tolist():
        book.apply(records[begin:index])
        begin = index
        execution = records[index]
        price = book.best("BTC-USD")[0 if execution["side"] == Side.BID else 2]
        front = book.orders("BTC-USD", int(execution["side"]))[0]
        in_front += (front["order_id"], front["price"], price) == (execution["order_id"], price, execution["price"])
    assert in_front == 307
    book.apply(records[begin:])
    path = recorded("coinbase_l3", "btcusd_2018-07-13_level3_after20001.json.xz")
    truth = json.loads(lzma.decompress(path.read_bytes()))
    for side, name in enumerate(("bids", "asks")):
        ours = book.orders("BTC-USD", side)
        theirs = [(int(number[:18].replace("-", ""), 16), units(price, 2), units(size, 8))
                  for price, size, number in truth[name]]  # fmt: skip
        assert list(zip(*(ours[field].tolist() for field in ("order_id", "price", "size")), strict=True)) == theirs
    assert (len(truth["bids"]), len(truth["asks"])) == (23_246, 43_572)
    outcomes = book.outcomes
    assert (outcomes.unknown, outcomes.duplicate, outcomes.negative_remainder, outcomes.crossed) == (0, 0, 0, 0)
    assert book.state("BTC-USD") == "synced"
