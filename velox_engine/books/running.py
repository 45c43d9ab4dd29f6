"""The books of a run, as the engine's Python side holds them: made, grown, and asked at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from velox_engine.books.bucketed import BucketedState, bucketed_summary, grow_bucketed, make_bucketed
from velox_engine.books.bucketed import Outcome as BucketedOutcome
from velox_engine.books.exact_grow import exact_rehash, grow
from velox_engine.books.exact_stage import exact_summary
from velox_engine.books.exact_state import ENTRIES, ExactState, make_exact, with_entries
from velox_engine.books.exact_state import Outcome as ExactOutcome
from velox_engine.config import Config
from velox_engine.lockfree.memory import aligned_words
from velox_engine.snapshot import BookState, BookSummary
from velox_engine.telemetry.layout import BOOK_WORDS

_FIRST_ORDERS: Final = 1 << 16


class RunningBook(Protocol):
    """What the engine needs of a kind of book: its compiled ``state``, and the names of its outcome counters."""

    state: Any
    outcomes: tuple[str, ...]

    def grow(self) -> None:
        """Give ``state`` more room; called by the order-book worker between two entries of its loop."""

    def summary(self, symbol: int) -> BookSummary:
        """Return the state and the best of a symbol's book; only while no worker runs."""

    def entries(self) -> list[tuple[Callable[..., Any], tuple[Any, ...]]]:
        """List the compiled functions that are called by Python or by address, with arguments of their types.

        They must be compiled before a worker starts: growing is a pause in the middle of the flow.
        """

    def complete(self) -> None:
        """Make the book ready for use, once its entries are compiled."""


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

    def entries(self) -> list[tuple[Callable[..., Any], tuple[Any, ...]]]:
        """List the compiled functions that `summary` calls."""
        return [(bucketed_summary, (self.state, 0, aligned_words(BOOK_WORDS), 0))]

    def complete(self) -> None:
        """Need nothing more."""


class RunningExact:
    """Exact books of a run."""

    def __init__(self, symbols: int, *, windowed: bool) -> None:
        self.state: ExactState = make_exact(symbols, windowed=windowed, orders=_FIRST_ORDERS)
        self.outcomes = tuple(outcome.name.lower() for outcome in ExactOutcome)

    def grow(self) -> None:
        """Make room for what the book stopped at."""
        self.state = grow(self.state)

    def summary(self, symbol: int) -> BookSummary:
        """Return the state and the best of a symbol's book."""
        words = aligned_words(BOOK_WORDS)
        exact_summary(self.state, symbol, words, 0)
        state, *rest = (int(word) for word in words)
        return BookSummary(BookState(state), *rest)

    def entries(self) -> list[tuple[Callable[..., Any], tuple[Any, ...]]]:
        """List what a book is entered by, and the compiled functions that `grow` and `summary` call."""
        by_address = [(function, (0, 0, 0, 0)) for function in (*ENTRIES.values(), exact_rehash)]
        return [*by_address, (exact_summary, (self.state, 0, aligned_words(BOOK_WORDS), 0))]

    def complete(self) -> None:
        """Write the entries' addresses into the book."""
        with_entries(self.state)


def make_book(config: Config, symbols: int, *, windowed: bool) -> RunningBook:
    """Make the books that the configuration asks for; ``windowed``: the feed shows only the best levels."""
    if config.book.kind == "bucketed":
        return RunningBucketed(max(symbols, 1))
    return RunningExact(max(symbols, 1), windowed=windowed)
