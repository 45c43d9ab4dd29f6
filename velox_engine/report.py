"""The final report: what a run did, and the proof that nothing was lost. Made from the last snapshot."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from velox_engine.config import LimitSettings
from velox_engine.lockfree.histogram_view import Histogram
from velox_engine.records import Instrument
from velox_engine.snapshot import BookSummary, Snapshot
from velox_engine.telemetry.layout import STAGE_NAMES

SCHEMA: Final = 1
_PERCENTILES: Final = (("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p999", 99.9))


@dataclass(frozen=True, slots=True)
class Report:
    """A run's final report; the fields are the keys of its JSON form (design §7).

    ``duration_s`` is from the first transaction generated to the last one out, ``throughput_per_s`` counts what left
    over that time without pauses. ``latency_ns`` is from due time to each stage, ``service_ns`` the work a transaction
    costs each stage. ``chaos`` counts the faults made on purpose, and is empty without. ``conserved`` means that every
    transaction generated is accounted for, in order and content.
    """

    schema: int
    version: str
    name: str
    pid: int
    state: str
    reason: str
    source: dict[str, Any]
    seed: int
    duration_s: float
    paused_s: float
    lag_abandoned_s: float
    throughput_per_s: float
    ingress: dict[str, Any]
    orderbook: dict[str, Any]
    bundle: dict[str, Any]
    output: dict[str, Any]
    sink: dict[str, Any]
    rings: dict[str, Any]
    drained: dict[str, Any]
    drain_timed_out: bool
    latency_ns: dict[str, dict[str, float]]
    service_ns: dict[str, dict[str, float]]
    hiccup_ns: dict[str, float]
    checksum: dict[str, str]
    conserved: bool
    problems: list[str]
    left_behind: dict[str, int]
    books: dict[str, dict[str, Any]]
    workers: list[dict[str, Any]]
    warnings: list[str]
    limits: dict[str, Any]
    cpu: dict[str, float]
    chaos: dict[str, Any]
    environment: dict[str, Any]
    config: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values, ready for JSON."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def to_json(self) -> str:
        """Return the report as indented JSON."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False)


def package_version() -> str:
    """Return the installed version of Velox."""
    try:
        return version("velox-tui")
    except PackageNotFoundError:
        return "0 (not installed)"


def latency_figures(histogram: Histogram) -> dict[str, float]:
    """Return count, min, mean, p50, p90, p99, p999 and max of a histogram of ns."""
    return {
        "count": histogram.count,
        "min": histogram.least,
        "mean": round(histogram.mean, 1),
        **{name: histogram.percentile(percent) for name, percent in _PERCENTILES},
        "max": histogram.largest,
    }


def environment(clock_source: str) -> dict[str, Any]:
    """Describe where the run took place."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass  # elsewhere the platform's own word stands
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": model,
        "cores": os.cpu_count(),
        "cores_allowed": cores,
        "clock": clock_source,
        "numba": sys.modules["numba"].__version__ if "numba" in sys.modules else None,
        "numpy": version("numpy"),
    }


def judge(snapshot: Snapshot) -> tuple[list[str], dict[str, int]]:
    """Say what speaks against conservation in a last snapshot, and what was left behind, stage by stage.

    generated = accepted + dropped + rejected; the stages' counts never grow downstream; with nothing left behind their
    counts and content hashes are equal, and every bundle flushed was taken.
    """
    problems = list(snapshot.conservation.problems)
    accepted = snapshot.ingress.processed
    refused = snapshot.dropped + sum(snapshot.rejected.values())
    if snapshot.generated + snapshot.seeded != accepted + refused:
        problems.append(
            f"generated {snapshot.generated} + seeded {snapshot.seeded} differs from "
            f"accepted {accepted} + dropped or rejected {refused}"
        )
    counts = [stage.processed for stage in snapshot.stages]
    left = {
        "ingress_ring": counts[0] - counts[1],
        "bundle_ring": counts[1] - counts[2],
        "open_bundle": snapshot.open_bundle,
        "output_ring": counts[2] - counts[3] - snapshot.open_bundle,
    }
    if any(value < 0 for value in left.values()):
        problems.append(f"counts grow downstream: {counts}")
    if sum(left.values()) == 0:
        if len({stage.content for stage in snapshot.stages}) != 1:
            problems.append("the stages' content hashes differ")
        if snapshot.flushed != snapshot.bundles_out:
            problems.append(f"{snapshot.flushed} bundles flushed, {snapshot.bundles_out} taken by output")
    if snapshot.by_size + snapshot.by_timeout + snapshot.by_drain != snapshot.flushed:
        problems.append("bundles by reason do not add up to those flushed")
    sinking = snapshot.config.get("pipeline", {}).get("sink", "none") != "none"
    if sinking and snapshot.sink_written + snapshot.sink_lost != counts[3]:
        kept = snapshot.sink_written + snapshot.sink_lost
        problems.append(f"the sink was handed {counts[3]} transactions and accounts for {kept}")
    problems += _judge_latencies(snapshot, refused, sum(left.values()))
    return problems, {**left, "transactions": sum(left.values())}


def _judge_latencies(snapshot: Snapshot, refused: int, left: int) -> list[str]:
    """Say what speaks against every transaction having its latency in every stage that it passed, but for a seed's."""
    seeds = [stage.processed - stage.latency.count for stage in snapshot.stages]
    # of the seed, a record may have been refused at ingress, and another may still be inside
    right = snapshot.seeded - refused <= seeds[0] <= snapshot.seeded and seeds == sorted(seeds, reverse=True)
    if right and seeds[-1] >= 0 and (left or seeds[-1] == seeds[0]):
        return []
    return [f"latencies recorded differ from transactions passed: {seeds} without one, {snapshot.seeded} seeded"]


def _books(books: list[BookSummary], instruments: list[Instrument]) -> dict[str, dict[str, Any]]:
    return {
        instrument.symbol: {
            "state": book.state.name.lower(),
            "best_bid": book.best_bid if book.best_bid_size else None,
            "best_ask": book.best_ask if book.best_ask_size else None,
            "best_bid_size": book.best_bid_size,
            "best_ask_size": book.best_ask_size,
            "bid_levels": book.bid_levels,
            "ask_levels": book.ask_levels,
            "orders": book.orders,
            "price_decimals": instrument.price_decimals,
            "size_decimals": instrument.size_decimals,
        }
        for instrument, book in zip(instruments, books, strict=False)
    }


def _limits(snapshot: Snapshot, limits: LimitSettings, throughput: float) -> dict[str, dict[str, Any]]:
    """Compare the run with the limits asked for."""
    dropped = snapshot.dropped / snapshot.generated if snapshot.generated else 0.0
    p99_us = snapshot.output.latency.percentile(99) / 1000
    measured = {
        "max_drop_rate": (limits.max_drop_rate, dropped, dropped.__le__),
        "min_throughput": (limits.min_throughput, throughput, throughput.__ge__),
        "max_p99_us": (limits.max_p99_us, p99_us, p99_us.__le__),
    }
    return {
        name: {"limit": limit, "value": round(value, 6), "met": keeps(float(limit))}
        for name, (limit, value, keeps) in measured.items()
        if limit != "off"
    }


def make_report(
    snapshot: Snapshot,
    *,
    ns_per_tick: float,
    reason: str,
    failure: str,
    settled: bool,
    drain_timed_out: bool,
    drained: tuple[int, int],
    paused_s: float,
    books: list[BookSummary],
    instruments: list[Instrument],
    source: dict[str, Any],
    limits: LimitSettings,
    cpu_s: float,
    clock_source: str,
    chaos: dict[str, Any] | None = None,
) -> Report:
    """Make the report of a run from its last snapshot.

    ``settled`` says that it was taken after every worker had stopped, so that the counts are final.
    """
    problems, left = judge(snapshot)
    conserved = not problems and not snapshot.stale and settled
    if failure:
        problems.append(failure)
    first, last = snapshot.ingress.first_ticks, snapshot.output.last_ticks
    duration = max(last - first, 0) * ns_per_tick * 1e-9 if first and last else 0.0
    running = max(duration - paused_s, 1e-9)
    out = snapshot.output.processed - snapshot.seeded
    latency_names = ("due_to_ingress", "due_to_orderbook", "due_to_bundle", "end_to_end")
    return Report(
        schema=SCHEMA,
        version=package_version(),
        name=snapshot.name,
        pid=snapshot.pid,
        state=snapshot.state.word,
        reason=reason,
        source=source,
        seed=snapshot.seed,
        duration_s=round(duration, 9),
        paused_s=round(paused_s, 9),
        lag_abandoned_s=round(snapshot.lag_abandoned_s, 9),
        throughput_per_s=round(out / running, 1) if duration else 0.0,
        ingress={
            "generated": snapshot.generated + snapshot.seeded,
            "accepted": snapshot.ingress.processed,
            "dropped": snapshot.dropped,
            "rejected": sum(snapshot.rejected.values()),
            "seeded": snapshot.seeded,
            "dropped_by": {"ring_full": snapshot.dropped},
            "rejected_by": snapshot.rejected,
        },
        orderbook={
            "processed": snapshot.orderbook.processed,
            "outcomes": snapshot.book_outcomes,
            "errors": snapshot.book_errors,
        },
        bundle={
            "transactions": snapshot.bundle.processed,
            "flushed": snapshot.flushed,
            "by_size": snapshot.by_size,
            "by_timeout": snapshot.by_timeout,
            "by_drain": snapshot.by_drain,
        },
        output={"bundles": snapshot.bundles_out, "transactions": snapshot.output.processed},
        sink={"written": snapshot.sink_written, "lost": snapshot.sink_lost},
        rings={ring.name: {"capacity": ring.capacity, "high_water": ring.high_water} for ring in snapshot.rings},
        drained={"transactions": drained[0], "bundles": drained[1]},
        drain_timed_out=drain_timed_out and left["transactions"] > 0,  # what was late may have come out in the end
        latency_ns={
            name: latency_figures(stage.latency) for name, stage in zip(latency_names, snapshot.stages, strict=True)
        },
        service_ns={stage.name: latency_figures(stage.service) for stage in snapshot.stages},
        hiccup_ns=latency_figures(snapshot.hiccup),
        checksum={name: stage.content for name, stage in zip(STAGE_NAMES, snapshot.stages, strict=True)},
        conserved=conserved,
        problems=problems,
        left_behind=left,
        books=_books(books, instruments),
        workers=[
            {
                "core": worker.core,
                "stages": list(worker.stages),
                "busy_s": round(worker.busy_s, 6),
                "starved_s": round(worker.starved_s, 6),
                "held_s": round(worker.held_s, 6),
                "slept_s": round(worker.slept_s, 6),
                "grows": worker.grows,
                "grow_s": round(worker.grow_s, 6),
            }
            for worker in snapshot.workers
        ],
        warnings=list(snapshot.warnings),
        limits=_limits(snapshot, limits, out / running if duration else 0.0),
        cpu={
            "process_s": round(cpu_s, 6),
            "percent_of_a_core": round(100 * cpu_s / snapshot.uptime_s, 2) if snapshot.uptime_s else 0.0,
        },
        chaos=chaos or {},
        environment=environment(clock_source),
        config={key: value for key, value in snapshot.config.items() if key != "book_outcomes"},
    )
