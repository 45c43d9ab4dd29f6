"""LOBSTER: what each row becomes, the seed, what is refused and where, and the recorded days against their truth."""

from __future__ import annotations

import gzip
import lzma
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.encoders.lobster import Event, message_file, orderbook
from tests.recorded import recorded
from tests.text_feeds import damaged, drained, only_feed_errors, rows
from velox_engine.books.exact import ExactBook
from velox_engine.errors import FeedError
from velox_engine.feeds.base import TimeBase
from velox_engine.feeds.lobster import LobsterFeed
from velox_engine.feeds.opening import open_feed
from velox_engine.records import TRANSACTION, Action, Flags, Instrument, Side, Transactions

STEM = "AMZN_2012-06-21_34200000_57600000_message_5"
BOOK = STEM.replace("message", "orderbook")
LAST = int(Flags.LAST)
SEED = int(Flags.SNAPSHOT)
SHORT = ("action", "side", "order_id", "price", "size")
FIRST = Event(34_200_017_459_617, 1, 5, 18, 1000, 1)


def write(folder: Path, content: bytes | str, name: str = f"{STEM}.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, **options: Any) -> tuple[Transactions, FeedError | None]:
    return drained(LobsterFeed(path, **options))


def test_each_type_becomes_the_record_that_its_rule_says(tmp_path: Path) -> None:
    time = 34_200_000_000_000
    path = write(
        tmp_path,
        message_file(
            [
                Event(time, 1, 11, 18, 5_853_300, 1),
                Event(time + 1, 1, 12, 19, 5_853_400, -1),
                Event(time + 10, 2, 11, 3, 5_853_300, 1),
                Event(time + 100_000_000, 3, 12, 19, 5_853_400, -1),
                Event(time + 100_000_001, 4, 11, 5, 5_853_300, 1),
                Event(time + 100_000_002, 5, 0, 7, 5_853_350, -1),
                Event(time + 100_000_003, 6, 0, 8, 5_853_360, 1),
                Event(time + 999_999_999, 7, 0, 0, -1, -1),
            ]
        ),
    )
    records, fault = read(path)
    bid, ask, none = Side.BID, Side.ASK, Side.NONE
    expected = [
        (Action.ADD, bid, 11, 5_853_300, 18, 0, time),
        (Action.ADD, ask, 12, 5_853_400, 19, 0, time + 1),
        (Action.CANCEL, bid, 11, 5_853_300, 3, 0, time + 10),
        (Action.DELETE, ask, 12, 5_853_400, 19, 0, time + 100_000_000),
        (Action.EXECUTE, bid, 11, 5_853_300, 5, 0, time + 100_000_001),
        (Action.TRADE, bid, 0, 5_853_350, 7, 0, time + 100_000_002),  # a hidden sell order: a buyer came
        (Action.TRADE, none, 0, 5_853_360, 8, 0, time + 100_000_003),
        (Action.STATUS, none, 0, -1, 0, 0, time + 999_999_999),
    ]
    assert fault is None
    assert rows(records) == [(*row, row[-1], 0, LAST) for row in expected]


def test_name_tells_symbol_date_and_window(tmp_path: Path) -> None:
    feed = open_feed(write(tmp_path, message_file([FIRST])))
    assert isinstance(feed, LobsterFeed)
    assert feed.instruments == [Instrument("AMZN", 4, 0, 100)]
    assert feed.time_base == TimeBase("midnight", "2012-06-21", "America/New_York", "event time")
    assert (feed.windowed, feed.priced, feed.level, feed.seed_source) == (True, True, 5, None)
    feed.close()


EVENTS = st.builds(
    Event,
    time=st.integers(0, 86_399_999_999_999),
    kind=st.integers(1, 6),
    order_id=st.integers(0, 2**63 - 1),
    size=st.integers(0, 2**63 - 1),
    price=st.integers(-(2**63) + 1, 2**63 - 1),
    direction=st.sampled_from([1, -1]),
)


@settings(max_examples=60, deadline=None)
@given(
    events=st.lists(EVENTS, min_size=1, max_size=40),
    batch_size=st.integers(1, 50),
    ending=st.sampled_from([b"\n", b"\r\n"]),
    whole=st.booleans(),
)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], batch_size: int, ending: bytes, whole: bool
) -> None:
    content = message_file(events).replace(b"\n", ending)
    path = write(tmp_path_factory.mktemp("trip"), content if whole else content.removesuffix(ending))
    feed = LobsterFeed(path, batch_size=batch_size)
    records, fault = drained(feed)
    actions = [0, Action.ADD, Action.CANCEL, Action.DELETE, Action.EXECUTE, Action.TRADE, Action.TRADE]
    assert fault is None
    assert rows(records, ("action", "order_id", "size", "price", "event_ns")) == [
        (actions[event.kind], event.order_id, event.size, event.price, event.time) for event in events
    ]
    back = sum(later.time < event.time for event, later in pairwise(events))
    assert feed.oddities.time_back == back


def test_time_digits_beyond_the_ninth_are_cut_off(tmp_path: Path) -> None:
    records, fault = read(write(tmp_path, "35821.088778456004,3,44276101,100,5851500,1\n35822,1,2,1,1,1\n"))
    assert fault is None
    assert records["event_ns"].tolist() == [35_821_088_778_456, 35_822_000_000_000]


@pytest.mark.parametrize(
    "row, found, expected",
    [
        ("", "column 1 (time)", "a number"),
        ("34200.5", "column 1 (time)", "a number"),
        ("x,1,2,3,4,1", "'x' in column 1 (time)", "a number"),
        ("-1.5,1,2,3,4,1", "'-1.5' in column 1 (time)", "a number"),
        ("1.,1,2,3,4,1", "'1.' in column 1 (time)", "a number"),
        ("9999999999999,1,2,3,4,1", "column 1 (time)", "a number that fits 64 bits"),
        ("1,0,2,3,4,1", "'0' in column 2 (type)", "an event type from 1 to 7"),
        ("1,8,2,3,4,1", "'8' in column 2 (type)", "an event type from 1 to 7"),
        ("1,one,2,3,4,1", "'one' in column 2 (type)", "an event type from 1 to 7"),
        ("1,1,-2,3,4,1", "'-2' in column 3 (order id)", "a number that is not negative"),
        ("1,1,2,,4,1", "nothing in column 4 (size)", "a whole number"),
        ("1,1,2,3.5,4,1", "'3.5' in column 4 (size)", "a whole number"),
        ("1,1,2,-3,4,1", "'-3' in column 4 (size)", "a number that is not negative"),
        ("1,1,2,3,9223372036854775808,1", "column 5 (price)", "a number that fits 64 bits"),
        ("1,1,2,3,1e3,1", "'1e3' in column 5 (price)", "a whole number"),
        ("1,1,2,3,4", "'4' in column 5 (price)", "a whole number"),
        ("1,1,2,3,4,", "the end of the line in column 6 (direction)", "1 or -1"),
        ("1,1,2,3,4,0", "'0' in column 6 (direction)", "1 or -1"),
        ("1,1,2,3,4,1,9", "after column 6 (direction)", "the end of the line"),
        ("1,1,2,3,4,1 ", "after column 6 (direction)", "the end of the line"),
    ],
)
def test_a_damaged_row_is_refused_with_its_line_and_after_all_before_it(
    tmp_path: Path, row: str, found: str, expected: str
) -> None:
    path = write(tmp_path, message_file([FIRST] * 10) + row.encode() + b"\n" + message_file([FIRST]))
    records, fault = read(path, batch_size=4)
    assert len(records) == 10
    assert fault is not None
    assert (fault.file, fault.line) == (path, 11)
    assert found in fault.problem
    assert expected in fault.problem.partition("expected")[2]


def test_a_last_row_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    content = message_file([FIRST] * 3)
    records, fault = read(write(tmp_path, content[:-4]))
    assert len(records) == 2
    assert fault is not None
    assert fault.line == 3


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="found an empty file"):
        LobsterFeed(write(tmp_path, b""))


def test_a_damaged_stream_gives_all_whole_rows_before_it(tmp_path: Path) -> None:
    events = [Event(34_200_000_000_000 + i, 1, i + 1, 1, 1000 + i % 7, 1) for i in range(20_000)]
    packed = gzip.compress(message_file(events))
    records, fault = read(write(tmp_path, packed[: len(packed) * 3 // 4], f"{STEM}.csv.gz"))
    assert fault is not None
    assert "damaged gzip stream" in fault.problem
    assert 10_000 < len(records) < 20_000
    assert records["order_id"].tolist() == list(range(1, len(records) + 1))


def test_names_of_no_message_file_are_refused(tmp_path: Path) -> None:
    content = message_file([FIRST])
    for name in ("orders.csv", f"{BOOK}.csv"):
        with pytest.raises(FeedError, match="expected the name of a message file"):
            open_feed(write(tmp_path, content, name), "lobster")
    with pytest.raises(FeedError, match="expected the name of a message file"):
        open_feed(tmp_path / f"{BOOK}.csv")


def test_symbols_that_are_not_asked_for_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, message_file([FIRST] * 3))
    write(tmp_path, orderbook([(1000, 18)], [], 5), f"{BOOK}.csv")
    feed = LobsterFeed(path, symbols=["AAPL"])
    records, fault = drained(feed)
    assert (len(records), fault, feed.instruments, feed.seed_source) == (0, None, [], None)
    assert feed.oddities.skipped == {"other symbols": 3}


def test_a_feed_is_read_once(tmp_path: Path) -> None:
    feed = LobsterFeed(write(tmp_path, message_file([FIRST])))
    assert len(drained(feed)[0]) == 1
    with pytest.raises(FeedError, match="read already"):
        next(iter(feed))


# --- the seed ---------------------------------------------------------------------------------------------------------


def seeded(records: Transactions) -> list[tuple[int, ...]]:
    """(side, price, size) of the seed's records."""
    seed = records[records["flags"] & SEED != 0]
    assert (seed["action"] == Action.LEVEL).all()
    assert (records[: len(seed)] == seed).all()
    assert seed["flags"].tolist() == [SEED] * (len(seed) - 1) + [SEED | LAST] * min(len(seed), 1)
    return rows(seed, ("side", "price", "size"))


BIDS, ASKS = [(1000, 50), (900, 30)], [(1100, 40), (1200, 20)]


@pytest.mark.parametrize(
    "event, changed",
    [
        (Event(7, 1, 5, 18, 1000, 1), {(0, 1000): 32}),
        (Event(7, 1, 5, 50, 1000, 1), {(0, 1000): None}),
        (Event(7, 1, 5, 20, 1200, -1), {(1, 1200): None}),
        (Event(7, 1, 5, 99, 800, 1), {}),  # beyond the row's levels: there is nothing to take back
        (Event(7, 2, 5, 7, 1100, -1), {(1, 1100): 47}),
        (Event(7, 3, 5, 7, 1050, 1), {(0, 1050): 7}),  # it took the best level away
        (Event(7, 4, 5, 7, 1010, -1), {(1, 1010): 7}),
        (Event(7, 3, 5, 7, 950, 1), {(0, 950): 7}),
        (Event(7, 3, 5, 7, 1300, -1), {}),
        (Event(7, 5, 0, 7, 1050, 1), {}),
        (Event(7, 7, 0, 0, -1, -1), {}),
    ],
)
def test_seed_is_row_0_less_message_0(tmp_path: Path, event: Event, changed: dict[tuple[int, int], int | None]) -> None:
    path = write(tmp_path, message_file([event]))
    book = write(tmp_path, orderbook(BIDS, ASKS, 2) + "\n", f"{BOOK}.csv")
    feed = LobsterFeed(path)
    records, fault = drained(feed)
    levels: dict[tuple[int, int], int | None] = {(0, p): s for p, s in BIDS} | {(1, p): s for p, s in ASKS}
    levels |= changed
    expected = sorted((side, -price if side == 0 else price) for (side, price), size in levels.items() if size)
    assert fault is None
    assert [(side, -price if side == 0 else price) for side, price, _ in seeded(records)] == expected
    assert {(side, price): size for side, price, size in seeded(records)} == {k: v for k, v in levels.items() if v}
    assert feed.seed_source == str(book)
    assert set(records["event_ns"].tolist()) == {7}
    assert len(records) == len(expected) + 1


def test_levels_that_are_empty_are_no_levels(tmp_path: Path) -> None:
    path = write(tmp_path, message_file([Event(7, 3, 5, 7, 500, 1)]))
    write(tmp_path, orderbook([(1000, 5)], [], 3), f"{BOOK}.csv")
    # the row shows all of the side, so the deleted order was below its last level
    assert seeded(read(path)[0]) == [(0, 1000, 5), (0, 500, 7)]


@pytest.mark.parametrize("suffix, pack", [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)])
def test_seed_is_found_in_any_compression(tmp_path: Path, suffix: str, pack: Any) -> None:
    path = write(tmp_path, message_file([FIRST]), f"{STEM}.first9.csv")
    book = write(tmp_path, pack(orderbook(BIDS, ASKS, 2).encode()), f"{BOOK}.first9.csv{suffix}")
    feed = LobsterFeed(path, batch_size=1)
    assert feed.seed_source == str(book)
    assert seeded(drained(feed)[0]) == [(0, 1000, 32), (0, 900, 30), (1, 1100, 40), (1, 1200, 20)]


def test_seed_can_be_refused_or_given(tmp_path: Path) -> None:
    path = write(tmp_path, message_file([FIRST]))
    write(tmp_path, orderbook(BIDS, ASKS, 2), f"{BOOK}.csv")
    other = write(tmp_path, orderbook([(1000, 20)], [], 1), "AMZN_2012-06-21_34200000_37800000_orderbook_1.csv")
    assert seeded(read(path, seed=False)[0]) == []
    without = LobsterFeed(path, seed=False)
    assert (without.seed_source, len(drained(without)[0])) == (None, 1)
    assert seeded(read(path, seed=other)[0]) == [(0, 1000, 2)]
    assert seeded(read(path, seed=str(other))[0]) == [(0, 1000, 2)]


def test_given_seed_takes_back_the_message_of_its_own_file(tmp_path: Path) -> None:
    """A file of more levels may begin before the first message of the file that the seed belongs to."""
    path = write(tmp_path, message_file([Event(7, 1, 1, 5, 100, 1), FIRST]))
    write(tmp_path, message_file([FIRST]), "AMZN_2012-06-21_34200000_57600000_message_2.csv")
    book = write(tmp_path, orderbook(BIDS, ASKS, 2), "AMZN_2012-06-21_34200000_57600000_orderbook_2.csv")
    assert seeded(read(path, seed=book)[0])[0] == (0, 1000, 32)


@pytest.mark.parametrize(
    "name, content, problem",
    [
        ("AAPL_2012-06-21_34200000_57600000_orderbook_1.csv", orderbook(BIDS, ASKS, 2), "symbol AAPL"),
        ("AMZN_2012-06-22_34200000_57600000_orderbook_1.csv", orderbook(BIDS, ASKS, 2), "date 2012-06-22"),
        ("AMZN_2012-06-21_34200001_57600000_orderbook_1.csv", orderbook(BIDS, ASKS, 2), "start 34200001"),
        ("AMZN_2012-06-21_34200000_57600000_message_1.csv", orderbook(BIDS, ASKS, 2), "found a message file"),
        ("book.csv", "1,2,3\n", "found 3 columns"),
        ("book.csv", "1,2,3,x\n", "expected whole numbers"),
        ("book.csv", "1100,-2,1000,3\n", "expected a size above 0"),
        ("book.csv", orderbook([(1000, 17)], [], 1), "expected at least the 18 of message 0"),
        ("book.csv", orderbook([(999, 17)], [], 1), "expected at least the 18 of message 0"),
        ("book.csv", "", "empty file"),
    ],
)
def test_a_seed_that_does_not_fit_is_refused(tmp_path: Path, name: str, content: str, problem: str) -> None:
    seed = write(tmp_path, content, name)
    with pytest.raises(FeedError, match=problem) as raised:
        LobsterFeed(write(tmp_path, message_file([FIRST])), seed=seed)
    assert raised.value.file == seed


def test_a_damaged_first_row_is_told_when_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "1,1,2,3,4\n")
    write(tmp_path, orderbook(BIDS, ASKS, 2), f"{BOOK}.csv")
    records, fault = read(path)
    assert len(records) == 4
    assert fault is not None
    assert fault.line == 1


# --- anything at all --------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_damaged_file_gives_nothing_but_feed_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = message_file(data.draw(st.lists(EVENTS, min_size=1, max_size=12)))
    path = write(tmp_path_factory.mktemp("damage"), data.draw(damaged(whole)))
    only_feed_errors(path, "lobster")


# --- recorded ---------------------------------------------------------------------------------------------------------

AAPL_50 = "AAPL_2012-06-21_34200000_37800000_message_50.csv.gz"
AAPL_10 = "AAPL_2012-06-21_34200000_57600000_{}_10.first999.csv.gz"


def lines_of(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def test_recorded_rows_are_read_as_they_stand() -> None:
    feed = open_feed(recorded("lobster", "AMZN_2012-06-21_34200000_57600000_message_1.csv.gz"), seed=False)
    records, fault = drained(feed)
    counts = np.bincount(records["action"], minlength=12)
    assert fault is None
    assert counts[[Action.ADD, Action.CANCEL, Action.DELETE, Action.EXECUTE, Action.TRADE]].tolist() == [
        27_845, 16, 18_235, 8_974, 2_445,
    ]  # fmt: skip
    assert (records["event_ns"][0], records["event_ns"][-1]) == (34_200_017_459_617, 57_599_959_359_650)


def test_recorded_level_50_from_level_10_seed_gives_all_ten_levels_in_999_of_999_rows() -> None:
    feed = open_feed(
        recorded("lobster", AAPL_50), seed=recorded("lobster", AAPL_10.format("orderbook")), batch_size=100_000
    )
    assert feed.instruments == [Instrument("AAPL", 4, 0, 100)]
    records, fault = drained(feed)
    assert fault is None
    seed = records[records["flags"] & SEED != 0]
    flow = records[len(seed) :]
    assert len(flow) == 91_997
    ours, theirs = lines_of(recorded("lobster", AAPL_50)), lines_of(recorded("lobster", AAPL_10.format("message")))
    truth = lines_of(recorded("lobster", AAPL_10.format("orderbook")))
    book = ExactBook(feed.instruments, windowed=True)
    book.apply(seed)
    equal = row = 0
    for index in range(1267):
        book.apply(flow[index : index + 1])
        if ours[index] == theirs[row]:
            bids, asks = book.depth("AAPL", 10)
            as_levels = [[(int(level["price"]), int(level["size"])) for level in side] for side in (bids, asks)]
            equal += orderbook(as_levels[0], as_levels[1], 10) == truth[row]
            row += 1
    assert (row, equal) == (999, 999)
    assert book.state("AAPL") == "windowed"
    assert book.outcomes.negative_remainder == 0


def test_recorded_amzn_steps_from_row_to_row_in_55070_of_55070_messages() -> None:
    """Each visible message is applied to a book of its own, which holds the row before it."""
    feed = open_feed(recorded("lobster", "AMZN_2012-06-21_34200000_57600000_message_1.csv.gz"), batch_size=1 << 17)
    assert feed.seed_source is not None
    flow = drained(feed)[0]
    flow = flow[flow["flags"] & SEED == 0]
    name = "AMZN_2012-06-21_34200000_57600000_orderbook_1.csv.gz"
    table = np.array([line.split(",") for line in lines_of(recorded("lobster", name))], np.int64)
    assert len(flow) == len(table) == 57_515
    visible = np.flatnonzero(flow["action"] != Action.TRADE)
    assert visible[0] > 0  # every one of them has a row before it
    before = np.zeros((len(visible), 2), TRANSACTION)
    before["action"], before["flags"] = Action.LEVEL, SEED
    before["side"] = [Side.ASK, Side.BID]
    before["price"], before["size"] = table[visible - 1][:, [0, 2]], table[visible - 1][:, [1, 3]]
    messages = flow[visible]
    messages["symbol"] = np.arange(len(visible))
    before["symbol"] = messages["symbol"][:, None]
    book = ExactBook([Instrument(str(index)) for index in range(len(visible))], orders=1 << 18)
    book.apply(before.reshape(-1))
    book.apply(messages)
    equal = 0
    for index, (price, side, row) in enumerate(
        zip(messages["price"].tolist(), messages["side"].tolist(), table[visible].tolist(), strict=True)
    ):
        shown = row[0:2] if side == Side.ASK else row[2:4]
        size = shown[1] if shown[0] == price else 0
        best = book.best(index)[2 * side : 2 * side + 2]
        if best[0] == price:
            equal += best[1] == size
        else:
            levels = book.depth(index, 3)[side]
            equal += levels["size"][levels["price"] == price].sum() == size
    assert (len(visible), equal) == (55_070, 55_070)
