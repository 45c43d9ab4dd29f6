"""Lines of a raw Binance capture, written from the exchange's documentation of its streams."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

Levels = Sequence[tuple[str, str]]


def _line(local_ns: int, message: dict[str, Any]) -> str:
    return f"{local_ns} {json.dumps(message, separators=(',', ':'))}"


def _stream(local_ns: int, symbol: str, kind: str, data: dict[str, Any]) -> str:
    return _line(local_ns, {"stream": f"{symbol.lower()}@{kind}", "data": data})


def diff(
    local_ns: int, first: int, last: int, bids: Levels = (), asks: Levels = (), *, previous: int | None = None,
    time: int = 1_700_000_000_000, symbol: str = "BTCUSDT", kind: str = "depth@100ms",
) -> str:  # fmt: skip
    """A diff; with ``previous`` (``pu``) it is one of the futures exchange, which tells ``T`` too."""
    data: dict[str, Any] = {"e": "depthUpdate", "E": time, "s": symbol, "U": first, "u": last}
    if previous is not None:
        data |= {"E": time + 1, "T": time, "pu": previous}
    return _stream(local_ns, symbol, kind, data | {"b": bids, "a": asks})


def snapshot(local_ns: int, last: int, bids: Levels = (), asks: Levels = (), *, time: int | None = None) -> str:
    message: dict[str, Any] = {"lastUpdateId": last}
    if time is not None:
        message |= {"E": time + 1, "T": time}
    return _line(local_ns, message | {"bids": bids, "asks": asks})


def trade(
    local_ns: int, number: int, price: str, size: str, buyer_was_first: bool, *, time: int = 1_700_000_000_000,
    symbol: str = "BTCUSDT",
) -> str:  # fmt: skip
    data = {"e": "trade", "E": time + 1, "s": symbol, "t": number, "p": price, "q": size, "T": time}
    return _stream(local_ns, symbol, "trade", data | {"m": buyer_was_first, "M": True})


def ticker(local_ns: int, update: int, bid: tuple[str, str], ask: tuple[str, str], *, symbol: str = "BTCUSDT") -> str:
    data = {"u": update, "s": symbol, "b": bid[0], "B": bid[1], "a": ask[0], "A": ask[1]}
    return _stream(local_ns, symbol, "bookTicker", data)


def capture(*lines: str) -> bytes:
    return "".join(line + "\n" for line in lines).encode()
