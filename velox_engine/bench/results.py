"""The results of a benchmark as a value: written as JSON, and read back with every doubt about it told in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from velox_engine.bench.statistics import Spread, spread
from velox_engine.errors import VeloxError

KIND: Final = "velox-tui bench"
SCHEMA: Final = 1
_MOST_BYTES: Final = 16 << 20
_BETTER: Final = ("higher", "lower", "neither")


class ResultsError(VeloxError):
    """A file that holds no results of ours; the text names the file and says why."""


@dataclass(frozen=True, slots=True)
class FigureResult:
    """One figure: what it is counted in, which way is better, and every repetition."""

    unit: str
    better: str
    samples: tuple[float, ...]

    @property
    def spread(self) -> Spread:
        """Its median and spread."""
        return spread(self.samples)


@dataclass(frozen=True, slots=True)
class Results:
    """What a benchmark found.

    ``figures`` by id; ``skipped`` and ``failed`` say by measure why there are none. ``complete`` is false where it was
    ended early.
    """

    version: str
    mode: str
    rounds: int
    complete: bool
    started: str
    duration_s: float
    environment: Mapping[str, Any]
    figures: Mapping[str, FigureResult]
    skipped: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the results as plain values, ready for JSON: each figure with its samples and what they tell."""
        figures = {}
        for name, figure in self.figures.items():
            told = figure.spread
            figures[name] = {
                "unit": figure.unit,
                "better": figure.better,
                "median": told.median,
                "mad": told.mad,
                "min": told.least,
                "max": told.largest,
                "samples": list(figure.samples),
            }
        return {
            "kind": KIND,
            "schema": SCHEMA,
            "version": self.version,
            "mode": self.mode,
            "rounds": self.rounds,
            "complete": self.complete,
            "started": self.started,
            "duration_s": self.duration_s,
            "environment": dict(self.environment),
            "figures": figures,
            "skipped": dict(self.skipped),
            "failed": dict(self.failed),
        }


def read_results(path: str | Path) -> Results:
    """Read what `Results.as_dict` wrote as JSON; raises `ResultsError` for anything else."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # the latter for a NUL in the name
        why = error.strerror if isinstance(error, OSError) else None
        raise ResultsError(f"{path}: {why or error}") from None
    if len(content) > _MOST_BYTES:
        raise ResultsError(f"{path}: larger than {_MOST_BYTES >> 20} MiB, which no results are")
    try:
        read = json.loads(content)
    except (ValueError, RecursionError) as error:
        place = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ResultsError(f"{path}: no JSON{place}; expected what {KIND} --json writes") from None
    if not isinstance(read, dict) or read.get("kind") != KIND:
        raise ResultsError(f"{path}: not the results of a benchmark; expected what {KIND} --json writes")
    if read.get("schema") != SCHEMA:
        raise ResultsError(f"{path}: schema {read.get('schema')!r}; this version reads {SCHEMA}")
    try:
        return _from_dict(read)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise ResultsError(f"{path}: damaged results: {what}") from None


def _from_dict(read: dict[str, Any]) -> Results:
    figures = {str(name): _figure(str(name), each) for name, each in read["figures"].items()}
    return Results(
        version=str(read["version"]),
        mode=str(read["mode"]),
        rounds=int(read["rounds"]),
        complete=bool(read["complete"]),
        started=str(read["started"]),
        duration_s=float(read["duration_s"]),
        environment=dict(read["environment"]),
        figures=figures,
        skipped=dict(read["skipped"]),
        failed=dict(read["failed"]),
    )


def _figure(name: str, read: dict[str, Any]) -> FigureResult:
    samples = read["samples"]
    if not isinstance(samples, list) or not samples:
        raise ValueError(f"figures.{name}.samples: expected a list of numbers")
    for sample in samples:
        if isinstance(sample, bool) or not isinstance(sample, int | float) or not math.isfinite(sample):
            raise ValueError(f"figures.{name}.samples: got {sample!r}; expected numbers")
    if read["better"] not in _BETTER:
        raise ValueError(f"figures.{name}.better: got {read['better']!r}; expected one of {', '.join(_BETTER)}")
    return FigureResult(str(read["unit"]), str(read["better"]), tuple(float(sample) for sample in samples))
