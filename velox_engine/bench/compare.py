"""What changed between two benchmarks beyond the noise, and what makes them hard to compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from velox_engine.bench.results import Results
from velox_engine.bench.statistics import Spread, Verdict, verdict

_SAME: Final = ("cpu", "cores_allowed", "machine", "python", "numba", "numpy", "llvmlite")
"""What the environments should have in common; a different processor makes every figure another one."""
_MOST_STEAL: Final = 2.0  # percent
_MOST_OTHERS: Final = 20.0  # percent of a core


@dataclass(frozen=True, slots=True)
class Change:
    """One figure in both: ``ratio`` is new over old, ``None`` where the old median is 0."""

    name: str
    unit: str
    old: Spread
    new: Spread
    verdict: Verdict

    @property
    def ratio(self) -> float | None:
        """The new median over the old one."""
        return self.new.median / self.old.median if self.old.median else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All figures that both have, in the new one's order; the ids that only one has; and doubts, in words."""

    changes: tuple[Change, ...]
    gone: tuple[str, ...]
    added: tuple[str, ...]
    doubts: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as plain values, ready for JSON."""
        return {
            "figures": {
                change.name: {
                    "old": change.old.median,
                    "new": change.new.median,
                    "ratio": change.ratio,
                    "verdict": change.verdict.value,
                }
                for change in self.changes
            },
            "gone": list(self.gone),
            "added": list(self.added),
            "doubts": list(self.doubts),
        }


def compare(old: Results, new: Results) -> Comparison:
    """Compare figure by figure; figures of another unit count as gone and added."""
    both = [name for name in new.figures if name in old.figures and old.figures[name].unit == new.figures[name].unit]
    changes = []
    for name in both:
        before, after, figure = old.figures[name].spread, new.figures[name].spread, new.figures[name]
        changes.append(Change(name, figure.unit, before, after, verdict(before, after, figure.better)))
    gone = tuple(name for name in old.figures if name not in both)
    added = tuple(name for name in new.figures if name not in both)
    return Comparison(tuple(changes), gone, added, tuple(_doubts(old, new)))


def _doubts(old: Results, new: Results) -> list[str]:
    doubts = []
    for key in _SAME:
        before, after = old.environment.get(key), new.environment.get(key)
        if before != after:
            doubts.append(f"{key} was {before}, is {after}")
    if old.mode != new.mode:
        doubts.append(f"the old one is {old.mode}, the new one {new.mode}: their runs are of different length")
    for word, each in (("old", old), ("new", new)):
        steal = each.environment.get("steal_percent")
        if isinstance(steal, int | float) and steal > _MOST_STEAL:
            doubts.append(f"the {word} one lost {steal:.1f} % of the processor to other guests of its host")
        others = each.environment.get("others_percent")
        if isinstance(others, int | float) and others > _MOST_OTHERS:
            doubts.append(f"other processes took {others:.0f} % of a core during the {word} one")
        if not each.complete:
            doubts.append(f"the {word} one was ended early")
    return doubts
