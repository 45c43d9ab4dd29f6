"""The histogram: its borders, its error, and what readers make of it, against one that keeps every value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plain_histogram import PlainHistogram, plain_bucket
from velox_engine.jit import compiled
from velox_engine.lockfree.histogram import SPANS, bucket_of, histogram_record, histogram_record_spans, leading_zeros
from velox_engine.lockfree.histogram_view import BUCKETS, FIRST_BUCKET, FLOORS, LENGTH, LIMIT, Histogram
from velox_engine.lockfree.memory import aligned_words

INT64_MAX = 2**63 - 1
PERCENTS = (0, 0.1, 1, 25, 50, 90, 99, 99.9, 99.99, 100)
BORDERS = [0, 1, 31, 32, 33, 63, 64, 65, 2**20 - 1, 2**20, 2**42 - 1, 2**42, 2**42 + 1, 2**62, INT64_MAX]
VALUES = st.sampled_from([-(2**63), -1, *BORDERS]) | st.integers(0, 10**6) | st.integers(-5, 2**43)
RECORDS = st.lists(st.tuples(VALUES, st.integers(1, 5)), min_size=1, max_size=40)


@compiled
def zeros_of(value):
    """Let Python ask for leading zeros."""
    return leading_zeros(value)


def filled(records, at=0):
    words = aligned_words(at + LENGTH + 1)
    words[:at] = words[at + LENGTH] = 77
    for value, times in records:
        histogram_record(words, at, value, times)
    assert (words[:at] == 77).all()
    assert words[at + LENGTH] == 77
    return Histogram.from_words(words[at : at + LENGTH])


def known(values):
    """Whether the sum of such values can be told: beyond 2^64 only of those that have a bucket."""
    return sum(values) < 2**64 or max(values) < LIMIT


def plain(records):
    twin = PlainHistogram()
    for value, times in records:
        twin.record(value, times)
    return twin


def test_leading_zeros_are_counted_at_every_power():
    assert [zeros_of(value) for value in (0, 1, 2, 3, INT64_MAX, -1, -(2**63))] == [64, 63, 62, 62, 1, 0, 0]
    assert [zeros_of(1 << bit) for bit in range(63)] == [63 - bit for bit in range(63)]


@pytest.mark.parametrize(
    ("value", "bucket"),
    [
        (-(2**63), 0),
        (-1, 0),
        (0, 0),
        (31, 31),
        (32, 32),
        (63, 63),
        (64, 64),
        (65, 64),
        (66, 65),
        (2**42 - 1, BUCKETS - 1),
        (2**42, BUCKETS - 1),
        (INT64_MAX, BUCKETS - 1),
    ],
)
def test_the_bucket_of_a_border(value, bucket):
    assert bucket_of(value) == bucket == plain_bucket(value)


def test_buckets_follow_one_another_without_gap_and_none_is_wider_than_3_percent():
    assert (FLOORS[0], FLOORS[-1], len(FLOORS)) == (0, LIMIT, BUCKETS + 1)
    for bucket in range(BUCKETS):
        low, high = int(FLOORS[bucket]), int(FLOORS[bucket + 1]) - 1
        assert (bucket_of(low), bucket_of(high)) == (bucket, bucket)
        assert high - low <= low // 32


@given(VALUES)
def test_a_value_lies_in_its_bucket(value):
    bucket = bucket_of(value)
    assert bucket == plain_bucket(value)
    inside = min(max(value, 0), LIMIT - 1)
    assert FLOORS[bucket] <= inside < FLOORS[bucket + 1]


@given(RECORDS, st.integers(0, 3))
def test_what_is_recorded_is_kept(records, at):
    made, twin = filled(records, at), plain(records)
    assert made.count == len(twin.values)
    assert (made.least, made.largest) == (min(twin.values), max(twin.values))
    if known(twin.values):
        assert made.sum == sum(twin.values)
        assert made.mean == sum(twin.values) / len(twin.values)
    held = {int(bucket): int(made.buckets[bucket]) for bucket in np.flatnonzero(made.buckets)}
    assert held == twin.buckets()


@compiled
def record_spans(words, at, moments, first, stride, count, now, scale):
    """Let Python record spans."""
    return histogram_record_spans(words, at, moments, first, stride, count, now, scale)


SPAN = st.integers(-5, 40) | st.integers(0, 10**6) | st.integers(0, 2**44) | st.sampled_from(BORDERS[:13])


@given(
    st.lists(st.lists(SPAN, max_size=40), min_size=1, max_size=3),
    st.sampled_from([1.0, 0.38519, 2.5]),
    st.sampled_from([(0, 1), (5, 8), (3, 2)]),
    st.integers(0, 3),
)
def test_spans_are_recorded_by_eights_as_they_would_be_one_by_one(batches, scale, place, at):
    now, (first, stride) = 2**50, place
    together, alone = aligned_words(at + LENGTH + 1), aligned_words(at + LENGTH + 1)
    together[:at] = together[at + LENGTH] = alone[:at] = alone[at + LENGTH] = 77
    for spans in batches:
        moments = np.full(first + stride * max(len(spans), 1), 2**60, np.uint64)
        moments[first::stride][: len(spans)] = now - np.array(spans, np.int64)
        done = record_spans(together, at, moments, first, stride, len(spans), now, scale)
        assert done == len(spans) // SPANS * SPANS
        for span in spans[:done]:
            histogram_record(alone, at, int(span * scale), 1)
    assert together.tolist() == alone.tolist()


@given(RECORDS)
def test_a_percentile_is_at_most_3_percent_off(records):
    made, twin = filled(records), plain(records)
    for percent in PERCENTS:
        found, true = made.percentile(percent), twin.percentile(str(percent))
        assert made.least <= found <= made.largest
        if true < LIMIT:
            assert abs(found - true) <= 0.03 * true
        if true < 32:
            assert found == true
    assert made.percentile(200) == made.percentile(100)
    assert made.percentile(-5) == made.percentile(0)


@pytest.mark.parametrize("spread", [3.0, 8.0, 14.0])
def test_percentiles_agree_with_numpy_on_many_random_values(spread):
    random = np.random.default_rng(int(spread))
    values = np.exp(random.normal(spread, 1.0, 4_999)).astype(np.int64)
    made = filled((int(value), 1) for value in values)
    for percent in PERCENTS:
        true = int(np.percentile(values, percent, method="inverted_cdf"))
        assert made.percentile(percent) == pytest.approx(true, rel=0.016, abs=0.5)
    assert made.mean == pytest.approx(values.mean(), rel=1e-12)


def test_the_rank_of_a_percentile_is_exact():
    words = aligned_words(LENGTH)
    histogram_record(words, 0, 10, 40_959)
    histogram_record(words, 0, 1_000_000, 41)
    assert Histogram.from_words(words).percentile(99.9) == 10  # 99.9 % of 41,000 are exactly 40,959
    assert Histogram.from_words(words).percentile(99.91) > 10


def test_nothing_recorded_is_zero_everywhere():
    for made in (Histogram.empty(), Histogram.from_words(np.zeros(LENGTH, np.int64))):
        assert (made.count, made.sum, made.least, made.largest, made.mean, made.percentile(50)) == (0, 0, 0, 0, 0.0, 0)


@given(RECORDS | st.just([]), RECORDS | st.just([]))
def test_merging_is_recording_both(one, other):
    merged, both = filled(one).merged(filled(other)), filled(one + other)
    assert (merged.count, merged.least, merged.largest) == (both.count, both.least, both.largest)
    if known([0, *plain(one + other).values]):
        assert merged.sum == both.sum
    assert (merged.buckets == both.buckets).all()


@given(RECORDS | st.just([]), RECORDS | st.just([]))
def test_since_is_what_was_recorded_later(earlier, later):
    both, late = filled(earlier + later), filled(later)
    since = both.since(filled(earlier))
    assert since.count == late.count
    if known([0, *plain(earlier + later).values]):
        assert since.sum == late.sum
    assert (since.buckets == late.buckets).all()
    assert since.least <= late.least
    assert since.largest >= late.largest
    assert bucket_of(since.least) == bucket_of(late.least)
    assert bucket_of(since.largest) == bucket_of(late.largest)
    assert since.largest <= both.largest


@pytest.mark.parametrize("value", [2**40, LIMIT, INT64_MAX])
def test_the_mean_stays_right_when_the_sum_outgrows_64_bits(value):
    words = aligned_words(LENGTH)
    for _ in range(10):
        histogram_record(words, 0, value, 4_000_000)
    made = Histogram.from_words(words)
    assert made.mean >= 0
    if value < LIMIT:
        assert made.sum == value * 40_000_000 > INT64_MAX
        histogram_record(words, 0, 7, 1_000)
        since = Histogram.from_words(words).since(made)
        assert (since.count, since.sum) == (1_000, 7_000)


def test_a_sum_of_few_large_values_is_no_negative_number():
    made = filled([(0, 1), (2**62, 3)])
    assert (made.sum, made.mean) == (3 * 2**62, 3 * 2**60)


def test_a_copy_does_not_change_with_the_words():
    words = aligned_words(LENGTH)
    histogram_record(words, 0, 5, 1)
    made = Histogram.from_words(words)
    histogram_record(words, 0, 9, 1)
    assert (made.count, int(made.buckets.sum()), made.largest) == (1, 1, 5)
    assert words[FIRST_BUCKET + 9] == 1
