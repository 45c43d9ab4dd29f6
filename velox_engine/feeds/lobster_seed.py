"""The book before the first message of a LOBSTER file: row 0 of an orderbook file, less message 0.

LOBSTER writes the book *after* each message, so that row 0 already holds message 0; it is taken back here. Which
message that was is told by the orderbook's own message file (the same name with ``message``), because a seed may come
from a file with other levels; where that file is absent it is the first message of the file that is replayed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from velox_engine.errors import FeedError
from velox_engine.feeds.line_window import LineWindow
from velox_engine.feeds.stream import ByteStream
from velox_engine.records import Side

NAME: Final = re.compile(
    r"(?P<symbol>.+)_(?P<date>\d{4}-\d\d-\d\d)_(?P<start>\d+)_(?P<end>\d+)_(?P<kind>message|orderbook)_(?P<level>\d+)"
    r"(?P<rest>\..+)?"
)
"""``AAPL_2012-06-21_34200000_57600000_message_10.csv``: symbol, date, start and end in ms after midnight, levels."""

_NOTHING_THERE: Final = 9_999_999_999  # the price of a level that is empty, negative on the bid side
_NUMBER: Final = re.compile(rb"-?\d{1,18}")
_TIME: Final = re.compile(rb"(\d{1,9})(?:\.(\d+))?")
_COMPRESSED: Final = (".gz", ".xz", ".zst", ".bz2")
_LINE_LIMIT: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Message:
    """What one message did to the book; ``kind`` is LOBSTER's event type."""

    event_ns: int
    kind: int
    size: int
    price: int
    side: Side


def sibling(path: Path, kind: str) -> Path | None:
    """The file beside this one with the same name but ``kind`` in it, compressed or not; ``None`` without one."""
    named = NAME.fullmatch(path.name)
    if named is None:
        return None
    name = path.name[: named.start("kind")] + kind + path.name[named.end("kind") :]
    for suffix in _COMPRESSED:
        name = name.removesuffix(suffix)
    for suffix in ("", *_COMPRESSED):
        candidate = path.with_name(name + suffix)
        if candidate.is_file():
            return candidate
    return None


def message_of(line: bytes) -> Message | None:
    """The message in this row, ``None`` where it is none: reading the file will say what is wrong with it."""
    columns = line.rstrip(b"\r\n").split(b",")
    time = _TIME.fullmatch(columns[0])
    if len(columns) != 6 or time is None or not all(_NUMBER.fullmatch(column) for column in columns[1:]):
        return None
    event_ns = int(time[1]) * 1_000_000_000 + int((time[2] or b"").ljust(9, b"0")[:9])
    kind, _, size, price, direction = (int(column) for column in columns[1:])
    return Message(event_ns, kind, size, price, Side.BID if direction == 1 else Side.ASK)


def _first_line(path: Path) -> bytes:
    with ByteStream(path) as stream:
        window = LineWindow(stream, 1 << 16, _LINE_LIMIT)
        if not window.fill():
            raise FeedError(path, "found an empty file, expected a LOBSTER file")
        return window.line()


def _row_levels(path: Path, row: bytes) -> list[list[tuple[int, int]]]:
    """The levels of an orderbook row, by side, best first, empty ones as they stand."""
    columns = row.rstrip(b"\r\n").split(b",")
    if len(columns) % 4 != 0 or not all(_NUMBER.fullmatch(column) for column in columns):
        problem = f"found {len(columns)} columns, expected whole numbers in four columns a level"
        raise FeedError(path, problem, line=1)
    numbers = [int(column) for column in columns]
    asks = list(zip(numbers[0::4], numbers[1::4], strict=True))
    bids = list(zip(numbers[2::4], numbers[3::4], strict=True))
    for price, size in asks + bids:
        if size < 0 or (abs(price) != _NOTHING_THERE and size == 0):
            raise FeedError(path, f"found size {size} at price {price}, expected a size above 0", line=1)
    return [bids, asks]


def _check_belongs(seed: Path, replayed: Path) -> None:
    ours, theirs = NAME.fullmatch(replayed.name), NAME.fullmatch(seed.name)
    if ours is None or theirs is None:
        return
    for what in ("symbol", "date", "start"):
        if ours[what] != theirs[what]:
            raise FeedError(seed, f"found a seed for {what} {theirs[what]}, expected {what} {ours[what]}")
    if theirs["kind"] != "orderbook":
        raise FeedError(seed, "found a message file, expected an orderbook file as the seed")


def seed_levels(seed: Path, replayed: Path, first: Message | None) -> list[list[tuple[int, int]]]:
    """The levels (price, size) before the first message: bids and asks, each best first.

    ``first`` is the first message of ``replayed``. Raises `FeedError` for a file that is no orderbook, is of another
    symbol, day or start, or contradicts its message 0.
    """
    _check_belongs(seed, replayed)
    row = _row_levels(seed, _first_line(seed))
    own = sibling(seed, "message")
    message = message_of(_first_line(own)) if own is not None and own != replayed else first
    full = [all(abs(price) != _NOTHING_THERE for price, _ in side) for side in row]
    levels = [{price: size for price, size in side if abs(price) != _NOTHING_THERE} for side in row]
    if message is not None and message.kind <= 4:
        _take_back(seed, levels[message.side], full[message.side], message)
    return [sorted(levels[Side.BID].items(), reverse=True), sorted(levels[Side.ASK].items())]


def _take_back(seed: Path, levels: dict[int, int], full: bool, message: Message) -> None:
    """Undo a message on the levels of its side; ``full``: there may be further levels that the row does not show."""
    worse = -1 if message.side == Side.BID else 1
    if full and all((message.price - price) * worse > 0 for price in levels):
        return  # it touched a level beyond those of the row
    if message.kind != 1:
        levels[message.price] = levels.get(message.price, 0) + message.size
        return
    left = levels.get(message.price, 0) - message.size
    if left < 0:
        shown = levels.get(message.price, 0)
        problem = f"found size {shown} at price {message.price}, expected at least the {message.size} of message 0"
        raise FeedError(seed, problem, line=1)
    if left == 0:
        del levels[message.price]
    else:
        levels[message.price] = left
