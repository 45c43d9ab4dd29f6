"""How long a transaction takes at a given rate, from the moment it was due, and what of a core that costs.

The bundle's own wait is in it: a transaction waits until its bundle is full, or 100 µs. Beside it stands how late a
sleeping thread woke meanwhile: what the host itself was late is no fault of the pipeline, and where that is as large
as a percentile, the percentile tells of the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from velox_engine.bench.measure import Bench, Figure, Measure
from velox_engine.bench.pipeline import BOOKS, run_engine

RATES: Final = (1_000, 10_000, 100_000, 1_000_000)
IDLES: Final = ("backoff", "spin")
_FIGURES: Final = (
    Figure("p50", "µs", "lower"),
    Figure("p90", "µs", "lower"),
    Figure("p99", "µs", "lower"),
    Figure("host_p99", "µs", "neither"),
    Figure("cpu", "% of a core", "lower"),
)


def latency_measures(bench: Bench) -> Iterator[Measure]:
    """Yield latency and processor time by rate and by what an idle worker does, at the automatic placement."""
    for rate in RATES:
        for idle in IDLES:
            yield Measure(f"latency.{rate}.{idle}", _FIGURES, partial(_run, bench, rate, idle))


def _run(bench: Bench, rate: int, idle: str) -> tuple[float, ...]:
    settings = {
        **BOOKS["exact"],
        "pipeline.ingress_rate_hz": rate,
        "pipeline.run_duration_secs": 0.3 if bench.brief else 1.0,
        "threads.idle": idle,
    }
    report = run_engine(bench, settings)
    end_to_end, host = report.latency_ns["end_to_end"], report.hiccup_ns
    return (
        *(end_to_end[percentile] / 1000 for percentile in ("p50", "p90", "p99")),
        host["p99"] / 1000,
        report.cpu["percent_of_a_core"],
    )
