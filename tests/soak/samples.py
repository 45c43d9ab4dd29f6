"""What is sampled of a running engine, from outside: its process by psutil, its counts by its telemetry."""

from __future__ import annotations

import csv
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import psutil

from velox_engine.lockfree.histogram_view import Histogram
from velox_engine.snapshot import Snapshot
from velox_engine.telemetry.reader import TelemetryReader


@dataclass(frozen=True)
class Sample:
    """One look: seconds since the beginning, bytes, seconds of processor time, counts, µs."""

    at_s: float
    unix_ns: int
    state: str
    rate: float
    rss: int
    cpu_s: float
    descriptors: int
    threads: int
    generated: int
    accepted: int
    output: int
    inside: int
    dropped: int
    rejected: int
    sink_lost: int
    conserved: bool
    stalled: int
    p50_us: float
    p99_us: float
    hiccup_p99_us: float


class Sampler:
    """Looks at a process and at its region; latencies are of the time since the look before."""

    def __init__(self, pid: int, reader: TelemetryReader) -> None:
        self._process = psutil.Process(pid)
        self._reader = reader
        self._begun = time.monotonic()
        self._before: Snapshot | None = None

    def take(self) -> Sample:
        """Look once."""
        snapshot = self._reader.read()
        with self._process.oneshot():
            cpu = self._process.cpu_times()
            memory, threads = self._process.memory_info().rss, self._process.num_threads()
        before, self._before = self._before, snapshot
        latency, hiccup = snapshot.output.latency, snapshot.hiccup
        if before is not None:
            latency, hiccup = latency.since(before.output.latency), hiccup.since(before.hiccup)
        return Sample(
            at_s=round(time.monotonic() - self._begun, 3),
            unix_ns=snapshot.taken_unix_ns,
            state=snapshot.state.word,
            rate=snapshot.rate_per_s,
            rss=memory,
            cpu_s=cpu.user + cpu.system,
            descriptors=self._process.num_fds(),
            threads=threads,
            generated=snapshot.generated,
            accepted=snapshot.ingress.processed,
            output=snapshot.output.processed,
            inside=snapshot.inside,
            dropped=snapshot.dropped,
            rejected=sum(snapshot.rejected.values()),
            sink_lost=snapshot.sink_lost,
            conserved=snapshot.conservation.holds,
            stalled=len(snapshot.stalled_workers),
            p50_us=_us(latency, 50),
            p99_us=_us(latency, 99),
            hiccup_p99_us=_us(hiccup, 99),
        )


def _us(histogram: Histogram, percent: float) -> float:
    return histogram.percentile(percent) / 1e3 if histogram.count else float("nan")


def write(samples: list[Sample], path: Path) -> None:
    """Write samples as CSV."""
    with path.open("w", newline="") as file:
        rows = csv.DictWriter(file, [field.name for field in fields(Sample)])
        rows.writeheader()
        rows.writerows(asdict(sample) for sample in samples)
