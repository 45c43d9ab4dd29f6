"""Running all checks; one that fails is told like one that could not be made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from velox_engine.config import Config
from velox_tui.doctor import cores, memory, pace, reach, software, surroundings
from velox_tui.doctor.findings import Finding, Verdict
from velox_tui.doctor.system import System

Check = Callable[[System, Config], Finding]

CHECKS: Final[tuple[Check, ...]] = (
    *cores.CHECKS,
    *pace.CHECKS,
    *memory.CHECKS,
    *surroundings.CHECKS,
    *reach.CHECKS,
    *software.CHECKS,
)


def examine(system: System, config: Config) -> list[Finding]:
    """Make every check; return what each found, in the order in which they are shown."""
    return [_checked(check, system, config) for check in CHECKS]


def _checked(check: Check, system: System, config: Config) -> Finding:
    try:
        return check(system, config)
    except Exception as error:  # what a strange system tells must not keep the other checks from being seen
        name = check.__name__.removeprefix("check_").replace("_", " ")
        return Finding(name, Verdict.UNCHECKED, f"could not be checked: {type(error).__name__}: {error}")
