"""DBN: what each record becomes in versions 1 to 3, windows of levels, names, faults, and the recorded CME files."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.encoders import dbn
from tests.recorded import recorded
from velox_engine.books.exact import ExactBook
from velox_engine.errors import FeedError
from velox_engine.feeds.base import TimeBase
from velox_engine.feeds.dbn import DbnFeed
from velox_engine.feeds.kernel_feed import Stop
from velox_engine.feeds.opening import open_feed
from velox_engine.feeds.stream import ByteStream
from velox_engine.records import TRANSACTION, Action, Flags, Instrument, Side, Transactions

NONE = int(Side.NONE)
LAST, SNAPSHOT, GAP = int(Flags.LAST), int(Flags.SNAPSHOT), int(Flags.GAP)
FIELDS = ("action", "side", "order_id", "price", "size", "new_order_id", "flags")
ONE = [("ESH4", [(20231225, 20231226, "1")])]
versions = pytest.mark.parametrize("version", [1, 2, 3])


def write(folder: Path, head: bytes, *records: bytes, name: str = "file.dbn") -> Path:
    path = folder / name
    path.write_bytes(head + b"".join(records))
    return path


def read(path: Path, **options: Any) -> tuple[Transactions, FeedError | None, DbnFeed]:
    """All records, the fault that ended them, and the feed."""
    feed = DbnFeed(path, **options)
    batches: list[Transactions] = []
    fault = None
    try:
        for batch in feed:
            assert 0 < len(batch) <= feed.batch_size
            batches.append(batch)
    except FeedError as error:
        fault = error
    return np.concatenate([np.zeros(0, TRANSACTION), *batches]), fault, feed


def rows(records: Transactions, fields: Sequence[str] = FIELDS) -> list[tuple[int, ...]]:
    return [tuple(int(record[field]) for field in fields) for record in records]


@versions
@pytest.mark.parametrize("ts_out", [None, 99])
def test_each_mbo_record_becomes_the_one_that_its_rule_says(tmp_path: Path, version: int, ts_out: int | None) -> None:
    head = dbn.metadata(version, "mbo", ONE, ts_out=ts_out is not None)
    given_ = [
        dbn.mbo("R", flags=32, ts_out=ts_out),
        dbn.mbo("A", "B", 2**64 - 1, -5, 2**32 - 1, flags=40, ts_event=7, ts_recv=8, ts_out=ts_out),
        dbn.mbo("A", "A", 12, 9, 3, flags=0, ts_out=ts_out),
        dbn.mbo("M", "A", 12, 10, 4, ts_out=ts_out),
        dbn.mbo("T", "B", 0, 10, 1, flags=0, ts_out=ts_out),
        dbn.mbo("F", "A", 12, 10, 1, flags=0, ts_out=ts_out),
        dbn.mbo("C", "A", 12, 10, 1, ts_out=ts_out),
        dbn.mbo("C", "N", 13, dbn.UNDEFINED_PRICE, 1, ts_out=ts_out),
        dbn.mbo("F", "N", 14, dbn.UNDEFINED_PRICE, 6, flags=0, ts_out=ts_out),
    ]
    records, fault, feed = read(write(tmp_path, head, *given_))
    assert fault is None
    assert rows(records) == [
        (Action.CLEAR, NONE, 0, 0, 0, 0, SNAPSHOT),
        (Action.ADD, Side.BID, 2**64 - 1, -5, 2**32 - 1, 0, SNAPSHOT),
        (Action.ADD, Side.ASK, 12, 9, 3, 0, 0),
        (Action.MODIFY, Side.ASK, 12, 10, 4, 0, LAST),
        (Action.TRADE, Side.BID, 0, 10, 1, 0, 0),
        (Action.FILL, Side.ASK, 12, 10, 1, 0, 0),
        (Action.CANCEL, Side.ASK, 12, 10, 1, 0, LAST),
        (Action.CANCEL, NONE, 13, 0, 1, 0, LAST),
        (Action.FILL, NONE, 14, 0, 6, 0, 0),
    ]
    assert (records["event_ns"][1], records["due_ticks"][1]) == (7, 8)
    assert (records["sequence"] == 0).all()
    assert (feed.priced, feed.windowed) == (True, False)
    assert feed.time_base == TimeBase("unix", None, "UTC", "receive time (ts_recv)")
    assert feed.instruments == [Instrument("ESH4", price_decimals=9, size_decimals=0, tick=0)]
    assert feed.metadata.dataset == "GLBX.MDP3"


def test_what_has_no_price_or_side_never_becomes_a_level(tmp_path: Path) -> None:
    given_ = [
        dbn.mbo("A", "B", 1, dbn.UNDEFINED_PRICE, 5, flags=0),
        dbn.mbo("M", "B", 1, dbn.UNDEFINED_PRICE, 5, flags=0),
        dbn.mbo("A", "N", 1, 10, 5, flags=0),
        dbn.mbo("T", "N", 1, dbn.UNDEFINED_PRICE, 5, flags=0),
        dbn.mbo("N", "N", flags=0),
        dbn.mbo("x", "N", flags=0),
    ]
    records, fault, feed = read(write(tmp_path, dbn.metadata(3, "mbo", ONE), *given_))
    assert fault is None
    assert len(records) == 0
    assert dict(feed.oddities.skipped) == {"no price": 3, "no side": 1, "action 'N'": 1, "action 'x'": 1}


def test_the_end_of_an_event_is_kept_where_its_record_changes_nothing(tmp_path: Path) -> None:
    records, _, _ = read(
        write(tmp_path, dbn.metadata(3, "mbo", ONE), dbn.mbo("A", "B", 1, 5, 5, flags=0), dbn.mbo("N"))
    )
    assert rows(records, ("action", "flags")) == [(Action.ADD, 0), (Action.STATUS, LAST)]


def test_a_gap_is_flagged_once_and_again_after_it_was_mended(tmp_path: Path) -> None:
    flags = [0, 4, 4 | 128, 32, 4, 0]
    given_ = [dbn.mbo("A", "B", number + 1, 5, 5, flags=flag) for number, flag in enumerate(flags)]
    records, _, feed = read(write(tmp_path, dbn.metadata(3, "mbo", ONE), *given_))
    assert records["flags"].tolist() == [0, GAP, LAST, SNAPSHOT, GAP, 0]
    assert feed.oddities.gaps == 2


def test_a_venue_that_shows_its_best_level_has_one_level_a_side(tmp_path: Path) -> None:
    top = 64 | 128
    given_ = [
        dbn.mbo("A", "B", 0, 100, 5, flags=top),
        dbn.mbo("A", "A", 0, 102, 6, flags=top),
        dbn.mbo("A", "B", 0, 100, 7, flags=top),
        dbn.mbo("A", "B", 0, 101, 8, flags=top),
        dbn.mbo("A", "A", 0, dbn.UNDEFINED_PRICE, 0, flags=top),
        dbn.mbo("A", "A", 0, 103, 9, flags=top),
    ]
    records, _, feed = read(write(tmp_path, dbn.metadata(3, "mbo", ONE), *given_))
    assert rows(records, ("action", "side", "price", "size", "flags")) == [
        (Action.LEVEL, 0, 100, 5, LAST),
        (Action.LEVEL, 1, 102, 6, LAST),
        (Action.LEVEL, 0, 100, 7, LAST),
        (Action.LEVEL, 0, 100, 0, 0),
        (Action.LEVEL, 0, 101, 8, LAST),
        (Action.LEVEL, 1, 102, 0, LAST),
        (Action.LEVEL, 1, 103, 9, LAST),
    ]
    book = ExactBook(feed.instruments)
    book.apply(records)
    assert book.best("ESH4") == (101, 8, 103, 9)


def test_times_that_are_undefined_take_the_other_one(tmp_path: Path) -> None:
    none = dbn.UNDEFINED_TIME
    times = [(5, 9), (none, 10), (6, none), (none, none)]
    given_ = [dbn.mbo("A", "B", 1, 1, 1, ts_event=event, ts_recv=recv) for event, recv in times]
    records, _, feed = read(write(tmp_path, dbn.metadata(3, "mbo", ONE), *given_))
    assert rows(records, ("event_ns", "due_ticks")) == [(5, 9), (10, 10), (6, 6), (6, 6)]
    assert feed.oddities.time_back == 1


@versions
def test_a_levelled_record_leaves_exactly_its_window_in_the_book(tmp_path: Path, version: int) -> None:
    first = [(100, 101, 5, 6, 1, 2), (99, 102, 7, 8, 3, 4)]
    second = [(101, 103, 9, 1, 1, 1), (100, 104, 5, 2, 1, 2)]  # the bids scroll up, the asks are all new
    given_ = [
        dbn.levelled(10, "A", "B", 100, 5, first, flags=168),
        dbn.levelled(10, "T", "A", 100, 5, first, flags=0),
        dbn.levelled(10, "C", "B", 99, 7, second),
        dbn.levelled(10, "M", "N", 99, 7, second),
        dbn.levelled(10, "R", "N", dbn.UNDEFINED_PRICE, 0, first[:1]),
    ]
    records, fault, feed = read(write(tmp_path, dbn.metadata(version, "mbp-10", ONE), *given_))
    assert fault is None
    assert feed.windowed
    level, bid, ask, snap = Action.LEVEL, 0, 1, SNAPSHOT
    assert rows(records) == [
        (level, bid, 0, 100, 5, 1, snap),
        (level, bid, 0, 99, 7, 3, snap),
        (level, ask, 0, 101, 6, 2, snap),
        (level, ask, 0, 102, 8, 4, snap | LAST),
        (Action.TRADE, ask, 0, 100, 5, 0, 0),
        (level, bid, 0, 99, 0, 0, 0),
        (level, ask, 0, 101, 0, 0, 0),
        (level, ask, 0, 102, 0, 0, 0),
        (level, bid, 0, 101, 9, 1, 0),
        (level, ask, 0, 103, 1, 1, 0),
        (level, ask, 0, 104, 2, 2, LAST),
        (Action.STATUS, NONE, 0, 0, 0, 0, LAST),
        (Action.CLEAR, NONE, 0, 0, 0, 0, 0),
        (level, bid, 0, 100, 5, 1, 0),
        (level, ask, 0, 101, 6, 2, LAST),
    ]


@versions
def test_symbol_mappings_name_what_follows_them(tmp_path: Path, version: int) -> None:
    given_ = [
        dbn.mbo("A", "B", 1, 1, 1, instrument=7),
        dbn.symbol_mapping(version, 7, "NQH4"),
        dbn.mbo("A", "B", 2, 1, 1, instrument=7),
        dbn.mbo("A", "B", 3, 1, 1, instrument=8),
        dbn.symbol_mapping(version, 8, "CLF4"),
        dbn.symbol_mapping(version, 7, "NQH4"),
        dbn.mbo("A", "B", 4, 1, 1, instrument=7),
    ]
    records, fault, feed = read(write(tmp_path, dbn.metadata(version, "mixed"), *given_))
    assert fault is None
    assert [feed.instruments[symbol].symbol for symbol in records["symbol"]] == ["7", "NQH4", "8", "NQH4"]
    assert feed.oddities.skipped["symbol mapping"] == 3


DAY = 86_400 * 10**9
NEW_YEAR = 1_704_067_200 * 10**9  # 2024-01-01


def test_an_id_is_called_what_it_is_called_on_that_day(tmp_path: Path) -> None:
    mappings = [
        ("ESZ3", [(20231201, 20240101, "5")]),
        ("ESH4", [(20240102, 20240105, "5"), (20240105, 20240110, "5")]),
        ("ES.c.0", [(20231201, 20240101, "5"), (20240101, 20240110, "6")]),
        ("GONE", [(20231201, 20240110, "")]),
    ]
    days = [-60, -1, 0, 1, 2, 30]
    given_ = [dbn.mbo("A", "B", n + 1, 1, 1, instrument=5, ts_recv=NEW_YEAR + day * DAY) for n, day in enumerate(days)]
    feed_head = dbn.metadata(2, "mbo", mappings[:2])
    records, _, feed = read(write(tmp_path, feed_head, *given_))
    assert [feed.instruments[symbol].symbol for symbol in records["symbol"]] == ["ESZ3"] * 3 + ["ESH4"] * 3

    feed_head = dbn.metadata(2, "mbo", mappings[2:])
    given_ = [dbn.mbo("A", "B", n, 1, 1, instrument=n) for n in (5, 6)]
    records, _, feed = read(write(tmp_path, feed_head, *given_), symbols=["ES.c.0"])
    assert [feed.instruments[symbol].symbol for symbol in records["symbol"]] == ["ES.c.0@5", "ES.c.0@6"]


def test_names_may_stand_on_the_other_side_of_the_mappings(tmp_path: Path) -> None:
    head = dbn.metadata(3, "mbo", [("17", [(20240101, 20240102, "ESH4")])], stype_in=0, stype_out=1)
    _, _, feed = read(write(tmp_path, head, dbn.mbo("A", "B", 1, 1, 1, instrument=17)))
    assert [instrument.symbol for instrument in feed.instruments] == ["ESH4"]


def test_each_publisher_of_an_instrument_has_a_book_of_its_own(tmp_path: Path) -> None:
    given_ = [dbn.mbo("A", "B", n + 1, 1, 1, publisher=publisher) for n, publisher in enumerate((41, 42, 41, 43, 42))]
    records, _, feed = read(write(tmp_path, dbn.metadata(3, "mbo", ONE), *given_))
    names = [instrument.symbol for instrument in feed.instruments]
    assert names == ["ESH4", "ESH4:42", "ESH4:43"]
    assert records["symbol"].tolist() == [0, 1, 0, 2, 1]


def test_thousands_of_instruments_each_keep_their_window(tmp_path: Path) -> None:
    count = 3000
    given_ = [
        dbn.levelled(1, "A", "B", 5, 5, [(number + 10 * turn, 10**6, number + 1, 1, 1, 1)], instrument=number * 7919)
        for turn in (0, 1)
        for number in range(count)
    ]
    records, fault, feed = read(write(tmp_path, dbn.metadata(3, "mbp-1"), *given_))
    assert fault is None
    assert len(feed.instruments) == count
    book = ExactBook(feed.instruments, windowed=True)
    book.apply(records)
    for number in (0, 1, 1234, count - 1):
        assert book.best(str(number * 7919)) == (number + 10, number + 1, 10**6, 1)
        assert book.totals(str(number * 7919))[0] == 1


def test_symbols_that_are_not_wanted_are_skipped_and_counted(tmp_path: Path) -> None:
    head = dbn.metadata(3, "mbo", [("A", [(20240101, 20240102, "1")]), ("B", [(20240101, 20240102, "2")])])
    given_ = [dbn.mbo("A", "B", n + 1, 1, 1, instrument=n % 3) for n in range(30)]
    records, _, feed = read(write(tmp_path, head, *given_), symbols=["B", "0", "C"])
    assert [instrument.symbol for instrument in feed.instruments] == ["B", "0"]
    assert len(records) == 20
    assert feed.oddities.skipped["other symbols"] == 10
    assert feed.unseen == ["C"]


def test_other_records_are_skipped_by_their_length_and_counted(tmp_path: Path) -> None:
    given_ = [dbn.other(kind, 16 + 4 * kind) for kind in (0x13, 0x17, 0x18, 0x20, 0x63)]
    records, fault, feed = read(write(tmp_path, dbn.metadata(3, "mixed"), *given_, dbn.levelled(0, "T", "B", 4, 5)))
    assert fault is None
    assert rows(records, ("action", "price", "size")) == [(Action.TRADE, 4, 5)]
    names = {"definition", "system", "statistics", "ohlcv-1s", "unknown type 99"}
    assert dict(feed.oddities.skipped) == dict.fromkeys(names, 1)


HEAD = dbn.metadata(3, "mixed", ONE)
GOOD = dbn.mbo("A", "B", 1, 1, 1)
FAULTS = {
    "length 0": (b"\x00\xa0" + GOOD, 0, "length 0"),
    "length 0 alone": (b"\x00", 0, "length 0"),
    "too short": (b"\x03\xa0" + bytes(10), 0, "12 bytes"),
    "wrong length": (b"\x0f" + GOOD[1:] + bytes(4), 0, "type 160 with 60 bytes"),
    "side": (dbn.mbo("A", "S", 1, 1, 1), 39, "side 'S'"),
    "side of a trade": (dbn.levelled(0, "T", "\x00", 1, 1), 29, "side"),
    "time": (dbn.mbo("A", "B", 1, 1, 1, ts_event=2**63), 8, "time"),
    "mixture": (dbn.levelled(1, "A", "B", 1, 1, [(1, 2, 3, 4, 5, 6)]), 0, "mbp-1"),
    "cut": (GOOD[:55], 0, "after 55 bytes"),
    "cut early": (GOOD[:1], 0, "after 1 bytes"),
    "name": (dbn.symbol_mapping(3, 1, "x").replace(b"x\x00", b"\xff\x00"), 89, "no text"),
}


@pytest.mark.parametrize("behind", sorted(FAULTS))
def test_a_fault_says_where_and_what_after_everything_before_it(tmp_path: Path, behind: str) -> None:
    bytes_, ahead, words = FAULTS[behind]
    path = write(tmp_path, HEAD, GOOD, bytes_)
    records, fault, _ = read(path)
    assert len(records) == 1
    assert fault is not None
    assert fault.byte == len(HEAD) + len(GOOD) + ahead
    assert words in fault.problem
    assert "expected" in fault.problem
    assert fault.file == path


def patched(head: bytes, at: int, value: bytes) -> bytes:
    return head[:at] + value + head[at + len(value) :]


V1 = dbn.metadata(1, "mbo", ONE)
HEADS = {
    "empty": (b"", 0, "empty"),
    "magic": (b"DBZ" + V1[3:], 0, "magic"),
    "version 0": (patched(V1, 3, b"\x00"), 3, "version 0"),
    "version 4": (patched(V1, 3, b"\x04"), 3, "version 4"),
    "prefix": (V1[:7], 0, "prefix"),
    "cut": (V1[:100], 8, "after 92 bytes"),
    "too long": (patched(V1, 4, b"\xff\xff\xff\xff"), 4, "metadata of"),
    "too little": (b"DBN\x01\x10\x00\x00\x00" + bytes(16), 8, "metadata of 16 bytes"),
    "schema": (patched(V1, 24, b"\x05\x00"), 24, "ohlcv-1s"),
    "tbbo": (dbn.metadata(3, "tbbo"), 24, "tbbo"),
    "unknown schema": (patched(V1, 24, b"\x00\x44"), 24, "number 17408"),
    "definition": (patched(V1, 108, b"\x01"), 108, "schema definition"),
    "count": (patched(V1, 112, b"\xff\xff"), 112, "symbols"),
    "text": (patched(V1, 116, b"\xff"), 116, "no text"),
    "id": (dbn.metadata(1, "mbo", [("A", [(20240101, 20240102, "x")])]), 206, "instrument id 'x'"),
    "date": (dbn.metadata(1, "mbo", [("A", [(20241301, 20240102, "1")])]), 198, "20241301"),
    "ts_out": (patched(V1, 60, b"\x02"), 60, "ts_out"),
    "width": (patched(HEAD, 53, b"\x00\x00"), 53, "symbols of 0 bytes"),
}


@pytest.mark.parametrize("bad", sorted(HEADS))
def test_a_damaged_head_is_refused_at_once(tmp_path: Path, bad: str) -> None:
    bytes_, at, words = HEADS[bad]
    with pytest.raises(FeedError) as caught:
        DbnFeed(write(tmp_path, bytes_))
    assert caught.value.byte == at
    assert words in caught.value.problem
    assert "expected" in caught.value.problem


IDS = st.integers(0, 2**64 - 1)
PRICES = st.integers(-(2**63), 2**63 - 2)
SIZES = st.integers(0, 2**32 - 1)
TIMES = st.integers(0, 2**63 - 1)
MBO = st.tuples(
    st.sampled_from("ACMTFR"),
    st.sampled_from("BA"),
    IDS,
    PRICES,
    SIZES,
    TIMES,
    TIMES,
    st.sampled_from([0, 2, 32, 128, 168]),
)
BECOMES = {
    "A": Action.ADD,
    "C": Action.CANCEL,
    "M": Action.MODIFY,
    "T": Action.TRADE,
    "F": Action.FILL,
    "R": Action.CLEAR,
}


@settings(max_examples=60, deadline=None)
@given(version=st.integers(1, 3), records=st.lists(MBO, max_size=80), batch_size=st.integers(1, 100))
def test_mbo_records_that_are_encoded_are_what_is_decoded(
    tmp_path_factory: pytest.TempPathFactory, version: int, records: list[tuple[Any, ...]], batch_size: int
) -> None:
    given_ = [dbn.mbo(*r[:5], ts_event=r[5], ts_recv=r[6], flags=r[7]) for r in records]
    path = write(tmp_path_factory.getbasetemp(), dbn.metadata(version, "mbo", ONE), *given_)
    found, fault, feed = read(path, batch_size=batch_size)
    assert fault is None
    expected = []
    for letter, side, order_id, price, size, event, recv, flags in records:
        body = (2, 0, 0, 0) if letter == "R" else ("BA".index(side), order_id, price, size)
        bits = (LAST if flags & 128 else 0) | (SNAPSHOT if flags & 32 else 0)
        expected.append((BECOMES[letter], *body, event, recv, bits))
    assert rows(found, ("action", "side", "order_id", "price", "size", "event_ns", "due_ticks", "flags")) == expected
    recvs = [r[6] for r in records]
    assert feed.oddities.time_back == sum(later < earlier for earlier, later in pairwise(recvs))


@st.composite
def windows(draw: st.DrawFn) -> list[tuple[int, list[dbn.Level]]]:
    """Records of one symbol each: levels best first, prices near one another so that windows scroll and overlap."""
    drawn = []
    for _ in range(draw(st.integers(0, 25))):
        sides = []
        for first, step in ((100, -1), (101, 1)):
            offsets = sorted(draw(st.sets(st.integers(0, 12), max_size=10)))
            sides.append(
                [(first + step * offset, draw(st.integers(1, 3)), draw(st.integers(1, 2))) for offset in offsets]
            )
        bids, asks = (side + [(dbn.UNDEFINED_PRICE, 0, 0)] * (10 - len(side)) for side in sides)
        levels = [(b[0], a[0], b[1], a[1], b[2], a[2]) for b, a in zip(bids, asks, strict=True)]
        drawn.append((draw(st.integers(1, 2)), levels))
    return drawn


def shown(levels: Sequence[dbn.Level], side: int) -> list[tuple[int, int, int]]:
    return [level[side::2] for level in levels if level[side] != dbn.UNDEFINED_PRICE]


@settings(max_examples=60, deadline=None)
@given(drawn=windows())
def test_a_book_equals_the_levels_of_its_last_record(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, list[dbn.Level]]]
) -> None:
    given_ = [dbn.levelled(10, "A", "B", 1, 1, levels, instrument=instrument) for instrument, levels in drawn]
    path = write(tmp_path_factory.getbasetemp(), dbn.metadata(3, "mbp-10"), *given_)
    feed = DbnFeed(path)
    book = ExactBook(feed.instruments, windowed=True)
    for (instrument, levels), records in zip(drawn, one_by_one(feed), strict=True):
        assert records["flags"].tolist() == [0] * (len(records) - 1) + [LAST]
        outcomes = book.apply(records)
        assert outcomes.invalid == 0
        for side, depth in enumerate(book.depth(str(instrument), levels=20)):
            assert [tuple(map(int, level)) for level in depth] == shown(levels, side)


def one_by_one(feed: DbnFeed) -> Iterator[Transactions]:
    """What each record of a small file becomes: the decoder sees one record at a time."""
    window = feed._window
    end = window.end
    assert not window.stream.peek(1), "larger than a window"
    while window.start < end:
        window.end = window.start + 4 * int(window.data[window.start])
        batch = np.zeros(100, TRANSACTION)
        count, reason = feed._decode(batch.view(np.int64), 0)
        while reason != Stop.MORE:
            feed._resolve(reason)
            count, reason = feed._decode(batch.view(np.int64), count)
        yield batch[:count]
    feed.close()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_changed_bytes_give_nothing_but_a_feed_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    version = data.draw(st.integers(1, 3))
    records = [dbn.mbo(*r[:5]) for r in data.draw(st.lists(MBO, max_size=5))]
    records += data.draw(
        st.sampled_from([[], [dbn.symbol_mapping(version, 1, "X")], [dbn.levelled(0, "T", "A", 5, 5)]])
    )
    bytes_ = bytearray(dbn.metadata(version, "mixed", ONE) + b"".join(records))
    for _ in range(data.draw(st.integers(0, 4))):
        bytes_[data.draw(st.integers(0, len(bytes_) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "mutated.dbn"
    path.write_bytes(bytes_[: data.draw(st.integers(1, len(bytes_)))])
    with suppress(FeedError):
        found, fault, feed = read(path)
        assert fault is None or fault.byte is not None
        assert all(1 <= action <= Action.STATUS for action in found["action"])
        assert all(symbol < len(feed.instruments) for symbol in found["symbol"])


@settings(max_examples=100, deadline=None)
@given(head=st.sampled_from([b"", b"DBN\x01", HEAD]), bytes_=st.binary(min_size=1, max_size=300))
def test_random_bytes_give_nothing_but_a_feed_error(
    tmp_path_factory: pytest.TempPathFactory, head: bytes, bytes_: bytes
) -> None:
    path = write(tmp_path_factory.getbasetemp(), head, bytes_, name="random.dbn")
    with suppress(FeedError):
        read(path)


ESH4 = "esh4-glbx-mdp3-20231225"
ESU4 = "esu4-glbx-mdp3_2024-07-01T23-58_2024-07-02T00-02"


def truth(name: str) -> Iterator[dict[str, str]]:
    with gzip.open(recorded("dbn", f"{ESH4}.truth_{name}.csv.gz"), "rt") as file:
        yield from csv.DictReader(file)


def test_the_recorded_mbo_file_gives_the_top_ten_levels_at_every_point() -> None:
    records, fault, feed = read(recorded("dbn", f"{ESH4}.mbo.dbn.zst"))
    assert fault is None
    counts = Counter(Action(action).name for action in records["action"])
    assert counts == {"ADD": 29_216, "CANCEL": 17_999, "MODIFY": 12_233, "FILL": 6_371, "TRADE": 2_973}
    assert int(records["size"][records["action"] == Action.TRADE].sum()) == 9_892
    assert feed.oddities.time_back == 0
    assert int((records["flags"] & SNAPSHOT > 0).sum()) == 8_725
    book = ExactBook(feed.instruments)
    done = points = 0
    for row in truth("top10"):
        at = int(row["records_applied"])
        book.apply(records[done:at])
        done, points = at, points + 1
        for side, depth in zip(("bid", "ask"), book.depth("ESH4", levels=10), strict=True):
            found = [tuple(map(int, level)) for level in depth]
            found += [(0, 0, 0)] * (10 - len(found))
            assert found == [tuple(int(row[f"{side}{n}_{field}"]) for field in ("px", "sz", "ct")) for n in range(10)]
    assert points == 400
    book.apply(records[done:])
    outcomes = book.outcomes
    assert (outcomes.unknown, outcomes.duplicate, outcomes.negative_remainder, outcomes.invalid) == (0, 0, 0, 0)
    assert (outcomes.unknown_fill, outcomes.crossed) == (7, 891)


def test_the_recorded_mbo_file_ends_with_every_order_in_its_place() -> None:
    records, _, feed = read(recorded("dbn", f"{ESH4}.mbo.dbn.zst"))
    book = ExactBook(feed.instruments)
    book.apply(records)
    found = []
    for side, letter in enumerate("BA"):
        place: Counter[int] = Counter()
        for order_id, price, size in book.orders("ESH4", side).tolist():
            found.append((letter, price, place[price], order_id, size))
            place[price] += 1
    fields = ("price", "queue_pos", "order_id", "size")
    assert found == [(row["side"], *(int(row[field]) for field in fields)) for row in truth("final_book")]
    assert len(found) == 11_217


def raw_records(name: str) -> Iterator[bytes]:
    """The records of a recorded version 1 file, by their lengths alone."""
    with ByteStream(recorded("dbn", name)) as stream:
        bytes_ = stream.peek(10**9)
    at = 8 + int.from_bytes(bytes_[4:8], "little")
    while at < len(bytes_):
        yield bytes_[at : at + 4 * bytes_[at]]
        at += 4 * bytes_[at]


def test_the_recorded_mbp_file_leaves_the_levels_of_each_record_in_the_book() -> None:
    name = f"{ESU4}.mbp-1.dbn.zst"
    feed = DbnFeed(recorded("dbn", name))
    book = ExactBook(feed.instruments, windowed=feed.windowed)
    count = 0
    for record, records in zip(raw_records(name), one_by_one(feed), strict=True):
        book.apply(records)
        level = np.frombuffer(record[48:], "<i8,<i8,<u4,<u4,<u4,<u4")[0].tolist()
        for side, depth in enumerate(book.depth("ESU4", levels=5)):
            assert [tuple(map(int, found)) for found in depth] == [level[side::2]]
        count += 1
    assert count == 2_288
    assert book.outcomes.crossed == 0
    assert book.state("ESU4") == "windowed"
    assert book.best("ESU4") == (5_529_000_000_000, 24, 5_529_250_000_000, 6)


def test_the_recorded_trades_are_those_of_the_mbp_file() -> None:
    trades, fault, feed = read(recorded("dbn", f"{ESU4}.trades.dbn.zst"))
    assert fault is None
    assert (len(trades), int(trades["size"].sum())) == (120, 253)
    assert set(trades["action"].tolist()) == {Action.TRADE}
    assert [instrument.symbol for instrument in feed.instruments] == ["ESU4"]
    levelled, _, _ = read(recorded("dbn", f"{ESU4}.mbp-1.dbn.zst"))
    same = levelled[levelled["action"] == Action.TRADE]
    fields = ("event_ns", "due_ticks", "side", "price", "size")
    assert rows(trades, fields) == rows(same, fields)


TINY = ["dbnrepo.mbo.v1", "dbnrepo.mbp-10.v1", "XNAS.ITCH.mbo.v3", "GLBX.MDP3.mbp-10.v3", "XNAS.ITCH.trades.v3"]


@pytest.mark.parametrize("name", TINY)
def test_the_small_samples_of_each_version_are_read_to_their_end(name: str) -> None:
    feed = open_feed(recorded("dbn", f"tiny_{name}.dbn.zst"))
    assert isinstance(feed, DbnFeed)
    records = np.concatenate(list(feed))
    assert feed.metadata.version == int(name[-1])
    assert len(records) >= 2
    assert [instrument.symbol for instrument in feed.instruments] == ["NVDA" if name.startswith("XNAS") else "ESH1"]
    assert not feed.oddities.skipped
