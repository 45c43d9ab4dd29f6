"""ITCH 5.0 messages written from NASDAQ's specification, field by field; nothing of the decoder is used."""

from __future__ import annotations

import struct


def framed(*messages: bytes) -> bytes:
    """Messages as a file has them: each behind its length (BinaryFILE 1.00)."""
    return b"".join(struct.pack(">H", len(message)) + message for message in messages)


def _header(kind: str, locate: int, time: int, tracking: int = 0) -> bytes:
    return struct.pack(">cHH", kind.encode(), locate, tracking) + time.to_bytes(6, "big")


def _stock(name: str) -> bytes:
    return name.encode("ascii").ljust(8)


def system_event(code: str, time: int) -> bytes:
    return _header("S", 0, time) + code.encode()


def directory(locate: int, stock: str, time: int = 0) -> bytes:
    fields = struct.pack(">ccIcc2scccccIc", b"Q", b"N", 100, b"N", b"C", b"Z ", b"P", b"N", b"N", b"1", b"N", 0, b"N")
    return _header("R", locate, time) + _stock(stock) + fields


def trading_action(locate: int, stock: str, state: str, time: int, reason: str = "") -> bytes:
    return _header("H", locate, time) + _stock(stock) + state.encode() + b" " + reason.encode().ljust(4)


def reg_sho(locate: int, stock: str, time: int) -> bytes:
    return _header("Y", locate, time) + _stock(stock) + b"0"


def add(
    locate: int, time: int, ref: int, side: str, shares: int, stock: str, price: int, by: str | None = None
) -> bytes:
    kind = "A" if by is None else "F"
    fields = struct.pack(">QcI", ref, side.encode(), shares) + _stock(stock) + struct.pack(">I", price)
    return _header(kind, locate, time) + fields + (b"" if by is None else by.encode().ljust(4))


def executed(locate: int, time: int, ref: int, shares: int, match: int) -> bytes:
    return _header("E", locate, time) + struct.pack(">QIQ", ref, shares, match)


def executed_at(locate: int, time: int, ref: int, shares: int, match: int, price: int, printable: str = "Y") -> bytes:
    return _header("C", locate, time) + struct.pack(">QIQcI", ref, shares, match, printable.encode(), price)


def cancel(locate: int, time: int, ref: int, shares: int) -> bytes:
    return _header("X", locate, time) + struct.pack(">QI", ref, shares)


def delete(locate: int, time: int, ref: int) -> bytes:
    return _header("D", locate, time) + struct.pack(">Q", ref)


def replace(locate: int, time: int, ref: int, new_ref: int, shares: int, price: int) -> bytes:
    return _header("U", locate, time) + struct.pack(">QQII", ref, new_ref, shares, price)


def trade(locate: int, time: int, shares: int, stock: str, price: int, match: int, ref: int = 0) -> bytes:
    return (
        _header("P", locate, time)
        + struct.pack(">QcI", ref, b"B", shares)
        + _stock(stock)
        + struct.pack(">IQ", price, match)
    )


def cross(locate: int, time: int, shares: int, stock: str, price: int, match: int, kind: str = "O") -> bytes:
    return (
        _header("Q", locate, time)
        + struct.pack(">Q", shares)
        + _stock(stock)
        + struct.pack(">IQc", price, match, kind.encode())
    )


def broken(locate: int, time: int, match: int) -> bytes:
    return _header("B", locate, time) + struct.pack(">Q", match)


def imbalance(locate: int, time: int, stock: str) -> bytes:
    return _header("I", locate, time) + struct.pack(">QQc8sIIIcc", 1, 2, b"B", _stock(stock), 3, 4, 5, b"O", b"L")


def other(kind: str, length: int, locate: int, time: int) -> bytes:
    """A message of any type and length, its fields zero."""
    return _header(kind, locate, time).ljust(length, b"\x00")
