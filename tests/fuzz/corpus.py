"""Small files of every format, written by the tests' own encoders: what the fuzzer begins from."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import numpy as np

from tests.encoders import binance, coinbase, dbn, itch, lobster, tardis
from velox_engine.feeds.base import TimeBase
from velox_engine.feeds.journal_writer import JournalWriter
from velox_engine.records import TRANSACTION, Instrument

LOBSTER_NAME = "AMZN_2012-06-21_34200000_57600000_message_5.csv"
_T = 1_700_000_000_000_000_000
_START = 1_531_514_831_025_000_000


def _price(choose: random.Random) -> str:
    return f"{choose.randint(95, 105)}.{choose.randint(0, 99):02d}"


def _size(choose: random.Random) -> str:
    return f"{choose.randint(0, 9)}.{choose.randint(0, 10**8):08d}"


def lobster_files() -> list[bytes]:
    choose = random.Random("lobster")
    files = []
    for count in (0, 1, 6, 40):
        time, events = 34_200_000_000_000, []
        for number in range(count):
            time += choose.randint(0, 10**9)
            kind = choose.choice((1, 1, 1, 2, 3, 4, 5, 6, 7))
            price = -1 if kind == 7 else 100 * choose.randint(-3, 30_000)
            events.append(
                lobster.Event(
                    time, kind, choose.randint(0, number), choose.randint(1, 500), price, choose.choice((1, -1))
                )
            )
        files.append(lobster.message_file(events))
    return [*files, files[2].replace(b"\n", b"\r\n"), files[2].rstrip(b"\n")]


def lobster_books() -> list[bytes]:
    choose = random.Random("lobster book")
    rows = []
    for levels in (0, 1, 3, 5):
        bids = [(1_000_000 - 100 * level, choose.randint(1, 900)) for level in range(levels)]
        asks = [(1_000_100 + 100 * level, choose.randint(1, 900)) for level in range(levels)]
        rows.append(lobster.orderbook(bids, asks, 5))
    return [f"{row}\n{rows[-1]}\n".encode() for row in rows] + [rows[-1].encode(), "\r\n".join([*rows, ""]).encode()]


def itch_files() -> list[bytes]:
    opening = [
        itch.system_event("O", 1),
        itch.directory(1, "AAPL", 2),
        itch.directory(7, "ZZZ", 2),
        itch.trading_action(1, "AAPL", "T", 3),
        itch.reg_sho(1, "AAPL", 4),
    ]
    flow = [
        itch.add(1, 5, 100, "B", 50, "AAPL", 1_000_000),
        itch.add(1, 6, 101, "S", 60, "AAPL", 1_000_100, by="MPID"),
        itch.executed(1, 7, 100, 10, 9),
        itch.executed_at(1, 8, 101, 10, 10, 1_000_050),
        itch.cancel(1, 9, 100, 5),
        itch.replace(1, 10, 100, 102, 70, 999_900),
        itch.trade(1, 11, 5, "AAPL", 1_000_000, 11),
        itch.cross(1, 12, 500, "AAPL", 1_000_000, 12),
        itch.broken(1, 13, 11),
        itch.imbalance(1, 14, "AAPL"),
        itch.delete(1, 15, 102),
        itch.add(7, 16, 2**63 + 5, "S", 1, "ZZZ", 1),
        itch.add(9, 16, 5, "S", 1, "LATE", 1),
        itch.other("z", 20, 1, 17),
        itch.system_event("C", 18),
    ]
    whole = itch.framed(*opening, *flow)
    return [whole, itch.framed(*flow), itch.framed(*opening, *flow[:3]), itch.framed(*(flow * 6))]


def _mbp(kind: int, moment: int, choose: random.Random) -> bytes:
    levels = [
        (10**9 * (100 - level), 10**9 * (101 + level), choose.randint(0, 9), choose.randint(0, 9), level, 1)
        for level in range(choose.randint(0, kind))
    ]
    return dbn.levelled(
        kind, choose.choice("ATRCM"), choose.choice("ABN"), choose.randint(1, 10**12), 3, levels,
        instrument=choose.randint(1, 3), publisher=choose.choice((1, 1, 2)), ts_event=moment, ts_recv=moment,
        flags=choose.choice((0, 128, 130, 164)),
    )  # fmt: skip


def dbn_files() -> list[bytes]:
    choose = random.Random("dbn")
    names = [("ESZ3", [(20231101, 20231201, "1")]), ("NQZ3", [(20231101, 20231115, "2"), (20231115, 20231201, "3")])]
    files = []
    for version in (1, 2, 3):
        orders = [
            dbn.mbo(
                choose.choice("AAAACMFTRN"),
                choose.choice("ABN"),
                choose.randint(0, 5),
                10**9 * choose.randint(1, 9),
                choose.randint(0, 9),
                instrument=choose.randint(1, 3),
                publisher=choose.choice((1, 2)),
                ts_event=_T + 1,
                ts_recv=_T + moment,
                flags=choose.choice((0, 128, 128, 160, 132, 192)),
            )
            for moment in range(30)
        ]
        mapping = dbn.symbol_mapping(version, 2, "OTHER")
        files.append(dbn.metadata(version, "mbo", names) + b"".join([*orders, mapping, *orders[:5]]))
        for kind, schema in ((1, "mbp-1"), (10, "mbp-10"), (0, "trades")):
            records = b"".join(_mbp(kind, _T + moment, choose) for moment in range(8))
            files.append(dbn.metadata(version, schema, names) + records)
    live = [dbn.symbol_mapping(3, 1, "ES", ts_out=5), dbn.mbo("A", "B", 1, 5, 5, ts_out=9), dbn.other(0x17, 32)]
    return [*files, dbn.metadata(3, "mixed", ts_out=True) + b"".join(live), dbn.metadata(1, "mbo")]


def coinbase_files() -> list[bytes]:
    choose = random.Random("coinbase")
    files = []
    for count in (3, 12, 30):
        messages, sequence = [], 10
        for step in range(count):
            sequence += choose.choice((1, 1, 1, 1, 4))
            order, side = coinbase.order_uuid(choose.randint(1, 5)), choose.choice(("buy", "sell"))
            price, size, at = _price(choose), _size(choose), _START + step * 1000
            messages.append(
                choose.choice(
                    (
                        coinbase.received(sequence, at, order, side, price, size),
                        coinbase.opened(sequence, at, order, side, price, size),
                        coinbase.opened(sequence, at, coinbase.order_uuid(step + 9), side, price, size),
                        coinbase.done(sequence, at, order, side, price, size, "canceled"),
                        coinbase.match(sequence, at, step, order, coinbase.order_uuid(77), side, price, size),
                        coinbase.change(sequence, at, order, side, price, size, old_size=_size(choose)),
                        {"type": "heartbeat", "sequence": sequence, "product_id": "BTC-USD", "time": "x"},
                        {"type": "subscriptions", "channels": [{"name": "full", "product_ids": ["BTC-USD"]}]},
                    )
                )
            )
        files.append(coinbase.lines(*messages, sort_keys=count == 12))
    other = coinbase.opened(3, _START, coinbase.order_uuid(4), "buy", "1", "2", product="ETH-USD")
    return [*files, files[0] + coinbase.lines(other), files[1].rstrip(b"\n")]


def coinbase_books() -> list[bytes]:
    bids = [("100.25", "1.5", coinbase.order_uuid(1)), ("100.00", "2", coinbase.order_uuid(2))]
    asks = [("100.50", "0.00000001", coinbase.order_uuid(3))]
    return [coinbase.level3(10, bids, asks), coinbase.level3(10, [], []), coinbase.level3(9, bids * 3, asks)]


def binance_files() -> list[bytes]:
    choose = random.Random("binance")
    files = []
    for futures in (False, True):
        for count in (2, 10):
            lines, last = [], 100
            for step in range(count):
                first = last + 1
                previous, last = last, last + choose.randint(1, 3)
                levels = [[(_price(choose), _size(choose)) for _ in range(choose.randint(0, 4))] for _ in range(2)]
                lines.append(binance.diff(_T + step, first, last, *levels, previous=previous if futures else None))
                lines.append(
                    choose.choice(
                        (
                            binance.trade(_T + step, step, _price(choose), _size(choose), step % 2 == 0),
                            binance.ticker(_T + step, last, ("1.0", "2"), ("1.5", "3")),
                            binance.diff(_T + step, last + 5, last + 6, [("1.0", "1")], symbol="ETHUSDT"),
                        )
                    )
                )
            levels = [[(_price(choose), _size(choose)) for _ in range(3)] for _ in range(2)]
            lines.insert(1, binance.snapshot(_T, 102, *levels, time=_T // 10**6 if futures else None))
            files.append(binance.capture(*lines))
    return files


def tardis_files() -> list[bytes]:
    choose = random.Random("tardis")
    rows = [
        tardis.Level(
            choose.choice(("BTCUSDT", "BTCUSDT", "ETHUSDT")),
            10**15 + step,
            10**15 + step // 3,
            step < 6,
            choose.choice(("bid", "ask")),
            _price(choose),
            _size(choose),
        )
        for step in range(30)
    ]
    trades = [
        tardis.Trade("BTCUSDT", 10**15 + step, 10**15 + step, str(step), choose.choice(("buy", "sell", "unknown")),
                     _price(choose), _size(choose))
        for step in range(12)
    ]  # fmt: skip
    return [tardis.book_file(rows), tardis.book_file(rows[:4]), tardis.trades_file(trades), tardis.trades_file([])]


def journal_files() -> list[bytes]:
    choose = np.random.default_rng(5)
    names = [Instrument("A", 4, 0, 100), Instrument("Ç", 9, 8, 1)]
    base = TimeBase("midnight", "2020-01-30", "America/New_York", "whatever paced it")
    files = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        for count in (0, 1, 20, 60):
            records = choose.integers(0, 256, 64 * count, np.uint8).view(TRANSACTION)
            records["sequence"] = np.arange(count)
            records["symbol"] %= 2
            records["action"] = 1 + records["action"] % 11
            records["side"] %= 3
            records["flags"] &= 7
            with JournalWriter(path, names, "a source", time_base=base, overwrite=True, flush_secs=0) as writer:
                for at in range(0, count, 10):
                    writer.write(records[at : at + 10], [4, 0, 6] if count > 1 else [1])
            files.append(path.read_bytes())
    return [*files, files[2][:-60]]
