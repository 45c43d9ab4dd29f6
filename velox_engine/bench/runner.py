"""Runs measures in rounds: each once, then each once more, so that a machine that changes its pace does so for all."""

from __future__ import annotations

import difflib
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from velox_engine.bench.books import book_measures
from velox_engine.bench.environment import Surroundings
from velox_engine.bench.feeds import feed_measures
from velox_engine.bench.histogram import histogram_measures
from velox_engine.bench.latency import latency_measures
from velox_engine.bench.measure import Bench, Cancel, GivenUp, Measure
from velox_engine.bench.pipeline import pipeline_measures
from velox_engine.bench.results import FigureResult, Results
from velox_engine.bench.ring import ring_measures
from velox_engine.errors import VeloxError
from velox_engine.jit import Interrupted, interruptible
from velox_engine.lockfree.clock import calibrate
from velox_engine.placement import this_machine
from velox_engine.report import package_version

ROUNDS: Final = 7
BRIEF_ROUNDS: Final = 5
_MEMORY: Final = Path("/dev/shm")
_NOT_BRIEFLY: Final = ("ring16384", "ring65536", "ring1024")

Progress = Callable[[str, int, int], None]
"""``progress(what, done, total)``: called as each measurement begins, and when all are done."""


class UnknownMeasureError(VeloxError):
    """A name that no measure has; the text says which is the nearest, and what there is."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        fronts = {name.rpartition(".")[0] for name in known} | {name.partition(".")[0] for name in known}
        near = difflib.get_close_matches(name, [*known, *fronts], 1, 0.0)[0]
        groups = ", ".join(dict.fromkeys(each.partition(".")[0] for each in known))
        super().__init__(
            f"got {name or 'an empty name'}, the nearest is {near}; allowed are {groups} and what they hold"
        )


def all_measures(bench: Bench) -> list[Measure]:
    """List what can be measured, in the order of the tables."""
    makers = (ring_measures, histogram_measures, book_measures, feed_measures, pipeline_measures, latency_measures)
    return [measure for maker in makers for measure in maker(bench)]


def chosen(measures: Sequence[Measure], only: Sequence[str], brief: bool) -> list[Measure]:
    """Pick measures by id, or by the front of it up to a dot; without ``only`` all, less the rarer ones if brief.

    Raises `UnknownMeasureError`.
    """
    if not only:
        return [each for each in measures if not (brief and each.id.rpartition(".")[2] in _NOT_BRIEFLY)]
    for name in only:
        if not any(_is(each, name) for each in measures):
            raise UnknownMeasureError(name, [each.id for each in measures])
    return [each for each in measures if any(_is(each, name) for name in only)]


def _is(measure: Measure, name: str) -> bool:
    return measure.id == name or measure.id.startswith(f"{name}.")


def alternate(
    measures: Sequence[Measure], rounds: int, progress: Progress, cancel: Cancel
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Run each measure once uncounted and then ``rounds`` times, in turn; return samples by figure, and failures.

    A measure that fails is told of and left out of the rounds that follow. When it is cancelled, what there is by then
    is returned.
    """
    samples: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    total, done = len(measures) * (rounds + 1), 0
    try:
        with interruptible(cancel.is_set):
            for turn in range(rounds + 1):
                for measure in measures:
                    progress(measure.id if turn else f"warming up {measure.id}", done, total)
                    done += 1
                    if measure.id in failed:
                        continue
                    cancel.check()
                    try:
                        found = measure.run()
                    except Exception as error:
                        cancel.check()  # what is ended in the middle of its work may well fail
                        failed[measure.id] = f"{error}" if str(error) else type(error).__name__
                        continue
                    if turn:
                        for name, value in zip(measure.names(), found, strict=True):
                            samples.setdefault(name, []).append(value)
    except (GivenUp, Interrupted):
        return samples, failed
    progress("done", total, total)
    return samples, failed


def run_bench(
    only: Iterable[str] = (),
    *,
    brief: bool = False,
    rounds: int | None = None,
    progress: Progress = lambda what, done, total: None,
    cancel: Cancel | None = None,
) -> Results:
    """Measure this machine; raises `UnknownMeasureError` for a name in ``only`` that no measure has."""
    started, begun = datetime.now(UTC), time.monotonic()
    rounds = rounds or (BRIEF_ROUNDS if brief else ROUNDS)
    cancel = cancel or Cancel()
    machine, clock = this_machine(), calibrate()
    with tempfile.TemporaryDirectory(prefix="velox-bench-", dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        bench = Bench(machine, clock, Path(folder), brief, cancel)
        measures = chosen(all_measures(bench), list(only), brief)
        surroundings = Surroundings(machine, clock.source)
        samples, failed = alternate([each for each in measures if not each.lacking], rounds, progress, cancel)
    kinds = {name: figure for each in measures for name, figure in zip(each.names(), each.figures, strict=True)}
    return Results(
        version=package_version(),
        mode="quick" if brief else "full",
        rounds=rounds,
        complete=not cancel.is_set(),
        started=started.isoformat(timespec="seconds"),
        duration_s=round(time.monotonic() - begun, 1),
        environment=surroundings.describe(),
        figures={
            name: FigureResult(kinds[name].unit, kinds[name].better, tuple(found)) for name, found in samples.items()
        },
        skipped={each.id: each.lacking for each in measures if each.lacking},
        failed=failed,
    )
