"""Our side of the comparison: engines in this process, and the command as its user starts it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from velox_engine.bench.measure import Bench, BenchError
from velox_engine.bench.pipeline import BOOKS, cores_of
from velox_engine.telemetry import layout
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.telemetry.region import map_region, region_files

ROOT = Path(__file__).parents[2]
PATIENCE_S = 180

# what a run is asked for in a process of its own; counts are compared here, as its report cannot vouch for them
_ALONE = """
import json, sys
from velox_engine import Engine, load_config
engine = Engine(load_config(overrides=json.loads(sys.argv[1]), environ={}))
with engine:
    engine.wait(60)
report = engine.report()
counts = {report.ingress["accepted"], report.orderbook["processed"], report.output["transactions"]}
assert len(counts) == 1, counts
print(report.throughput_per_s)
"""
_WITHOUT = {
    "stages/content.py": ("content_add", "(*_):\n    return 0\n"),
    "lockfree/histogram.py": ("histogram_record", "(words, at, value, times):\n    return\n"),
}
"""What is put at the end of sources for a build without telemetry and proof: the last definition of a name holds."""


def at_maximum(bench: Bench, placement: str, seconds: float, **more: object) -> dict[str, object]:
    """The settings of a run at maximum rate: bucketed book, uniform flow, lossless."""
    return {
        **BOOKS["bucketed"],
        "pipeline.ingress_rate_hz": "max",
        "pipeline.run_duration_secs": seconds,
        **cores_of(bench.machine, placement),
        **{name.replace("__", "."): value for name, value in more.items()},
    }


def bare_engine(folder: Path) -> Path:
    """Copy the engine without histograms and content hashes, publishing once in ten seconds; return its root."""
    root = folder / "bare"
    if root.exists():
        return root
    shutil.copytree(ROOT / "velox_engine", root / "velox_engine", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (function, rest) in _WITHOUT.items():
        path = root / "velox_engine" / name
        source = path.read_text()
        if f"\ndef {function}(" not in source and f"\n{function} = " not in source:
            raise BenchError(f"{name} has changed: {function}, which is to be left out, is not there")
        path.write_text(f"{source}\n\nfrom velox_engine.jit import compiled\n\n\n@compiled\ndef {function}{rest}")
    path = root / "velox_engine" / "stages" / "worker.py"
    source, often = path.read_text(), "_PUBLISH_NS: Final = 10_000_000\n"
    if often not in source:
        raise BenchError("stages/worker.py has changed: how often it publishes is not there")
    path.write_text(source.replace(often, "_PUBLISH_NS: Final = 10_000_000_000\n"))
    return root


def throughput_alone(root: Path, settings: Mapping[str, object]) -> float:
    """Run an engine, that of ``root``, in a process of its own; return transactions a second."""
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", _ALONE, json.dumps(settings)]
    done = subprocess.run(
        command, env=environment, cwd=root, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    if done.returncode:
        raise BenchError(f"a run of its own: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout)


@contextmanager
def _started(cache: Path | None, *words: str) -> Any:
    """Start the command as a user does: compiled Python files are kept, where its caller's environment forbids it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPATH": str(ROOT)} | ({} if cache is None else {"VELOX_CACHE_DIR": str(cache)})
    begun = time.time_ns()
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [sys.executable, "-m", "velox_tui", "--no-ui", *words],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            yield process, begun
        finally:
            if process.poll() is None:
                process.terminate()
            process.communicate()


def first_transaction(cache: Path | None = None) -> float:
    """Start the command; return the seconds until its first transaction came out, by the engine's own clock."""
    with _started(cache, "--rate", "max", "--duration", "2") as (process, begun):
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up and process.poll() is None:
            time.sleep(0.05)
            for path in region_files():
                if f"-{process.pid}." not in path.name:
                    continue
                try:
                    region = map_region(path)
                    first = TelemetryReader(region).read().output.first_ticks
                except (OSError, ValueError):  # not ready, or just gone
                    continue
                if first:
                    words = region.words
                    scale = words[layout.HEADER_NS_PER_TICK : layout.HEADER_NS_PER_TICK + 1].view("f8")[0]
                    zero, at_zero = int(words[layout.HEADER_ZERO_UNIX_NS]), int(words[layout.HEADER_ZERO_TICKS])
                    return (zero + (first - at_zero) * float(scale) - begun) / 1e9
    raise BenchError("the command ended before a transaction was seen")


def peak_memory() -> float:
    """Run the command without a screen for two seconds; return the most memory that it had, MB."""
    most = 0
    with _started(None, "--rate", "100000", "--duration", "2") as (process, _):
        # not what the system tells of a child that has ended: that begins with its parent's own memory
        while process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                most = max(most, psutil.Process(process.pid).memory_info().rss)
            time.sleep(0.02)
    if process.returncode:
        raise BenchError(f"the command ended with exit code {process.returncode}")
    return most / 1e6
