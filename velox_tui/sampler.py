"""A thread that looks at the engine ten times a second and hands immutable values over; it never draws."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from velox_engine.errors import EngineError, RegionError
from velox_engine.lockfree.histogram_view import Histogram
from velox_engine.snapshot import Event, Snapshot
from velox_tui.history import KEPT_S, PERIOD_S
from velox_tui.machine import Core, CoreMeter, CostMeter, own_cores
from velox_tui.past import past_rows
from velox_tui.scene import SERIES, Glance, rate_between

_RECENT: Final = 11  # snapshots kept, a second apart
_BASE: Final = (
    *SERIES, "ring_orderbook", "ring_bundle", "ring_output", "p50", "p99", "max", "hiccup", "by_size", "by_timeout",
    "by_drain",
)  # fmt: skip
_NAN: Final = math.nan


def series_names(cores: Iterable[int]) -> tuple[str, ...]:
    """Return the names of all series of the history."""
    return (*_BASE, *(f"core_{core}" for core in cores))


def row_of(before: Snapshot, after: Snapshot, cores: tuple[Core, ...]) -> list[float]:
    """Make the history's sample from two snapshots, in the order of `series_names`."""
    latency = after.output.latency.since(before.output.latency)
    hiccup = after.hiccup.since(before.hiccup)
    figures = [*latency.percentiles(50, 99), latency.largest] if latency.count else [_NAN] * 3
    return [
        *(rate_between(before, after, name) for name in SERIES),
        *(ring.waiting / ring.capacity if ring.capacity else 0.0 for ring in after.rings),
        *map(float, figures),
        float(hiccup.largest) if hiccup.count else _NAN,
        *(rate_between(before, after, name) for name in ("by_size", "by_timeout", "by_drain")),
        *(core.busy for core in cores),
    ]


class Sampler:
    """Takes a glance every ``PERIOD_S`` from ``source``; ``latest`` is the newest, ``rows`` wait for the history.

    ``rows`` holds pairs (unix s, values) and is emptied by the one who keeps the history; it never holds more than
    the history itself could.
    """

    def __init__(
        self,
        engine: Any,
        on_trouble: Callable[[str], None] = lambda text: None,
        cores: tuple[int, ...] | None = None,
        on_hurried: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._on_trouble = on_trouble
        self._on_hurried = on_hurried
        self.cores = own_cores() if cores is None else cores
        self.latest: Glance | None = None
        self.rows: deque[tuple[float, list[float]]] = deque(maxlen=int(KEPT_S / PERIOD_S))
        self._ended = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vx-sampler", daemon=True)
        self._recent: deque[Snapshot] = deque(maxlen=_RECENT)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hurry(self) -> None:
        """Look at once, because something was changed; ``on_hurried`` tells when the glance is there."""
        self._wake.set()

    def stop(self, timeout: float = 1.0) -> None:
        """End soon."""
        self._ended.set()
        self._wake.set()
        if self._thread is not threading.current_thread() and self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            from velox_engine.threads import name_thread

            name_thread("vx-sampler")
            self._sample()
        except EngineError:
            return  # it has gone: the last glance stands
        except RegionError as error:
            self._on_trouble(str(error))
        except BaseException as error:
            self._on_trouble(f"looking at the engine failed: {type(error).__name__}: {error}")

    def _sample(self) -> None:
        meter, cost = CoreMeter(self.cores), CostMeter()
        cores = tuple(Core(core, _NAN) for core in self.cores)
        events: tuple[Event, ...] = ()
        share, serial, reader = _NAN, 0, self._engine.reader()
        instruments = tuple(reader.instruments())
        before: Snapshot | None = None
        due = next_slow = time.monotonic()
        while not self._ended.is_set():
            snapshot = reader.read()
            now = time.monotonic()
            slow = now >= next_slow
            if slow:
                next_slow = max(next_slow + 1.0, now)
                cores, events = meter.read(), tuple(reader.events())
                new = cost.read(worker.thread_id for worker in snapshot.workers)
                share = new if math.isnan(share) else share + 0.3 * (new - share)
                instruments = tuple(reader.instruments()) if serial % 100 == 0 else instruments
            elif before is not None and before.state is not snapshot.state:
                events = tuple(reader.events())
            if slow or not self._recent:
                self._recent.append(snapshot)
            serial += 1
            if before is None:
                self.rows.extend(past_rows(reader.samples(), snapshot, len(self.cores)))
            elif snapshot.uptime_s > 0:
                self.rows.append((snapshot.taken_unix_ns * 1e-9, row_of(before, snapshot, cores)))
            before = snapshot
            second = self._recent[-2] if len(self._recent) > 1 else self._recent[0]
            self.latest = Glance(serial, snapshot, second, self._recent[0], cores, events, instruments, share)
            due = max(due + PERIOD_S, time.monotonic() - PERIOD_S)
            while self._wake.wait(max(due - time.monotonic(), 0.0)) and not self._ended.is_set():
                self._wake.clear()
                serial += 1  # not for the history: over so short a time a rate means nothing
                self.latest = replace(self.latest, serial=serial, snapshot=reader.read())
                self._on_hurried()


def recent(before: Histogram, after: Histogram) -> Histogram:
    """Return what a histogram gained; the whole of it where the earlier one is the same."""
    return after if before.count == after.count else after.since(before)
