"""ITCH 5.0: what each message becomes, what is refused and where, and the recorded hour of AAPL against its truth."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.encoders import itch
from tests.recorded import recorded
from velox_engine.books.exact import ExactBook
from velox_engine.errors import FeedError
from velox_engine.feeds.base import TimeBase
from velox_engine.feeds.itch import ItchFeed
from velox_engine.feeds.opening import open_feed
from velox_engine.records import TRANSACTION, Action, Flags, Instrument, Side, Transactions

U64, U32 = 2**64 - 1, 2**32 - 1
FIELDS = ("action", "side", "order_id", "price", "size", "new_order_id", "event_ns", "symbol")


def write(folder: Path, *messages: bytes, name: str = "01302020.NASDAQ_ITCH50") -> Path:
    path = folder / name
    path.write_bytes(itch.framed(*messages))
    return path


def read(path: Path, **options: Any) -> tuple[Transactions, FeedError | None, ItchFeed]:
    """All records, the fault that ended them, and the feed."""
    feed = ItchFeed(path, **options)
    batches: list[Transactions] = []
    fault = None
    try:
        for batch in feed:
            assert 0 < len(batch) <= feed.batch_size
            batches.append(batch)
    except FeedError as error:
        fault = error
    return np.concatenate([np.zeros(0, TRANSACTION), *batches]), fault, feed


def rows(records: Transactions) -> list[tuple[int, ...]]:
    return [tuple(int(record[field]) for field in FIELDS) for record in records]


def test_each_message_becomes_the_record_that_its_rule_says(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        itch.system_event("O", 1),
        itch.directory(7, "AAPL", 2),
        itch.trading_action(7, "AAPL", "T", 3),
        itch.add(7, 4, U64, "B", U32, "AAPL", 1_999_999_900),
        itch.add(7, 5, 12, "S", 1, "AAPL", U32, by="NITE"),
        itch.executed(7, 6, 11, 30, 2**63),
        itch.executed_at(7, 7, 11, 31, 901, 990_000),
        itch.cancel(7, 8, 12, 5),
        itch.delete(7, 9, 12),
        itch.replace(7, 10, 11, 13, 200, 1_010_000),
        itch.trade(7, 11, 400, "AAPL", 1_000_050, 902),
        itch.cross(7, 12, 2**63 - 1, "AAPL", 1_000_000, 903),
        itch.broken(7, 13, 902),
        itch.system_event("C", 2**48 - 1),
    )
    records, fault, feed = read(path)
    none = Side.NONE
    assert rows(records) == [
        (Action.STATUS, none, 0, 0, ord("T"), 0, 3, 0),
        (Action.ADD, Side.BID, U64, 1_999_999_900, U32, 0, 4, 0),
        (Action.ADD, Side.ASK, 12, U32, 1, 0, 5, 0),
        (Action.EXECUTE, none, 11, 0, 30, 2**63, 6, 0),
        (Action.EXECUTE, none, 11, 990_000, 31, 901, 7, 0),
        (Action.CANCEL, none, 12, 0, 5, 0, 8, 0),
        (Action.DELETE, none, 12, 0, 0, 0, 9, 0),
        (Action.REPLACE, none, 11, 1_010_000, 200, 13, 10, 0),
        (Action.TRADE, none, 0, 1_000_050, 400, 902, 11, 0),
        (Action.TRADE, none, 0, 1_000_000, 2**63 - 1, 903, 12, 0),
        (Action.STATUS, none, 0, 0, ord("B"), 902, 13, 0),
        (Action.STATUS, none, 0, 0, ord("C"), 0, 2**48 - 1, 0),
    ]
    assert fault is None
    assert (records["due_ticks"] == records["event_ns"]).all()
    assert (records["flags"] == Flags.LAST).all()
    assert (records["sequence"] == 0).all()
    assert feed.instruments == [Instrument("AAPL", price_decimals=4, size_decimals=0, tick=0)]
    assert not feed.priced
    assert not feed.windowed
    assert dict(feed.oddities.skipped) == {"R stock directory": 1, "S before any stock": 1}


def test_stocks_are_learned_on_the_way_and_may_change_their_locate(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        itch.directory(1, "AAPL"),
        itch.delete(9, 1, 4),  # nothing has named locate 9
        itch.add(2, 2, 5, "B", 1, "MSFT", 10),  # an order names its stock too
        itch.delete(2, 3, 5),
        itch.directory(2, "AAPL"),  # another day in the same file
        itch.directory(1, "ZVZZT"),
        itch.add(2, 4, 6, "B", 1, "AAPL", 10),
        itch.delete(1, 5, 7),
    )
    records, _, feed = read(path)
    assert [instrument.symbol for instrument in feed.instruments] == ["AAPL", "MSFT", "ZVZZT"]
    assert records["symbol"].tolist() == [1, 1, 0, 2]
    assert feed.oddities.skipped["D of an unlisted stock locate"] == 1


def test_symbols_that_are_not_wanted_are_skipped_and_counted(tmp_path: Path) -> None:
    messages = [itch.directory(number, name) for number, name in enumerate(("A", "B", "C"))]
    messages += [itch.add(number % 3, number, number, "B", 1, "ABC"[number % 3], 10) for number in range(30)]
    path = write(tmp_path, *messages)
    records, _, feed = read(path, symbols=["C", "A", "ABSENT"])
    assert [instrument.symbol for instrument in feed.instruments] == ["A", "C"]
    assert records["order_id"].tolist() == [number for number in range(30) if number % 3 != 1]
    assert feed.oddities.skipped["other symbols"] == 10
    assert feed.unseen == ["ABSENT"]


def test_other_types_are_skipped_by_their_length_and_counted(tmp_path: Path) -> None:
    known = {"Y": 20, "L": 26, "V": 35, "W": 12, "K": 28, "J": 35, "h": 21, "N": 20, "I": 50}
    messages = [itch.other(kind, length, 1, 5) for kind, length in known.items()]
    messages += [b"O" * 48, b"\x00", b"Z" * 65_535, itch.add(1, 6, 1, "S", 2, "A", 3)]
    records, fault, feed = read(write(tmp_path, *messages))
    assert fault is None
    assert len(records) == 1
    assert sum(feed.oddities.skipped.values()) == len(known) + 3
    assert {kind[0] for kind in feed.oddities.skipped} >= set(known)
    assert feed.oddities.skipped["unknown type 'Z'"] == 1


def test_time_that_goes_back_is_counted_and_kept(tmp_path: Path) -> None:
    times = (5, 9, 8, 8, 20, 3)
    records, _, feed = read(write(tmp_path, *(itch.add(1, time, time, "B", 1, "A", 1) for time in times)))
    assert records["event_ns"].tolist() == list(times)
    assert feed.oddities.time_back == 2


@pytest.mark.parametrize(
    "name, date",
    [
        ("01302020.NASDAQ_ITCH50", "2020-01-30"),
        ("20190530.BX_ITCH_50.gz", "2019-05-30"),
        ("S081321-v50.txt.gz", "2021-08-13"),
        ("AAPL_2020-01-30_first7000.itch50.bin", "2020-01-30"),
        ("99999999.NASDAQ_ITCH50", None),
        ("feed.bin", None),
    ],
)
def test_the_date_comes_from_the_name(tmp_path: Path, name: str, date: str | None) -> None:
    feed = ItchFeed(write(tmp_path, itch.directory(1, "A"), name=name))
    assert feed.time_base == TimeBase("midnight", date, "America/New_York", "event time")
    feed.close()


BEFORE = (itch.directory(1, "A"), itch.add(1, 5, 1, "B", 1, "A", 1))
WHOLE = itch.framed(*BEFORE)
FAULTS = {
    "length 0": (b"\x00\x00" + WHOLE, 0, "length 0"),
    "length 0 at the end": (b"\x00\x00", 0, "length 0"),
    "wrong length": (b"\x00\x25" + itch.add(1, 6, 2, "B", 1, "A", 1) + b" ", 0, "length 37 of a message of type A"),
    "side": (itch.framed(itch.add(1, 6, 2, "X", 1, "A", 1)), 21, "side 'X'"),
    "too many shares": (itch.framed(itch.cross(1, 6, 2**63, "A", 1, 1)), 13, "shares"),
    "no name": (itch.framed(itch.directory(2, "")), 13, "stock"),
    "no letters": (itch.framed(itch.other("R", 39, 2, 0)[:11] + b"A\x01" + bytes(26)), 13, "stock"),
    "cut length": (b"\x00", 0, "after 1 bytes"),
    "cut message": (WHOLE[:20], 0, "after 18 bytes of a message of type 'R'"),
    "length only": (WHOLE[:2], 0, "after 2 bytes"),
}


@pytest.mark.parametrize("behind", sorted(FAULTS))
def test_a_fault_says_where_and_what_after_everything_before_it(tmp_path: Path, behind: str) -> None:
    bytes_, ahead, words = FAULTS[behind]
    path = tmp_path / "bad.itch50"
    path.write_bytes(WHOLE + bytes_)
    records, fault, _ = read(path)
    assert len(records) == 1
    assert fault is not None
    assert fault.byte == len(WHOLE) + ahead
    assert words in fault.problem
    assert "expected" in fault.problem
    assert fault.file == path


def test_an_end_of_session_after_the_last_message_is_no_fault(tmp_path: Path) -> None:
    end = itch.framed(itch.system_event("C", 9)) + b"\x00\x00"
    path = tmp_path / "day.itch50"
    path.write_bytes(WHOLE + end)
    assert read(path)[1] is None
    path.write_bytes(WHOLE + end + WHOLE)
    fault = read(path)[1]
    assert fault is not None
    assert fault.byte == len(WHOLE) + len(end) - 2


@pytest.mark.parametrize("short", [0, 1, 2, 3, 4])
def test_faults_at_the_border_of_a_window_are_found_too(tmp_path: Path, short: int) -> None:
    filling = [b"Z" * 65_535] * 15
    filling.append(b"Z" * (2**20 - short - 15 * 65_537 - 2))
    path = tmp_path / "border.itch50"
    for tail in (b"\x00\x00", b"\x00", b"\x00\x25A" + bytes(40)):
        path.write_bytes(itch.framed(*filling) + tail)
        _, fault, _ = read(path)
        assert fault is not None
        assert fault.byte == 2**20 - short


def test_an_empty_file_and_a_seed_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.itch50"
    path.write_bytes(b"")
    with pytest.raises(FeedError, match="empty"):
        ItchFeed(path)
    path.write_bytes(WHOLE)
    with pytest.raises(FeedError, match="takes no seed"):
        ItchFeed(path, seed="book.csv")


def test_a_feed_is_read_once_and_stops_when_it_is_closed(tmp_path: Path) -> None:
    path = write(tmp_path, *(itch.add(1, n, n, "B", 1, "A", 1) for n in range(100)))
    feed = ItchFeed(path, batch_size=10)
    batches = iter(feed)
    assert len(next(batches)) == 10
    feed.close()
    feed.close()
    assert list(batches) == []
    with pytest.raises(FeedError, match="open it again"):
        list(feed)


@pytest.mark.parametrize("batch_size", [1, 3, 4096])
def test_batches_and_windows_never_change_the_content(tmp_path: Path, batch_size: int) -> None:
    count = 40_000  # more than one window of a MiB
    whole = [itch.add(1, n, n, "BS"[n % 2], n + 1, "A", n % 1000) for n in range(count)]
    path = write(tmp_path, *whole)
    if batch_size < 4096:
        path.write_bytes(path.read_bytes()[: 500 * 38])
        count = 500
    records, fault, _ = read(path, batch_size=batch_size)
    assert fault is None
    assert records["order_id"].tolist() == list(range(count))
    assert records["price"].tolist() == [n % 1000 for n in range(count)]


LOCATES = st.integers(0, 3)
TIMES = st.integers(0, 2**48 - 1)
IDS = st.integers(0, U64)
SIZES = st.integers(0, U32)
MESSAGES: st.SearchStrategy[tuple[str, tuple[Any, ...]]] = st.one_of(
    st.tuples(st.just("add"), st.tuples(LOCATES, TIMES, IDS, st.sampled_from("BS"), SIZES, SIZES, st.booleans())),
    st.tuples(st.just("executed"), st.tuples(LOCATES, TIMES, IDS, SIZES, IDS)),
    st.tuples(st.just("executed_at"), st.tuples(LOCATES, TIMES, IDS, SIZES, IDS, SIZES)),
    st.tuples(st.just("cancel"), st.tuples(LOCATES, TIMES, IDS, SIZES)),
    st.tuples(st.just("delete"), st.tuples(LOCATES, TIMES, IDS)),
    st.tuples(st.just("replace"), st.tuples(LOCATES, TIMES, IDS, IDS, SIZES, SIZES)),
    st.tuples(st.just("trade"), st.tuples(LOCATES, TIMES, SIZES, SIZES, IDS)),
    st.tuples(st.just("broken"), st.tuples(LOCATES, TIMES, IDS)),
)


def encode(kind: str, f: Sequence[Any]) -> bytes:
    stock = "WXYZ"[f[0]]
    if kind == "add":
        return itch.add(f[0], f[1], f[2], f[3], f[4], stock, f[5], by="MPID" if f[6] else None)
    if kind == "trade":
        return itch.trade(f[0], f[1], f[2], stock, f[3], f[4])
    return bytes(getattr(itch, kind)(*f))


def expected(kind: str, f: Sequence[Any]) -> tuple[int, ...]:
    none = int(Side.NONE)
    rest = (f[1], f[0])
    if kind == "add":
        return (Action.ADD, "BS".index(f[3]), f[2], f[5], f[4], 0, *rest)
    if kind == "executed":
        return (Action.EXECUTE, none, f[2], 0, f[3], f[4], *rest)
    if kind == "executed_at":
        return (Action.EXECUTE, none, f[2], f[5], f[3], f[4], *rest)
    if kind == "cancel":
        return (Action.CANCEL, none, f[2], 0, f[3], 0, *rest)
    if kind == "delete":
        return (Action.DELETE, none, f[2], 0, 0, 0, *rest)
    if kind == "replace":
        return (Action.REPLACE, none, f[2], f[5], f[4], f[3], *rest)
    if kind == "trade":
        return (Action.TRADE, none, 0, f[3], f[2], f[4], *rest)
    return (Action.STATUS, none, 0, 0, ord("B"), f[2], *rest)


@settings(max_examples=60, deadline=None)
@given(messages=st.lists(MESSAGES, max_size=60), batch_size=st.integers(1, 20))
def test_what_is_encoded_is_what_is_decoded(
    tmp_path_factory: pytest.TempPathFactory, messages: list[tuple[str, tuple[Any, ...]]], batch_size: int
) -> None:
    directory = [itch.directory(number, name) for number, name in enumerate("WXYZ")]
    path = write(tmp_path_factory.getbasetemp(), *directory, *(encode(*message) for message in messages))
    records, fault, _ = read(path, batch_size=batch_size)
    assert fault is None
    assert rows(records) == [expected(*message) for message in messages]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_changed_bytes_give_nothing_but_a_feed_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    messages = data.draw(st.lists(MESSAGES, max_size=12))
    bytes_ = bytearray(itch.framed(itch.directory(0, "W"), *(encode(*message) for message in messages)))
    for _ in range(data.draw(st.integers(0, 4))):
        bytes_[data.draw(st.integers(0, len(bytes_) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "mutated.itch50"
    path.write_bytes(bytes_[: data.draw(st.integers(1, len(bytes_)))])
    records, fault, _ = read(path)
    if fault is not None:
        assert fault.byte is not None
        assert fault.byte <= len(bytes_)
    for record in records:
        assert 1 <= record["action"] <= Action.STATUS


@settings(max_examples=100, deadline=None)
@given(bytes_=st.binary(min_size=1, max_size=400))
def test_random_bytes_give_nothing_but_a_feed_error(tmp_path_factory: pytest.TempPathFactory, bytes_: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.itch50"
    path.write_bytes(bytes_)
    with suppress(FeedError):  # it may begin like a compressed file
        read(path)


AAPL = ("itch", "AAPL_2020-01-30_first7000.itch50.bin")


def test_the_recorded_file_holds_what_its_manifest_says() -> None:
    records, fault, feed = read(recorded(*AAPL))
    assert fault is None
    counts = {Action(action): int((records["action"] == action).sum()) for action in np.unique(records["action"])}
    assert counts == {
        Action.ADD: 3370,
        Action.DELETE: 2890,
        Action.EXECUTE: 528,
        Action.TRADE: 153,
        Action.CANCEL: 4,
        Action.STATUS: 1,
    }
    assert dict(feed.oddities.skipped) == {
        "L market participant position": 52,
        "R stock directory": 1,
        "Y Reg SHO restriction": 1,
    }
    assert feed.oddities.time_back == 0
    assert int(records[-1]["event_ns"]) == ((7 * 60 + 1) * 60 + 46) * 10**9 + 288058227
    sizes = {action: int(records["size"][records["action"] == action].sum()) for action in counts}
    assert (sizes[Action.EXECUTE], sizes[Action.TRADE], sizes[Action.CANCEL]) == (35_908, 18_299, 56)


def truth(name: str) -> list[dict[str, str]]:
    with gzip.open(recorded("itch", f"AAPL_2020-01-30_first7000.truth_{name}.csv.gz"), "rt") as file:
        return list(csv.DictReader(file))


def messages_with_a_record(path: Path) -> list[int]:
    """The indices of the messages that are not of a type without a record, by the framing alone."""
    bytes_, at, kinds = path.read_bytes(), 0, []
    while at < len(bytes_):
        kinds.append(chr(bytes_[at + 2]))
        at += 2 + int.from_bytes(bytes_[at : at + 2], "big")
    return [index for index, kind in enumerate(kinds) if kind not in "RLY"]


def test_the_recorded_best_bid_and_offer_are_equal_after_every_change() -> None:
    records, _, feed = read(recorded(*AAPL))
    book = ExactBook(feed.instruments)
    before = [0] * 6
    changes: list[list[int]] = []
    for index, record in zip(messages_with_a_record(recorded(*AAPL)), records, strict=True):
        book.apply(record.reshape(1))
        bids, asks = book.depth("AAPL", levels=1)
        best = [int(value) for side in (bids, asks) for value in (side[0] if len(side) else (0, 0, 0))]
        if best != before:
            changes.append([index, int(record["event_ns"]), *best])
            before = best
    assert changes == [[int(value) for value in row.values()] for row in truth("bbo")]
    assert len(changes) == 1564


def test_the_recorded_final_book_is_equal_order_by_order() -> None:
    records, _, feed = read(recorded(*AAPL))
    book = ExactBook(feed.instruments)
    outcomes = book.apply(records)
    rows_ = [
        (row["side"], *(int(row[field]) for field in ("price", "queue_pos", "order_ref", "shares")))
        for row in truth("final_book")
    ]
    found = []
    for side, letter in enumerate("BS"):
        place: Counter[int] = Counter()
        for order in book.orders("AAPL", side):
            price = int(order["price"])
            found.append((letter, price, place[price], int(order["order_id"]), int(order["size"])))
            place[price] += 1
    assert found == rows_
    assert len(found) == 187
    assert (outcomes.unknown, outcomes.negative_remainder, outcomes.crossed) == (0, 0, 0)
    assert book.best("AAPL") == (3_210_000, 10, 3_211_000, 176)
    assert book.totals("AAPL")[::2] == (72, 53)


def test_every_recorded_execution_is_of_the_front_order_of_the_best_level() -> None:
    records, _, feed = read(recorded(*AAPL))
    book = ExactBook(feed.instruments)
    executions = np.flatnonzero(records["action"] == Action.EXECUTE)
    done = 0
    for at in executions.tolist():
        book.apply(records[done:at])
        done = at
        fronts = [book.orders("AAPL", side)["order_id"][:1].tolist() for side in (0, 1)]
        assert int(records[at]["order_id"]) in fronts[0] + fronts[1]
    assert len(executions) == 528


def test_the_recorded_file_is_found_by_its_content() -> None:
    path = recorded(*AAPL)
    with_open = open_feed(path)
    assert isinstance(with_open, ItchFeed)
    with_open.close()
