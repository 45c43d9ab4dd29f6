"""Prometheus metrics, all from one look at the engine a scrape.

Names follow the Prometheus conventions: base units, ``_total`` for counters, labels of few values.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import numpy as np
from prometheus_client import ProcessCollector

from velox_engine.exporters.book_metrics import book_families
from velox_engine.exporters.buckets import LATENCY, SERVICE, le_text
from velox_engine.exporters.families import (
    Family,
    counter,
    counters,
    gauge,
    gauges,
    histograms,
    info,
    of_process,
    sizes,
)
from velox_engine.exporters.health import judge
from velox_engine.exporters.watch import Watch
from velox_engine.report import package_version
from velox_engine.snapshot import Snapshot, State, WorkerSnapshot

_SHARE_S: Final = 1.0
_BUNDLE_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_BUNDLE_LE: Final = (*map(le_text, _BUNDLE_BOUNDS), "+Inf")


class EngineMetrics:
    """Gives the families of one look; while there is no engine yet, what was built. Books by symbol up to a limit."""

    def __init__(self, watch: Watch, most_symbols: int) -> None:
        self._watch = watch
        self._most_symbols = most_symbols
        self._process = ProcessCollector(registry=None)
        self._shares = BusyShares()
        build = _build()
        self._build = info("build", "What this program was built of.", tuple(build), [tuple(build.values())])

    def families(self) -> list[Family]:
        """Look once, and return all families."""
        look = self._watch.look(self._most_symbols)
        if look is None:
            return [self._build]
        snapshot = look.snapshot
        return [
            self._build,
            *_engine_families(snapshot),
            *_flow_families(snapshot),
            *_bundle_families(snapshot),
            *_stage_families(snapshot),
            *_worker_families(snapshot, self._shares.since_before(snapshot.workers)),
            *book_families(look),
            *map(of_process, self._process.collect()),
        ]


def _build() -> dict[str, str]:
    """Return versions; numba's and numpy's are looked up, not imported."""
    parts = {"version": package_version(), "python": platform.python_version()}
    for name in ("numba", "numpy"):
        try:
            parts[name] = version(name)
        except PackageNotFoundError:  # run from an archive that holds no metadata
            parts[name] = "unknown"
    return parts


class BusyShares:
    """How busy each worker was since a look at least a second ago, from 0 to 1."""

    def __init__(self) -> None:
        self._looks: list[tuple[float, dict[int, tuple[float, float]]]] = [(-_SHARE_S, {})]

    def since_before(self, workers: tuple[WorkerSnapshot, ...]) -> dict[str, float]:
        """Return the shares by worker."""
        now = time.monotonic()
        times = {each.index: (each.busy_s, each.busy_s + each.starved_s + each.held_s) for each in workers}
        if now - self._looks[-1][0] >= _SHARE_S:
            self._looks = [self._looks[-1], (now, times)]
        before = self._looks[0][1]
        shares: dict[str, float] = {}
        for worker, (busy, whole) in times.items():
            busy_before, whole_before = before.get(worker, (0.0, 0.0))
            shares[str(worker)] = (busy - busy_before) / (whole - whole_before) if whole > whole_before else 0.0
        return shares


def _engine_families(snapshot: Snapshot) -> Iterator[Family]:
    source, book = (str(snapshot.config.get(section, {}).get("kind", "")) for section in ("source", "book"))
    told = {"name": snapshot.name, "source": source, "book": book, "seed": str(snapshot.seed)}
    health = judge(snapshot)
    yield info("engine", "What runs.", tuple(told), [tuple(told.values())])
    states: dict[str, float] = {each.word: float(each is snapshot.state) for each in State}
    yield gauges("engine_state", "1 for the state that the engine is in.", ("state",), states)
    yield gauge("engine_live", "1 while every worker's heart beats.", float(health.live))
    yield gauge("engine_ready", "1 while it lives and runs.", float(health.ready))
    yield gauge("engine_uptime_seconds", "How long the engine has run.", snapshot.uptime_s)
    yield counter("engine_paused_seconds", "How long ingress was paused.", snapshot.paused_s)
    yield gauge("engine_warnings", "Warnings and errors that the engine tells.", len(snapshot.warnings))
    conserved = float(snapshot.conservation.holds)
    yield gauge("engine_conserved", "1 while every transaction is accounted for, in order and content.", conserved)
    yield gauge("engine_stale_blocks", "Parts of this scrape that are older than the rest.", len(snapshot.stale))
    yield histograms(
        "host_wakeup_delay", "How late a sleeping thread wakes: stalls of the host.", LATENCY, "", {"": snapshot.hiccup}
    )


def _flow_families(snapshot: Snapshot) -> Iterator[Family]:
    yield gauge(
        "ingress_rate_per_second",
        "Transactions a second that are asked for; +Inf is maximum rate, NaN the recorded pace.",
        snapshot.rate_per_s,
    )
    yield counter("ingress_generated", "Transactions that the source gave.", snapshot.generated)
    yield counter("ingress_transactions", "Transactions that ingress accepted.", snapshot.ingress.processed)
    yield counters("ingress_dropped", "Transactions dropped.", ("reason",), {"ring_full": snapshot.dropped})
    yield counters("ingress_rejected", "Transactions that were not valid.", ("reason",), snapshot.rejected)
    yield counter("ingress_seeded", "Transactions accepted that only seed the books.", snapshot.seeded)
    yield counter("ingress_lag_abandoned_seconds", "Due time given up by rate changes.", snapshot.lag_abandoned_s)
    yield counter("orderbook_transactions", "Transactions applied to the books.", snapshot.orderbook.processed)
    yield counters(
        "orderbook_outcomes", "Transactions by what they did to their book.", ("outcome",), snapshot.book_outcomes
    )
    yield counter("orderbook_trades", "Fills and prints seen.", snapshot.trades_seen)
    yield counter("output_transactions", "Transactions that went out.", snapshot.output.processed)
    yield counter("output_bundles", "Bundles that went out.", snapshot.bundles_out)
    yield counter("sink_transactions", "Transactions that the sink has written.", snapshot.sink_written)
    yield counter("sink_lost_transactions", "Transactions that the sink could not keep.", snapshot.sink_lost)
    for name, told, part in (
        ("waiting", "Slots that wait in the ring.", "waiting"),
        ("high_water", "Most slots that ever waited in the ring.", "high_water"),
        ("capacity", "Slots of the ring.", "capacity"),
    ):
        rows: dict[str, float] = {ring.name: getattr(ring, part) for ring in snapshot.rings}
        yield gauges(f"ring_{name}_slots", told, ("ring",), rows)
    shares: dict[str, float] = {
        ring.name: ring.waiting / ring.capacity if ring.capacity else 0.0 for ring in snapshot.rings
    }
    yield gauges("ring_occupancy_ratio", "Share of the ring's slots that wait, 0 to 1.", ("ring",), shares)


def _bundle_families(snapshot: Snapshot) -> Iterator[Family]:
    yield counter("bundle_transactions", "Transactions put into bundles.", snapshot.bundle.processed)
    flushes: dict[str, float] = {
        "size": snapshot.by_size,
        "timeout": snapshot.by_timeout,
        "drain": snapshot.by_drain,
    }
    yield counters("bundle_flushes", "Bundles flushed, by why.", ("reason",), flushes)
    yield gauge("bundle_open_transactions", "Transactions in the open bundle.", snapshot.open_bundle)
    flushed = snapshot.bundle_sizes
    below = np.cumsum(flushed).tolist()
    counts = [*(below[bound] for bound in _BUNDLE_BOUNDS), below[-1]]
    whole = int(np.dot(flushed, np.arange(len(flushed))))
    yield sizes("bundle_size_transactions", "Transactions of a flushed bundle.", _BUNDLE_LE, counts, whole)


def _stage_families(snapshot: Snapshot) -> Iterator[Family]:
    stages = snapshot.stages
    yield histograms(
        "latency",
        "From when a transaction was due until the stage had it; output is end to end.",
        LATENCY,
        "stage",
        {stage.name: stage.latency for stage in stages},
    )
    yield histograms(
        "service",
        "Work that a transaction costs the stage.",
        SERVICE,
        "stage",
        {stage.name: stage.service for stage in stages},
    )
    steps: dict[tuple[str, ...], float] = {}
    for stage in stages:
        steps |= {(stage.name, "worked"): stage.steps, (stage.name, "starved"): stage.starved}
        steps |= {(stage.name, "held"): stage.held}
    yield counters(
        "stage_steps", "Steps: with work, without input, or without room behind.", ("stage", "result"), steps
    )
    disorder: dict[str, float] = {stage.name: stage.disorder for stage in stages}
    yield counters("stage_disorder", "Batches with a sequence number out of place.", ("stage",), disorder)


def _worker_families(snapshot: Snapshot, shares: dict[str, float]) -> Iterator[Family]:
    workers = snapshot.workers
    label = ("worker",)
    places = [
        (str(each.index), "none" if each.core is None else str(each.core), ",".join(each.stages)) for each in workers
    ]
    yield info("worker", "A worker's core and its stages.", ("worker", "core", "stages"), places)
    yield gauges("worker_busy_ratio", "Share of its time with work since a scrape at least 1 s ago.", label, shares)
    for name, told in (
        ("busy", "Time with work."),
        ("starved", "Time without input."),
        ("held", "Time without room behind."),
        ("slept", "Time asleep, part of the times without work."),
        ("grow", "Time in which its books grew."),
    ):
        times: dict[str, float] = {str(each.index): getattr(each, f"{name}_s") for each in workers}
        yield counters(f"worker_{name}_seconds", told, label, times)
    ages: dict[str, float] = {str(each.index): each.heartbeat_age_s for each in workers}
    yield gauges("worker_heartbeat_age_seconds", "Time since its last heartbeat.", label, ages)
