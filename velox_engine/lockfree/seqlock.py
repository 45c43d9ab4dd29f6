"""A sequence lock: one writer never waits, readers notice a torn copy and take another.

The lock is one word, even while the block is whole and odd while it is written. The orderings are those of H.-J. Boehm,
"Can seqlocks get along with programming language memory models?" (MSPC 2012):

* writer: odd (relaxed), *release fence*, the block's words, even (*release*);
* reader: lock (*acquire*), the block's words, *acquire fence*, lock again (relaxed).

A reader in Python has no fences; it is told by the block's checksum (`velox_engine.telemetry`).
"""

from __future__ import annotations

from velox_engine.jit import compiled
from velox_engine.lockfree.atomics import (
    Words,
    fence_acquire,
    fence_release,
    load_acquire,
    load_relaxed,
    store_relaxed,
    store_release,
)


@compiled
def seqlock_begin(words: Words, lock: int) -> None:
    """Writer: open the block for writing; ``words[lock]`` is its lock."""
    store_relaxed(words, lock, load_relaxed(words, lock) + 1)
    fence_release()


@compiled
def seqlock_end(words: Words, lock: int) -> None:
    """Writer: close the block; what was written is seen by whoever sees the lock even again."""
    store_release(words, lock, load_relaxed(words, lock) + 1)


@compiled
def seqlock_enter(words: Words, lock: int) -> int:
    """Reader: return the lock as it stands before a copy; an odd one means that a writer is at work."""
    return load_acquire(words, lock)


@compiled
def seqlock_leave(words: Words, lock: int, entered: int) -> bool:
    """Reader: say whether the copy taken since `seqlock_enter` gave ``entered`` is whole."""
    fence_acquire()
    return entered & 1 == 0 and load_relaxed(words, lock) == entered
