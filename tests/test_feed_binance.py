"""Raw Binance captures: records, keeping in step, gaps, what is refused, and the recorded minutes against tickers."""

from __future__ import annotations

import gzip
import json
import random
from bisect import bisect_right
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.encoders.binance import capture, diff, snapshot, ticker, trade
from tests.encoders.tardis import units
from tests.recorded import recorded
from tests.text_feeds import damaged, drained, only_feed_errors, rows
from velox_engine.books.exact import ExactBook
from velox_engine.errors import FeedError
from velox_engine.feeds import binance_sync
from velox_engine.feeds.base import TimeBase
from velox_engine.feeds.binance import BinanceFeed
from velox_engine.feeds.opening import open_feed
from velox_engine.records import Action, Flags, Instrument, Side, Transactions

LAST, SEED, GAP = int(Flags.LAST), int(Flags.SNAPSHOT), int(Flags.GAP)
LEVEL, CLEAR, TRADE = int(Action.LEVEL), int(Action.CLEAR), int(Action.TRADE)
BID, ASK, NONE = int(Side.BID), int(Side.ASK), int(Side.NONE)
T = 1_723_161_253_937_085_768
E = 1_700_000_000_000
SHORT = ("action", "side", "price", "size", "flags", "due_ticks")


def write(folder: Path, *lines: str | bytes, name: str = "capture.txt") -> Path:
    path = folder / name
    path.write_bytes(b"".join(capture(line) if isinstance(line, str) else line for line in lines))
    return path


def read(path: Path, **options: Any) -> tuple[Transactions, FeedError | None, BinanceFeed]:
    feed = BinanceFeed(path, **options)
    return *drained(feed), feed


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4096])
def test_lines_become_the_records_that_their_rule_says(tmp_path: Path, batch_size: int) -> None:
    path = write(
        tmp_path,
        diff(T, 1, 10, [("100.10", "5.000")]),
        trade(T + 1, 77, "100.20", "0.250", True),
        diff(T + 2, 11, 20, [("100.10", "6.000")], [("100.30", "1.500")], time=E + 7),
        snapshot(T + 3, 15, [("100.10", "5.500"), ("99.00", "2.000")], [("100.20", "0.001")]),
        ticker(T + 4, 21, ("100.10", "6"), ("100.20", "1")),
        diff(T + 5, 21, 22, [("100.10", "0.000")]),
        diff(T + 6, 23, 24),
        trade(T + 7, 78, "100.30", "1.000", False, time=E + 9),
        diff(T + 8, 25, 25, [], [("100.20", "3.000"), ("101.00", "4.000")]),
    )
    records, fault, feed = read(path, batch_size=batch_size)
    assert fault is None
    assert feed.instruments == [Instrument("BTCUSDT", 2, 3, 0)]
    assert feed.time_base == TimeBase("unix", paced_by="receive time (the number at the front of the line)")
    assert rows(records, SHORT) == [
        (TRADE, ASK, 10_020, 250, LAST, T + 1),
        (CLEAR, NONE, 0, 0, SEED, T + 3),
        (LEVEL, BID, 10_010, 5500, SEED, T + 3),
        (LEVEL, BID, 9900, 2000, SEED, T + 3),
        (LEVEL, ASK, 10_020, 1, SEED | LAST, T + 3),
        (LEVEL, BID, 10_010, 6000, 0, T + 3),  # it waited for the snapshot
        (LEVEL, ASK, 10_030, 1500, LAST, T + 3),
        (LEVEL, BID, 10_010, 0, LAST, T + 5),
        (TRADE, BID, 10_030, 1000, LAST, T + 7),
        (LEVEL, ASK, 10_020, 3000, 0, T + 8),
        (LEVEL, ASK, 10_100, 4000, LAST, T + 8),
    ]
    milli = 1_000_000
    assert records["event_ns"].tolist() == [
        E * milli, *[T + 3] * 4, *[(E + 7) * milli] * 2, E * milli, (E + 9) * milli, E * milli, E * milli
    ]  # fmt: skip
    assert records["new_order_id"].tolist() == [77, 0, 0, 0, 0, 0, 0, 0, 78, 0, 0]
    assert feed.oddities.gaps == feed.oddities.time_back == 0
    assert feed.oddities.skipped == {
        "bookTicker": 1,
        "depthUpdate (empty)": 1,
        "depthUpdate (before the snapshot)": 1,
    }
    assert feed.synced


def states(feed: BinanceFeed, records: Transactions) -> list[str]:
    """The book's state after each event."""
    book = ExactBook(feed.instruments)
    found = []
    begin = 0
    for end in (np.flatnonzero(records["flags"] & LAST) + 1).tolist():
        book.apply(records[begin:end])
        begin = end
        found.append(book.state(0))
    return found


def bids(records: Transactions) -> list[tuple[int, bool]]:
    """(price, whether a gap is before it) of the LEVEL records that are no snapshot's."""
    flow = records[(records["action"] == LEVEL) & (records["flags"] & SEED == 0)]
    return [(int(record["price"]), bool(record["flags"] & GAP)) for record in flow]


def spot(*ids: tuple[int, int]) -> list[str]:
    """Diffs of the spot market; each sets the bid whose price is its last id."""
    return [diff(T + last, first, last, [(str(last), "1")]) for first, last in ids]


def futures(*ids: tuple[int, int, int]) -> list[str]:
    return [diff(T + last, first, last, [(str(last), "1")], previous=previous) for first, last, previous in ids]


@pytest.mark.parametrize(
    "lines, written, gaps",
    [
        # spot: the first one applied holds lastUpdateId + 1, then each follows the one before
        (spot((1, 5), (6, 10), (11, 15), (16, 20)), [15, 20], 0),
        (spot((1, 9), (9, 12), (13, 13)), [12, 13], 0),
        (spot((11, 11), (12, 14)), [11, 14], 0),
        (spot((5, 12), (13, 15)), [12, 15], 0),
        (spot((12, 15), (16, 20)), [-15, 20], 1),
        (spot((11, 15), (17, 20), (21, 22)), [15, -20, 22], 1),
        (spot((11, 15), (11, 15), (12, 14), (16, 20)), [15, 20], 0),
        # futures: the first one applied holds lastUpdateId, then pu is the one before
        (futures((1, 5, 0), (7, 9, 5), (9, 15, 9), (18, 20, 15)), [15, 20], 0),
        (futures((8, 10, 7), (12, 15, 10)), [10, 15], 0),
        (futures((11, 15, 10), (17, 20, 15)), [15, 20], 0),
        (futures((12, 15, 11), (17, 20, 15)), [-15, 20], 1),
        (futures((8, 15, 7), (17, 20, 16), (22, 25, 20)), [15, -20, 25], 1),
        (futures((8, 15, 7), (8, 15, 7), (17, 20, 15)), [15, 20], 0),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 99])
def test_diffs_are_applied_by_the_market_s_rule_wherever_the_snapshot_comes(
    tmp_path: Path, lines: list[str], written: list[int], gaps: int, place: int
) -> None:
    shot = snapshot(T + 10, 10, [("1", "1")], [("900", "1")])
    records, fault, feed = read(write(tmp_path, *lines[:place], shot, *lines[place:]))
    assert fault is None
    assert bids(records) == [(abs(price), price < 0) for price in written]
    assert feed.oddities.gaps == gaps
    assert feed.synced == (gaps == 0)
    assert records["flags"][:3].tolist() == [SEED, SEED, SEED | LAST]


def test_a_gap_leaves_the_book_stale_until_the_next_snapshot_mends_it(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        snapshot(T, 10, [("1", "1")]),
        *spot((11, 12), (15, 16), (17, 18), (19, 20)),
        snapshot(T + 21, 17, [("1", "7")]),
        *spot((21, 22)),
        snapshot(T + 23, 22, [("1", "9")]),
        *spot((23, 24)),
    )
    records, fault, feed = read(path)
    assert fault is None
    assert bids(records) == [(12, False), (16, True), (18, False), (20, False), (18, False), (20, False), (22, False),
                             (24, False)]  # fmt: skip
    assert states(feed, records) == ["synced"] * 2 + ["stale"] * 3 + ["synced"] * 5
    assert (feed.oddities.gaps, feed.synced) == (1, True)
    # what the stale book was given again is due with the snapshot
    assert (np.diff(records["due_ticks"]) >= 0).all()
    assert feed.oddities.skipped == {"depthUpdate (before the snapshot)": 1, "snapshot (not needed)": 1}
    book = ExactBook(feed.instruments)
    book.apply(records)
    assert book.depth(0, 9)[0].tolist() == [(price, 1, 0) for price in (24, 22, 20, 18)] + [(1, 7, 0)]


def test_a_snapshot_that_is_too_old_leaves_the_book_stale(tmp_path: Path) -> None:
    path = write(
        tmp_path, snapshot(T, 10), *spot((11, 12), (15, 16)), snapshot(T + 17, 13, [("1", "1")]), *spot((17, 18))
    )
    records, _, feed = read(path)
    assert bids(records) == [(12, False), (16, True), (16, True), (18, False)]
    assert (feed.oddities.gaps, feed.synced, states(feed, records)[-1]) == (2, False, "stale")


@pytest.mark.parametrize("batch_size", [1, 4096])
def test_without_a_snapshot_the_book_is_stale_and_nothing_is_lost(tmp_path: Path, batch_size: int) -> None:
    path = write(tmp_path, *spot((1, 5), (6, 7)), trade(T + 8, 1, "5", "1", True), *spot((9, 10), (11, 12)))
    records, fault, feed = read(path, batch_size=batch_size)
    assert fault is None
    assert bids(records) == [(5, True), (7, False), (10, True), (12, False)]
    assert records["action"].tolist() == [TRADE, LEVEL, LEVEL, LEVEL, LEVEL]
    assert (feed.oddities.gaps, feed.synced, states(feed, records)[-1]) == (2, False, "stale")
    assert set(records["due_ticks"][1:].tolist()) == {T + 12}


def test_a_snapshot_that_does_not_come_in_ten_seconds_is_not_waited_for(tmp_path: Path) -> None:
    late = [diff(T + 4_000_000_000 * step, step, step, [(str(step), "1")]) for step in range(1, 7)]
    records, _, feed = read(write(tmp_path, *late, snapshot(T + 10**11, 5, [("1", "1")]), *spot((7, 10**12))))
    assert bids(records)[:6] == [(1, True), (2, False), (3, False), (4, False), (5, False), (6, False)]
    assert records["due_ticks"][:6].tolist() == [T + 16_000_000_000] * 4 + [T + 20_000_000_000, T + 24_000_000_000]
    assert bids(records)[6:] == [(6, False), (10**12, False)]
    assert states(feed, records) == ["stale"] * 6 + ["synced"] * 3
    assert feed.oddities.gaps == 1


def test_what_waits_for_a_snapshot_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance_sync, "MOST_HELD_LEVELS", 5)
    lines = spot(*((step, step) for step in range(1, 21)))
    records, _, feed = read(write(tmp_path, *lines, snapshot(T + 99, 17, [("1", "1")])))
    assert [price for price, _ in bids(records)] == [*range(1, 21), 18, 19, 20]
    assert (feed.oddities.gaps, feed.synced) == (1, True)
    records, _, feed = read(write(tmp_path, *lines, snapshot(T + 99, 14, [("1", "1")])))
    assert bids(records)[20:] == [(16, True), (17, False), (18, False), (19, False), (20, False)]
    assert (feed.oddities.gaps, feed.synced) == (2, False)


def test_a_message_of_any_length_is_one_event(tmp_path: Path) -> None:
    levels = [(str(price), "1") for price in range(20_000)]
    records, fault, feed = read(
        write(tmp_path, snapshot(T, 1, levels, levels), diff(T + 1, 2, 2, levels)), batch_size=7
    )
    assert fault is None
    assert records["price"].tolist() == [0, *range(20_000), *range(20_000), *range(20_000)]
    assert np.flatnonzero(records["flags"] & LAST).tolist() == [40_000, 60_000]
    assert feed.synced


def test_other_streams_and_messages_make_no_record(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f'{T} {{"result":null,"id":1}}',
        f'{T} {{"stream":"btcusdt@aggTrade","data":{{"s":"BTCUSDT","p":"1"}}}}',
        f'{T} {{"stream":"btcusdt@depth5@100ms","data":{{"lastUpdateId":1,"bids":[],"asks":[]}}}}',
        f'{T} {{"stream":"!ticker@arr","data":[]}}',
        f'{T} {{"stream":"btcusdt","data":[]}}',
        f"{T} {{}}",
        snapshot(T, 1, [("1", "1")]),
    )
    records, fault, feed = read(path)
    assert (len(records), fault) == (2, None)
    assert feed.oddities.skipped == {
        "no stream": 2, "aggTrade": 1, "unknown 'depth5'": 1, "unknown 'arr'": 1, "unknown 'btcusdt'": 1
    }  # fmt: skip


def test_one_symbol_is_read_and_another_one_is_refused_unless_one_is_asked_for(tmp_path: Path) -> None:
    lines = [
        snapshot(T, 10, [("1", "1")]),
        diff(T, 11, 11, [("2", "1")]),
        diff(T, 500, 501, [("3.25", "1")], symbol="ETHUSDT"),
        trade(T, 1, "3", "1", True, symbol="ETHUSDT"),
        diff(T, 12, 12, [("4", "1")]),
    ]
    path = write(tmp_path, *lines)
    with pytest.raises(FeedError, match="line 3: found the symbol ETHUSDT besides another one"):
        BinanceFeed(path)
    records, fault, feed = read(path, symbols=["BTCUSDT"])
    assert (fault, feed.instruments, bids(records)) == (
        None,
        [Instrument("BTCUSDT", 0, 0, 0)],
        [(2, False), (4, False)],
    )
    assert feed.oddities.skipped == {"other symbols": 2}
    records, fault, feed = read(path, symbols=["SOLUSDT"])
    assert (len(records), fault, feed.instruments, feed.unseen) == (0, None, [], ["SOLUSDT"])
    assert feed.oddities.skipped == {"other symbols": 4, "snapshot (not needed)": 1}


def test_a_symbol_that_a_terminal_would_obey_is_not_repeated_to_it(tmp_path: Path) -> None:
    other = diff(T, 500, 501, [("3.25", "1")], symbol="ETHUSDT").replace("ethusdt", "et\x7fusdt")
    records, fault, _ = read(write(tmp_path, snapshot(T, 10, [("1", "1")]), diff(T, 11, 11, [("2", "1")]), other))
    assert len(records) == 3  # a clearing, and a level of each of the first two lines
    assert fault is not None
    assert (fault.line, fault.problem.partition(", expected")[0]) == (3, "found the symbol 'et\\x7fusdt'")


@pytest.mark.parametrize(
    "sizes, decimals",
    [
        (["0.014", "12.000"], 3),
        (["3.78826000"], 8),
        (["123456789012.00000000"], 2),
        (["123456789012.12500000"], 3),
        (["7"], 0),
    ],
)
def test_sizes_have_the_decimals_that_are_written_if_there_is_room(
    tmp_path: Path, sizes: list[str], decimals: int
) -> None:
    levels = [(str(price), size) for price, size in enumerate(sizes, 1)]
    records, fault, feed = read(write(tmp_path, ticker(T, 1, ("1", "1"), ("1", "1")), snapshot(T, 1, levels)))
    assert (fault, feed.instruments[0].size_decimals) == (None, decimals)
    assert records["size"][1:].tolist() == [units(size, decimals) for size in sizes]


# --- damage -----------------------------------------------------------------------------------------------------------

DIFF = diff(T, 11, 12, [("1.25", "1.5")])
SHOT = snapshot(T, 10, [("1.25", "1.5")])
SOLD = trade(T, 1, "1.25", "1.5", True)


@pytest.mark.parametrize(
    "line, found, expected",
    [
        ("", "the end of the line", "the receive time in ns, a space and a message"),
        ("x {}", "'x {'", "the receive time in ns"),
        ("-5 {}", "'-5 {'", "the receive time in ns"),
        (f"{T}{{}}", "the receive time in ns", ""),
        (f"{T}", "the receive time in ns", ""),
        (f"{T} []", "at column 21", "JSON"),
        (f"{T} ", "the end of the line at column 21", "JSON"),
        (DIFF[:-1], "the end of the line at column", "JSON"),
        (DIFF + "}", "behind the message", "the end of the line"),
        (f'{T} {{"stream":5,"data":{{}}}}', "'5' in stream", "the name of a stream"),
        (f'{T} {{"stream":"btcusdt@depth"}}', "found no data", "expected it in"),
        *((DIFF.replace(f'"{name}":', f'"x{name}":'), f"found no {name}", "expected it in") for name in "UuEba"),
        (DIFF.replace('"U":11', '"U":"x"'), "in U", "a number"),
        (DIFF.replace('"u":12', '"u":-12'), "'-12' in u", "a number that is not negative"),
        (DIFF.replace(f'"E":{E}', '"E":9999999999999999'), "in E", "milliseconds that fit 64 bits in ns"),
        (DIFF.replace('"1.25"', '"1.2x"'), "in b", "a number"),
        (DIFF.replace('"1.25"', "1.25"), "in b", "a number"),
        (DIFF.replace('"1.25"', '"' + "9" * 20 + '"'), "in b", "a number that fits 64 bits"),
        (DIFF.replace('"1.5"', '"-1.5"'), "in b", "a size that is not negative"),
        (DIFF.replace('["1.25","1.5"]', '["1.25"]'), "in b", "a list of [price, size]"),
        (DIFF.replace('["1.25","1.5"]', '{"1.25":"1.5"}'), "in b", "a list of [price, size]"),
        (DIFF.replace('"a":[]', '"a":null'), "'null' in a", "a list of [price, size]"),
        (SHOT.replace('"lastUpdateId":10', '"lastUpdateId":null'), "in lastUpdateId", "a number"),
        (SHOT.replace('"asks"', '"tasks"'), "found no asks", "expected it in"),
        (SHOT.replace('"1.25"', '"?"'), "in bids", "a number"),
        *((SOLD.replace(f'"{name}":', f'"x{name}":'), f"found no {name}", "expected it in") for name in "pqm"),
        (SOLD.replace('"m":true', '"m":1'), "'1' in m", "true or false"),
        (SOLD.replace('"q":"1.5"', '"q":"-1.5"'), "in q", "not negative"),
        (SOLD.replace('"t":1', '"t":"x"'), "in t", "a number"),
    ],
)
def test_a_damaged_line_is_refused_with_its_line_and_after_all_before_it(
    tmp_path: Path, line: str, found: str, expected: str
) -> None:
    needs_book = "lastUpdateId" not in line
    before = [SHOT, *spot(*((step, step) for step in range(11, 18)))] if needs_book else []
    trades = [trade(T, number, "1.25", "1.5", True) for number in range(9)]
    records, fault, _ = read(write(tmp_path, *before, *trades, line, DIFF), batch_size=4)
    assert len(records) == (9 + 9 if needs_book else 9)
    assert fault is not None
    assert fault.line == len(before) + 10
    assert found in fault.problem
    assert expected in fault.problem


def test_what_waits_for_a_snapshot_is_told_before_a_damage(tmp_path: Path) -> None:
    records, fault, feed = read(write(tmp_path, *spot((1, 2), (3, 4)), "x"), batch_size=1)
    assert bids(records) == [(2, True), (4, False)]
    assert fault is not None
    assert (fault.line, feed.oddities.gaps) == (3, 1)


def test_a_finer_price_than_the_rule_allows_is_refused(tmp_path: Path) -> None:
    filler = f'{T} {{"stream":"btcusdt@kline","data":"{"x" * 4_500_000}"}}'
    path = write(tmp_path, SHOT, filler, filler, DIFF.replace("1.25", "1.255"))
    records, fault, _ = read(path)
    assert len(records) == 2
    assert fault is not None
    assert fault.line == 4
    assert "'\"1.255\"' in b, expected at most 2 decimals" in fault.problem


def test_files_that_hold_no_capture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="found an empty file"):
        BinanceFeed(write(tmp_path))
    with pytest.raises(FeedError, match="found no stream of a symbol"):
        BinanceFeed(write(tmp_path, snapshot(T, 1)))
    with pytest.raises(FeedError, match="takes no seed"):
        BinanceFeed(write(tmp_path, DIFF), seed="book.json")


# --- round trips ------------------------------------------------------------------------------------------------------


def session(seed: int, steps: int, is_futures: bool) -> tuple[list[str], list[dict[int, int]], list[tuple[int, ...]]]:
    """A random capture without gaps: its lines, the book at its end (bids, asks) and the trades."""
    rng = random.Random(seed)
    book: list[dict[int, int]] = [{}, {}]
    lines: list[str] = []
    trades: list[tuple[int, ...]] = []
    last = rng.randint(1, 1000)
    snapshot_at = rng.randint(0, steps - 1)
    shot: tuple[int, list[dict[int, int]]] | None = None

    def text(units_: int, decimals: int) -> str:
        return f"{units_ // 10**decimals}.{units_ % 10**decimals:0{decimals}d}"

    for step in range(steps):
        at = T + step * 1_000_000
        changes: list[list[tuple[int, int]]] = [[], []]
        for _ in range(rng.randint(0, 6)):
            side, price = rng.randint(0, 1), rng.randint(1, 40)
            changes[side].append((price, rng.choice([0, rng.randint(1, 10**6)])))
        first = last + 1 if not is_futures else last + rng.randint(1, 5)
        previous, last = last, first + rng.randint(0, 9)
        if step == snapshot_at:
            shot = (previous, [dict(side) for side in book])
        for side in (0, 1):
            for price, size in changes[side]:
                book[side].pop(price, None)
                if size:
                    book[side][price] = size
        texts = [[(text(price, 2), text(size, 3)) for price, size in side] for side in changes]
        lines.append(diff(at, first, last, *texts, previous=previous if is_futures else None, time=E + step))
        if rng.random() < 0.3:
            trades.append((rng.randint(0, 1), rng.randint(1, 10**6), rng.randint(1, 10**6), step, at))
            side, price, size = trades[-1][:3]
            lines.append(trade(at, step, text(price, 2), text(size, 3), side == ASK))
    assert shot is not None
    place = next(i for i, line in enumerate(lines) if f'"E":{E + snapshot_at + is_futures}' in line)
    place = min(place + rng.randint(0, 3), len(lines))
    levels = [[(text(price, 2), text(size, 3)) for price, size in side.items()] for side in shot[1]]
    at = int(lines[place - 1].split()[0]) if place else T
    lines.insert(place, snapshot(at, shot[0], *levels, time=E if is_futures else None))
    return lines, book, trades


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 30), is_futures=st.booleans(), batch_size=st.integers(1, 40))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: int, is_futures: bool, batch_size: int
) -> None:
    lines, book, trades = session(seed, steps, is_futures)
    feed = BinanceFeed(write(tmp_path_factory.mktemp("trip"), *lines), batch_size=batch_size)
    records, fault = drained(feed)
    assert (fault, feed.oddities.gaps, feed.oddities.time_back, feed.synced) == (None, 0, 0, True)
    exact = ExactBook(feed.instruments)
    exact.apply(records)
    decimals = feed.instruments[0]
    scale = 10 ** (2 - decimals.price_decimals), 10 ** (3 - decimals.size_decimals)
    for side, levels in enumerate(exact.depth(0, 1000)):
        ours = {int(price) * scale[0]: int(size) * scale[1] for price, size, _ in levels.tolist()}
        assert ours == book[side]
    prints = records[records["action"] == TRADE]
    assert [
        (side, price * scale[0], size * scale[1], number, due)
        for side, price, size, number, due in rows(prints, ("side", "price", "size", "new_order_id", "due_ticks"))
    ] == trades
    assert exact.state(0) in ("synced", "crossed")


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_damaged_file_gives_nothing_but_feed_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lines, _, _ = session(data.draw(st.integers(0, 1000)), 5, data.draw(st.booleans()))
    path = write(tmp_path_factory.mktemp("damage"), data.draw(damaged(capture(*lines))))
    only_feed_errors(path, "binance")


# --- recorded ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, applied, dropped, levels, instrument, trades",
    [
        ("binance_spot_btcusdt_20240808.gz", 3449, 2, (1209, 2196), Instrument("BTCUSDT", 2, 8, 0), 9757),
        ("binance_usdm_btcusdt_20240808.gz", 6547, 4, (5018, 4578), Instrument("BTCUSDT", 2, 3, 0), 21_313),
    ],
)
def test_recorded_book_shows_the_recorded_ticker_after_every_applied_diff(
    name: str, applied: int, dropped: int, levels: tuple[int, int], instrument: Instrument, trades: int
) -> None:
    path = recorded("binance", name)
    feed = open_feed(path, batch_size=1 << 20)
    assert feed.instruments == [instrument]
    records, fault = drained(feed)
    assert (fault, feed.oddities.gaps, feed.oddities.time_back) == (None, 0, 0)
    assert feed.oddities.skipped["depthUpdate (before the snapshot)"] == dropped
    assert (records["action"] == TRADE).sum() == trades
    updates: list[int] = []
    tickers: list[tuple[int, tuple[int, int, int, int]]] = []
    for line in gzip.decompress(path.read_bytes()).splitlines():
        if b"@bookTicker" in line:
            data = json.loads(line.partition(b" ")[2])["data"]
            best = [units(data[key], instrument.price_decimals) for key in "ba"]
            size = [units(data[key], instrument.size_decimals) for key in "BA"]
            tickers.append((data["u"], (best[0], size[0], best[1], size[1])))
        elif b"@depth" in line:
            updates.append(int(line.partition(b'"u":')[2].partition(b",")[0]))
    tickers.sort()
    ids = [update for update, _ in tickers]
    flow = records[records["action"] != TRADE]
    ends = (np.flatnonzero(flow["flags"] & LAST) + 1).tolist()
    book = ExactBook(feed.instruments)
    book.apply(flow[: ends[0]])  # the snapshot
    equal = 0
    for begin, end, update in zip(ends[:-1], ends[1:], updates[dropped:], strict=True):
        book.apply(flow[begin:end])
        equal += book.best(0) == tickers[bisect_right(ids, update) - 1][1]
    assert (len(ends) - 1, equal) == (applied, applied)
    assert book.totals(0)[0::2] == levels
    assert (book.state(0), book.outcomes.crossed) == ("synced", 0)
