"""Memory for words that threads share: aligned, touched, zeroed."""

from __future__ import annotations

from typing import Final

import numpy as np

from velox_engine.lockfree.atomics import Words

LINE_BYTES: Final = 128
"""What is kept apart: a cache line of 64 bytes and the neighbour that x86 fetches with it (128 on Apple's arm64)."""
LINE_WORDS: Final = LINE_BYTES // 8


def aligned_words(count: int) -> Words:
    """Make ``count`` zeroed ``int64`` words that begin on a line of their own, with every page already mapped.

    A page that is first touched inside a stage costs that stage a fault in the middle of a burst.
    """
    block = np.empty(count + LINE_WORDS, np.int64)
    skip = (-block.ctypes.data % LINE_BYTES) // 8
    words = block[skip : skip + count]
    words.fill(0)
    return words
