"""Tardis CSV: what each row becomes, where messages end, what is refused, and the recorded minutes against quotes."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.encoders.tardis import BOOK_HEADER, TRADES_HEADER, Level, Trade, book_file, trades_file, units
from tests.recorded import recorded
from tests.text_feeds import damaged, drained, only_feed_errors, rows
from velox_engine.books.exact import ExactBook
from velox_engine.errors import FeedError
from velox_engine.feeds.base import TimeBase
from velox_engine.feeds.opening import open_feed
from velox_engine.feeds.tardis import TardisFeed
from velox_engine.records import Action, Flags, Instrument, Side, Transactions

LAST, SEED, GAP = int(Flags.LAST), int(Flags.SNAPSHOT), int(Flags.GAP)
SHORT = ("action", "side", "price", "size", "flags")
LEVEL, CLEAR, TRADE = int(Action.LEVEL), int(Action.CLEAR), int(Action.TRADE)
NONE = int(Side.NONE)


def write(folder: Path, content: bytes, name: str = "book.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read(path: Path, **options: Any) -> tuple[Transactions, FeedError | None, TardisFeed]:
    feed = TardisFeed(path, **options)
    return *drained(feed), feed


def level(
    local: int, side: str, price: str, amount: str, *, snapshot: bool = False, symbol: str = "BTCUSDT", time: int = 5
) -> Level:
    return Level(symbol, time, local, snapshot, side, price, amount)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4096])
def test_rows_become_levels_and_messages_end_where_the_receive_time_changes(tmp_path: Path, batch_size: int) -> None:
    path = write(
        tmp_path,
        book_file(
            [
                level(10, "bid", "100.5", "2", snapshot=True),
                level(10, "ask", "101", "1.25", snapshot=True),
                level(10, "ask", "102", "0.5"),
                level(11, "bid", "100.5", "0"),
                level(11, "bid", "100", "3", time=7),
                level(12, "ask", "-0.5", "1"),
                level(12, "ask", "99.5", "4", snapshot=True),
                level(12, "bid", "99", "0", snapshot=True),
            ]
        ),
    )
    records, fault, feed = read(path, batch_size=batch_size)
    assert fault is None
    assert feed.instruments == [Instrument("BTCUSDT", 1, 8, 0)]
    assert feed.time_base == TimeBase("unix", paced_by="receive time (local_timestamp)")
    assert rows(records, SHORT) == [
        (LEVEL, 0, 1005, 200_000_000, SEED),
        (LEVEL, 1, 1010, 125_000_000, SEED),
        (LEVEL, 1, 1020, 50_000_000, LAST),
        (LEVEL, 0, 1005, 0, 0),
        (LEVEL, 0, 1000, 300_000_000, LAST),
        (LEVEL, 1, -5, 100_000_000, LAST),
        (CLEAR, NONE, 0, 0, SEED),
        (LEVEL, 1, 995, 400_000_000, SEED),
        (LEVEL, 0, 990, 0, SEED | LAST),
    ]
    assert records["event_ns"].tolist() == [5000, 5000, 5000, 5000, 7000, 5000, 5000, 5000, 5000]
    assert records["due_ticks"].tolist() == [10_000] * 3 + [11_000] * 2 + [12_000] * 4
    assert (feed.oddities.gaps, feed.oddities.time_back, dict(feed.oddities.skipped)) == (0, 0, {})


def test_symbols_have_decimals_snapshots_and_messages_of_their_own(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        book_file(
            [
                level(1, "bid", "100.25", "2", snapshot=True, symbol="A-1"),
                level(1, "bid", "7", "30", snapshot=True, symbol="B"),
                level(2, "bid", "7", "40", symbol="B"),
                level(2, "ask", "100.5", "0.125", symbol="A-1"),
                level(3, "ask", "8", "10", snapshot=True, symbol="B"),
                level(3, "ask", "101.5", "1", symbol="A-1"),
            ]
        ),
    )
    records, fault, feed = read(path)
    assert fault is None
    assert feed.instruments == [Instrument("A-1", 2, 8, 0), Instrument("B", 0, 0, 0)]
    assert rows(records, ("symbol", *SHORT)) == [
        (0, LEVEL, 0, 10_025, 200_000_000, SEED | LAST),
        (1, LEVEL, 0, 7, 30, SEED | LAST),
        (1, LEVEL, 0, 7, 40, LAST),
        (0, LEVEL, 1, 10_050, 12_500_000, LAST),
        (1, CLEAR, NONE, 0, 0, SEED),
        (1, LEVEL, 1, 8, 10, SEED | LAST),
        (0, LEVEL, 1, 10_150, 100_000_000, LAST),
    ]
    only_b, fault, feed = read(path, symbols=["B", "C"])
    assert fault is None
    assert feed.instruments == [Instrument("B", 0, 0, 0)]
    assert feed.unseen == ["C"]
    assert rows(only_b, SHORT) == [row[1:] for row in rows(records, ("symbol", *SHORT)) if row[0] == 1]
    assert feed.oddities.skipped == {"other symbols": 3}


def test_a_book_without_a_snapshot_is_stale_until_there_is_one(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        book_file(
            [
                level(1, "bid", "100", "2"),
                level(2, "bid", "101", "2"),
                level(3, "bid", "99", "2", snapshot=True),
            ]
        ),
    )
    records, _, feed = read(path)
    assert records["flags"].tolist() == [GAP | LAST, LAST, SEED, SEED | LAST]
    assert records["action"].tolist() == [LEVEL, LEVEL, CLEAR, LEVEL]
    assert feed.oddities.gaps == 1
    book = ExactBook(feed.instruments)
    states = []
    for index in range(4):
        book.apply(records[index : index + 1])
        states.append(book.state("BTCUSDT"))
    assert states == ["stale", "stale", "synced", "synced"]
    assert book.best("BTCUSDT") == (99, 2, 0, 0)


def test_trades_have_the_side_of_the_aggressor_and_an_id_that_is_a_number(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        trades_file(
            [
                Trade("X", 1, 2, "17", "buy", "8531.5", "2152"),
                Trade("X", 1, 2, "ccc3c1fa-212c-e8b0-1706-9b9c4f3d5ecf", "sell", "8531", "1"),
                Trade("X", 1, 3, "", "unknown", "8531", "1"),
                Trade("X", 1, 3, "T-17", "sell", "8531", "1"),
                Trade("X", 1, 1, "99999999999999999999", "sell", "8531", "1"),
            ]
        ),
    )
    records, fault, feed = read(path)
    assert fault is None
    assert (feed.trades, feed.instruments) == (True, [Instrument("X", 1, 0, 0)])
    assert rows(records, ("action", "side", "price", "size", "new_order_id", "flags")) == [
        (TRADE, Side.BID, 85_315, 2152, 17, LAST),
        (TRADE, Side.ASK, 85_310, 1, 0xCCC3C1FA212CE8B0, LAST),
        (TRADE, NONE, 85_310, 1, 0, LAST),
        (TRADE, Side.ASK, 85_310, 1, 0, LAST),
        (TRADE, Side.ASK, 85_310, 1, 0, LAST),
    ]
    assert feed.oddities.time_back == 1


@pytest.mark.parametrize(
    "amounts, decimals",
    [
        (["2152", "1"], 0),
        (["2152.5"], 8),
        (["0.123456789"], 9),
        (["1e-7"], 8),
        (["1.5e-10"], 11),
        (["25.42618900"], 8),
        (["123456789012.5"], 2),
        (["123456789012.125"], 3),
    ],
)
def test_sizes_get_eight_decimals_where_they_have_a_fraction_and_room(
    tmp_path: Path, amounts: list[str], decimals: int
) -> None:
    path = write(tmp_path, book_file([level(1, "bid", "1", amount, snapshot=True) for amount in amounts]))
    records, fault, feed = read(path)
    assert fault is None
    assert feed.instruments[0].size_decimals == decimals
    assert records["size"].tolist() == [units(amount, decimals) for amount in amounts]


def test_a_symbol_that_comes_late_gets_eight_decimals_and_a_finer_price_is_refused(tmp_path: Path) -> None:
    filler = b"binance,BTCUSDT,5,100,true,bid,100.5,2\n" * 230_000
    late = b"binance,NEW,5,101,true,bid,0.00000001,0.5\nbinance,BTCUSDT,5,102,true,bid,100.25,2\n"
    path = write(tmp_path, book_file([]) + filler + late)
    records, fault, feed = read(path)
    assert feed.instruments == [Instrument("BTCUSDT", 1, 0, 0), Instrument("NEW", 8, 8, 0)]
    assert rows(records[-1:], ("symbol", "price", "size")) == [(1, 1, 50_000_000)]
    assert len(records) == 230_001
    assert fault is not None
    assert fault.line == 230_003
    assert "found '100.25' in column 7 (price), expected at most 1 decimals" in fault.problem


NAMES = st.sampled_from(["BTCUSDT", "ETH-PERP", "X"])
TIMES = st.integers(0, 5).map(lambda step: 1_700_000_000_000_000 + step)


def decimals_text(most: int) -> st.SearchStrategy[str]:
    """Decimal text of at most so many places, some with zeros behind."""
    return st.tuples(st.integers(0, 10**9), st.integers(0, most)).map(
        lambda pair: f"{pair[0] // 10 ** pair[1]}.{pair[0] % 10 ** pair[1]:0{pair[1]}d}" if pair[1] else str(pair[0])
    )


LEVELS = st.lists(
    st.builds(
        Level,
        symbol=NAMES,
        timestamp=TIMES,
        local_timestamp=TIMES,
        is_snapshot=st.booleans(),
        side=st.sampled_from(["bid", "ask"]),
        price=decimals_text(5),
        amount=decimals_text(8),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(levels=LEVELS, batch_size=st.integers(1, 50))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, levels: list[Level], batch_size: int
) -> None:
    path = write(tmp_path_factory.mktemp("trip"), book_file(levels))
    records, fault, feed = read(path, batch_size=batch_size)
    assert fault is None
    table = {instrument.symbol: (index, instrument) for index, instrument in enumerate(feed.instruments)}
    expected: list[tuple[int, ...]] = []
    previous: Level | None = None
    was_snapshot: dict[str, bool] = {}
    for row in levels:
        index, instrument = table[row.symbol]
        clears = row.is_snapshot and was_snapshot.get(row.symbol) is False
        if previous is not None:
            same = (previous.symbol, previous.local_timestamp) == (row.symbol, row.local_timestamp)
            if clears or not same:
                expected[-1] = (*expected[-1][:-1], expected[-1][-1] | LAST)
        times = (row.timestamp * 1000, row.local_timestamp * 1000)
        if clears:
            expected.append((index, CLEAR, NONE, 0, 0, *times, SEED))
        gap = 0 if row.is_snapshot or row.symbol in was_snapshot else GAP
        price, size = units(row.price, instrument.price_decimals), units(row.amount, instrument.size_decimals)
        side = int(row.side == "ask")
        expected.append((index, LEVEL, side, price, size, *times, SEED * row.is_snapshot | gap))
        was_snapshot[row.symbol] = row.is_snapshot
        previous = row
    expected[-1] = (*expected[-1][:-1], expected[-1][-1] | LAST)
    fields = ("symbol", "action", "side", "price", "size", "event_ns", "due_ticks", "flags")
    assert rows(records, fields) == expected
    assert feed.oddities.gaps == sum(row[-1] & GAP != 0 for row in expected)


@pytest.mark.parametrize(
    "row, found, expected",
    [
        ("", "the end of the line in column 1 (exchange)", "'binance', as in the first row"),
        ("bitmex,X,1,2,true,bid,1,1", "'bitmex' in column 1 (exchange)", "'binance'"),
        ("binance,,1,2,true,bid,1,1", "column 2 (symbol)", "a symbol"),
        ("binance,X", "column 2 (symbol)", "a symbol"),
        ("binance,X,one,2,true,bid,1,1", "'one' in column 3 (timestamp)", "a number"),
        ("binance,X,1,99999999999999999999,true,bid,1,1", "column 4 (local_timestamp)", "fits 64 bits"),
        ("binance,X,1,9999999999999999,true,bid,1,1", "column 4 (local_timestamp)", "fit 64 bits in ns"),
        ("binance,X,1,2,yes,bid,1,1", "'yes' in column 5 (is_snapshot)", "true or false"),
        ("binance,X,1,2,true,buy,1,1", "'buy' in column 6 (side)", "bid or ask"),
        ("binance,X,1,2,true,bid,one,1", "'one' in column 7 (price)", "a number"),
        ("binance,X,1,2,true,bid,99999999999999999999,1", "column 7 (price)", "fits 64 bits"),
        ("binance,X,1,2,true,bid,1", "'1' in column 7 (price)", "a number"),
        ("binance,X,1,2,true,bid,1,", "the end of the line in column 8 (amount)", "a number"),
        ("binance,X,1,2,true,bid,1,-1", "'-1' in column 8 (amount)", "not negative"),
        ("binance,X,1,2,true,bid,1,1,1", "after column 8 (amount)", "8 columns"),
        ("binance,X\x01Y,1,2,true,bid,1,1", "the symbol 'X\\x01Y'", "printable ASCII"),
    ],
)
def test_a_damaged_row_is_refused_with_its_line_and_after_all_before_it(
    tmp_path: Path, row: str, found: str, expected: str
) -> None:
    good = book_file([level(index, "bid", "1", "1", snapshot=True, symbol="X") for index in range(9)])
    path = write(tmp_path, good + row.encode() + b"\n" + b"binance,X,1,2,true,bid,1,1\n")
    records, fault, _ = read(path, batch_size=4)
    assert len(records) == 9
    # whether the ninth row ended its message cannot be known any more
    assert records["flags"].tolist() == [SEED | LAST] * 8 + [SEED]
    assert fault is not None
    assert (fault.file, fault.line) == (path, 11)
    assert found in fault.problem
    assert expected in fault.problem.partition("expected")[2]


def test_wrong_headers_and_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="found an empty file"):
        TardisFeed(write(tmp_path, b""))
    for header in (BOOK_HEADER + ",more", TRADES_HEADER.replace("side", "direction"), "1,2,3", "é" * 500):
        with pytest.raises(FeedError, match="line 1: found the header") as raised:
            TardisFeed(write(tmp_path, header.encode() + b"\nbinance,X,1,2,true,bid,1,1\n"))
        assert len(raised.value.problem) < 700
    with pytest.raises(FeedError, match="takes no seed"):
        TardisFeed(write(tmp_path, book_file([])), seed="other.csv")
    empty = open_feed(write(tmp_path, book_file([])))
    assert (len(drained(empty)[0]), empty.instruments) == (0, [])


def test_a_last_row_without_its_newline_is_whole_and_one_that_is_cut_off_is_not(tmp_path: Path) -> None:
    content = book_file([level(1, "bid", "1", "1", snapshot=True), level(2, "ask", "2", "3")])
    records, fault, _ = read(write(tmp_path, content[:-1]))
    assert (len(records), fault) == (2, None)
    records, fault, _ = read(write(tmp_path, content[:-3]))
    assert len(records) == 1
    assert fault is not None
    assert fault.line == 3


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_damaged_file_gives_nothing_but_feed_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    if data.draw(st.booleans()):
        whole = book_file(data.draw(LEVELS))
    else:
        whole = trades_file(
            [Trade("X", 1, 2, "17", "buy", "8531.5", "2152"), Trade("X", 1, 3, "1-2", "sell", "1", "2")]
        )
    path = write(tmp_path_factory.mktemp("damage"), data.draw(damaged(whole)))
    only_feed_errors(path, "tardis")


# --- recorded ---------------------------------------------------------------------------------------------------------

BOOK = "binance_incremental_book_L2_2024-08-08_BTCUSDT.csv.gz"
QUOTES = "binance_quotes_2024-08-08_BTCUSDT.csv.gz"


def test_recorded_book_shows_a_recorded_quote_after_each_message() -> None:
    feed = open_feed(recorded("tardis_csv", BOOK), batch_size=1 << 17)
    assert feed.instruments == [Instrument("BTCUSDT", 2, 8, 0)]
    records, fault = drained(feed)
    assert (len(records), fault, feed.oddities.gaps, feed.oddities.time_back) == (126_073, None, 0, 0)
    assert (records["size"] == 0).sum() == 59_178
    assert (records["flags"] & SEED != 0).sum() == 2000
    quotes = set()
    for line in gzip.decompress(recorded("tardis_csv", QUOTES).read_bytes()).decode().splitlines()[1:]:
        ask_amount, ask_price, bid_price, bid_amount = line.split(",")[4:]
        quotes.add((units(bid_price, 2), units(bid_amount, 8), units(ask_price, 2), units(ask_amount, 8)))
    book = ExactBook(feed.instruments)
    ends = np.flatnonzero(records["flags"] & LAST) + 1
    begin = among = 0
    for end in ends.tolist():
        book.apply(records[begin:end])
        begin = end
        among += book.best("BTCUSDT") in quotes
    assert (len(ends), among) == (3449, 3449)
    assert book.best("BTCUSDT") == (6_168_599, 100_870_000, 6_168_600, 229_327_000)
    assert book.totals("BTCUSDT")[0::2] == (1209, 2196)
    assert book.state("BTCUSDT") == "synced"
    assert book.outcomes.crossed == 0


def test_recorded_trades_are_all_read() -> None:
    feed = open_feed(recorded("tardis_csv", "binance_trades_2024-08-08_BTCUSDT.csv.gz"))
    records, fault = drained(feed)
    assert (len(records), fault) == (9757, None)
    assert (records["action"] == TRADE).all()
    first, last = records[0], records[-1]
    assert rows(np.array([first, last]), ("side", "price", "new_order_id", "event_ns", "due_ticks")) == [
        (Side.ASK, 6_183_763, 3_735_683_259, 1_723_161_255_342_000_000, 1_723_161_254_087_896_000),
        (Side.ASK, 6_168_599, 3_735_693_015, 1_723_161_601_271_000_000, 1_723_161_599_997_948_000),
    ]


@pytest.mark.parametrize(
    "name, count, instrument",
    [
        ("real_tiny_deribit_incremental_book_L2_BTC-PERPETUAL.csv", 15, Instrument("BTC-PERPETUAL", 1, 0, 0)),
        ("real_tiny_bitmex_trades_XBTUSD.csv", 10, Instrument("XBTUSD", 1, 0, 0)),
    ],
)
def test_genuine_files_are_read(name: str, count: int, instrument: Instrument) -> None:
    feed = open_feed(recorded("tardis_csv", name))
    records, fault = drained(feed)
    assert (len(records), fault, feed.instruments) == (count, None, [instrument])


def test_other_data_types_are_refused_by_their_header() -> None:
    for name in (QUOTES, "real_tiny_binance-futures_book_snapshot_5_BTCUSDT.csv"):
        with pytest.raises(FeedError, match="line 1: found the header 'exchange,symbol"):
            open_feed(recorded("tardis_csv", name))
