"""The past that an engine keeps of itself, as rows of the history: one-second samples of the last 15 minutes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from velox_engine.snapshot import Snapshot
from velox_tui.history import KEPT_S
from velox_tui.scene import SERIES, counted

_NAN: Final = math.nan
_FLUSHES: Final = ("by_size", "by_timeout", "by_drain")
_COUNTS: Final = (*SERIES, *_FLUSHES)
_RINGS: Final = ("ring_orderbook", "ring_bundle", "ring_output")


def past_rows(samples: Mapping[str, NDArray[np.int64]], now: Snapshot, cores: int) -> list[tuple[float, list[float]]]:
    """Return pairs (unix s, values) in the order of `sampler.series_names`, oldest first, up to a first look ``now``.

    Rates are means between two samples, and between the last one and ``now``: exactly what passed, spread over the
    seconds in which it did. Percentiles are those of a sample's own second; what the cores were doing is not known.
    """
    times = samples["unix_ns"]
    begin = int(np.searchsorted(times, now.taken_unix_ns - int(KEPT_S * 1e9)))
    rows = []
    for at in range(max(begin, 1), len(times)):
        seconds = (int(times[at]) - int(times[at - 1])) * 1e-9
        if seconds > 0:
            passed = {name: int(samples[name][at]) - int(samples[name][at - 1]) for name in _COUNTS}
            rows.append((int(times[at]) * 1e-9, _row(passed, seconds, _of_its_second(samples, at, now), cores)))
    if len(times):
        seconds = (now.taken_unix_ns - int(times[-1])) * 1e-9
        if seconds > 0:
            passed = {name: counted(now, name) - int(samples[name][-1]) for name in _COUNTS}
            shares = [ring.waiting / ring.capacity if ring.capacity else 0.0 for ring in now.rings]
            rows.append((now.taken_unix_ns * 1e-9, _row(passed, seconds, [*shares, *[_NAN] * 4], cores)))
    return rows


def _of_its_second(samples: Mapping[str, NDArray[np.int64]], at: int, now: Snapshot) -> list[float]:
    """Return what a sample tells of rings, latency and host; not-a-number where nothing went out."""
    shares = [
        int(samples[name][at]) / ring.capacity if ring.capacity else 0.0
        for name, ring in zip(_RINGS, now.rings, strict=True)
    ]
    figures: list[Any] = [int(samples[name][at]) for name in ("p50_ns", "p99_ns", "max_ns")]
    hiccup = int(samples["hiccup_max_ns"][at])
    return [*shares, *(map(float, figures) if figures[-1] else [_NAN] * 3), float(hiccup) if hiccup else _NAN]


def _row(passed: Mapping[str, int], seconds: float, told: list[float], cores: int) -> list[float]:
    rates = {name: count / seconds for name, count in passed.items()}
    return [
        *(rates[name] for name in SERIES),
        *told,
        *(rates[name] for name in _FLUSHES),
        *[_NAN] * cores,
    ]
