"""Truth with real threads, on two cores and both on one: what is promised to hold between threads does hold."""

import os
import threading
import time

import numpy as np
import pytest
from numba import types

from tests.line import ALL, BUNDLE, INGRESS, ORDERBOOK, OUTPUT, Line, content
from velox_engine.jit import compiled
from velox_engine.lockfree.atomics import load_relaxed, store_relaxed
from velox_engine.lockfree.memory import aligned_words
from velox_engine.lockfree.ring import (
    make_ring,
    ring_consumed,
    ring_produced,
    ring_publish,
    ring_ready,
    ring_release,
    ring_room,
)
from velox_engine.lockfree.seqlock import seqlock_begin, seqlock_end, seqlock_enter, seqlock_leave
from velox_engine.stages.control import Phase
from velox_engine.telemetry import layout, region
from velox_engine.telemetry.layout import GUARD_WORDS, Block
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.telemetry.region import make_region, open_for_readers
from velox_engine.telemetry.writer import publish
from velox_engine.threads import pin_thread

_yield = types.ExternalFunction("sched_yield", types.int32())
_usleep = types.ExternalFunction("usleep", types.int32(types.uint32))

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
PATIENCE_S = 300.0
ITEM_WORDS = 4
MIX = -7046029254386353131
PLACES = ["two cores", "one core"]


def cores_of(place, count):
    """The core of each of so many threads, ``None`` where they cannot be bound."""
    if not CORES:
        return [None] * count
    if place == "one core":
        return [CORES[-1]] * count
    if len(CORES) < 2:
        pytest.skip("this process may use one core only")
    return [CORES[-1 - thread % 2] for thread in range(count)]


def in_threads(place, stop, *functions):
    """Run functions in threads of their own; return what each gave. ``stop`` ends those that wait in vain."""
    given = [None] * len(functions)

    def work(at, core):
        if core is not None:
            pin_thread(core)
        given[at] = functions[at]()

    cores = cores_of(place, len(functions))
    threads = [threading.Thread(target=work, args=(at, core), daemon=True) for at, core in enumerate(cores)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + PATIENCE_S
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    stuck = [at for at, thread in enumerate(threads) if thread.is_alive()]
    stop[0] = 1
    for thread in threads:
        thread.join(10)
    assert not stuck, f"threads {stuck} did not come to an end"
    return given


# ---- ring


@compiled
def produce(ring, slots, count, most, stop):
    """Write ``count`` items of four words, in batches of ever other sizes."""
    mask = slots.shape[0] - 1
    item, turn = 0, 0
    while item < count and load_relaxed(stop, 0) == 0:
        turn += 1
        wanted = min(1 + (turn * 7) % most, count - item)
        batch = min(ring_room(ring, wanted), wanted)
        if batch == 0:
            _yield()
            continue
        cursor = ring_produced(ring)
        for step in range(batch):
            slot = slots[(cursor + step) & mask]
            number = item + step
            slot[0] = number
            slot[1] = number * MIX
            slot[2] = ~number
            slot[3] = number ^ MIX
        ring_publish(ring, batch)
        item += batch
    return item


@compiled
def consume(ring, slots, count, most, stop):
    """Read ``count`` items; return how many came, and how many were torn or out of order."""
    mask = slots.shape[0] - 1
    item, turn, wrong = 0, 0, 0
    while item < count and load_relaxed(stop, 0) == 0:
        turn += 1
        batch = min(ring_ready(ring), 1 + (turn * 5) % most)
        if batch == 0:
            _yield()
            continue
        cursor = ring_consumed(ring)
        for step in range(batch):
            slot = slots[(cursor + step) & mask]
            number = item + step
            if slot[0] != number or slot[1] != number * MIX or slot[2] != ~number or slot[3] != number ^ MIX:
                wrong += 1
            slot[0] = -1  # who reads it again is found out
        ring_release(ring, batch)
        item += batch
    return item, wrong


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("capacity", "most", "start", "count"),
    [
        (1, 1, 0, 10_000),
        (2, 2, 2**62 - 7, 20_000),
        (64, 100, 2**62 - 1_000, 2_000_000),
        (4_096, 256, 0, 4_000_000),
    ],
)
def test_a_ring_carries_every_item_whole_and_in_order(place, capacity, most, start, count):
    ring, slots = make_ring(capacity, start), aligned_words(capacity * ITEM_WORDS).reshape(capacity, ITEM_WORDS)
    stop = aligned_words(1)
    produced, consumed = in_threads(
        place,
        stop,
        lambda: produce(ring, slots, count, most, stop),
        lambda: consume(ring, slots, count, most, stop),
    )
    assert produced == count
    assert consumed == (count, 0)
    assert ring_ready(ring) == 0
    assert ring_room(ring, capacity) == capacity


# ---- sequence lock


@compiled
def write_blocks(words, length, stop):
    """Write the block over and over until told to stop: word ``i`` becomes ``n × (i + 1)``; return how often."""
    number = 0
    while load_relaxed(stop, 0) == 0:
        number += 1
        seqlock_begin(words, 0)
        for at in range(length):
            words[1 + at] = number * (at + 1)
        seqlock_end(words, 0)
        if number % 64 == 0:
            _yield()
    return number


@compiled
def read_blocks(words, copy, wanted, stop):
    """Take copies until ``wanted`` were whole, and 500 new; return (whole, new, wrong, gone back)."""
    whole, new, wrong, back, last = 0, 0, 0, 0, 0
    while (whole < wanted or new < 500) and load_relaxed(stop, 0) == 0:
        entered = seqlock_enter(words, 0)
        for at in range(copy.size):
            copy[at] = words[1 + at]
        if not seqlock_leave(words, 0, entered):
            if entered & 1:
                _yield()
            continue
        whole += 1
        if whole % 256 == 0:
            _yield()
        for at in range(copy.size):
            if copy[at] != copy[0] * (at + 1):
                wrong += 1
        if copy[0] < last or 2 * copy[0] != entered:
            back += 1
        new += copy[0] != last
        last = copy[0]
    store_relaxed(stop, 0, 1)
    return whole, new, wrong, back


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("length", [2, 64])
def test_copies_under_a_sequence_lock_are_never_torn_and_never_go_back(place, length):
    words, copy, stop = aligned_words(1 + length), aligned_words(length), aligned_words(1)
    wanted = 100_000
    written, (whole, new, wrong, back) = in_threads(
        place, stop, lambda: write_blocks(words, length, stop), lambda: read_blocks(words, copy, wanted, stop)
    )
    assert (wrong, back) == (0, 0)
    assert whole >= wanted
    assert written >= new >= 500


# ---- the region's reader


@compiled
def write_region(words, at, cursor, image, stop):
    """Publish the block over and over, each word the number of the writing, and count it in a cursor before."""
    number = 0
    while load_relaxed(stop, 0) == 0:
        number += 1
        store_relaxed(words, cursor, number)
        image[:] = number
        publish(words, at, image)
        if number % 4 == 0:
            _usleep(np.uint32(20))  # else a reader would never find it whole
    return number


@pytest.mark.parametrize("place", PLACES)
def test_a_reader_of_the_region_never_sees_a_torn_or_an_older_block(place, tmp_path, monkeypatch):
    monkeypatch.setattr(region, "region_directory", lambda: tmp_path / "regions")
    made, problem = make_region("truth", 1, 1)
    assert problem is None
    open_for_readers(made)
    stop = aligned_words(1)
    image = aligned_words(layout.STAGE_LENGTH)
    cursor = made.at(Block.CURSORS) + GUARD_WORDS + layout.CURSOR_INGRESS
    at = made.at(Block.STAGE, layout.INGRESS)
    mapped = region.map_region(made.path)

    def read():
        reader, seen, torn, back = TelemetryReader(mapped), set(), 0, 0
        end = time.monotonic() + PATIENCE_S / 2
        last = 0
        while len(seen) < 500 and time.monotonic() < end:
            block = reader.block(Block.STAGE, layout.INGRESS)
            counted = int(mapped.payload(Block.CURSORS)[layout.CURSOR_INGRESS])
            number = int(block[0])
            torn += not (block == number).all()
            back += not last <= number <= counted
            last = number
            seen.add(number)
        stop[0] = 1
        return len(seen), torn, back

    written, (seen, torn, back) = in_threads(
        place, stop, lambda: write_region(made.words, at, cursor, image, stop), read
    )
    assert (torn, back) == (0, 0)
    assert written >= seen >= 500
    assert int(TelemetryReader(mapped).block(Block.STAGE, layout.INGRESS)[0]) == written


# ---- the whole line


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "workers", [[ALL], [(INGRESS,), (ORDERBOOK, BUNDLE, OUTPUT)], [(stage,) for stage in ALL]], ids=len
)
def test_stages_in_threads_of_their_own_lose_and_change_nothing(place, workers):
    count = 200_000
    line = Line(
        buffers__ingress_ring_size=256,
        buffers__bundle_ring_size=64,
        buffers__output_ring_size=64,
        bundle__max_size=5,
        pipeline__batch=50,
        pipeline__count=count,
    )
    line.run_from(gap=0.0)
    stop = aligned_words(1)
    problems = []

    def work(stages):
        codes = np.tile(stages, 4_096 // len(stages))
        while not (line.control("DRAIN_EPOCH") and line.drained(OUTPUT)) and not stop[0]:
            line.do(codes, line.now)
        return True

    def look():
        """Judge a running line as a watcher does, and drain it when its source has ended."""
        reader = TelemetryReader(line.assembly.region)
        while not line.control("ENDED") and not stop[0]:
            problems.extend(reader.read().conservation.problems)
            time.sleep(0.001)  # the interpreter is the only thing that these threads share by force
        line.order(Phase.DRAIN, epoch=True)

    in_threads(place, stop, *(lambda stages=stages: work(stages) for stages in workers), look)
    assert problems == []
    snapshot = line.snapshot()
    assert line.passed() == [count] * 4
    assert {stage.content for stage in snapshot.stages} == {content(count)}
    assert [stage.disorder for stage in snapshot.stages] == [0] * 4
    assert snapshot.flushed == snapshot.bundles_out
    assert snapshot.conservation.holds
