"""Keeping resident memory where it is in a run of days: what is asked of the allocator and of the collector."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from typing import Final

# names and numbers of glibc's <malloc.h>
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_TRIM_BYTES: Final = 128 * 1024
_MMAP_BYTES: Final = 64 * 1024

_THRESHOLDS: Final = (700, 5, 3)
"""A full collection after about ten thousand objects that came to stay, every few seconds; usual are seventy."""


def settle_allocator() -> None:
    """Ask glibc for one arena and for thresholds that stay; elsewhere nothing is done.

    By default each thread that allocates has an arena of its own, in which what is free serves nobody else; and each
    large block that is freed raises the size from which blocks are given back to the system at once, up to 32 MB.
    Nothing that is timed allocates, so one arena costs nothing. A decoder of a recorded feed does, by hundreds of
    kilobytes: such a run is to be left alone. To be called before there are threads.
    """
    with contextlib.suppress(OSError, AttributeError):  # no such library, or one of another kind
        mallopt = ctypes.CDLL(None).mallopt
        for name, value in (
            (_M_ARENA_MAX, 1),
            (_M_TRIM_THRESHOLD, _TRIM_BYTES),
            (_M_MMAP_THRESHOLD, _MMAP_BYTES),
        ):
            mallopt(name, value)


def give_back() -> None:
    """Give the system the pages of glibc's heap that nothing lies on; elsewhere nothing is done.

    By itself glibc gives back only what is free at the heap's end. What comes and goes with each picture leaves holes
    between what stays, some hundred kilobytes a minute. Takes less than a millisecond.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def settle_collector() -> None:
    """Take what the start has left, some hundred thousand objects that stay, out of the collector's sight.

    A full collection waits until a quarter as many objects have come as there are, so that beside those of the compiler
    tens of thousands of dead ones, of notices and sizes, would pile up before anybody looked. Without them a full one
    takes milliseconds and can come often, so that no heap of dead objects takes memory that is never given back.
    What of it is dead already stays too: to look for that now would hold a decoder up as it begins.
    """
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
