"""The text of a scrape, plain or OpenMetrics: written by the client library once, and filled with numbers again."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from velox_engine.exporters.families import Family, Fixed

PLAIN: Final = "text/plain; version=0.0.4; charset=utf-8"
_MOST_KEPT: Final = 16


class Template:
    """A scrape's text between the numbers, and which number goes where."""

    def __init__(self, families: Sequence[Family], as_openmetrics: bool) -> None:
        registry, first = CollectorRegistry(auto_describe=False), 0
        metrics = []
        for family in families:
            # in place of each number its own place among all of them
            metrics.append(family.metric(range(first, first + len(family.numbers))))
            first += len(family.numbers)
        registry.register(Fixed(metrics))
        whole = openmetrics.generate_latest(registry) if as_openmetrics else generate_latest(registry)  # type: ignore[no-untyped-call]
        self._between: list[str] = []
        self._places: list[int] = []
        text = ""
        for line in whole.decode().splitlines(keepends=True):
            before, space, number = line.rpartition(" ")
            if line.startswith("#") or _is_fixed(before):
                text += line
                continue
            self._between.append(text + before + space)
            self._places.append(int(float(number)))
            text = "\n"
        self._end = text

    def filled(self, families: Sequence[Family]) -> bytes:
        """Write the text with these numbers."""
        numbers = [written(number) for number in chain.from_iterable(family.numbers for family in families)]
        parts = chain.from_iterable(zip(self._between, [numbers[place] for place in self._places], strict=True))
        return ("".join(parts) + self._end).encode()


def _is_fixed(sample: str) -> bool:
    """Say whether a sample's number is no number of ours: that of an information is always 1."""
    return sample.partition("{")[0].endswith("_info")


def written(number: float) -> str:
    """Write a number as both formats have it."""
    if isinstance(number, int):
        return str(number)
    if math.isfinite(number):
        return repr(float(number))
    return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"


class Exposition:
    """Writes scrapes, and keeps the templates of the shapes that it met."""

    def __init__(self) -> None:
        self._templates: dict[tuple[bool, Hashable], Template] = {}

    def text(self, families: Sequence[Family], accept: str) -> tuple[bytes, str]:
        """Return body and content type: OpenMetrics where the ``Accept`` header names it, else the plain format."""
        as_openmetrics = "application/openmetrics-text" in accept
        shape = as_openmetrics, tuple(family.shape for family in families)
        template = self._templates.get(shape)
        if template is None:
            if len(self._templates) >= _MOST_KEPT:
                self._templates.clear()
            template = self._templates[shape] = Template(families, as_openmetrics)
        return template.filled(families), openmetrics.CONTENT_TYPE_LATEST if as_openmetrics else PLAIN
