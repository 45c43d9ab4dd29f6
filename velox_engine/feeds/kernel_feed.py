"""How a feed with a compiled decoder is read: bytes into a window, the window into batches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from velox_engine.errors import FeedError
from velox_engine.feeds.base import DEFAULT_BATCH_SIZE, Feed, Seed
from velox_engine.feeds.bits import Words
from velox_engine.feeds.stream import ByteStream, Window
from velox_engine.jit import compile_for
from velox_engine.records import TRANSACTION, Transactions


class Stop(IntEnum):
    """Why a decoder came back. A format's own reasons, for `KernelFeed._resolve`, follow from ``OWN`` on."""

    FULL = 0
    """The batch has no room for another message."""
    MORE = 1
    """The window ends inside a message, or between two."""
    OWN = 2


class KernelFeed(Feed):
    """A feed whose decoder is compiled: it fills a batch from the window until something makes it stop."""

    rows_at_once: ClassVar[int] = 1
    """The most records that one message becomes."""

    def __init__(
        self,
        path: Path,
        *,
        symbols: Iterable[str] | None = None,
        seed: Seed = None,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        super().__init__(path, symbols=symbols, batch_size=batch_size)
        if batch_size < 1:
            raise ValueError(f"batch_size: got {batch_size}, allowed are whole numbers from 1")
        self._without_seed(seed)
        self._window = Window(ByteStream(path))
        self._read = False
        self._closed = False
        try:
            if not self._window.more():
                raise FeedError(self.path, "found an empty file, expected recorded order flow", byte=0)
        except FeedError:
            self.close()
            raise

    def _compile(self, decode: Callable[..., Any], state: Any) -> None:
        """Have the decoder ready before anything is paced by it."""
        compile_for(decode, (self._window.data, 0, 0, np.empty(0, np.int64), 0, state))

    @abstractmethod
    def _decode(self, words: Words, row: int) -> tuple[int, int]:
        """Decode from the window into the batch's words from this row on; return the next row and why it stopped."""

    @abstractmethod
    def _resolve(self, reason: int) -> None:
        """Do what the decoder cannot, so that it can go on, or raise the `FeedError` that this reason stands for."""

    @abstractmethod
    def _rest(self, count: int) -> FeedError | None:
        """What is wrong with ``count`` bytes, perhaps 0, being left where the file ends."""

    @abstractmethod
    def _note(self) -> None:
        """Bring the decoder's counts into ``oddities``."""

    def __iter__(self) -> Iterator[Transactions]:
        if self._read:
            raise FeedError(self.path, "was read already, open it again for another pass")
        self._read = True
        fault: FeedError | None = None
        ended = False
        while not ended:
            batch = np.empty(max(self.batch_size, self.rows_at_once), TRANSACTION)
            rows, ended, fault = self._fill(batch.view(np.int64))
            self._note()
            for at in range(0, rows, self.batch_size):
                yield batch[at : min(at + self.batch_size, rows)]
        self.close()
        if fault is not None:
            raise fault

    def _fill(self, words: Words) -> tuple[int, bool, FeedError | None]:
        """Fill one batch; return its rows, whether it is the last one, and what is wrong behind it."""
        rows = 0
        window = self._window
        try:
            while not self._closed:
                rows, reason = self._decode(words, rows)
                if reason == Stop.FULL:
                    return rows, False, None
                if reason != Stop.MORE:
                    self._resolve(reason)
                elif not window.more():
                    return rows, True, self._rest(window.end - window.start)
        except FeedError as error:
            # a file that was closed by another thread while it was read is at its end, not damaged
            return rows, True, None if self._closed else error
        return rows, True, None

    def close(self) -> None:
        """Let go of the file; a batch that is being decoded is the last one."""
        self._closed = True
        self._window.stream.close()

    def _fault(self, found: str, expected: str, *, ahead: int = 0) -> FeedError:
        """An error at ``ahead`` bytes behind the window's start."""
        return FeedError(self.path, f"found {found}, expected {expected}", byte=self._window.offset + ahead)
