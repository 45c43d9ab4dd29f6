"""From output to a sink: bundles are copied into rings that a Python thread empties, so output never waits for a disk
unless the rings are full; then it waits, and nothing is lost.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from velox_engine.by_reference import by_reference
from velox_engine.jit import compiled, inner
from velox_engine.lockfree.atomics import Words
from velox_engine.lockfree.memory import aligned_words
from velox_engine.lockfree.ring import (
    Ring,
    make_ring,
    ring_consumed,
    ring_produced,
    ring_publish,
    ring_ready,
    ring_release,
    ring_room,
)
from velox_engine.records import TRANSACTION, Transactions
from velox_engine.stages.slots import Slots, slot_of

_ON: Final = 0


@by_reference
class Outlet(NamedTuple):
    """What lies between output and the sink's thread.

    ``words`` int64: 0 whether there is a sink. ``records`` TRANSACTION and ``sizes`` int64 (bundle sizes), each a power
    of two long, with ``record_ring`` and ``size_ring`` as cursors.
    """

    words: Words
    record_ring: Ring
    records: Transactions
    size_ring: Ring
    sizes: Words


def make_outlet(on: bool, records: int) -> Outlet:
    """Make an outlet for ``records`` transactions, a power of two; without a sink it stays unused and small."""
    size = records if on else 1
    words = aligned_words(16)
    words[_ON] = on
    memory = aligned_words(size * TRANSACTION.itemsize // 8).view(TRANSACTION)
    return Outlet(words, make_ring(size), memory, make_ring(size), aligned_words(size))


@inner
def outlet_is_on(outlet: Outlet) -> bool:
    """Say whether there is a sink."""
    return outlet.words[_ON] != 0


@inner
def outlet_room(outlet: Outlet, wanted: int) -> int:
    """Output: return how many transactions, in as many bundles, may be handed over."""
    return min(ring_room(outlet.record_ring, wanted), ring_room(outlet.size_ring, wanted))


@inner
def hand_bundle(outlet: Outlet, slots: Slots, first: int, count: int) -> None:
    """Output: copy a bundle; the sizes' ring is published last, so whoever sees a size finds its records."""
    cursor = ring_produced(outlet.record_ring)
    mask = outlet.records.size - 1
    for step in range(count):
        outlet.records[(cursor + step) & mask] = slots.records[slot_of(slots, first + step)]
    ring_publish(outlet.record_ring, count)
    outlet.sizes[ring_produced(outlet.size_ring) & (outlet.sizes.size - 1)] = count
    ring_publish(outlet.size_ring, 1)


@compiled
def take_bundles(outlet: Outlet, records: Transactions, sizes: Words) -> int:
    """Sink: move whole bundles into ``records`` and their sizes into ``sizes``, as many as fit; return how many.

    ``records`` must hold one bundle at least.
    """
    ready = min(ring_ready(outlet.size_ring), sizes.size)
    cursor, mask = ring_consumed(outlet.size_ring), outlet.sizes.size - 1
    bundles, total = 0, 0
    while bundles < ready:
        size = outlet.sizes[(cursor + bundles) & mask]
        if total + size > records.size:
            break
        sizes[bundles] = size
        total += size
        bundles += 1
    ring_ready(outlet.record_ring)
    first, mask = ring_consumed(outlet.record_ring), outlet.records.size - 1
    for step in range(total):
        records[step] = outlet.records[(first + step) & mask]
    ring_release(outlet.record_ring, total)
    ring_release(outlet.size_ring, bundles)
    return bundles
