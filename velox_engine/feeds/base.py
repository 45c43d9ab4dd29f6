"""What every feed is: a named file that yields batches of ``TRANSACTION`` and says what it could not use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Literal

from velox_engine.errors import FeedError
from velox_engine.records import Instrument, Transactions

DEFAULT_BATCH_SIZE: Final = 4096

Seed = str | Path | Literal[False] | None
"""The book before the first message: a file, ``None`` to find it where there is no doubt, or ``False`` for none."""


@dataclass(frozen=True, slots=True)
class TimeBase:
    """What ``event_ns`` counts from.

    ``zero`` is ``"unix"`` (the Unix epoch, UTC) or ``"midnight"`` (of ``date`` in ``zone``); ``date`` is ISO 8601 and
    ``zone`` an IANA name, ``None`` where the file does not tell. ``paced_by`` says in words which recorded time fills
    ``due_ticks`` and so paces a replay.
    """

    zero: str
    date: str | None = None
    zone: str | None = None
    paced_by: str = "event time"


@dataclass(slots=True)
class Oddities:
    """What a feed met while it was read, counted; nothing here stops it.

    ``skipped`` counts messages that produce no record, by their type's name in the format (known types that do not
    concern the book, and unknown types of a right length as ``unknown …``); ``gaps`` breaks in the feed's own
    sequence; ``time_back`` records whose pacing time is before the one before them; ``cut_off`` says in words that
    the file ended inside a block (a journal), or ``None``.
    """

    skipped: Counter[str] = field(default_factory=Counter)
    gaps: int = 0
    time_back: int = 0
    cut_off: str | None = None


class Feed(ABC):
    """A recorded file as batches of ``TRANSACTION``.

    Iterating yields arrays of at most ``batch_size`` records, in file order, each a new array that the caller may
    keep; the seed (flag ``SNAPSHOT``) comes first, in batches of its own. ``sequence`` is 0 in every record: ingress
    gives it. ``due_ticks`` holds the pacing time in ns. A feed is read once; open it again for another pass. Iterating
    raises `FeedError` at a damaged place, after every batch before it was yielded.

    The seed's batches are the first ones, as long as ``seed_source`` is not ``None`` and their records have the flag
    ``SNAPSHOT``; a snapshot inside the flow has the flag too, but is no seed.

    Attributes:
        path: the file.
        wanted: the symbols asked for, ``None`` for all; messages of others are skipped.
        instruments: index → `Instrument`; may grow while the file is read, never shrinks or changes.
        time_base: what ``event_ns`` counts from.
        seed_source: the file, or the words, that the seed came from; ``None`` without a seed.
        windowed: the feed shows only the best levels of the book, so levels beyond it are unknown.
        priced: every record that touches the book carries its own price and side (else the bucketed book is refused).
        oddities: what was counted so far.
    """

    format: ClassVar[str]
    rules: ClassVar[str]
    """The format's rules in words: decimals and tick, time base, pacing time, what produces no record."""

    def __init__(
        self, path: Path, *, symbols: Iterable[str] | None = None, batch_size: int = DEFAULT_BATCH_SIZE
    ) -> None:
        self.path = path
        self.wanted = None if symbols is None else frozenset(symbols)
        self.batch_size = batch_size
        self.instruments: list[Instrument] = []
        self.time_base = TimeBase("unix")
        self.seed_source: str | None = None
        self.windowed = False
        self.priced = True
        self.oddities = Oddities()

    @classmethod
    @abstractmethod
    def matches(cls, name: str, head: bytes) -> bool:
        """Whether a file is of this format, by its name and its first 64 KiB, decompressed."""

    @property
    def unseen(self) -> list[str]:
        """The symbols that were asked for and have not been met yet, in order; after the last batch, not at all."""
        return sorted((self.wanted or frozenset()) - {instrument.symbol for instrument in self.instruments})

    def _without_seed(self, seed: Seed) -> None:
        """Refuse a seed, for formats whose files hold all that there is."""
        if seed:
            raise FeedError(
                self.path, f"found seed {seed}, expected none: a file of format {self.format} takes no seed"
            )

    @abstractmethod
    def __iter__(self) -> Iterator[Transactions]:
        """Yield the seed, then the file, as arrays of ``TRANSACTION``."""

    def close(self) -> None:  # noqa: B027  # most feeds hold nothing between batches
        """Let go of the file; safe to call at any time and twice."""
