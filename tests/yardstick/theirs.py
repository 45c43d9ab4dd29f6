"""The C++ programs: how they are called, which of their options are best on this machine, and what they print."""

from __future__ import annotations

import itertools
import shutil
import statistics
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from velox_engine.bench.measure import BenchError

PATIENCE_S = 120
WAITS = ("0,100000,0", "64,1000,50")
BATCHES = (64, 256, 1024)


def metrics(*command: str | Path) -> dict[str, float]:
    """Run a program; return its ``METRIC name value`` lines. One that fails, or does not conserve, is an error."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise BenchError(
            f"{Path(command[0]).name}: exit code {done.returncode}: {said[-1] if said else 'it said nothing'}"
        )
    words = (line.split() for line in done.stdout.splitlines() if line.startswith("METRIC "))
    return {name: float(value) for _, name, value in words}


class Programs:
    """The folder of built programs, and the cores that they may use: the first and the last of ours."""

    def __init__(self, folder: Path, cores: Sequence[int], work: Path) -> None:
        self.folder, self.cores, self.work = folder, cores, work

    def pipe(self, *options: str) -> dict[str, float]:
        return metrics(self.folder / "pipe", *options)

    def cpus(self, pattern: str) -> str:
        """``0,1,1,1`` in terms of this machine's cores."""
        return ",".join(str(self.cores[0] if place == "0" else self.cores[-1]) for place in pattern.split(","))

    def best_of_two_cores(self, tell: Callable[[str], None]) -> tuple[str, ...]:
        """Find the options of the highest throughput with four threads on two cores: the median of three short runs."""
        tried: dict[tuple[str, ...], list[float]] = {}
        combinations = list(itertools.product(("0,1,0,1", "0,0,1,1", "0,1,1,1", "0,0,0,1"), BATCHES, WAITS))
        for turn in range(3):
            for pattern, batch, wait in combinations:
                options = (f"--cpus={self.cpus(pattern)}", f"--batch={batch}", f"--wait={wait}")
                tell(f"sweep {turn + 1}/3 {' '.join(options)}")
                found = self.pipe("--seconds=0.3", "--warm=0.05", *options)
                tried.setdefault(options, []).append(found["txn_per_s"])
        return max(tried, key=lambda options: statistics.median(tried[options]))

    def ring(self) -> Path | None:
        """The ring of ``ring.cpp``, compiled here; ``None`` without a compiler."""
        compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
        if compiler is None:
            return None
        built = self.work / "ring"
        if not built.exists():
            source = Path(__file__).parent / "ring.cpp"
            flags = ["-O3", "-march=native", "-std=c++20", "-pthread"]
            subprocess.run([compiler, *flags, str(source), "-o", str(built)], check=True, capture_output=True)
        return built

    def order_list(self) -> Path:
        """The list of order events that both books are timed on: a million, seed 1."""
        path = self.work / "orders"
        if not path.exists():
            subprocess.run(
                [str(self.folder / "book"), "gen", str(path), "1000000", "1"], check=True, capture_output=True
            )
        return path
