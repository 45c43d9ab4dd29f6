"""The sequence lock in one thread. That copies are never torn with two threads is in `test_threads_truth`."""

import pytest

from velox_engine.lockfree.memory import aligned_words
from velox_engine.lockfree.seqlock import seqlock_begin, seqlock_end, seqlock_enter, seqlock_leave


@pytest.fixture
def words():
    made = aligned_words(4)
    made[:] = [7, 40, 7, 7]
    return made


LOCK = 1


def test_a_writing_makes_the_lock_odd_and_then_even(words):
    seqlock_begin(words, LOCK)
    assert words[LOCK] == 41
    seqlock_end(words, LOCK)
    assert words.tolist() == [7, 42, 7, 7]


def test_a_copy_with_nobody_writing_is_whole(words):
    entered = seqlock_enter(words, LOCK)
    assert entered == 40
    assert seqlock_leave(words, LOCK, entered) is True


def test_a_copy_begun_while_somebody_writes_is_torn_even_if_nothing_more_happens(words):
    seqlock_begin(words, LOCK)
    entered = seqlock_enter(words, LOCK)
    assert seqlock_leave(words, LOCK, entered) is False
    seqlock_end(words, LOCK)
    assert seqlock_leave(words, LOCK, entered) is False


def test_a_copy_during_which_a_writing_begins_is_torn(words):
    entered = seqlock_enter(words, LOCK)
    seqlock_begin(words, LOCK)
    assert seqlock_leave(words, LOCK, entered) is False


def test_a_copy_during_which_a_whole_writing_happens_is_torn(words):
    entered = seqlock_enter(words, LOCK)
    seqlock_begin(words, LOCK)
    seqlock_end(words, LOCK)
    assert seqlock_leave(words, LOCK, entered) is False
    assert seqlock_leave(words, LOCK, seqlock_enter(words, LOCK)) is True


def test_the_lock_counts_writings(words):
    for _ in range(100):
        seqlock_begin(words, LOCK)
        seqlock_end(words, LOCK)
    assert words[LOCK] == 40 + 200
