"""The books of a run, as the engine's Python side holds them: made, grown, and asked at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from velox_engine.books.bucketed import BucketedState, bucketed_summary, grow_bucketed, make_bucketed
from velox_engine.books.bucketed import Outcome as BucketedOutcome
from velox_engine.config import Config
from velox_engine.lockfree.memory import aligned_words
from velox_engine.records import Instrument
from velox_engine.snapshot import BookState, BookSummary
from velox_engine.telemetry.layout import BOOK_WORDS


class RunningBook(Protocol):
    """What the engine needs of a kind of book: its compiled ``state``, and the names of its outcome counters."""

    state: Any
    outcomes: tuple[str, ...]

    def grow(self) -> None:
        """Give ``state`` more room; called by the order-book worker between two entries of its loop."""

    def summary(self, symbol: int) -> BookSummary:
        """Return the state and the best of a symbol's book; only while no worker runs."""


class RunningBucketed:
    """Bucketed books of a run."""

    def __init__(self, symbols: int) -> None:
        self.state: BucketedState = make_bucketed(symbols)
        self.outcomes = tuple(outcome.name.lower() for outcome in BucketedOutcome)

    def grow(self) -> None:
        """Make room for twice the symbols."""
        self.state = grow_bucketed(self.state, 2 * len(self.state.status))

    def summary(self, symbol: int) -> BookSummary:
        """Return the state and the best of a symbol's book."""
        words = aligned_words(BOOK_WORDS)
        bucketed_summary(self.state, symbol, words, 0)
        state, *rest = (int(word) for word in words)
        return BookSummary(BookState(state), *rest)


def make_book(config: Config, instruments: Sequence[Instrument]) -> RunningBook:
    """Make the books that the configuration asks for."""
    del config
    return RunningBucketed(max(len(instruments), 1))
