"""Sample files for the decoders: one flow, the synthetic market's, written as each venue would send it.

The project stands alone: nothing recorded is needed to measure its decoders. What a file must decode to is known, so
that a fast decoder which loses records is found out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velox_engine.bench.books import market_flow
from velox_engine.feeds.journal_writer import JournalWriter
from velox_engine.feeds.synthetic import SYNTHETIC_INSTRUMENT
from velox_engine.records import Action, Side, Transactions

_SYMBOL: Final = SYNTHETIC_INSTRUMENT.symbol
_SCALE: Final = 10**SYNTHETIC_INSTRUMENT.price_decimals
_BEGIN_S: Final = 34_200  # 9:30 of the venue's day
_UNIX_S: Final = 1_700_000_000
_LEVELS_A_DIFF: Final = 20
_ADD, _CANCEL, _DELETE, _EXECUTE = (int(action) for action in Action if action <= Action.EXECUTE)


class Sample(NamedTuple):
    """A file: its format, where it lies, and how many records it decodes to."""

    format: str
    path: Path
    records: int


def write_sample(form: str, folder: Path, count: int) -> Sample:
    """Write ``count`` records of the market in a format, a name of `SAMPLES`, as a file in ``folder``."""
    return SAMPLES[form](market_flow(count), folder)


def _itch(flow: Transactions, folder: Path) -> Sample:
    """NASDAQ TotalView-ITCH 5.0: A, X, D and E messages behind their lengths (BinaryFILE 1.00)."""
    head = [("length", ">u2"), ("type", "S1"), ("locate", ">u2"), ("tracking", ">u2"), ("time", "u1", 6)]
    kinds: dict[int, tuple[bytes, list[Any]]] = {
        _ADD: (b"A", [("ref", ">u8"), ("side", "S1"), ("shares", ">u4"), ("stock", "S8"), ("price", ">u4")]),
        _CANCEL: (b"X", [("ref", ">u8"), ("shares", ">u4")]),
        _DELETE: (b"D", [("ref", ">u8")]),
        _EXECUTE: (b"E", [("ref", ">u8"), ("shares", ">u4"), ("match", ">u8")]),
    }
    times = (_BEGIN_S * 10**9 + flow["event_ns"]).astype(">i8").view(np.uint8).reshape(-1, 8)[:, 2:]
    lengths = np.zeros(len(flow), np.int64)
    parts = []
    for action, (letter, fields) in kinds.items():
        chosen = flow["action"] == action
        messages = np.zeros(int(chosen.sum()), np.dtype([*head, *fields]))
        messages["length"], messages["type"], messages["locate"] = messages.dtype.itemsize - 2, letter, 1
        messages["time"], messages["ref"] = times[chosen], flow["order_id"][chosen]
        for name, source in (("shares", "size"), ("price", "price"), ("match", "new_order_id")):
            if name in (messages.dtype.names or ()):
                messages[name] = flow[source][chosen]
        if action == _ADD:
            messages["side"] = np.where(flow["side"][chosen] == Side.BID, b"B", b"S")
            messages["stock"] = _SYMBOL.ljust(8).encode()
        lengths[chosen] = messages.dtype.itemsize
        parts.append((chosen, messages))
    begins = np.cumsum(lengths) - lengths
    text = np.zeros(int(lengths.sum()), np.uint8)
    for chosen, messages in parts:
        size = messages.dtype.itemsize
        text[begins[chosen][:, None] + np.arange(size)] = messages.view(np.uint8).reshape(-1, size)
    path = folder / "market.itch50"
    path.write_bytes(_itch_directory() + text.tobytes())
    return Sample("itch", path, len(flow))


def _itch_directory() -> bytes:
    """The message (R) that names the only stock."""
    body = b"R" + bytes([0, 1]) + bytes(2 + 6) + _SYMBOL.ljust(8).encode()
    body += b"QN" + (100).to_bytes(4, "big") + b"NCZ PNN1N" + bytes(4) + b"N"
    return len(body).to_bytes(2, "big") + body


_DBN_MBO: Final = np.dtype(
    [
        ("length", "u1"), ("kind", "u1"), ("publisher", "<u2"), ("instrument", "<u4"), ("ts_event", "<u8"),
        ("order_id", "<u8"), ("price", "<i8"), ("size", "<u4"), ("flags", "u1"), ("channel", "u1"), ("action", "S1"),
        ("side", "S1"), ("ts_recv", "<u8"), ("delta", "<i4"), ("sequence", "<u4"),
    ]
)  # fmt: skip


def _dbn(flow: Transactions, folder: Path) -> Sample:
    """Databento DBN 3, schema ``mbo``: an execution is a fill (F) and the cancellation (C) that follows it."""
    filled = (flow["action"] == _EXECUTE).astype(np.int64)
    source = np.repeat(np.arange(len(flow)), 1 + filled)
    rows = np.zeros(len(source), _DBN_MBO)
    flow = flow[source]
    rows["length"], rows["kind"], rows["publisher"], rows["instrument"] = _DBN_MBO.itemsize // 4, 160, 1, 1
    rows["ts_event"] = rows["ts_recv"] = _UNIX_S * 10**9 + flow["event_ns"]
    rows["order_id"], rows["size"] = flow["order_id"], flow["size"]
    rows["price"] = flow["price"] * (10**9 // _SCALE)
    rows["side"] = np.where(flow["side"] == Side.BID, b"B", b"A")
    fill = np.diff(source, append=-1) == 0  # the first of two
    rows["action"] = np.where(flow["action"] == _ADD, b"A", np.where(fill, b"F", b"C"))
    rows["flags"] = np.where(fill, 0, 128)
    path = folder / "market.mbo.dbn"
    path.write_bytes(_dbn_metadata() + rows.tobytes())
    return Sample("dbn", path, len(rows))


def _dbn_metadata() -> bytes:
    """The head of a DBN file of one symbol on one day."""

    def number(value: int, length: int) -> bytes:
        return value.to_bytes(length, "little")

    name = _SYMBOL.encode().ljust(71, b"\x00")
    body = b"XNAS.ITCH".ljust(16, b"\x00") + number(0, 2) + number(1, 8) + number(2, 8) + number(0, 8)
    body += bytes([1, 0, 0]) + number(71, 2) + bytes(53) + number(0, 4)
    body += number(1, 4) + name + number(0, 4) + number(0, 4)  # symbols asked for; none partly or not found
    body += number(1, 4) + name + number(1, 4) + number(20231114, 4) + number(20231115, 4) + b"1".ljust(71, b"\x00")
    body += bytes(-len(body) % 8)
    return b"DBN" + bytes([3]) + number(len(body), 4) + body


def _columns(flow: Transactions) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Yield action, order id, side, price, size and event time of each record as plain numbers."""
    names = ("action", "order_id", "side", "price", "size", "event_ns")
    return zip(*(flow[name].tolist() for name in names), strict=True)


def _lobster(flow: Transactions, folder: Path) -> Sample:
    kinds = {_ADD: 1, _CANCEL: 2, _DELETE: 3, _EXECUTE: 4}
    path = folder / f"{_SYMBOL}_2023-11-14_34200000_57600000_message_50.csv"
    with path.open("w") as file:
        for action, order, side, price, size, ns in _columns(flow):
            seconds, fraction = divmod(ns, 10**9)
            row = f"{_BEGIN_S + seconds}.{fraction:09d},{kinds[action]},{order},{size},{price},{1 - 2 * side}\n"
            file.write(row)
    return Sample("lobster", path, len(flow))


def _iso(ns: int) -> str:
    """Write the time of the venue's day as Coinbase does."""
    seconds, fraction = divmod(ns, 10**9)
    minutes, seconds = divmod(seconds, 60)
    return f"2023-11-14T{14 + minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}.{fraction // 1000:06d}Z"


def _coinbase(flow: Transactions, folder: Path) -> Sample:
    """Coinbase's full channel: open, change, done and match."""
    left: dict[int, int] = {}
    path = folder / "market.coinbase.jsonl"
    with path.open("w") as file:
        for sequence, (action, order, side, price, size, ns) in enumerate(_columns(flow), 1):
            left[order] = size if action == _ADD else left[order] - size
            digits = f"{order:016x}"
            uuid = f"{digits[:8]}-{digits[8:12]}-{digits[12:]}-8000-000000000000"
            text = f"{price / _SCALE:.2f}"
            common = (
                f'"side":"{"sell" if side else "buy"}","price":"{text}","time":"{_iso(ns)}",'
                f'"product_id":"{_SYMBOL}-USD","sequence":{sequence}}}\n'
            )
            if action == _ADD:
                file.write(f'{{"type":"open","order_id":"{uuid}","remaining_size":"{size}",{common}')
            elif action == _CANCEL:
                sizes = f'"old_size":"{left[order] + size}","new_size":"{left[order]}"'
                file.write(f'{{"type":"change","order_id":"{uuid}",{sizes},{common}')
            elif action == _DELETE:
                reason = f'"remaining_size":"{size}","reason":"canceled"'
                file.write(f'{{"type":"done","order_id":"{uuid}",{reason},{common}')
            else:
                taker = "ffffffff-0000-4000-8000-000000000000"
                ids = f'"trade_id":{sequence},"maker_order_id":"{uuid}","taker_order_id":"{taker}"'
                file.write(f'{{"type":"match",{ids},"size":"{size}",{common}')
            if not left[order]:
                del left[order]
    return Sample("coinbase", path, len(flow))


def _totals(flow: Transactions) -> Iterator[tuple[int, int, int, int]]:
    """Yield side, price, the level's size after each record, and its time."""
    held: dict[tuple[int, int], int] = {}
    for action, _, side, price, size, ns in _columns(flow):
        total = held.get((side, price), 0) + (size if action == _ADD else -size)
        held[side, price] = total
        yield side, price, total, ns


def _binance(flow: Transactions, folder: Path) -> Sample:
    """A capture of Binance's spot streams: an empty snapshot, then diffs of twenty levels."""
    path, updates = folder / "market.binance", list(_totals(flow))
    with path.open("w") as file:
        file.write(f'{_UNIX_S * 10**9} {{"lastUpdateId":0,"bids":[],"asks":[]}}\n')
        for first in range(0, len(updates), _LEVELS_A_DIFF):
            part = updates[first : first + _LEVELS_A_DIFF]
            bids, asks = (
                ",".join(f'["{price / _SCALE:.2f}","{total}.00"]' for each, price, total, _ in part if each == side)
                for side in range(2)
            )
            ns = _UNIX_S * 10**9 + part[-1][3]
            file.write(
                f'{ns} {{"stream":"{_SYMBOL.lower()}@depth@100ms","data":{{"e":"depthUpdate","E":{ns // 10**6},'
                f'"s":"{_SYMBOL}","U":{first + 1},"u":{first + len(part)},"b":[{bids}],"a":[{asks}]}}}}\n'
            )
    return Sample("binance", path, len(updates) + 1)  # the snapshot clears the book


def _tardis(flow: Transactions, folder: Path) -> Sample:
    """Tardis ``incremental_book_L2`` rows."""
    path = folder / "market.tardis.csv"
    with path.open("w") as file:
        file.write("exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n")
        for side, price, total, ns in _totals(flow):
            us = _UNIX_S * 10**6 + ns // 1000
            word = "ask" if side else "bid"
            file.write(f"binance,{_SYMBOL},{us},{us + 150},false,{word},{price / _SCALE:.2f},{total}\n")
    return Sample("tardis", path, len(flow))


def _journal(flow: Transactions, folder: Path) -> Sample:
    """What ``--sink`` writes, in bundles of 16."""
    path = folder / "market.velox"
    sizes: NDArray[np.int64] = np.full(len(flow) // 16, 16, np.int64)
    with JournalWriter(path, [SYNTHETIC_INSTRUMENT], "synthetic", overwrite=True) as journal:
        journal.write(flow[: 16 * len(sizes)], sizes)
    return Sample("journal", path, 16 * len(sizes))


SAMPLES: Final[dict[str, Callable[[Transactions, Path], Sample]]] = {
    "itch": _itch,
    "dbn": _dbn,
    "lobster": _lobster,
    "coinbase": _coinbase,
    "binance": _binance,
    "tardis": _tardis,
    "journal": _journal,
}
"""Each format's writer. DBN's makes more records than it is given, as its executions are two messages."""
