"""A histogram that is obviously right: it keeps every value, and finds its bucket by counting octaves."""

from fractions import Fraction

STEPS, TOP = 32, 2**42


def plain_bucket(value):
    """The bucket of a value: one each below 32, then 32 equal steps an octave, up to 2^42."""
    value = min(max(value, 0), TOP - 1)
    if value < STEPS:
        return value
    octave, low = 0, STEPS
    while value >= 2 * low:
        octave, low = octave + 1, 2 * low
    return STEPS + octave * STEPS + (value - low) * STEPS // low


class PlainHistogram:
    """Every value, as often as it was recorded."""

    def __init__(self):
        self.values = []

    def record(self, value, times):
        """Record a value; what is negative counts as 0."""
        self.values += [max(value, 0)] * times

    def percentile(self, percent):
        """The value that so many percent of all do not exceed: nearest rank, in exact numbers."""
        ordered = sorted(self.values)
        rank = -(-len(ordered) * Fraction(percent) // 100)
        return ordered[min(max(int(rank), 1), len(ordered)) - 1]

    def buckets(self):
        """How many values each bucket holds that holds any."""
        counts = {}
        for value in self.values:
            counts[plain_bucket(value)] = counts.get(plain_bucket(value), 0) + 1
        return counts
