"""DBN metadata and records written from Databento's description of the encoding; nothing of the decoder is used."""

from __future__ import annotations

import struct
from collections.abc import Sequence

UNDEFINED_PRICE = 2**63 - 1
UNDEFINED_TIME = 2**64 - 1
SCHEMAS = {"mbo": 0, "mbp-1": 1, "mbp-10": 2, "tbbo": 3, "trades": 4, "mixed": 0xFFFF}

Interval = tuple[int, int, str]
"""First day (YYYYMMDD), the day after the last, symbol."""
Level = tuple[int, int, int, int, int, int]
"""Bid price, ask price, bid size, ask size, bid count, ask count."""
NO_LEVEL: Level = (UNDEFINED_PRICE, UNDEFINED_PRICE, 0, 0, 0, 0)


def metadata(
    version: int,
    schema: str,
    mappings: Sequence[tuple[str, Sequence[Interval]]] = (),
    *,
    stype_in: int = 1,
    stype_out: int = 0,
    ts_out: bool = False,
    symbols: Sequence[str] = ("ASKED",),
) -> bytes:
    width = 22 if version == 1 else 71

    def text(symbol: str) -> bytes:
        return symbol.encode().ljust(width, b"\x00")

    def texts(several: Sequence[str]) -> bytes:
        return struct.pack("<I", len(several)) + b"".join(map(text, several))

    body = b"GLBX.MDP3".ljust(16, b"\x00") + struct.pack("<HQQQ", SCHEMAS[schema], 1, 2, 0)
    if version == 1:
        body += struct.pack("<QBBB", 2**64 - 1, stype_in, stype_out, ts_out) + bytes(47)
    else:
        body += struct.pack("<BBBH", stype_in, stype_out, ts_out, width) + bytes(53)
    assert len(body) == 100
    body += struct.pack("<I", 0) + texts(symbols) + texts([]) + texts(["GONE"])
    body += struct.pack("<I", len(mappings))
    for asked, intervals in mappings:
        body += text(asked) + struct.pack("<I", len(intervals))
        for first, end, symbol in intervals:
            body += struct.pack("<II", first, end) + text(symbol)
    if version > 1:
        body += bytes(-len(body) % 8)
    return b"DBN" + struct.pack("<BI", version, len(body)) + body


def _head(length: int, kind: int, publisher: int, instrument: int, ts_event: int) -> bytes:
    return struct.pack("<BBHIQ", length // 4, kind, publisher, instrument, ts_event)


def _tail(ts_recv: int, sequence: int, ts_out: int | None) -> bytes:
    return struct.pack("<QiI", ts_recv, 7, sequence) + (b"" if ts_out is None else struct.pack("<Q", ts_out))


def mbo(
    action: str,
    side: str = "N",
    order_id: int = 0,
    price: int = UNDEFINED_PRICE,
    size: int = 0,
    *,
    instrument: int = 1,
    publisher: int = 1,
    ts_event: int = 1,
    ts_recv: int = 2,
    flags: int = 128,
    ts_out: int | None = None,
) -> bytes:
    length = 56 if ts_out is None else 64
    fields = struct.pack("<QqIBBcc", order_id, price, size, flags, 0, action.encode(), side.encode())
    return _head(length, 160, publisher, instrument, ts_event) + fields + _tail(ts_recv, 1, ts_out)


def levelled(
    kind: int,
    action: str,
    side: str = "N",
    price: int = UNDEFINED_PRICE,
    size: int = 0,
    levels: Sequence[Level] = (),
    *,
    instrument: int = 1,
    publisher: int = 1,
    ts_event: int = 1,
    ts_recv: int = 2,
    flags: int = 128,
    ts_out: int | None = None,
) -> bytes:
    """A trade (kind 0), mbp-1 (1) or mbp-10 (10) record; levels that are not given are undefined."""
    filled = [*levels, *[NO_LEVEL] * (kind - len(levels))]
    assert len(filled) == kind
    length = 48 + 32 * kind + (0 if ts_out is None else 8)
    fields = struct.pack("<qIccBB", price, size, action.encode(), side.encode(), flags, 0)
    body = b"".join(struct.pack("<qqIIII", *level) for level in filled)
    inner = struct.pack("<QiI", ts_recv, 7, 1)
    outer = b"" if ts_out is None else struct.pack("<Q", ts_out)
    return _head(length, kind, publisher, instrument, ts_event) + fields + inner + body + outer


def symbol_mapping(version: int, instrument: int, name: str, *, ts_out: int | None = None) -> bytes:
    extra = b"" if ts_out is None else struct.pack("<Q", ts_out)
    if version == 1:
        body = b"asked".ljust(22, b"\x00") + name.encode().ljust(22, b"\x00") + bytes(4)
    else:
        body = b"\x01" + b"asked".ljust(71, b"\x00") + b"\x01" + name.encode().ljust(71, b"\x00")
    body += struct.pack("<QQ", 0, UNDEFINED_TIME) + extra
    return _head(16 + len(body), 22, 0, instrument, 1) + body


def other(kind: int, length: int) -> bytes:
    """A record of any type and length, its fields zero."""
    return _head(length, kind, 1, 1, 1).ljust(length, b"\x00")
