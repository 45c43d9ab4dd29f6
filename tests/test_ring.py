"""The ring in one thread: against a plain twin, at every size and near the end of the cursors. Truth with two threads
is in `test_threads_truth`.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plain_ring import PlainRing
from velox_engine.lockfree import ring as module
from velox_engine.lockfree.memory import LINE_BYTES
from velox_engine.lockfree.ring import (
    CAPACITY,
    HIGH_WATER,
    PUBLISHED,
    RELEASED,
    make_ring,
    ring_consumed,
    ring_produced,
    ring_publish,
    ring_ready,
    ring_release,
    ring_room,
)

STARTS = (0, 1, 2**32 - 3, 2**62 - 5, 2**62)


@pytest.mark.parametrize("capacity", [0, -1, -4, 3, 6, 100, 2**20 - 1])
def test_a_capacity_that_is_no_power_of_two_is_refused(capacity):
    with pytest.raises(ValueError, match=f"got {capacity}, allowed is a power of two"):
        make_ring(capacity)


@pytest.mark.parametrize("start", STARTS)
def test_a_new_ring_is_empty_and_has_room_for_all(start):
    ring = make_ring(8, start)
    assert (ring_room(ring, 8), ring_ready(ring)) == (8, 0)
    assert (ring_produced(ring), ring_consumed(ring)) == (start, start)
    assert ring.words[HIGH_WATER] == 0


@pytest.mark.parametrize("capacity", [1, 2, 64])
@pytest.mark.parametrize("start", STARTS)
def test_a_full_ring_has_no_room_until_something_is_released(capacity, start):
    ring = make_ring(capacity, start)
    ring_publish(ring, capacity)
    assert (ring_room(ring, 1), ring_ready(ring)) == (0, capacity)
    ring_release(ring, 1)
    assert ring_room(ring, 1) == 1
    assert ring_produced(ring) - ring_consumed(ring) == capacity - 1
    assert ring.words[HIGH_WATER] == capacity


def test_each_side_looks_at_the_other_only_when_it_must():
    ring = make_ring(4)
    ring_publish(ring, 2)
    assert ring_ready(ring) == 2
    ring_publish(ring, 1)
    assert ring_ready(ring) == 2  # two are known of: no need to look
    ring_release(ring, 2)
    assert ring_room(ring, 1) == 1  # one is known of: no need to look
    assert ring_room(ring, 2) == 3
    assert ring_ready(ring) == 1


def test_what_two_threads_touch_lies_on_lines_of_its_own():
    ring = make_ring(4)
    assert ring.words.ctypes.data % LINE_BYTES == 0

    def line(word):
        return word * 8 // LINE_BYTES

    producers = {line(module._PRODUCED), line(module._RELEASED_SEEN)}
    consumers = {line(module._CONSUMED), line(module._PUBLISHED_SEEN), line(HIGH_WATER)}
    lines = [{line(PUBLISHED)}, {line(RELEASED)}, producers, consumers, {line(CAPACITY)}]
    assert [len(each) for each in lines] == [1] * 5
    assert len(set.union(*lines)) == 5


@given(
    capacity=st.sampled_from([1, 2, 4, 16]),
    start=st.sampled_from(STARTS) | st.integers(0, 2**62),
    moves=st.lists(st.tuples(st.sampled_from("pppccclr"), st.integers(0, 20)), max_size=60),
)
def test_any_sequence_of_moves_does_what_the_plain_ring_does(capacity, start, moves):
    ring, plain = make_ring(capacity, start), PlainRing(capacity, start)
    slots = np.zeros(capacity, np.int64)
    item = 0
    for kind, amount in moves:
        if kind == "p":
            room = ring_room(ring, amount)
            assert room == plain.room(amount)
            items = list(range(item, item + min(room, amount)))
            for cursor, value in enumerate(items, ring_produced(ring)):
                slots[cursor & (capacity - 1)] = value
            ring_publish(ring, len(items))
            plain.publish(items)
            item += len(items)
        elif kind == "c":
            ready = ring_ready(ring)
            assert ready == plain.ready()
            taken = min(ready, amount)
            first = ring_consumed(ring)
            found = [int(slots[cursor & (capacity - 1)]) for cursor in range(first, first + taken)]
            ring_release(ring, taken)
            assert found == plain.release(taken)
        elif kind == "l":
            assert ring_room(ring, amount) == plain.room(amount)
        else:
            assert ring_ready(ring) == plain.ready()
        assert (ring_produced(ring), ring_consumed(ring)) == (plain.produced, plain.consumed)
        assert (ring.words[PUBLISHED], ring.words[RELEASED]) == (plain.produced, plain.consumed)
        assert ring.words[HIGH_WATER] == plain.high_water
