"""Where transactions go: a sink behind a small protocol, and the thread that feeds it."""

from __future__ import annotations

import random
import threading
import time
from typing import Final, Protocol

import numpy as np
from numpy.typing import ArrayLike

from velox_engine.records import MAX_BUNDLE_SIZE, TRANSACTION, Transactions
from velox_engine.stages.sinking import Outlet, take_bundles
from velox_engine.threads import name_thread

OUTLET_SIZE: Final = 1 << 16
_BATCH: Final = 8192
_WAIT_S: Final = 0.002


class Sink(Protocol):
    """Takes whole bundles. ``written`` and ``lost`` count transactions; what is in neither is still being held."""

    @property
    def written(self) -> int:
        """Transactions that are kept."""

    @property
    def lost(self) -> int:
        """Transactions that could not be kept."""

    def write(self, records: Transactions, bundle_sizes: ArrayLike) -> None:
        """Take records and the sizes of their bundles; raises `OSError` for what could not be kept (counted lost)."""

    def flush(self) -> None:
        """Hand on what is held back."""

    def close(self) -> None:
        """Hand on what is held back, and let go."""

    def discard(self) -> None:
        """Let go, and leave nothing behind: the run that this was made for has not begun."""


class FaultySink:
    """A sink whose writes fail or take their time, by chance: what did not reach the real one is counted lost."""

    def __init__(self, sink: Sink, seed: int, errors: float, delays: float, longest_s: float) -> None:
        self._sink = sink
        self._random = random.Random(seed)
        self._errors, self._delays, self._longest_s = errors, delays, longest_s
        self._lost = self.failed = self.delayed = 0

    @property
    def written(self) -> int:
        """Transactions that the real sink has written."""
        return self._sink.written

    @property
    def lost(self) -> int:
        """Transactions that the real sink lost, and those that were kept from it."""
        return self._sink.lost + self._lost

    def write(self, records: Transactions, bundle_sizes: ArrayLike) -> None:
        """Write, after a while, or raise `OSError`."""
        if self._random.random() < self._delays:
            self.delayed += 1
            time.sleep(self._longest_s * self._random.random())
        if self._random.random() < self._errors:
            self.failed += 1
            self._lost += len(records)
            raise OSError("a fault on purpose")
        self._sink.write(records, bundle_sizes)

    def flush(self) -> None:
        """Hand on what is held back."""
        self._sink.flush()

    def close(self) -> None:
        """Hand on what is held back, and let go."""
        self._sink.close()

    def discard(self) -> None:
        """Let go, and leave nothing behind."""
        self._sink.discard()


class SinkThread:
    """Moves bundles from the outlet to a sink. A sink that fails is counted; the flow goes on.

    ``failure`` holds the first error in words.
    """

    def __init__(self, sink: Sink, outlet: Outlet) -> None:
        self.sink = sink
        self._outlet = outlet
        self._ended = threading.Event()
        self.failure = ""
        self._thread = threading.Thread(target=self._run, name="vx-sink", daemon=True)

    @property
    def faults(self) -> dict[str, int] | None:
        """What was made to go wrong on purpose; ``None`` for a sink that is left alone."""
        if not isinstance(self.sink, FaultySink):
            return None
        return {"sink_errors": self.sink.failed, "sink_delays": self.sink.delayed}

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Write what is left, close the sink, and say whether that is done; call it when output has stopped."""
        self._ended.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def abandon(self) -> None:
        """Let go of a sink that was never started, and of what it made in vain; nothing if it was."""
        if self._thread.ident is None:
            self.sink.discard()

    def _run(self) -> None:
        name_thread("vx-sink")
        records = np.zeros(max(_BATCH, MAX_BUNDLE_SIZE), TRANSACTION)
        sizes = np.zeros(_BATCH, np.int64)
        while True:
            ended = self._ended.is_set()
            bundles = int(take_bundles(self._outlet, records, sizes))
            if bundles == 0:
                if ended:
                    break
                self._ended.wait(_WAIT_S)
                continue
            taken = sizes[:bundles].copy()  # the sink may keep it until a block is full
            self._keep(records[: int(taken.sum())], taken)
        try:
            self.sink.close()
        except OSError as error:
            self._note(error)

    def _keep(self, records: Transactions, sizes: ArrayLike) -> None:
        try:
            self.sink.write(records, sizes)
        except OSError as error:
            self._note(error)

    def _note(self, error: OSError) -> None:
        self.failure = self.failure or f"sink: {error}"
