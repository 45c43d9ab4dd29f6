"""NASDAQ TotalView-ITCH 5.0: a file of length-prefixed binary messages, every order of every stock of one day."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import ClassVar, Final

from velox_engine.errors import FeedError
from velox_engine.feeds import itch_kernel as kernel
from velox_engine.feeds.base import DEFAULT_BATCH_SIZE, Seed, TimeBase
from velox_engine.feeds.bits import Words
from velox_engine.feeds.kernel_feed import KernelFeed
from velox_engine.records import Instrument

_PRICE_DECIMALS: Final = 4
_LOOKED_AT: Final = 64  # messages of the head that have to be right
_DAY: Final = re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)|(?<!\d)(\d{8})(?!\d)|S(\d{6})-v50")


class ItchFeed(KernelFeed):
    """A TotalView-ITCH 5.0 file, its framing that of NASDAQ's BinaryFILE 1.00 (a length of two bytes, a message)."""

    format: ClassVar[str] = "itch"
    rules: ClassVar[str] = (
        "prices have 4 decimals and sizes are whole shares; the tick is not known, since the least price step is 100 "
        "from one dollar on and 1 below (SEC rule 612) and the file does not tell; "
        "times are ns after midnight in New York, of the date in the name where there is one, and pace a replay; "
        "A and F are ADD, E and C EXECUTE, X CANCEL, D DELETE, U REPLACE, P and Q TRADE; H (trading state), S (system "
        "event, under the first stock) and B (broken trade, its match number in new_order_id) are STATUS with their "
        "code letter as size; executions, cancels, deletes and replacements have no side of their own, and a price "
        "without a side names no level: that of C is what was paid; P and Q have no side, since P says B for every "
        "trade; the directory R and all other types make no record, nor do messages without a stock's name whose stock "
        "locate was never named"
    )

    def __init__(
        self,
        path: str | Path,
        *,
        symbols: Iterable[str] | None = None,
        seed: Seed = None,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        super().__init__(Path(path), symbols=symbols, seed=seed, batch_size=batch_size)
        self.priced = False
        self.time_base = TimeBase("midnight", _date_in(self.path.name), "America/New_York", "event time")
        self._state = kernel.new_state()
        self._by_name: dict[bytes, int] = {}
        self._compile(kernel.decode, self._state)

    @classmethod
    def matches(cls, name: str, head: bytes) -> bool:
        """Whether the head is a chain of messages, or binary under a name with ``ITCH`` and ``50`` in it."""
        if _is_chain(head):
            return True
        named = re.search(r"itch[-_ .]?v?5(\.?0)?(?!\d)", name, re.IGNORECASE)
        return named is not None and any(byte < 9 for byte in head[:64])

    def _decode(self, words: Words, row: int) -> tuple[int, int]:
        window = self._window
        window.start, row, reason = kernel.decode(window.data, window.start, window.end, words, row, self._state)
        return row, reason

    def _resolve(self, reason: int) -> None:
        if reason == kernel.NO_LENGTH:
            self._end_of_session()
            return
        data, start = self._window.data, self._window.start
        length = int.from_bytes(data[start : start + 2].tobytes(), "big")
        kind = chr(data[start + 2])
        if reason == kernel.LEARN:
            self._learn(kind)
        elif reason == kernel.WRONG_LENGTH:
            expected, name = kernel.KNOWN[kind]
            raise self._fault(f"length {length} of a message of type {kind} ({name})", f"{expected}")
        elif reason == kernel.BAD_SIDE:
            raise self._fault(f"side {chr(data[start + 21])!r} in a message of type {kind}", "B or S", ahead=21)
        else:
            raise self._fault(f"more than 2^63 - 1 shares in a message of type {kind}", "fewer", ahead=13)

    def _learn(self, kind: str) -> None:
        """Let the stock locate of the message at the window's start stand for the stock that it names."""
        data, body = self._window.data, self._window.start + 2
        at = body + kernel.STOCK_AT[kind]
        stock = data[at : at + 8].tobytes()
        locate = int.from_bytes(data[body + 1 : body + 3].tobytes(), "big")
        text = stock.rstrip(b" ")
        if not text or not all(32 < byte < 127 for byte in text):
            ahead = 2 + kernel.STOCK_AT[kind]
            raise self._fault(f"stock {stock!r} in a message of type {kind}", "a name in ASCII letters", ahead=ahead)
        index = self._by_name.get(stock)
        if index is None:
            symbol = text.decode("ascii")
            index = kernel.UNWANTED
            if self.wanted is None or symbol in self.wanted:
                index = len(self.instruments)
                self.instruments.append(Instrument(symbol, _PRICE_DECIMALS, 0, 0))
                self._state.counters[kernel.INSTRUMENTS] += 1
            self._by_name[stock] = index
        self._state.locates[locate] = index
        self._state.names[locate] = int.from_bytes(stock, "big", signed=True)

    def _end_of_session(self) -> None:
        """Take a length of 0 for what BinaryFILE says it is, where it can be that: last, and after the last message."""
        window = self._window
        if not self._state.counters[kernel.ENDED] or window.need(3):
            raise self._fault("length 0", "the length of a message, from 1 on")
        window.start = window.end

    def _rest(self, count: int) -> FeedError | None:
        if count == 0:
            return None
        data, start = self._window.data, self._window.start
        if count < 3:
            return self._fault(f"the end of the file after {count} bytes of a message", "a length and a message")
        length = int.from_bytes(data[start : start + 2].tobytes(), "big")
        found = f"the end of the file after {count - 2} bytes of a message of type {chr(data[start + 2])!r}"
        return self._fault(found, f"{length}")

    def _note(self) -> None:
        state, skipped = self._state, self.oddities.skipped
        self.oddities.time_back = int(state.counters[kernel.TIME_BACK])
        if state.counters[kernel.OTHER_SYMBOLS]:
            skipped["other symbols"] = int(state.counters[kernel.OTHER_SYMBOLS])
        for code in state.skipped.nonzero()[0].tolist():
            kind = chr(code)
            name = f"{kind} {kernel.KNOWN[kind][1]}" if kind in kernel.KNOWN else f"unknown type {kind!r}"
            skipped[name] = int(state.skipped[code])
        for code in state.unlisted.nonzero()[0].tolist():
            kind = chr(code)
            name = f"{kind} of an unlisted stock locate" if kind != "S" else "S before any stock"
            skipped[name] = int(state.unlisted[code])


def _is_chain(head: bytes) -> bool:
    """Whether messages of known types and right lengths follow one another, as far as the head goes."""
    at = seen = 0
    while seen < _LOOKED_AT and at + 3 <= len(head):
        length = int.from_bytes(head[at : at + 2], "big")
        known = kernel.KNOWN.get(chr(head[at + 2]))
        if known is None or known[0] != length:
            return False
        at += 2 + length
        seen += 1
    return seen > 0


def _date_in(name: str) -> str | None:
    """The date in a file's name: 2020-01-30, 01302020 (NASDAQ), 20200130 (BX, PSX) or S013020-v50."""
    for found in _DAY.finditer(name):
        year, month, day, eight, six = found.groups()
        with suppress(ValueError):
            if six:
                return date(2000 + int(six[4:]), int(six[:2]), int(six[2:4])).isoformat()
            if eight and eight[:2] in ("19", "20"):
                return date(int(eight[:4]), int(eight[4:6]), int(eight[6:])).isoformat()
            if eight:
                return date(int(eight[4:]), int(eight[:2]), int(eight[2:4])).isoformat()
            return date(int(year), int(month), int(day)).isoformat()
    return None
