"""The stages' side of the telemetry region: copy a private image into a guarded block. Compiled."""

from __future__ import annotations

from typing import Final

import numpy as np

from velox_engine.jit import compiled, int64
from velox_engine.lockfree.atomics import Words, load_relaxed
from velox_engine.lockfree.seqlock import seqlock_begin, seqlock_end
from velox_engine.telemetry.layout import GUARD_WORDS, WEIGHT_STEP

_STEP: Final = np.uint64(2 * WEIGHT_STEP % 2**64)


@compiled
def publish(region: Words, at: int, image: Words) -> None:
    """Copy ``image`` into the payload of the block at ``region[at]``, with its checksum, under its sequence lock.

    One thread at a time writes a block; it never waits. `layout.checksum_of` is the same sum for readers.
    """
    seqlock_begin(region, at)
    total = np.uint64(load_relaxed(region, at) + 1)
    payload = at + GUARD_WORDS
    for word in range(image.size):
        value = image[word]
        region[payload + word] = value
        mixed = np.uint64(value) ^ (np.uint64(value) >> np.uint64(32))
        total += mixed * (np.uint64(word) * _STEP + np.uint64(1))
    region[at + 1] = int64(total)
    seqlock_end(region, at)
