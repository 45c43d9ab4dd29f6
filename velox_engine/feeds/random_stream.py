"""Integer random numbers that are looked up, not drawn: the n-th of a stream depends only on n and the key.

SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). Because a
number is a function of its index, what a synthetic source makes does not depend on the pace, the batches or the
machine.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from velox_engine.jit import compiled

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_TO_UNIT: Final = 2.0**-53


@compiled
def random_word(key: np.uint64, index: int) -> np.uint64:
    """Return the 64-bit random number ``index`` of the stream ``key``."""
    word = key + (np.uint64(index) + np.uint64(1)) * _STEP
    word = (word ^ (word >> np.uint64(30))) * _FIRST
    word = (word ^ (word >> np.uint64(27))) * _SECOND
    return word ^ (word >> np.uint64(31))


@compiled
def exponential(key: np.uint64, index: int) -> float:
    """Return exponential variate ``index`` of mean 1 of the stream ``key``; never 0 … and never infinite.

    The uniform number is (0, 1]: 53 random bits plus one, so its logarithm is finite.
    """
    uniform = (np.float64(random_word(key, index) >> np.uint64(11)) + 1.0) * _TO_UNIT
    return -np.log(uniform)


def stream_key(seed: int, stream: int) -> int:
    """Return the key of one of a seed's independent streams, as int64."""
    word = (seed * 4 + stream + 1) * 0x9E3779B97F4A7C15 % 2**64
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % 2**64
    word ^= word >> 31
    return word - 2**64 if word >= 2**63 else word
