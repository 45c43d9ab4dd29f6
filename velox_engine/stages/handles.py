"""The supervisor's access to control words: atomic, with the ordering that the tables ask for, from Python."""

from __future__ import annotations

from velox_engine.jit import compiled
from velox_engine.lockfree.atomics import Words, load_acquire, store_release


@compiled
def get_word(words: Words, index: int) -> int:
    """Load a control word with acquire."""
    return load_acquire(words, index)


@compiled
def set_word(words: Words, index: int, value: int) -> None:
    """Store a control word with release."""
    store_release(words, index, value)
