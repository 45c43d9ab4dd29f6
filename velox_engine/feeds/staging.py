"""The staging ring: what a decoder has read from a recorded file, waiting for ingress.

A Python thread decodes ahead and fills it; ingress empties it. So a slow disk or a busy interpreter never stalls a
worker in the middle of a step: it finds the ring empty, and waits for input.

===== ============ ========= ======== ======================================================================
word  field        writes    reads    what makes it right
===== ============ ========= ======== ======================================================================
0     closed       decoder   ingress  release after the last publish; acquire before the ring is found empty
1     instruments  decoder   ingress  relaxed, before the publish of the first record that needs it
===== ============ ========= ======== ======================================================================

A staged record's ``due_ticks`` is when it is due, in ticks since the schedule began; `SEED` marks a seed's record, due
at once and outside pacing, count and latency.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from velox_engine.by_reference import by_reference
from velox_engine.jit import compiled, inner
from velox_engine.lockfree.atomics import Words, load_acquire, load_relaxed, store_relaxed, store_release
from velox_engine.lockfree.memory import aligned_words
from velox_engine.lockfree.ring import Ring, make_ring, ring_produced, ring_publish, ring_room
from velox_engine.records import RULES, TRANSACTION, Rejection, Transactions

CLOSED: Final = 0
INSTRUMENTS: Final = 1
SEED: Final = -1
_LENGTH: Final = 16
_ACTIONS: Final = 16

_ACTION, _SIDE, _SIZE = int(Rejection.ACTION), int(Rejection.SIDE), int(Rejection.SIZE)
_SYMBOL: Final = int(Rejection.SYMBOL)
VALID: Final = -1


@by_reference
class Staging(NamedTuple):
    """Staged records and the rules that they are held to.

    ``words`` int64 as named above; ``ring`` the cursors; ``records`` TRANSACTION (a power of two,); ``max_side`` and
    ``min_size`` int64 (16,), by action.
    """

    words: Words
    ring: Ring
    records: Transactions
    max_side: Words
    min_size: Words


def make_staging(size: int, instruments: int) -> Staging:
    """Make an empty staging ring of ``size`` records, a power of two."""
    max_side, min_size = np.full(_ACTIONS, -1, np.int64), np.zeros(_ACTIONS, np.int64)
    for action, rule in RULES.items():
        max_side[action], min_size[action] = rule.max_side, rule.min_size
    words = aligned_words(_LENGTH)
    words[INSTRUMENTS] = instruments
    records = aligned_words(size * TRANSACTION.itemsize // 8).view(TRANSACTION)
    return Staging(words, make_ring(size), records, max_side, min_size)


@compiled
def stage_records(staging: Staging, batch: Transactions, begin: int, instruments: int) -> int:
    """Decoder: copy records from ``batch[begin]`` on into the ring, as many as have room; return how many."""
    left = batch.size - begin
    count = min(ring_room(staging.ring, left), left)
    cursor = ring_produced(staging.ring)
    mask = staging.records.size - 1
    for step in range(count):
        staging.records[(cursor + step) & mask] = batch[begin + step]
    store_relaxed(staging.words, INSTRUMENTS, instruments)
    if count > 0:
        ring_publish(staging.ring, count)
    return count


@compiled
def close_staging(staging: Staging) -> None:
    """Decoder: nothing more will come."""
    store_release(staging.words, CLOSED, 1)


@inner
def staging_is_closed(staging: Staging) -> bool:
    """Ingress: say whether nothing more will come than is in the ring now; ask before the ring is found empty."""
    return load_acquire(staging.words, CLOSED) != 0


@inner
def refusal(staging: Staging, slot: int) -> int:
    """Say why a staged record is not valid, a `Rejection`, or ``VALID``; `records.rejection` is the plain twin."""
    record = staging.records[slot]
    if record.action >= _ACTIONS or staging.max_side[record.action] < 0:
        return _ACTION
    if record.side > staging.max_side[record.action]:
        return _SIDE
    if record.size < staging.min_size[record.action]:
        return _SIZE
    if record.symbol >= load_relaxed(staging.words, INSTRUMENTS):
        return _SYMBOL
    return VALID
