"""Memory that ends where it ends: arrays whose next byte may not be touched, so that reading on is a crash.

Compiled decoders index raw memory without checks. A buffer from the allocator is followed by other memory, where
reading too far goes unnoticed; here a page without any permission follows.
"""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PAGE = mmap.PAGESIZE
_LIBC = ctypes.CDLL(None, use_errno=True)


class GuardedMemory:
    """So many bytes, and then a page that nobody may touch. What `tail` gives shares these bytes, call by call."""

    def __init__(self, most: int) -> None:
        self.most = -(-most // _PAGE) * _PAGE
        self._memory = mmap.mmap(-1, self.most + _PAGE)
        whole: NDArray[np.uint8] = np.frombuffer(self._memory, np.uint8)
        address = whole.ctypes.data + self.most
        if _LIBC.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(_PAGE), 0) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")
        self._bytes = whole[: self.most]

    def tail(self, count: int, dtype: Any = np.uint8) -> NDArray[Any]:
        """An array of ``count`` elements that ends at the guard, its content whatever was there before."""
        kind = np.dtype(dtype)
        size = count * kind.itemsize
        if size > self.most:
            raise ValueError(f"asked for {size} bytes of {self.most}")
        return self._bytes[self.most - size :].view(kind)
