"""What a check finds: a verdict, what was seen, and what mends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from textwrap import wrap
from typing import Any, Final

SCHEMA: Final = 1
_NAME: Final = 11
_INDENT: Final = 29
_WIDTH: Final = 118


class Verdict(Enum):
    """How much it matters, the least first; the words are those of the output."""

    OK = "ok"
    UNCHECKED = "not checked"
    BETTER = "could be better"
    HURTS = "will hurt"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of a check: its ``name``, what was ``told``, what would ``mend`` it (a command or words), figures."""

    name: str
    verdict: Verdict
    told: str
    mend: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


def worst(findings: Sequence[Finding]) -> Verdict:
    """Return the verdict on the whole; what was not checked counts for nothing."""
    found = {finding.verdict for finding in findings}
    return next((verdict for verdict in (Verdict.HURTS, Verdict.BETTER) if verdict in found), Verdict.OK)


def summary(findings: Sequence[Finding]) -> str:
    """Say in a line how many findings there are of each kind."""
    counts = {verdict: sum(finding.verdict is verdict for finding in findings) for verdict in Verdict}
    order = (Verdict.OK, Verdict.BETTER, Verdict.HURTS, Verdict.UNCHECKED)
    return ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in order if counts[verdict])


def as_text(findings: Sequence[Finding]) -> str:
    """Write the findings for people: a line each, what mends it below."""
    rows = []
    for finding in findings:
        head = f"  {finding.verdict.value:16}{finding.name:{_NAME}}"
        first, *more = wrap(finding.told, _WIDTH - _INDENT) or [""]
        rows += [head + first, *(" " * _INDENT + line for line in more)]
        # never wrapped: a command is there to be copied
        rows += [" " * _INDENT + f"-> {finding.mend}"] if finding.mend else []
    return "\n".join([*rows, summary(findings)]) + "\n"


def as_json(findings: Sequence[Finding], version: str) -> dict[str, Any]:
    """Give the findings as values for JSON."""
    return {
        "schema": SCHEMA,
        "version": version,
        "verdict": worst(findings).value,
        "checks": [
            {
                "name": finding.name,
                "verdict": finding.verdict.value,
                "told": finding.told,
                "mend": finding.mend or None,
                "values": dict(finding.values),
            }
            for finding in findings
        ],
    }
