"""The content proof: against its formula in plain integers, and what it notices and what it leaves out."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velox_engine.jit import compiled
from velox_engine.lockfree.memory import aligned_words
from velox_engine.records import TRANSACTION
from velox_engine.stages.content import (
    BLOCK,
    CHAINS,
    CONTENT_WORDS,
    FACTOR,
    LANES,
    ROTATION,
    SHIFT,
    content_add,
    content_fold,
)
from velox_engine.stages.content import plain_content as numpy_content
from velox_engine.stages.slots import make_slots

ALL = 2**64
PROVED = [name for name in TRANSACTION.names if name != "due_ticks"]


@compiled
def add(words, start, count, sequence, lanes):
    """Let Python add records."""
    return content_add(words, start, count, sequence, lanes)


def plainly(rows, sequence=0):
    """The hash of records, given as eight numbers each: the formula of the module, in Python's integers."""
    sums, chains = [0] * LANES, [[0] * LANES for _ in range(CHAINS)]

    def take():
        for chain in chains:
            for lane in range(LANES):
                sums[lane] = ((sums[lane] ^ (sums[lane] >> SHIFT)) * FACTOR + chain[lane]) % ALL
            chain[:] = [0] * LANES

    for number, row in enumerate(rows, sequence):
        chain = chains[number % CHAINS]
        for lane, word in enumerate(row):
            turned = (chain[lane] << ROTATION) % ALL | chain[lane] >> (64 - ROTATION)
            chain[lane] = (turned + word) % ALL
        if (number + 1) % BLOCK == 0:
            take()
    take()
    folded = 0
    for lane, total in enumerate(sums):
        if lane != 5:
            folded = ((folded ^ (folded >> SHIFT) ^ total) * FACTOR + lane) % ALL
    return f"{folded ^ (folded >> 32):016x}"


def hashed(words, cuts=(), sequence=0):
    """Hash records with the compiled functions, in batches that end at ``cuts``; return the hash and the disorder."""
    lanes = aligned_words(CONTENT_WORDS)
    borders = [0, *sorted(cuts), len(words)]
    disorder = 0
    for start, end in pairwise(borders):
        disorder |= add(words, start, end - start, sequence + start, lanes)
    return f"{content_fold(lanes) % ALL:016x}", disorder


def random_slots(count=64, seed=1, sequence=0):
    slots = make_slots(count)
    slots.words[:] = np.random.default_rng(seed).integers(0, ALL, (count, LANES), np.uint64)
    slots.records["sequence"] = np.arange(sequence, sequence + count)
    return slots


def test_slots_are_one_memory_seen_twice():
    slots = make_slots(4)
    assert slots.words.ctypes.data == slots.records.ctypes.data
    assert slots.words.ctypes.data % 64 == 0
    slots.records[2] = (1, 2, -3, 4, -5, 6, 7, 8, 9, 1, 513)
    assert slots.words[2].tolist() == [1, 2, ALL - 3, 4, ALL - 5, 6, 7, 8 + (9 << 32) + (1 << 40) + (513 << 48)]


@given(
    st.lists(st.lists(st.integers(0, ALL - 1), min_size=LANES, max_size=LANES), max_size=20),
    st.sampled_from([0, 1, 250, 255, 2**20 - 3, 2**20, 2**40]),
)
def test_the_hash_is_that_of_its_formula(rows, sequence):
    slots = make_slots(max(len(rows), 1))
    words = slots.words[: len(rows)]
    words[:] = np.array(rows, np.uint64).reshape(-1, LANES)
    expected = plainly(rows, sequence)
    assert hashed(words, sequence=sequence)[0] == expected
    assert numpy_content(words, sequence) == expected


def test_the_hash_of_nothing_and_of_known_records_stay_as_they_are():
    assert hashed(make_slots(1).words[:0])[0] == plainly([]) == "3f7f667d62d86094"
    assert hashed(random_slots(16).words)[0] == "05337d03c250bd16"


@given(st.lists(st.integers(0, 700), max_size=8))
def test_batches_of_any_size_give_one_hash_that_of_the_formula(cuts):
    words = random_slots(1024).words[:700]
    expected = plainly([[int(word) for word in row] for row in words])
    assert hashed(words, cuts) == (expected, 0)
    assert numpy_content(words) == expected


@pytest.mark.parametrize("field", PROVED)
@pytest.mark.parametrize("row", [0, 31, 63])
def test_a_bit_that_changes_in_any_field_is_noticed(field, row):
    slots = random_slots()
    before = hashed(slots.words)[0]
    bits = TRANSACTION[field].itemsize * 8
    for bit in (0, bits // 2, bits - 1):
        slots.records[field][row] ^= np.array(1 << bit, np.uint64).astype(TRANSACTION[field])
        assert hashed(slots.words)[0] != before
        slots.records[field][row] ^= np.array(1 << bit, np.uint64).astype(TRANSACTION[field])
    assert hashed(slots.words)[0] == before


def test_the_due_time_is_left_out():
    slots = random_slots()
    before = hashed(slots.words)
    slots.records["due_ticks"] += 1
    assert hashed(slots.words) == before


@pytest.mark.parametrize("apart", [1, 2, 3, 4, 8, 64, 128, 252, 255, 256, 257, 512, 768])
def test_records_that_change_places_are_noticed_even_if_they_take_each_others_sequence(apart):
    slots = random_slots(1024)
    before = hashed(slots.words)[0]
    for first in range(0, 1024 - apart, 37):
        slots.words[[first, first + apart], 1:] = slots.words[[first + apart, first], 1:]
        assert hashed(slots.words)[0] != before
        slots.words[[first, first + apart], 1:] = slots.words[[first + apart, first], 1:]
    assert hashed(slots.words) == (before, 0)


@pytest.mark.parametrize("apart", [1, 4, 64, 255, 256, 512])
@pytest.mark.parametrize("field", ["order_id", "price", "size", "event_ns", "new_order_id", "symbol"])
def test_small_numbers_of_one_field_that_change_places_are_noticed(field, apart):
    slots = make_slots(1024)
    slots.records["sequence"] = np.arange(1024)
    slots.records[field] = 1_000_000 + np.arange(1024)
    before = hashed(slots.words)[0]
    for first in range(0, 1024 - apart, 37):
        slots.records[field][[first, first + apart]] = slots.records[field][[first + apart, first]]
        assert hashed(slots.words)[0] != before
        slots.records[field][[first, first + apart]] = slots.records[field][[first + apart, first]]


@pytest.mark.parametrize("size", [16, 64, 256])
def test_batches_that_change_places_are_noticed(size):
    slots = random_slots(1024)
    before = hashed(slots.words)[0]
    for first in range(0, 1024 - 2 * size + 1, size):
        for second in range(first + size, 1024 - size + 1, size):
            words = slots.words.copy()
            words[first : first + size, 1:] = slots.words[second : second + size, 1:]
            words[second : second + size, 1:] = slots.words[first : first + size, 1:]
            assert numpy_content(words) != before


def test_a_record_left_out_or_doubled_is_noticed():
    words = random_slots().words
    whole = hashed(words)[0]
    assert hashed(words[:-1])[0] != whole
    again = make_slots(65)
    again.words[:64], again.words[64] = words, words[63]
    assert hashed(again.words)[0] != whole


@pytest.mark.parametrize("row", [0, 1, 63])
@pytest.mark.parametrize("wrong", [-1, 1, 2**40])
def test_a_sequence_number_out_of_place_is_noticed(row, wrong):
    slots = random_slots(sequence=2**41)
    assert hashed(slots.words, sequence=2**41)[1] == 0
    slots.records["sequence"][row] = row + 2**41 + wrong
    assert hashed(slots.words, sequence=2**41)[1] != 0


def test_a_range_of_the_slots_is_hashed_from_where_it_starts():
    slots = random_slots(sequence=100)
    lanes = aligned_words(CONTENT_WORDS)
    assert add(slots.words, 10, 5, 110, lanes) == 0
    rows = [[int(word) for word in row] for row in slots.words[10:15]]
    assert f"{content_fold(lanes) % ALL:016x}" == plainly(rows, 110)


def test_no_records_change_nothing():
    lanes = aligned_words(CONTENT_WORDS)
    lanes[:] = range(CONTENT_WORDS)
    assert add(random_slots().words, 3, 0, 3, lanes) == 0
    assert lanes.tolist() == list(range(CONTENT_WORDS))
