"""NamedTuples that compiled functions take by reference: members read by name, at every depth, never a stale one."""

from typing import Any, NamedTuple

import numba
import numpy as np
import pytest

from velox_engine import jit
from velox_engine.by_reference import Reference, by_reference, table
from velox_engine.jit import compiled, inner

PAIR = np.dtype([("number", "i8"), ("share", "f8")], align=True)


@by_reference
class Inside(NamedTuple):
    words: Any
    grid: Any


@by_reference
class Outside(NamedTuple):
    first: Inside
    pairs: Any
    second: Inside


@by_reference
class Another(NamedTuple):
    words: Any
    grid: Any


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setattr(jit, "cache_directory", lambda: None)


def inside(start=0):
    return Inside(np.arange(start, start + 5), np.arange(12, dtype=np.int32).reshape(3, 4) + start)


def outside():
    pairs = np.zeros(3, PAIR)
    pairs["number"], pairs["share"] = [10, 20, 30], [0.5, 1.5, 2.5]
    return Outside(inside(), pairs, inside(1000))


@inner
def corner(state):
    return state.grid[state.grid.shape[0] - 1, state.grid.shape[1] - 1] + state.words[state.words.size - 1]


@compiled
def told(state, at):
    pair = state.pairs[at]
    return corner(state.first), corner(state.second), pair.number, pair.share, state.second.grid.strides[0]


@compiled
def moved(state):
    """Write while it reads: words that lie where addresses could lie too."""
    total = 0
    for at in range(state.first.words.size):
        state.first.words[at] += state.second.words[at]
        total += state.first.words[at] * state.second.grid[at % 3, 0]
    return total


def test_members_are_read_at_every_depth():
    assert told(outside(), 1) == (11 + 4, 1011 + 1004, 20, 1.5, 16)


def test_what_is_written_is_seen_and_lies_in_the_arrays():
    state = outside()
    total = moved(state)
    assert state.first.words.tolist() == [1000, 1002, 1004, 1006, 1008]
    assert total == sum(word * (1000 + 4 * (at % 3)) for at, word in enumerate(state.first.words.tolist()))


def test_each_call_takes_the_members_as_they_are_now():
    state = outside()
    for start in (5, 500):
        state = state._replace(first=inside(start))
        assert told(state, 0)[0] == 11 + 4 + 2 * start


def test_a_table_holds_addresses_and_lengths():
    state = outside()
    words = table(state).tolist()
    begin = table(state).itemsize
    assert len(words) == 1 + 2 + 1 + 5 + 5
    assert words[1:3] == [state.pairs.ctypes.data, 3]
    assert words[4:9] == [state.first.words.ctypes.data, 5, state.first.grid.ctypes.data, 3, 4]
    assert words[3] - words[0] == 5 * begin


def test_types_tell_classes_and_members_apart():
    one, other = numba.typeof(inside()), numba.typeof(Another(*inside()))
    assert isinstance(one, Reference)
    assert one == numba.typeof(inside(7))
    assert len({one, other, numba.typeof(Inside(np.zeros(5), inside().grid))}) == 3
    assert len(str(numba.typeof(outside()))) < 100


@pytest.mark.parametrize("member", [np.arange(10)[::2], 7, (1, 2)], ids=["strided", "number", "tuple"])
def test_other_members_are_refused(member):
    with pytest.raises(TypeError, match=r"Inside\.words is .*not a C-contiguous array"):
        numba.typeof(Inside(member, inside().grid))
