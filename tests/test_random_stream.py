"""The random stream: SplitMix64's own numbers, looked up in any order; gaps that are never infinite; keys of seeds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velox_engine.feeds.random_stream import exponential, random_word, stream_key

STEP, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
ALL = 2**64


def mixed(word):
    """SplitMix64's mixing, from the paper."""
    word = (word ^ (word >> 30)) * FIRST % ALL
    word = (word ^ (word >> 27)) * SECOND % ALL
    return word ^ (word >> 31)


def unmixed(word):
    """Its inverse: the state that gives this number."""
    word = undone(word, 31) * pow(SECOND, -1, ALL) % ALL
    word = undone(word, 27) * pow(FIRST, -1, ALL) % ALL
    return undone(word, 30)


def undone(word, shift):
    """Undo ``word ^ (word >> shift)``."""
    found = word
    for _ in range(64 // shift + 1):
        found = word ^ (found >> shift)
    return found


def key_for(word, index=0):
    """The key of a stream whose number ``index`` is this one."""
    return np.uint64((unmixed(word) - (index + 1) * STEP) % ALL)


def test_the_numbers_are_those_of_splitmix64():
    # the generator's published sequence for the seed 1234567
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [int(random_word(np.uint64(1234567), index)) for index in range(5)] == expected


@given(st.integers(0, ALL - 1), st.integers(0, 2**63 - 1))
def test_any_number_is_looked_up_by_its_index(key, index):
    assert int(random_word(np.uint64(key), index)) == mixed((key + (index + 1) * STEP) % ALL)


@pytest.mark.parametrize("index", [0, 1, 10**12])
def test_the_smallest_random_number_is_a_long_gap_but_no_infinite_one(index):
    for word in (0, 2**11 - 1):
        gap = exponential(key_for(word, index), index)
        assert gap == pytest.approx(53 * math.log(2))
        assert math.isfinite(gap)


def test_the_largest_random_number_is_no_gap_at_all_and_not_a_negative_one():
    for word in (ALL - 1, ALL - 2**11):
        assert exponential(key_for(word), 0) == 0.0
    assert exponential(key_for(ALL - 2**11 - 1), 0) == pytest.approx(2.0**-53)


@given(st.integers(0, ALL - 1))
def test_a_gap_is_the_logarithm_of_its_random_number(word):
    gap = exponential(key_for(word), 0)
    assert gap >= 0
    assert gap == pytest.approx(-math.log(((word >> 11) + 1) / 2**53), rel=1e-12, abs=1e-15)


def test_gaps_are_exponential_with_mean_1():
    gaps = np.array([exponential(np.uint64(3), index) for index in range(100_000)])
    assert gaps.mean() == pytest.approx(1, abs=4 / math.sqrt(len(gaps)))
    assert gaps.var() == pytest.approx(1, abs=4 * math.sqrt(8 / len(gaps)))
    for cut in (0.1, 1.0, 3.0):
        share = math.exp(-cut)
        assert (gaps > cut).mean() == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / len(gaps)))


def test_a_key_is_a_signed_word():
    keys = [stream_key(seed, stream) for seed in range(200) for stream in (0, 1)]
    assert len(set(keys)) == 400
    assert all(-(2**63) <= key < 2**63 for key in keys)
    assert min(keys) < 0 < max(keys)


@given(st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 1)), st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 1)))
def test_no_two_streams_of_any_two_seeds_have_one_key(one, other):
    assert (stream_key(*one) == stream_key(*other)) == (one == other)


@pytest.mark.parametrize("seed", [0, 1, 2**61, 2**62 - 1])
def test_seeds_that_differ_in_the_highest_bit_have_streams_of_their_own(seed):
    keys = {stream_key(each, stream) for each in (seed, seed + 2**62) for stream in (0, 1)}
    assert len(keys) == 4
