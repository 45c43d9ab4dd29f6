"""Messages of Coinbase's full channel and its level-3 book, written from the exchange's documentation."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any


def order_uuid(number: int) -> str:
    """A UUID whose first 8 bytes are this number."""
    digits = f"{number:016x}{number ^ 0x0123456789ABCDEF:016x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def iso_time(ns: int) -> str:
    """UTC with the microseconds that the exchange gives, or all nine digits where they are needed."""
    seconds, fraction = divmod(ns, 1_000_000_000)
    digits = f"{fraction:09d}" if fraction % 1000 else f"{fraction // 1000:06d}"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{digits}Z"


def _message(kind: str, sequence: int, ns: int, product: str, **members: Any) -> dict[str, Any]:
    return {"type": kind, "time": iso_time(ns), "product_id": product, "sequence": sequence, **members}


def received(sequence: int, ns: int, order: str, side: str, price: str, size: str, product: str = "BTC-USD") -> Any:
    return _message(
        "received", sequence, ns, product, order_id=order, order_type="limit", side=side, price=price, size=size
    )


def opened(sequence: int, ns: int, order: str, side: str, price: str, left: str, product: str = "BTC-USD") -> Any:
    return _message("open", sequence, ns, product, order_id=order, side=side, price=price, remaining_size=left)


def done(
    sequence: int, ns: int, order: str, side: str, price: str, left: str, reason: str, product: str = "BTC-USD"
) -> Any:
    return _message(
        "done", sequence, ns, product, order_id=order, side=side, price=price, remaining_size=left, reason=reason
    )


def match(
    sequence: int, ns: int, trade: int, maker: str, taker: str, side: str, price: str, size: str,
    product: str = "BTC-USD",
) -> Any:  # fmt: skip
    members = {"trade_id": trade, "maker_order_id": maker, "taker_order_id": taker, "side": side}
    return _message("match", sequence, ns, product, **members, price=price, size=size)


def change(
    sequence: int, ns: int, order: str, side: str, price: str, new: str, product: str = "BTC-USD", **members: Any
) -> Any:
    return _message("change", sequence, ns, product, order_id=order, side=side, price=price, new_size=new, **members)


def lines(*messages: Any, sort_keys: bool = False) -> bytes:
    return b"".join(json.dumps(message, sort_keys=sort_keys).encode() + b"\n" for message in messages)


def level3(sequence: int, bids: list[tuple[str, str, str]], asks: list[tuple[str, str, str]]) -> bytes:
    """The answer of the level-3 book: (price, size, order id), best level first and in queue order within it."""
    return json.dumps({"bids": bids, "asks": asks, "sequence": sequence}).encode()
