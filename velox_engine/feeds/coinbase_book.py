"""Coinbase's level-3 book as a file: ``{"bids": [[price, size, order_id], …], "asks": […], "sequence": n}``.

Each side is best level first, and within a level in queue order, which is the order that its orders are added in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from velox_engine.errors import FeedError
from velox_engine.feeds.coinbase_fields import read_id
from velox_engine.feeds.decimal_text import NOT_A_NUMBER, OK, TOO_PRECISE, Bytes, read_decimal, read_whole
from velox_engine.feeds.json_scan import (
    CLOSE_LIST,
    CLOSE_OBJECT,
    COMMA,
    OPEN_LIST,
    OPEN_OBJECT,
    QUOTE,
    name_words,
    next_member,
    read_name,
    skip_space,
    skip_string,
    skip_value,
)
from velox_engine.feeds.line_window import LINE_LIMIT, WINDOW_BYTES, quoted
from velox_engine.feeds.stream import ByteStream
from velox_engine.feeds.symbol_table import SymbolTable, note_price, note_size
from velox_engine.feeds.text import FAULTS
from velox_engine.jit import compiled, inner

Columns = NDArray[np.int64]

# what a reading found: words of ``found``
SEQUENCE: Final = 0
ORDERS: Final = 1
BIDS: Final = 2
"""Orders that are bids; they come first in ``columns``, whichever side the file has first."""
CODE: Final = 3
PLACE: Final = 4
DECIMALS: Final = 5
_FOUND_WORDS: Final = 6

NOT_A_BOOK: Final = 20
BAD_ID: Final = 21
NOT_POSITIVE: Final = 22

_BIDS: Final = name_words("bids")[0]
_ASKS: Final = name_words("asks")[0]
_SEQUENCE: Final = name_words("sequence")[0]

# the members that a book must have, once
_HAS_BIDS: Final = 1
_HAS_ASKS: Final = 2
_HAS_SEQUENCE: Final = 4
_HAS_ALL: Final = _HAS_BIDS | _HAS_ASKS | _HAS_SEQUENCE

PRICE, SIZE, HIGH, LOW = range(4)
"""Rows of ``columns``."""


@inner
def _refuse(found: Columns, code: int, place: int, decimals: int) -> int:
    found[CODE] = code
    found[PLACE] = place
    found[DECIMALS] = decimals
    return -1


@inner
def _text_number(text: Bytes, at: int, decimals: int) -> tuple[int, int, int]:
    """A number in a string, and the place behind its closing quote."""
    if text[at] != QUOTE:
        return 0, at, NOT_A_NUMBER
    value, at, status = read_decimal(text, at + 1, decimals)
    if status == OK and text[at] != QUOTE:
        status = NOT_A_NUMBER
    return value, at + 1, status


@inner
def _read_side(
    text: Bytes, at: int, found: Columns, columns: Columns, first: int, price_decimals: int, size_decimals: int
) -> tuple[int, int]:
    """A list of orders into ``columns`` from ``first`` on, if that has room; the place behind, and how many."""
    count = 0
    if text[at] != OPEN_LIST:
        return _refuse(found, NOT_A_BOOK, at, 0), 0
    at = skip_space(text, at + 1)
    if text[at] == CLOSE_LIST:
        return at + 1, 0
    while True:
        if text[at] != OPEN_LIST:
            return _refuse(found, NOT_A_BOOK, at, 0), 0
        at = skip_space(text, at + 1)
        begin = at
        price, at, status = _text_number(text, at, price_decimals)
        if status != OK:
            return _refuse(found, status, begin, price_decimals), 0
        at = skip_space(text, at)
        if text[at] != COMMA:
            return _refuse(found, NOT_A_BOOK, at, 0), 0
        at = skip_space(text, at + 1)
        begin = at
        size, at, status = _text_number(text, at, size_decimals)
        if status != OK or size <= 0:
            return _refuse(found, status or NOT_POSITIVE, begin, size_decimals), 0
        at = skip_space(text, at)
        if text[at] != COMMA:
            return _refuse(found, NOT_A_BOOK, at, 0), 0
        at = skip_space(text, at + 1)
        high, low, is_id = read_id(text, at)
        if not is_id:
            return _refuse(found, BAD_ID, at, 0), 0
        at = skip_space(text, skip_string(text, at))
        if text[at] != CLOSE_LIST:
            return _refuse(found, NOT_A_BOOK, at, 0), 0
        if columns.shape[1] > 0:
            columns[PRICE, first + count] = price
            columns[SIZE, first + count] = size
            columns[HIGH, first + count] = high
            columns[LOW, first + count] = low
        count += 1
        at = skip_space(text, at + 1)
        if text[at] == CLOSE_LIST:
            return at + 1, count
        if text[at] != COMMA:
            return _refuse(found, NOT_A_BOOK, at, 0), 0
        at = skip_space(text, at + 1)


@inner
def _member(high: int, low: int) -> int:
    """Which of the members that a book must have a name is; 0 for any other."""
    if low != 0:
        return 0
    if high == _BIDS:
        return _HAS_BIDS
    if high == _ASKS:
        return _HAS_ASKS
    return _HAS_SEQUENCE if high == _SEQUENCE else 0


@compiled
def _read_book(
    text: Bytes, found: Columns, columns: Columns, price_decimals: int, size_decimals: int, lists: bool
) -> int:
    """Go through the book, with or without its ``lists``, and fill ``columns`` if it has room; below 0 for no book."""
    bids = 0
    asks = 0
    seen = 0
    at = skip_space(text, 0)
    if text[at] != OPEN_OBJECT:
        return _refuse(found, NOT_A_BOOK, at, 0)
    at = skip_space(text, at + 1)
    while True:
        begin = at
        high, low, at = read_name(text, at)
        if at < 0:
            return _refuse(found, NOT_A_BOOK, ~at, 0)
        member = _member(high, low)
        if seen & member:  # twice: there would be room for the orders of the last one only
            return _refuse(found, NOT_A_BOOK, begin, 0)
        seen |= member
        if member == _HAS_SEQUENCE:
            found[SEQUENCE], behind, status = read_whole(text, at)
            if status != OK:
                return _refuse(found, status, at, 0)
            at = behind
            if not lists:
                return 0
        elif lists and member != 0:
            is_bids = member == _HAS_BIDS
            first = 0 if is_bids else found[BIDS]
            at, count = _read_side(text, at, found, columns, first, price_decimals, size_decimals)
            if is_bids:
                bids = count
            else:
                asks = count
        else:
            at = skip_value(text, at)
            if at < 0:
                return _refuse(found, NOT_A_BOOK, ~at, 0)
        if at < 0:
            return at
        at = next_member(text, at)
        if at < 0:
            return _refuse(found, NOT_A_BOOK, ~at, 0)
        if text[at] == CLOSE_OBJECT:
            break
    at = skip_space(text, at + 1)
    if text[at] != 10 or at + 1 != len(text) or seen != _HAS_ALL:
        return _refuse(found, NOT_A_BOOK, at, 0)
    found[BIDS] = bids
    found[ORDERS] = bids + asks
    return 0


@compiled
def _survey_book(text: Bytes, table: SymbolTable, entry: int) -> None:
    """Note every price and size of a book: the first and second string of each innermost list."""
    at = 0
    while at < len(text):
        if text[at] == OPEN_LIST:
            at = skip_space(text, at + 1)
            if text[at] == QUOTE:
                note_price(table, entry, text, at + 1)
                at = skip_string(text, at)
                if at < 0:
                    return
                at = skip_space(text, at)
                if text[at] == COMMA:
                    at = skip_space(text, at + 1)
                    if text[at] == QUOTE:
                        note_size(table, entry, text, at + 1)
        else:
            at += 1


class Level3Book:
    """A level-3 book in memory; raises `FeedError` for a file that cannot be read or is longer than 256 MiB.

    Attributes: ``path``; ``sequence`` of the last message in it, ``None`` where the file is no such book.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = _whole_text(path)
        self._found = np.zeros(_FOUND_WORDS, np.int64)
        told = _read_book(self._text, self._found, np.zeros((4, 0), np.int64), 0, 0, False)
        self.sequence = int(self._found[SEQUENCE]) if told == 0 else None

    def note_decimals(self, table: SymbolTable, entry: int) -> None:
        """Raise the symbol's decimals to what the book needs."""
        _survey_book(self._text, table, entry)

    def orders(self, price_decimals: int, size_decimals: int) -> tuple[Columns, int]:
        """Prices, sizes and both words of the ids, shape (4, n), bids first; and how many are bids.

        Raises `FeedError` with the byte that is wrong. The text is let go.
        """
        columns = np.zeros((4, 0), np.int64)
        for _ in range(2):  # once to count them
            if _read_book(self._text, self._found, columns, price_decimals, size_decimals, True) < 0:
                raise self._fault()
            columns = columns if columns.shape[1] else np.empty((4, int(self._found[ORDERS])), np.int64)
        self._text = np.zeros(0, np.uint8)
        return columns, int(self._found[BIDS])

    def _fault(self) -> FeedError:
        code, place = int(self._found[CODE]), int(self._found[PLACE])
        expected = {
            NOT_A_BOOK: "a level-3 book with bids, asks and a sequence",
            NOT_A_NUMBER: "a number in a string",
            TOO_PRECISE: f"at most {int(self._found[DECIMALS])} decimals",
            BAD_ID: "a UUID or a number as the order's id",
            NOT_POSITIVE: "a size above 0",
        }.get(code) or FAULTS[code]
        shown = self._text[place : place + 41].tobytes().rstrip(b"\n")
        found = quoted(shown) if shown else "the end of the file"
        return FeedError(self.path, f"found {found}, expected {expected}", byte=place)


def _whole_text(path: Path) -> Bytes:
    """A file's bytes on one line: newlines, which JSON knows only between values, become spaces."""
    text = np.empty(WINDOW_BYTES, np.uint8)
    have = 0
    with ByteStream(path) as stream:
        while count := stream.read_into(text[:-1], have):
            have += count
            if have + 1 == len(text):
                if len(text) > LINE_LIMIT:
                    raise FeedError(
                        path, f"found more than {LINE_LIMIT} bytes, expected a level-3 book of at most that"
                    )
                text = np.concatenate((text, np.empty_like(text)))
    text = text[: have + 1]
    text[text == 10] = 32
    text[have] = 10
    return text


def find_book(feed: Path, first_sequence: int) -> Level3Book | None:
    """The level-3 book in the feed's folder after which its first message comes; ``None`` without exactly one.

    Candidates are files named ``*.json`` (compressed or not) that begin like such a book; of more than 64 none is
    taken.
    """
    candidates = [path for path in sorted(feed.parent.iterdir()) if path != feed and _may_be_book(path)]
    if len(candidates) > _MOST_CANDIDATES:
        return None
    matching: list[Level3Book] = []
    for path in candidates:
        try:
            book = Level3Book(path)
        except FeedError:
            continue  # a damaged file beside this one is no concern of it
        if book.sequence is not None and book.sequence + 1 == first_sequence:
            matching.append(book)
    return matching[0] if len(matching) == 1 else None


_MOST_CANDIDATES: Final = 64


def _may_be_book(path: Path) -> bool:
    name = path.name
    for suffix in (".gz", ".xz", ".zst", ".bz2"):
        name = name.removesuffix(suffix)
    if not name.endswith(".json") or not path.is_file():
        return False
    try:
        with ByteStream(path) as stream:
            head = stream.peek(4096)
    except FeedError:
        return False
    return head.lstrip().startswith(b"{") and (b'"bids"' in head or b'"asks"' in head)
