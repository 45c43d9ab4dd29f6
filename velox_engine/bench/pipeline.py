"""The whole pipeline at maximum rate: by placement of the stages, size of the rings, kind of book, and stamp.

A run that does not conserve, whose four content hashes differ, or that left anything behind is an error, not a figure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from velox_engine.bench.measure import Bench, BenchError, Figure, Measure
from velox_engine.config import load_config
from velox_engine.engine import Engine
from velox_engine.placement import Machine
from velox_engine.report import Report
from velox_engine.snapshot import State
from velox_engine.telemetry.layout import STAGE_NAMES

PLACEMENTS: Final[dict[str, tuple[int, int, int, int]]] = {
    "one": (0, 0, 0, 0),
    "two_1_3": (0, 1, 1, 1),
    "two_2_2": (0, 0, 1, 1),
    "two_3_1": (0, 0, 0, 1),
    "four": (0, 1, 2, 3),
}
"""How many workers, and how many stages each of them has in the flow's order; the values part the stages."""
BOOKS: Final[dict[str, dict[str, object]]] = {
    "bucketed": {"source.model": "uniform", "book.kind": "bucketed"},
    "exact": {"source.model": "market", "book.kind": "exact"},
}
"""The flow that each kind of book is measured with: adds at prices alike, and the market."""
DEFAULT_RING: Final = 4096
RINGS: Final = (1024, 16_384, 65_536)
_LOOK_S: Final = 0.05
_SEED: Final = 7


def cores_of(machine: Machine, placement: str) -> dict[str, object]:
    """Return the settings that place the stages on the last of the cores that workers may have."""
    parts = PLACEMENTS[placement]
    cores = machine.allowed[-machine.usable :][-len(set(parts)) :]
    return {f"threads.{stage}_core": cores[part] for stage, part in zip(STAGE_NAMES, parts, strict=True)}


def run_engine(
    bench: Bench,
    settings: Mapping[str, object],
    *,
    look: Callable[[Engine], object] = lambda engine: None,
    look_s: float = _LOOK_S,
) -> Report:
    """Run an engine with these settings to its end; ``look`` is called every ``look_s`` seconds meanwhile.

    Raises `BenchError` where not everything is accounted for.
    """
    config = load_config(overrides={"pipeline.name": "bench", "source.seed": _SEED, **settings}, environ={})
    engine = Engine(config)
    bench.cancel.running = engine
    try:
        bench.cancel.check()
        with engine:
            while engine.wait(look_s) < State.DRAINED:
                bench.cancel.check()
                look(engine)
        bench.cancel.check()
        return checked(engine.report())
    finally:
        bench.cancel.running = None


def checked(report: Report) -> Report:
    """Return the report of a run that lost nothing and left nothing behind, else raise `BenchError`."""
    accepted, hashes = report.ingress["accepted"], set(report.checksum.values())
    counts = report.orderbook["processed"], report.bundle["transactions"], report.output["transactions"]
    if not report.conserved or any(count != accepted for count in counts) or report.ingress["dropped"]:
        why = "; ".join(report.problems) or f"{accepted} accepted, {counts} passed by the other stages"
        raise BenchError(f"pipeline: not everything is accounted for: {why}")
    if len(hashes) != 1 or report.left_behind["transactions"]:
        raise BenchError(f"pipeline: hashes {sorted(hashes)}, {report.left_behind['transactions']} left behind")
    if report.state != State.STOPPED.word or not accepted:
        raise BenchError(f"pipeline: {report.state} after {accepted} transactions: {report.reason}")
    return report


def pipeline_measures(bench: Bench) -> Iterator[Measure]:
    """Yield throughput at maximum rate: both books in every placement, then other rings and stamps."""
    for book in BOOKS:
        for placement in PLACEMENTS:
            yield _measure(bench, book, placement, DEFAULT_RING)
    for placement in ("one", "two_1_3"):
        for ring in RINGS:
            yield _measure(bench, "bucketed", placement, ring)
    yield _measure(bench, "bucketed", "one", DEFAULT_RING, stamp="each")


def _measure(bench: Bench, book: str, placement: str, ring: int, stamp: str = "batch") -> Measure:
    name = f"pipeline.{book}.{placement}.{stamp if stamp == 'each' else f'ring{ring}'}"
    needed = len(set(PLACEMENTS[placement]))
    lacking = bench.lacking(needed, together=needed > 1)
    settings: dict[str, Any] = {
        **BOOKS[book],
        "pipeline.ingress_rate_hz": "max",
        "pipeline.stamp": stamp,
        "pipeline.run_duration_secs": 0.2 if bench.brief else 0.7,
        "buffers.ingress_ring_size": ring,
        "buffers.bundle_ring_size": ring,
    }
    return Measure(name, (Figure("", "M/s", "higher"),), partial(_run, bench, placement, settings), lacking)


def _run(bench: Bench, placement: str, settings: Mapping[str, object]) -> tuple[float]:
    report = run_engine(bench, {**settings, **cores_of(bench.machine, placement)})
    return (report.throughput_per_s / 1e6,)
