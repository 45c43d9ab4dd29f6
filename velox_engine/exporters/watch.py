"""Looking at an engine from several threads, one after the other, with one reader: so its counts never go back."""

from __future__ import annotations

import threading
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from velox_engine.snapshot import Snapshot
from velox_engine.telemetry.reader import TelemetryReader


class Watched(Protocol):
    """What exporters need of an engine."""

    def new_reader(self) -> TelemetryReader:
        """Make a reader that belongs to no thread."""


class Look(NamedTuple):
    """A snapshot, and the books at about the same time.

    ``books`` int64, a row a symbol with the fields of `BookSummary`; ``instruments`` is empty where there are more than
    were asked for.
    """

    snapshot: Snapshot
    books: NDArray[np.int64]
    instruments: list[dict[str, object]]


class Watch:
    """The one reader, from when there is an engine."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reader: TelemetryReader | None = None

    def begin(self, engine: Watched) -> None:
        """Look at this engine from now on."""
        with self._lock:
            self._reader = engine.new_reader()

    def snapshot(self) -> Snapshot | None:
        """Take a snapshot; ``None`` while there is no engine yet."""
        with self._lock:
            return None if self._reader is None else self._reader.read()

    def look(self, most_symbols: int) -> Look | None:
        """Take a snapshot with the books, and their instruments if these are no more than ``most_symbols``."""
        with self._lock:
            reader = self._reader
            if reader is None:
                return None
            snapshot, books = reader.read(), reader.book_table()
            return Look(snapshot, books, reader.instruments() if len(books) <= most_symbols else [])
