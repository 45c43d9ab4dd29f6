"""Metric families as what changes and what does not: their shape, and a flat list of numbers.

A scrape is a thousand lines of which only the numbers change. The client library takes ten milliseconds to write them,
so it writes each shape once, and its text is filled with numbers from then on (`template`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from velox_engine.exporters.buckets import Bounds
from velox_engine.lockfree.histogram_view import Histogram

Rows = Mapping[str, float] | Mapping[tuple[str, ...], float]
"""Numbers by the value of the label, or the values of the labels."""
_PREFIX: Final = "velox_"
_KINDS: Final = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}


@dataclass(frozen=True, slots=True)
class Family:
    """A family of samples: one for each key, or with ``bounds`` that many buckets, a count and a sum for each.

    ``numbers`` are those of the keys one after the other: one each; or the buckets' counts, +Inf last, and the sum.
    """

    kind: Literal["gauge", "counter", "histogram", "info"]
    name: str
    told: str
    labels: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]
    numbers: Sequence[float]
    bounds: tuple[str, ...] = ()

    @property
    def shape(self) -> Hashable:
        """Everything but the numbers."""
        return self.name, self.labels, self.keys

    def metric(self, numbers: Sequence[float]) -> Metric:
        """Return the client library's family with other numbers."""
        if self.kind == "info":
            info = InfoMetricFamily(self.name, self.told, labels=())
            for key in self.keys:
                info.add_metric([], dict(zip(self.labels, key, strict=True)))
            return info
        if self.kind == "histogram":
            histogram = HistogramMetricFamily(self.name, self.told, labels=self.labels)
            width = len(self.bounds) + 1
            for row, key in enumerate(self.keys):
                *counts, total = numbers[row * width : (row + 1) * width]
                histogram.add_metric(key, list(zip(self.bounds, counts, strict=True)), total)
            return histogram
        family = _KINDS[self.kind](self.name, self.told, labels=self.labels)
        for key, number in zip(self.keys, numbers, strict=True):
            family.add_metric(key, number)
        return family


def gauge(name: str, told: str, number: float) -> Family:
    """Make a gauge without labels."""
    return Family("gauge", f"{_PREFIX}{name}", told, (), ((),), (number,))


def counter(name: str, told: str, number: float) -> Family:
    """Make a counter without labels; its sample is called ``…_total``."""
    return Family("counter", f"{_PREFIX}{name}", told, (), ((),), (number,))


def gauges(name: str, told: str, labels: tuple[str, ...], rows: Rows) -> Family:
    """Make a gauge with labels."""
    return Family("gauge", f"{_PREFIX}{name}", told, labels, _keys(rows), tuple(rows.values()))


def counters(name: str, told: str, labels: tuple[str, ...], rows: Rows) -> Family:
    """Make a counter with labels."""
    return Family("counter", f"{_PREFIX}{name}", told, labels, _keys(rows), tuple(rows.values()))


def info(name: str, told: str, labels: tuple[str, ...], keys: Iterable[tuple[str, ...]]) -> Family:
    """Make a gauge called ``…_info`` that is 1 for each of the keys."""
    held = tuple(keys)
    return Family("info", f"{_PREFIX}{name}", told, labels, held, (1.0,) * len(held))


def histograms(name: str, told: str, bounds: Bounds, label: str, rows: Mapping[str, Histogram]) -> Family:
    """Make a histogram of seconds for each value of a label; without a label where that is empty."""
    numbers: list[float] = []
    for histogram in rows.values():
        numbers += bounds.cumulative(histogram)
        numbers.append(histogram.sum * 1e-9)
    labels, keys = ((label,), _keys(rows)) if label else ((), ((),))
    return Family("histogram", f"{_PREFIX}{name}_seconds", told, labels, keys, numbers, bounds.le)


def sizes(name: str, told: str, bounds: Sequence[str], counts: Sequence[int], total: int) -> Family:
    """Make a histogram of something counted: how many do not exceed each bound, +Inf last, and the sum of all."""
    return Family("histogram", f"{_PREFIX}{name}", told, (), ((),), (*counts, total), tuple(bounds))


def of_process(metric: Metric) -> Family:
    """Take over a gauge or a counter of the client library that has no labels; its name stays as it is."""
    kind: Literal["gauge", "counter"] = "counter" if metric.type == "counter" else "gauge"
    return Family(kind, metric.name, metric.documentation, (), ((),), (metric.samples[0].value,))


def _keys(rows: Mapping[str, object] | Mapping[tuple[str, ...], object]) -> tuple[tuple[str, ...], ...]:
    return tuple((key,) if isinstance(key, str) else key for key in rows)


class Fixed(Collector):
    """A collector of families that are there already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterator[Metric]:
        """Give them."""
        yield from self._metrics
