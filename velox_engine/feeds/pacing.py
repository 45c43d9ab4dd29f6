"""When recorded records are due: their own times, made never to go back, sped up, and without the long quiet."""

from __future__ import annotations

import numpy as np

from velox_engine.feeds.staging import SEED
from velox_engine.records import Transactions


class Pacing:
    """Turns the pacing times (ns, in ``due_ticks``) of one batch after another into ticks since the schedule began.

    ``speed`` is how many times faster than recorded; quiet longer than ``max_gap_ns`` of recorded time counts as that.
    A time that goes back counts as the largest before it.
    """

    def __init__(self, speed: float, max_gap_ns: float, ns_per_tick: float) -> None:
        self._scale = 1.0 / speed / ns_per_tick
        self._max_gap_ns = max_gap_ns
        self._latest: int | None = None
        self._elapsed_ns = 0.0

    def begin_pass(self) -> None:
        """A file begins again: its first time follows the last one without a gap."""
        self._latest = None

    def apply(self, batch: Transactions) -> None:
        """Replace the batch's pacing times by ticks since the schedule began."""
        times = batch["due_ticks"].copy()
        if len(times) == 0:
            return
        if self._latest is None:
            self._latest = int(times[0])
        times = np.maximum.accumulate(np.concatenate(([self._latest], times)))
        gaps = np.minimum(np.diff(times), self._max_gap_ns)
        elapsed = self._elapsed_ns + np.cumsum(gaps)
        batch["due_ticks"] = (elapsed * self._scale).astype(np.int64)
        self._latest, self._elapsed_ns = int(times[-1]), float(elapsed[-1])

    @staticmethod
    def mark_seed(batch: Transactions) -> None:
        """Mark a batch as the seed's: due at once."""
        batch["due_ticks"] = SEED
