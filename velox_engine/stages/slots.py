"""The slots that every transaction lies in from ingress to output.

A transaction is written once. The slot of sequence ``s`` is ``(s - origin) & (slots - 1)``; the stages' cursors pass
over it: ingress publishes to the order book, the order book to bundle, and bundle to output as ranges of sequences.
There are at least as many slots as all rings together can hold, so none is written again before output has let it go:
ingress may lead the order book by one ring, the order book lead bundle by another, and bundle lead output by its ring
of full bundles and one open one. Each cursor is stored with release and loaded with acquire, and those orders chain, so
output's reads of a slot happen before ingress writes it anew.

**Origin.** All slots together are larger than a core's cache, and a flow that walks through all of them pulls each line
in from far and pushes another out. So ingress looks up output's cursor about once in `REWIND` records: where output has
passed all there is, nobody needs any slot, and ingress lets the next sequence be the new origin: it lies in the first
slots again, which are still near. Only ingress writes the origin; a stage reads it when it has found something to take,
so behind ingress's publish, and the next time that it may change, output has passed what that stage took before.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velox_engine.by_reference import by_reference
from velox_engine.jit import inner
from velox_engine.lockfree.atomics import Words
from velox_engine.lockfree.memory import aligned_words
from velox_engine.records import TRANSACTION, Transactions

WORDS_A_RECORD: Final = TRANSACTION.itemsize // 8
DUE_WORD: Final = 5
"""Which of a record's words is ``due_ticks``."""


REWIND: Final = 1024
"""Records from one look whether the slots may begin anew to the next: 64 KiB."""


@by_reference
class Slots(NamedTuple):
    """One memory seen twice: ``records`` of TRANSACTION, shape (n,), and its ``words`` uint64, shape (n, 8).

    ``origin`` int64 (1,): the sequence that lies, or would lie, in slot 0.
    """

    records: Transactions
    words: NDArray[np.uint64]
    origin: Words


@inner
def slot_of(slots: Slots, sequence: int) -> int:
    """Return where a transaction that is on its way lies."""
    return (sequence - slots.origin[0]) & (slots.records.size - 1)


def slots_needed(ingress_ring: int, bundle_ring: int, output_ring: int, max_size: int) -> int:
    """Return how many slots rings of these sizes can hold at once, as a power of two."""
    most = ingress_ring + bundle_ring + (output_ring + 1) * max_size
    return 1 << (most - 1).bit_length()


def make_slots(count: int) -> Slots:
    """Make ``count`` zeroed slots on cache lines of their own, already mapped."""
    words = aligned_words(count * WORDS_A_RECORD)
    records = words.view(TRANSACTION)
    return Slots(records, words.view(np.uint64).reshape(count, WORDS_A_RECORD), aligned_words(1))
