"""The rows of the comparison: what is measured on either side, which figure counts, and what it should be."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from tests import order_list
from tests.yardstick.ours import at_maximum, bare_engine, first_transaction, peak_memory, throughput_alone
from tests.yardstick.theirs import Programs, metrics
from velox_engine.bench.books import read_each
from velox_engine.bench.measure import Bench, Figure, Measure
from velox_engine.bench.pipeline import BOOKS, cores_of, run_engine
from velox_engine.bench.ring import compile_ring, throughput
from velox_engine.engine import Engine

Samples = dict[str, list[float]]
SPLITS = ("two_1_3", "two_2_2", "two_3_1")
RING_ITEMS = {1: 3_000_000, 64: 10_000_000}
READS_PER_S = 50


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure, ours over theirs, or a figure of ours alone.

    ``ours`` and ``theirs`` name figures; of several the best median counts. ``target`` is the least ratio or, where
    ``lower`` is better, the largest one; for a figure alone the limit itself.
    """

    id: str
    title: str
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    target: float
    lower: bool = False
    unit: str = "M/s"


@dataclass
class Yardstick:
    """What rows share: our bench, their programs, how long a run lasts, and the best options found for C++."""

    bench: Bench
    programs: Programs
    seconds: float
    best: tuple[str, ...] = ()

    def both(self) -> tuple[int, int]:
        return self.bench.cores[0], self.bench.cores[-1]


ROWS = (
    Row("two_workers", "two workers, two cores, best split / C++ four threads", SPLITS, ("cpp.pipe",), 1.4),
    Row("two_1_3", "  ingress | book, bundle, output", ("two_1_3",), ("cpp.pipe",), 1.0),
    Row("two_2_2", "  ingress, book | bundle, output", ("two_2_2",), ("cpp.pipe",), 1.0),
    Row("two_3_1", "  ingress, book, bundle | output", ("two_3_1",), ("cpp.pipe",), 1.0),
    Row("one_batch", "one worker, stamp a batch / C++ fused, a stamp per 16", ("one_batch",), ("cpp.fused16",), 1.0),
    Row("one_each", "one worker, stamp each / C++ fused, a stamp each", ("one_each",), ("cpp.fused",), 1.0),
    Row("ring64", "ring, 64 bytes, two cores, batches of 64", ("ring64",), ("cpp.ring64",), 1.0),
    Row("ring1", "ring, 64 bytes, two cores, item by item", ("ring1",), ("cpp.ring1",), 1.0),
    Row("book", "exact book, 1 M order events / C++ l3", ("book",), ("cpp.l3",), 1.0),
    Row("latency_backoff_p50", "100,000/s, backoff: p50", ("backoff.p50",), (), 200, lower=True, unit="µs"),
    Row(
        "latency_backoff_cpu", "100,000/s, backoff: processor", ("backoff.cpu",), (), 50, lower=True, unit="% of a core"
    ),
    Row("spin_100k_p50", "100,000/s, spin, two cores: p50", ("spin100k.p50",), ("cpp.100k.p50",), 1.0, True, "µs"),
    Row("spin_100k_p90", "100,000/s, spin, two cores: p90", ("spin100k.p90",), ("cpp.100k.p90",), 1.0, True, "µs"),
    Row("spin_1m_p50", "1,000,000/s, spin, two cores: p50", ("spin1m.p50",), ("cpp.1m.p50",), 1.0, True, "µs"),
    Row("proof", "telemetry and proof on / left out of a copy", ("proof_on",), ("proof_off",), 0.9),
    Row("reader", "a reader at 50 Hz / none", ("reader_on",), ("reader_off",), 0.99),
    Row("first_warm", "first transaction after the command, warm", ("first_warm",), (), 1.2, lower=True, unit="s"),
    Row("first_cold", "first transaction after the command, cold", ("first_cold",), (), 15, lower=True, unit="s"),
    Row("memory", "memory of a run without a screen", ("memory",), (), 160, lower=True, unit="MB"),
)
SELDOM = {"first_cold": 3}
"""Measures that are repeated so often at most, because each takes a minute."""


def measures(yard: Yardstick) -> dict[str, Measure]:
    """Every measure that a row may name, by id."""
    return {each.id: each for each in [*_throughput(yard), *_parts(yard), *_latency(yard), *_costs(yard), *_starts()]}


def _one(name: str, unit: str, run: Callable[[], float]) -> Measure:
    return Measure(name, (Figure("", unit, "neither"),), lambda: (run(),))


def _throughput(yard: Yardstick) -> list[Measure]:
    bench, seconds = yard.bench, yard.seconds
    core = yard.both()[1]

    def ours(placement: str, stamp: str) -> float:
        settings = at_maximum(bench, placement, seconds, pipeline__stamp=stamp)
        return run_engine(bench, settings).throughput_per_s / 1e6

    def theirs(*options: str) -> float:
        best = () if options else yard.best
        return yard.programs.pipe(f"--seconds={seconds}", "--warm=0.05", *options, *best)["txn_per_s"] / 1e6

    fused = ("--mode=fused", f"--cpus={core},-1,-1,-1")
    return [
        *(_one(split, "M/s", partial(ours, split, "batch")) for split in SPLITS),
        _one("one_batch", "M/s", partial(ours, "one", "batch")),
        _one("one_each", "M/s", partial(ours, "one", "each")),
        _one("cpp.pipe", "M/s", theirs),
        _one("cpp.fused16", "M/s", partial(theirs, *fused, "--stamp-every=16")),
        _one("cpp.fused", "M/s", partial(theirs, *fused)),
    ]


def _parts(yard: Yardstick) -> list[Measure]:
    bench, programs, (first, last) = yard.bench, yard.programs, yard.both()

    def ring(batch: int) -> float:
        compile_ring()
        count = RING_ITEMS[batch]
        return count / throughput(bench, (first, last), count, batch) / 1e6

    def cpp_ring(batch: int) -> float:
        program = programs.ring()
        if program is None:
            raise RuntimeError("no C++ compiler to build ring.cpp with")
        return metrics(program, str(batch), str(RING_ITEMS[batch]), str(first), str(last))["items_per_s"] / 1e6

    @cache
    def contestant() -> Callable[[], tuple[float, int]]:
        preload, messages = order_list.read(programs.order_list())
        return read_each(order_list.as_transactions(messages), preload)

    def book() -> float:
        seconds, count = bench.alone(contestant())
        return count / seconds / 1e6

    def cpp_book() -> float:
        program, path = programs.folder / "book", programs.order_list()
        return metrics("taskset", "-c", str(last), program, "l3", path, "1")["updates_per_s"] / 1e6

    return [
        *(_one(f"ring{batch}", "M/s", partial(ring, batch)) for batch in RING_ITEMS),
        *(_one(f"cpp.ring{batch}", "M/s", partial(cpp_ring, batch)) for batch in RING_ITEMS),
        _one("book", "M/s", book),
        _one("cpp.l3", "M/s", cpp_book),
    ]


def _latency(yard: Yardstick) -> list[Measure]:
    bench = yard.bench
    names = ("p50", "p90", "p99", "host_p99", "cpu")
    figures = tuple(Figure(name, "% of a core" if name == "cpu" else "µs", "lower") for name in names)

    def ours(rate: int, idle: str, placement: str) -> Sequence[float]:
        settings = {
            **BOOKS["bucketed"],
            "pipeline.ingress_rate_hz": rate,
            "pipeline.run_duration_secs": yard.seconds,
            "threads.idle": idle,
            **cores_of(bench.machine, placement),
        }
        report = run_engine(bench, settings)
        told = report.latency_ns["end_to_end"]
        percentiles = [told[name] / 1000 for name in names[:3]]
        return *percentiles, report.hiccup_ns["p99"] / 1000, report.cpu["percent_of_a_core"]

    def theirs(rate: int) -> Sequence[float]:
        options = (f"--cpus={yard.programs.cpus('0,1,0,1')}", "--wait=0,100000,0", "--stamp=sched")
        found = yard.programs.pipe(f"--rate={rate}", f"--seconds={yard.seconds}", "--warm=0.05", *options)
        return *(found[f"lat_{name}_us"] for name in names[:3]), found["cpu_pct"]

    of_theirs = tuple(figure for figure in figures if figure.name != "host_p99")
    return [
        Measure("backoff", figures, partial(ours, 100_000, "backoff", "one")),
        Measure("spin100k", figures, partial(ours, 100_000, "spin", "two_2_2")),
        Measure("spin1m", figures, partial(ours, 1_000_000, "spin", "two_2_2")),
        Measure("cpp.100k", of_theirs, partial(theirs, 100_000)),
        Measure("cpp.1m", of_theirs, partial(theirs, 1_000_000)),
    ]


def _costs(yard: Yardstick) -> list[Measure]:
    bench = yard.bench
    settings = at_maximum(bench, "one", yard.seconds)

    def proof(bare: bool) -> float:
        root = bare_engine(yard.programs.work) if bare else Path(__file__).parents[2]
        return throughput_alone(root, settings) / 1e6

    def reader(reads: bool) -> float:
        def look(engine: Engine) -> None:
            if reads:
                assert engine.snapshot().output.processed >= 0

        def run() -> float:
            return run_engine(bench, settings, look=look, look_s=1 / READS_PER_S).throughput_per_s / 1e6

        found: float = bench.together((yard.both()[0], run))[0] if len(bench.cores) > 1 else run()
        return found

    return [
        _one("proof_on", "M/s", partial(proof, False)),
        _one("proof_off", "M/s", partial(proof, True)),
        _one("reader_on", "M/s", partial(reader, True)),
        _one("reader_off", "M/s", partial(reader, False)),
    ]


def _starts() -> list[Measure]:
    def cold() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return first_transaction(Path(folder))

    return [
        _one("first_warm", "s", first_transaction),
        _one("first_cold", "s", cold),
        _one("memory", "MB", peak_memory),
    ]


def best(names: Sequence[str], samples: Samples, lower: bool) -> str | None:
    """The name with the best median of those that have samples."""
    there = [name for name in names if samples.get(name)]
    key = {name: statistics.median(samples[name]) for name in there}
    return (min if lower else max)(there, key=key.__getitem__) if there else None
