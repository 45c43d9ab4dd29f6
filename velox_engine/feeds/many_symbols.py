"""A text feed whose lines name their symbol: symbols are learned on the way, decimals from the file's beginning."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from velox_engine.errors import FeedError
from velox_engine.feeds.base import DEFAULT_BATCH_SIZE
from velox_engine.feeds.line_window import AT, FAULT_AT, FIRST_BYTES, LINE, SURVEY_AT, quoted
from velox_engine.feeds.symbol_table import (
    INSTRUMENT,
    LONGEST,
    NEW_SYMBOL,
    PRICE_DECIMALS,
    SIZE_DECIMALS,
    SIZE_NEEDED,
    SIZE_WHOLE,
    Symbols,
    symbol_at,
)
from velox_engine.feeds.text import TextFeed
from velox_engine.records import Instrument

DEFAULT_DECIMALS: Final = 8
"""The decimals of a symbol that the beginning of the file tells nothing about."""
_HEADROOM: Final = 14  # digits of the largest size seen, and four more in front of them, fit 64 bits

DECIMALS_RULE: Final = (
    "decimals come from the symbol's lines in the first 8 MiB, and from its seed; "
    "prices have as many as the longest fraction there (of 8 places or more: without its trailing zeros); "
    "sizes {sizes}, fewer where the largest size times 10^4 would not fit 64 bits; "
    f"a symbol without a line there has {DEFAULT_DECIMALS} and {DEFAULT_DECIMALS}; the tick is not known"
)
"""What `ManySymbolsFeed` does, for the formats' ``rules``."""


def settled_size_decimals(written: int, needed: int, whole: int, least: int) -> int:
    """The decimals of sizes whose longest fraction has ``written`` digits, ``needed`` without trailing zeros.

    ``whole`` is how many digits the largest has before its point, ``least`` the fewest to give where any has a
    fraction: a venue keeps old orders that are finer than what it allows today.
    """
    wanted = max(written, least) if written else 0
    return max(min(wanted, _HEADROOM - whole), needed, 0)


class ManySymbolsFeed(TextFeed):
    """Adds the symbols asked for to ``instruments`` as they come; the others are known, and left out.

    ``least_size_decimals`` is the fewest that a symbol's sizes get where any of them has a fraction. A format calls
    `_learn_decimals` once its window holds the first lines, and looks symbols up in ``_symbols.table``.
    """

    least_size_decimals: ClassVar[int] = DEFAULT_DECIMALS
    first_bytes = FIRST_BYTES

    def __init__(
        self, path: Path, *, symbols: Iterable[str] | None = None, batch_size: int = DEFAULT_BATCH_SIZE
    ) -> None:
        super().__init__(path, symbols=symbols, batch_size=batch_size)
        self._symbols = Symbols()

    @abstractmethod
    def _survey(self) -> int:
        """Raise the decimals in the symbol table to what the window's lines from ``cursor[SURVEY_AT]`` on need.

        `NEW_SYMBOL` or `MORE`.
        """

    def _learn_decimals(self, known: Sequence[str] = ()) -> None:
        """Go through the window for symbols and decimals; ``known`` were added before, and are asked for."""
        names = list(known)
        cursor = self._window.cursor
        cursor[SURVEY_AT] = cursor[AT]
        # a name that cannot be is told when its line is read: what comes before it is read first
        while self._survey() == NEW_SYMBOL and _can_be_name(name := self._new_name()):
            names += self._add_symbol(name, len(names), -1)
        facts = self._symbols.table.facts[: self._symbols.count]
        for fact in facts:
            if fact[PRICE_DECIMALS] < 0:
                fact[PRICE_DECIMALS] = DEFAULT_DECIMALS
            if fact[SIZE_DECIMALS] < 0:
                fact[SIZE_DECIMALS] = DEFAULT_DECIMALS
            else:
                written, needed, whole = (int(fact[column]) for column in (SIZE_DECIMALS, SIZE_NEEDED, SIZE_WHOLE))
                fact[SIZE_DECIMALS] = settled_size_decimals(written, needed, whole, self.least_size_decimals)
        asked = facts[facts[:, INSTRUMENT] >= 0]
        for symbol, fact in zip(names, asked, strict=True):
            self.instruments.append(Instrument(symbol, int(fact[PRICE_DECIMALS]), int(fact[SIZE_DECIMALS]), 0))

    def _answer(self, status: int) -> None:
        if status != NEW_SYMBOL:
            super()._answer(status)
        for name in self._add_symbol(self._new_name(), len(self.instruments), DEFAULT_DECIMALS):
            self.instruments.append(Instrument(name, DEFAULT_DECIMALS, DEFAULT_DECIMALS, 0))

    def _new_name(self) -> bytes:
        return symbol_at(self._window.text, self._window.cursor)

    def _add_symbol(self, name: bytes, instrument: int, decimals: int) -> list[str]:
        """Put a name into the table; gives its symbol back if it is asked for."""
        self._check_name(name)
        symbol = self._symbol_of(name)
        wanted = self.wanted is None or symbol in self.wanted
        self._symbols.add(name, instrument if wanted else -1, decimals, decimals)
        return [symbol] if wanted else []

    def _check_name(self, name: bytes) -> None:
        if not _can_be_name(name):
            problem = f"found the symbol {quoted(name)}, expected 1 to {LONGEST} printable ASCII characters"
            raise FeedError(self.path, problem, line=self._line_of_name())

    def _line_of_name(self) -> int:
        """The line of the name that a kernel found: a survey finds it ahead of what is read."""
        cursor, text = self._window.cursor, self._window.text
        return int(cursor[LINE]) + 1 + int(np.count_nonzero(text[cursor[AT] : cursor[FAULT_AT]] == 10))

    def _symbol_of(self, name: bytes) -> str:
        """The instrument's symbol for a name in the text."""
        return name.decode()


def _can_be_name(name: bytes) -> bool:
    return 0 < len(name) <= LONGEST and name.isascii() and name.decode().isprintable()
