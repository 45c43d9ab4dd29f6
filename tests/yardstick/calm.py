"""Runs on a machine that others use too: wait for a calm moment, and tell which runs were disturbed after all."""

from __future__ import annotations

import time
from collections.abc import Sequence

import psutil

from tests.yardstick.rows import Samples
from velox_engine.bench.environment import busy_s, own_s
from velox_engine.bench.measure import Cancel, Measure

_LOOK_S = 0.15
_CALM = 0.25
"""Cores that others may use while a run is waited for …"""
_UNDISTURBED = 0.3
"""… and while it lasts."""
_FEWEST = 3


class Calm:
    """Wraps measures so that each run waits for a calm moment, and remembers which of them stayed undisturbed."""

    def __init__(self, patience_s: float, cancel: Cancel) -> None:
        self._patience_s = patience_s
        self._cancel = cancel
        self._calm: dict[str, list[bool]] = {}

    def wrapped(self, measure: Measure) -> Measure:
        def run() -> Sequence[float]:
            self._wait()
            begun, others = time.monotonic(), _others()
            found = measure.run()
            share = (_others() - others) / (time.monotonic() - begun)
            for name in measure.names():
                self._calm.setdefault(name, []).append(share < _UNDISTURBED)
            return found

        return Measure(measure.id, measure.figures, run, measure.lacking)

    def _wait(self) -> None:
        give_up = time.monotonic() + self._patience_s
        while time.monotonic() < give_up:
            self._cancel.check()
            others = _others()
            time.sleep(_LOOK_S)
            if (_others() - others) / _LOOK_S < _CALM:
                return

    def undisturbed(self, samples: Samples) -> Samples:
        """Leave disturbed runs out of the figures that have enough without them."""
        kept: Samples = {}
        for name, found in samples.items():
            calm = self._calm[name][-len(found) :]  # the first run was not counted
            left = [value for value, was_calm in zip(found, calm, strict=True) if was_calm]
            kept[name] = left if len(left) >= _FEWEST else found
        return kept

    def told(self) -> str:
        """How many of all runs stayed undisturbed, in words."""
        runs = [was_calm for each in self._calm.values() for was_calm in each[1:]]
        return f"{sum(runs)} of {len(runs)} figures undisturbed"


def _others() -> float:
    """Processor time of all other processes so far, s."""
    return busy_s(psutil.cpu_times()) - own_s()
