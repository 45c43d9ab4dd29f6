"""Our engine beside hand-written C++.

``python -m tests.yardstick PROGRAMS [--rounds N] [--rows ID,...] [--best=OPTIONS] [--json FILE]``

PROGRAMS is the folder of the built C++ programs ``pipe`` and ``book``; the ring is compiled here if there is a C++
compiler. A short sweep first finds the C++ pipeline's best placement, batch and waiting. Then ours and theirs run
alternately, each when the machine is calm; runs that others disturb are left out where at least three are left. The
table gives medians, their ratio, and the least and largest ratio of a pair of runs. Uniform flow, bucketed
book, nothing dropped, checksums and telemetry on; every run of either side proves that it lost nothing.

Pytest does not collect this.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.yardstick.calm import Calm
from tests.yardstick.rows import ROWS, SELDOM, Row, Samples, Yardstick, best, measures
from tests.yardstick.theirs import Programs
from velox_engine.bench.environment import Surroundings
from velox_engine.bench.measure import Bench
from velox_engine.bench.runner import alternate
from velox_engine.lockfree.clock import calibrate
from velox_engine.placement import this_machine
from velox_tui.bench_table import number
from velox_tui.progress import Progress


def judged(row: Row, samples: Samples) -> dict[str, Any] | None:
    """A row with its figures: medians, ratio of medians, range of the ratios round by round; ``None`` without any."""
    mine = best(row.ours, samples, row.lower)
    other = best(row.theirs, samples, row.lower)
    if mine is None or (row.theirs and other is None):
        return None
    ours = statistics.median(samples[mine])
    told: dict[str, Any] = {name: value for name, value in asdict(row).items() if name != "theirs"} | {
        "of": mine,
        "ours": ours,
    }
    if other is None:
        told |= {"least": min(samples[mine]), "largest": max(samples[mine]), "met": ours <= row.target}
        return told
    theirs = statistics.median(samples[other])
    ratios = [a / b for a, b in zip(samples[mine], samples[other], strict=False) if b] or [float("nan")]
    ratio = ours / theirs if theirs else float("nan")
    met = ratio <= row.target if row.lower else ratio >= row.target
    return told | {"theirs": theirs, "ratio": ratio, "least": min(ratios), "largest": max(ratios), "met": met}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text."""
    lines = [f"{'':54} {'ours':>8} {'theirs':>8} {'ratio':>7} {'of the rounds':>16} {'target':>10}"]
    for row in rows:
        between = f"{number(row['least'])} … {number(row['largest'])}"
        theirs, ratio = (number(row[name]) if name in row else "" for name in ("theirs", "ratio"))
        sign = "≤" if row["lower"] else "≥"
        target = f"{sign} {row['target']:g} {'' if ratio else row['unit']}{'' if row['met'] else '  missed'}"
        lines.append(f"{row['title']:54} {number(row['ours']):>8} {theirs:>8} {ratio:>7} {between:>16}    {target}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=Path, metavar="PROGRAMS")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.7, help="length of a run")
    parser.add_argument("--rows", help="only these, comma between: " + ", ".join(row.id for row in ROWS))
    parser.add_argument("--patience", type=float, default=5, help="seconds to wait for a calm moment before each run")
    parser.add_argument("--best", help="the C++ pipeline's options, instead of a sweep")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples to FILE")
    asked = parser.parse_args()
    wanted = asked.rows.split(",") if asked.rows else [row.id for row in ROWS]
    unknown = set(wanted) - {row.id for row in ROWS}
    if unknown or not all((asked.programs / name).exists() for name in ("pipe", "book")):
        print(f"unknown rows {sorted(unknown)}" if unknown else f"{asked.programs} lacks pipe or book", file=sys.stderr)
        return 2
    rows = [row for row in ROWS if row.id in wanted]
    machine, clock = this_machine(), calibrate()
    with tempfile.TemporaryDirectory() as name, Progress("measuring", lines=False) as progress:
        bench = Bench(machine, clock, Path(name), brief=False)
        for number in (signal.SIGINT, signal.SIGTERM):  # what there is by then is shown
            signal.signal(number, lambda *_: bench.cancel.request_stop())
        programs = Programs(asked.programs, (bench.cores[0], bench.cores[-1]), Path(name))
        yard = Yardstick(bench, programs, asked.seconds, tuple((asked.best or "").split()))
        known = measures(yard)
        named = [name for row in rows for name in (*row.ours, *row.theirs)]
        names = dict.fromkeys(name if name in known else name.rpartition(".")[0] for name in named)
        if "cpp.pipe" in names and not yard.best:
            yard.best = programs.best_of_two_cores(lambda text: progress(text, 0, 1))
        surroundings = Surroundings(machine, clock.source)
        calm = Calm(asked.patience, bench.cancel)
        known = {each: calm.wrapped(measure) for each, measure in known.items()}
        often = [known[each] for each in names if each not in SELDOM]
        samples, failed = alternate(often, asked.rounds, progress, bench.cancel)
        for each, most in SELDOM.items():
            if each in names:
                found, wrong = alternate([known[each]], min(most, asked.rounds), progress, bench.cancel)
                samples, failed = samples | found, failed | wrong
    undisturbed = calm.undisturbed(samples)
    told = [judged(row, undisturbed) for row in rows]
    print(table([row for row in told if row is not None]))
    around = surroundings.describe()
    if yard.best:
        print(f"C++: {' '.join(yard.best)}")
    busy = f"others {around['others_percent']} % of a core, steal {around['steal_percent']} %"
    print(f"{around['cpu']}, {around['cores']} cores; {busy}; {calm.told()}")
    for each, why in failed.items():
        print(f"{each}: {why}")
    if asked.json:
        asked.json.write_text(
            json.dumps({"rows": told, "samples": samples, "environment": around, "best": yard.best}, indent=1)
        )
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
