"""Short ways to make the client library's metric families; each name gets the prefix ``velox_``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from velox_engine.exporters.buckets import Bounds
from velox_engine.lockfree.histogram_view import Histogram

Rows = Mapping[str, float] | Mapping[tuple[str, ...], float]
"""Values by the value of the label, or the values of the labels."""


def gauge(name: str, told: str, value: float) -> Metric:
    """Make a gauge without labels."""
    return GaugeMetricFamily(f"velox_{name}", told, value)


def counter(name: str, told: str, value: float) -> Metric:
    """Make a counter without labels; its sample is called ``…_total``."""
    return CounterMetricFamily(f"velox_{name}", told, value)


def gauges(name: str, told: str, labels: Sequence[str], rows: Rows) -> Metric:
    """Make a gauge with labels."""
    family = GaugeMetricFamily(f"velox_{name}", told, labels=labels)
    for key, value in rows.items():
        family.add_metric([key] if isinstance(key, str) else key, value)
    return family


def counters(name: str, told: str, labels: Sequence[str], rows: Rows) -> Metric:
    """Make a counter with labels."""
    family = CounterMetricFamily(f"velox_{name}", told, labels=labels)
    for key, value in rows.items():
        family.add_metric([key] if isinstance(key, str) else key, value)
    return family


def histograms(name: str, told: str, bounds: Bounds, label: str, rows: Mapping[str, Histogram]) -> Metric:
    """Make a histogram of seconds for each value of a label; without a label where that is empty."""
    family = HistogramMetricFamily(f"velox_{name}_seconds", told, labels=[label] if label else [])
    for key, histogram in rows.items():
        family.add_metric([key] if label else [], bounds.cumulative(histogram), histogram.sum * 1e-9)
    return family
