"""Tardis CSV rows written from its description of the columns; nothing of the decoder is used."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

BOOK_HEADER = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
TRADES_HEADER = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"


@dataclass(frozen=True)
class Level:
    symbol: str
    timestamp: int
    local_timestamp: int
    is_snapshot: bool
    side: str
    price: str
    amount: str


@dataclass(frozen=True)
class Trade:
    symbol: str
    timestamp: int
    local_timestamp: int
    id: str
    side: str
    price: str
    amount: str


def book_file(rows: list[Level], exchange: str = "binance") -> bytes:
    lines = [
        f"{exchange},{row.symbol},{row.timestamp},{row.local_timestamp},{str(row.is_snapshot).lower()},"
        f"{row.side},{row.price},{row.amount}"
        for row in rows
    ]
    return "\n".join([BOOK_HEADER, *lines, ""]).encode()


def trades_file(rows: list[Trade], exchange: str = "binance") -> bytes:
    lines = [
        f"{exchange},{row.symbol},{row.timestamp},{row.local_timestamp},{row.id},{row.side},{row.price},{row.amount}"
        for row in rows
    ]
    return "\n".join([TRADES_HEADER, *lines, ""]).encode()


def units(text: str, decimals: int) -> int:
    """Decimal text as a count of 10^-decimals, which must be whole."""
    scaled = Decimal(text).scaleb(decimals)
    assert scaled == scaled.to_integral_value()
    return int(scaled)
