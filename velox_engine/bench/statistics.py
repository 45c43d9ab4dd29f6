"""What a handful of repetitions tells: their median and how far they spread. No means: one stall would move them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

FEWEST: Final = 3  # repetitions on each side, below which nothing is called a change
LEAST_CHANGE: Final = 0.05
"""A smaller difference of medians is never called a change: where memory and threads happen to lie, which differs from
process to process and not from repetition to repetition, is worth as much."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Repetitions of one figure: how many, median, least, largest, and ``mad``, the median distance from the median."""

    count: int
    median: float
    mad: float
    least: float
    largest: float


class Verdict(Enum):
    """What a comparison of two spreads says."""

    BETTER = "better"
    WORSE = "worse"
    CHANGED = "changed"
    NOISE = "within the noise"
    TOO_FEW = f"fewer than {FEWEST} repetitions"


def spread(samples: Sequence[float]) -> Spread:
    """Summarize at least one sample."""
    middle = statistics.median(samples)
    mad = statistics.median(abs(sample - middle) for sample in samples)
    return Spread(len(samples), middle, mad, min(samples), max(samples))


def verdict(old: Spread, new: Spread, better: str) -> Verdict:
    """Judge a change; ``better`` is ``"higher"``, ``"lower"``, or ``"neither"`` where a change is neither good nor bad.

    Two figures differ where their ranges (least … largest) have nothing in common and their medians are at least
    `LEAST_CHANGE` apart. With 7 repetitions each, ranges of equal figures part once in 1,700 comparisons; with 5 once
    in 126; with 3 once in 10, so few repetitions show gross changes only.
    """
    if min(old.count, new.count) < FEWEST:
        return Verdict.TOO_FEW
    apart = new.least > old.largest or new.largest < old.least
    if not apart or abs(new.median - old.median) < LEAST_CHANGE * max(abs(old.median), abs(new.median)):
        return Verdict.NOISE
    if better == "neither":
        return Verdict.CHANGED
    return Verdict.BETTER if (new.median > old.median) == (better == "higher") else Verdict.WORSE
