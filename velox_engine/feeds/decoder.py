"""The decoder: a thread that reads a feed ahead of ingress, pass after pass where the source loops."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import numpy as np

from velox_engine.errors import FeedError, VeloxError
from velox_engine.feeds.base import Feed
from velox_engine.feeds.pacing import Pacing
from velox_engine.feeds.staging import Staging, close_staging, stage_records
from velox_engine.records import TRANSACTION, Action, Flags, Side, Transactions
from velox_engine.threads import name_thread

_WAIT_S: Final = 0.001
STAGING_SIZE: Final = 1 << 15
"""Records that are decoded ahead at most: 2 MiB, some milliseconds of the fastest replay."""


class Decoder:
    """Feeds a staging ring from a feed until the feed ends, is damaged, or `stop` is called.

    ``reopen`` opens the file again for another pass, ``None`` where there is only one. ``failure`` holds the error in
    words when the file was damaged; everything before that place was staged.
    """

    def __init__(self, feed: Feed, staging: Staging, pacing: Pacing, reopen: Callable[[], Feed] | None) -> None:
        self.feed = feed
        self._staging = staging
        self._pacing = pacing
        self._reopen = reopen
        self._stopped = threading.Event()
        self.failure = ""
        self.error: VeloxError | None = None
        self.passes = 0
        self.staged = 0
        self._begun = threading.Event()
        self._read = False
        self._thread = threading.Thread(target=self._run, name="vx-decoder", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def wait_until_begun(self) -> None:
        """Wait until the first records are staged, or the file has ended: its kernels are compiled by then.

        Raises the error of a file of which nothing could be read.
        """
        self._begun.wait()
        if self.error is not None and self.staged == 0:
            raise self.error

    @property
    def ended(self) -> bool:
        """Whether the file was read to its end, or to where it is damaged."""
        return self._read

    def stop(self, timeout: float) -> bool:
        """Stop reading and wait for the thread; say whether it has ended."""
        self._stopped.set()
        if self._thread.ident is None:  # never started: nobody else lets go of the file
            self.feed.close()
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        name_thread("vx-decoder")
        try:
            while self._pass() and self._reopen is not None:
                self.feed.close()
                known = self.feed.instruments
                self.feed = self._reopen()
                # the table of the first pass stands: a book's index must mean one symbol for the whole run
                if self.feed.instruments != known[: len(self.feed.instruments)]:
                    raise VeloxError(f"{self.feed.path} changed while it was replayed: it names other instruments")
                self._put(self._clears(len(known)))
                self._pacing.begin_pass()
        except VeloxError as error:
            self.failure, self.error = str(error), error
        except OSError as error:
            self.failure = f"{self.feed.path}: {error.strerror or error}"
            self.error = FeedError(self.feed.path, str(error.strerror or error))
        finally:
            self._read = not self._stopped.is_set()
            close_staging(self._staging)
            self._begun.set()
            self.feed.close()

    def _pass(self) -> bool:
        """Stage one pass of the file; say whether to go on to the next."""
        seeding = self.feed.seed_source is not None
        any_flow = False
        for batch in self.feed:
            seeding = seeding and bool(np.all(batch["flags"] & Flags.SNAPSHOT))
            if seeding:
                self._pacing.mark_seed(batch)
            else:
                self._pacing.apply(batch)
                any_flow = any_flow or len(batch) > 0
            if not self._put(batch):
                return False
        self.passes += 1
        return any_flow

    def _put(self, batch: Transactions) -> bool:
        done = 0
        while done < len(batch):
            if self._stopped.is_set():
                return False
            staged = stage_records(self._staging, batch, done, len(self.feed.instruments))
            done += staged
            self.staged += staged
            if staged > 0:
                self._begun.set()
            else:
                self._stopped.wait(_WAIT_S)
        return True

    def _clears(self, symbols: int) -> Transactions:
        """Empty every book before another pass; these are part of the seed."""
        batch = np.zeros(symbols, TRANSACTION)
        batch["symbol"] = np.arange(symbols)
        batch["action"], batch["side"] = Action.CLEAR, Side.NONE
        batch["flags"] = Flags.SNAPSHOT | Flags.LAST
        self._pacing.mark_seed(batch)
        return batch
