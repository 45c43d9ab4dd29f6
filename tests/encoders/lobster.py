"""LOBSTER rows written from its description of the files; nothing of the decoder is used."""

from __future__ import annotations

from dataclasses import dataclass

NOTHING_THERE = 9_999_999_999


@dataclass(frozen=True)
class Event:
    """A row of a message file: time in ns after midnight, the rest as in the columns."""

    time: int
    kind: int
    order_id: int
    size: int
    price: int
    direction: int


def message(event: Event) -> str:
    """The row as LOBSTER writes it: trailing zeros of the time are dropped, and its point with them."""
    seconds, fraction = divmod(event.time, 1_000_000_000)
    digits = f"{fraction:09d}".rstrip("0")
    time = f"{seconds}.{digits}" if digits else f"{seconds}"
    return f"{time},{event.kind},{event.order_id},{event.size},{event.price},{event.direction}"


def message_file(events: list[Event]) -> bytes:
    return "".join(message(event) + "\n" for event in events).encode()


def orderbook(bids: list[tuple[int, int]], asks: list[tuple[int, int]], levels: int) -> str:
    """A row of an orderbook file: (price, size), best first; empty levels as LOBSTER fills them."""
    columns = []
    for level in range(levels):
        columns += asks[level] if level < len(asks) else (NOTHING_THERE, 0)
        columns += bids[level] if level < len(bids) else (-NOTHING_THERE, 0)
    return ",".join(map(str, columns))
