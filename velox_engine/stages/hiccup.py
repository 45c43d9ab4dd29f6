"""The hiccup meter: a thread that only sleeps, and records how late it wakes. It measures the host, not the engine."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import types

from velox_engine.jit import compiled, int64
from velox_engine.lockfree.atomics import Words, load_acquire
from velox_engine.lockfree.clock import ticks
from velox_engine.lockfree.histogram import histogram_record
from velox_engine.stages.control import STOP, Control
from velox_engine.telemetry.writer import publish

_SLEEP_US: Final = 5_000
_PUBLISH_EVERY: Final = 20  # sleeps

_usleep: Any = types.ExternalFunction("usleep", types.int32(types.uint32))


@compiled
def run_hiccup(control: Control, image: Words, region: Words, block: int, ns_per_tick: float) -> None:
    """Sleep 5 ms at a time until the engine stops; ``image`` is the histogram, published in ``region[block …]``."""
    turn = int64(0)
    while load_acquire(control.words, STOP) == 0:
        begun = ticks()
        _usleep(np.uint32(_SLEEP_US))
        late = int64((ticks() - begun) * ns_per_tick) - _SLEEP_US * 1000
        histogram_record(image, 0, late, 1)
        turn += 1
        if turn % _PUBLISH_EVERY == 0:
            publish(region, block, image)
    publish(region, block, image)
