"""XXH64, Y. Collet's checksum, for payloads of whole stripes (32 bytes): fast enough to stand in the flow's way.

Source: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md. It finds accidents, not adversaries.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from velox_engine.jit import compiled, inner

STRIPE: Final = 32
"""A payload's length is a multiple of this."""

_P1: Final = np.uint64(0x9E3779B185EBCA87)
_P2: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_P3: Final = np.uint64(0x165667B19E3779F9)
_P4: Final = np.uint64(0x85EBCA77C2B2AE63)
_ZERO: Final = np.uint64(0)


@inner
def _turn(word: np.uint64, bits: int) -> np.uint64:
    return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))


@inner
def _round(lane: np.uint64, word: np.uint64) -> np.uint64:
    return _turn(lane + word * _P2, 31) * _P1


@inner
def _merge(total: np.uint64, lane: np.uint64) -> np.uint64:
    return (total ^ _round(_ZERO, lane)) * _P1 + _P4


@compiled
def xxh64(words: NDArray[np.uint64]) -> int:
    """The XXH64 (seed 0) of little-endian words, shape (4 n,) with n ≥ 1."""
    one, two, three, four = _P1 + _P2, _P2, _ZERO, _ZERO - _P1
    for at in range(0, len(words), 4):
        one = _round(one, words[at])
        two = _round(two, words[at + 1])
        three = _round(three, words[at + 2])
        four = _round(four, words[at + 3])
    total = _turn(one, 1) + _turn(two, 7) + _turn(three, 12) + _turn(four, 18)
    total = _merge(_merge(_merge(_merge(total, one), two), three), four)
    total += np.uint64(8 * len(words))
    total = (total ^ (total >> np.uint64(33))) * _P2
    total = (total ^ (total >> np.uint64(29))) * _P3
    return total ^ (total >> np.uint64(32))  # type: ignore[return-value]  # an int once it is back in Python
