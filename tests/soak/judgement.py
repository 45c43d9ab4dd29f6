"""What the samples of a long run say, by slopes and sums, not by looks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tests.soak.samples import Sample

MOST_GROWTH = 1e6
"""Bytes an hour that resident memory may grow by."""
MOST_DRIFT = 1e-3
"""Share by which what was generated may differ from the rate asked for."""
FILLS_S = 1500.0
"""Until then the history of a quarter of an hour, and whatever keeps a number of things, is still being filled."""


@dataclass(frozen=True)
class Verdict:
    """One thing that was asked of the run, what was found, and whether that is as it should be."""

    what: str
    found: str
    good: bool


def slope(times: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Return the slope of a straight line through the values, by hour, and its standard error; times in seconds."""
    hours = (times - times.mean()) / 3600
    spread = float((hours**2).sum())
    steepness = float((hours * (values - values.mean())).sum()) / spread
    rest = values - values.mean() - steepness * hours
    return steepness, math.sqrt(float((rest**2).sum()) / max(len(times) - 2, 1) / spread)


def median_slope(times: np.ndarray, values: np.ndarray) -> float:
    """Return the median of the slopes between any two values, by hour (Theil 1950, Sen 1968); times in seconds.

    A stall of the machine makes a few values a hundred times as large, and would tilt a straight line through all.
    """
    first, second = np.triu_indices(len(times), 1)
    return float(np.median((values[second] - values[first]) / (times[second] - times[first]) * 3600))


def drift(samples: list[Sample]) -> tuple[float, float, float]:
    """Return by which share more was generated than asked for, the error to expect by chance, and over how long.

    Only pairs of looks count between which it ran at one rate all the time. Arrivals are a Poisson process: N of them
    have a standard deviation of √N.
    """
    asked = made = seconds = 0.0
    for first, second in pairwise(samples):
        if first.state == second.state == "running" and first.rate == second.rate and math.isfinite(first.rate):
            elapsed = (second.unix_ns - first.unix_ns) * 1e-9
            asked += first.rate * elapsed
            made += second.generated - first.generated
            seconds += elapsed
    return (made / asked - 1, 1 / math.sqrt(asked), seconds) if asked else (math.nan, math.nan, 0.0)


def settled(samples: list[Sample]) -> list[Sample]:
    """Return the samples after everything that fills up has filled: the later half of a short run."""
    begin = min(FILLS_S, samples[-1].at_s / 2)
    return [sample for sample in samples if sample.at_s >= begin]


def judge(samples: list[Sample], code: int, report: dict[str, object]) -> list[Verdict]:
    """Judge a run by its samples, its exit code and its final report."""
    late = settled(samples)
    times = np.array([sample.at_s for sample in late])
    growth, error = slope(times, np.array([float(sample.rss) for sample in late]))
    off, chance, seconds = drift(samples)
    counts = ("generated", "accepted", "output", "dropped", "rejected")
    back = sum(getattr(b, name) < getattr(a, name) for a, b in pairwise(samples) for name in counts)
    running = [s for s in late if s.state == "running" and math.isfinite(s.p50_us)]
    latency = median_slope(np.array([s.at_s for s in running]), np.array([s.p50_us for s in running]))
    middle = float(np.median([s.p50_us for s in running]))
    most = {name: sorted({getattr(sample, name) for sample in late}) for name in ("descriptors", "threads")}
    return [
        Verdict(
            f"resident memory grows by less than {MOST_GROWTH / 1e6:g} MB an hour",
            f"{growth / 1e6:+.3f} ± {error / 1e6:.3f} MB an hour over {times[-1] - times[0]:,.0f} s, "
            f"{min(s.rss for s in late) / 1e6:.1f} to {max(s.rss for s in late) / 1e6:.1f} MB",
            growth - 2 * error < MOST_GROWTH,
        ),
        *(
            Verdict(
                f"{name} do not become more",
                f"{values[0]} to {values[-1]}",
                getattr(late[-1], name) <= getattr(late[0], name) + 1,
            )
            for name, values in most.items()
        ),
        Verdict(
            f"the rate is kept to {MOST_DRIFT:.1%}",
            f"{off:+.4%} over {seconds:,.0f} s (by chance ± {chance:.4%})",
            abs(off) <= max(MOST_DRIFT, 3 * chance),
        ),
        Verdict("nothing is dropped, rejected or lost", _lost(samples), _lost(samples) == "0, 0, 0"),
        Verdict("counts never go back", f"{back} times", back == 0),
        Verdict(
            "every look finds transactions conserved",
            f"{sum(not s.conserved for s in samples)} of {len(samples)} do not",
            all(s.conserved for s in samples),
        ),
        Verdict(
            "the latency does not grow",
            f"p50 {latency:+.2f} µs an hour, median {middle:.1f} µs",
            latency < middle / 2,
        ),
        Verdict("it ends with exit code 0", str(code), code == 0),
        Verdict(
            "the final report says conserved, with equal checksums",
            f"conserved {report.get('conserved')}, checksums {report.get('checksum')}",
            report.get("conserved") is True and len(set(dict(report.get("checksum", {})).values())) == 1,  # type: ignore[call-overload]
        ),
    ]


def _lost(samples: list[Sample]) -> str:
    last = samples[-1]
    return f"{last.dropped}, {last.rejected}, {last.sink_lost}"
