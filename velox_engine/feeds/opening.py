"""The way in: a recorded file, whose format is found from its name and content, becomes a feed."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from velox_engine.errors import FeedError
from velox_engine.feeds.base import DEFAULT_BATCH_SIZE, Feed, Seed
from velox_engine.feeds.stream import HEAD_BYTES, ByteStream

FORMATS: Final[dict[str, str]] = {
    "journal": "JournalFeed",
    "dbn": "DbnFeed",
    "itch": "ItchFeed",
    "lobster": "LobsterFeed",
    "coinbase": "CoinbaseFeed",
    "binance": "BinanceFeed",
    "tardis": "TardisFeed",
}
"""Format → its class in the module of that name. Detection asks in this order: what has a magic goes first."""


def feed_class(name: str) -> type[Feed]:
    """The class of a format; its module is imported only now."""
    found: type[Feed] = getattr(importlib.import_module(f"velox_engine.feeds.{name}"), FORMATS[name])
    return found


def find_format(path: str | Path) -> str:
    """Name the format of a file by its name and first 64 KiB; raises `FeedError` when it is none of ours."""
    path = Path(path)
    with ByteStream(path) as stream:
        if not path.is_file():
            # looking at it would take from it what the feed has to read
            raise FeedError(path, f"found something that is no regular file, expected one, or a format ({_names()})")
        head = stream.peek(HEAD_BYTES)
    if not head:
        raise FeedError(path, "found an empty file, expected recorded order flow", byte=0)
    for name in FORMATS:
        if feed_class(name).matches(path.name, head):
            return name
    shown = head[:16].decode("ascii", "backslashreplace")
    raise FeedError(path, f"found a file that begins with {shown!r}, expected one of {_names()}", byte=0)


def open_feed(
    path: str | Path,
    format: str | None = None,  # noqa: A002  # the contract's name for it
    symbols: Iterable[str] | str | None = None,
    seed: Seed = None,
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> Feed:
    """Open a recorded file.

    Args:
        path: the file; ``.gz``, ``.xz``, ``.zst`` and ``.bz2`` are read as they are.
        format: one of `FORMATS`; ``None`` finds it.
        symbols: those that are wanted, ``None`` for all; as text, with commas between them.
        seed: a file with the book before the first message; ``None`` takes what is found where there is no doubt (see
            each feed's ``rules``), ``False`` takes none. ``feed.seed_source`` says what was used.
        batch_size: the most records of a batch.

    Raises `FeedError` when the file cannot be opened, is of no known format, or its head is damaged.
    """
    path = Path(path)
    if format is None:
        format = find_format(path)  # noqa: A001
    elif format not in FORMATS:
        raise FeedError(path, f"found format {format!r}, expected one of {_names()}")
    if isinstance(symbols, str):
        symbols = [symbol.strip() for symbol in symbols.split(",") if symbol.strip()]
    made: Feed = feed_class(format)(path, symbols=symbols, seed=seed, batch_size=batch_size)  # type: ignore[call-arg]
    return made


def split_source(source: str) -> tuple[Path, str | None]:
    """Part ``FILE:format`` into both; a file whose own name ends so, and which exists, stays whole."""
    front, colon, name = source.rpartition(":")
    if colon and name in FORMATS and front and not Path(source).exists():
        return Path(front), name
    return Path(source), None


def _names() -> str:
    return ", ".join(sorted(FORMATS))
