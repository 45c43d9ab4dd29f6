"""Which stages share a worker, and on which core it runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from velox_engine.config import Config
from velox_engine.control_groups import core_limit
from velox_engine.errors import ConfigError
from velox_engine.telemetry.layout import STAGE_NAMES

_PRESENT: Final = "sys/devices/system/cpu/present"


@dataclass(frozen=True, slots=True)
class Machine:
    """The cores there are, those that this process may use, and how many of them a cgroup limit is worth.

    ``pins`` says whether a thread can be bound to a core here at all.
    """

    present: tuple[int, ...]
    allowed: tuple[int, ...]
    limit: float
    pins: bool

    @property
    def usable(self) -> int:
        """How many workers can run at once."""
        return max(1, int(min(len(self.allowed), self.limit)))


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """One worker: a bit mask of its stages, and its core (``None``: not pinned)."""

    stages: int
    core: int | None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its stages."""
        return tuple(name for stage, name in enumerate(STAGE_NAMES) if self.stages >> stage & 1)


@dataclass(frozen=True, slots=True)
class Placement:
    """The workers of a run, and what could not be had as asked."""

    workers: tuple[WorkerPlan, ...]
    warnings: tuple[str, ...]


def parse_cores(text: str) -> tuple[int, ...]:
    """Read a list of cores as Linux writes it: ``0-3,8``."""
    cores: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cores.extend(range(int(first), int(last or first) + 1))
    return tuple(cores)


def this_machine(root: Path = Path("/"), allowed: Sequence[int] | None = None) -> Machine:
    """Ask the system, whose files lie below ``root``, for its cores and the cgroup limit.

    ``allowed`` are the cores that this process may use; its affinity mask if they are not given.
    """
    count = os.cpu_count() or 1
    try:
        present = parse_cores((root / _PRESENT).read_text())
    except (OSError, ValueError):
        present = tuple(range(count))
    pins = hasattr(os, "sched_setaffinity")
    if allowed is None:
        allowed = sorted(os.sched_getaffinity(0)) if pins else present
    return Machine(present, tuple(allowed), core_limit(root).value, pins)


def _automatic(config: Config, machine: Machine) -> list[int]:
    """Choose a core for each stage.

    A paced flow fits one core many times over, and one worker hands a batch from stage to stage in its own cache. At
    maximum rate ingress gets a core of its own where that leaves at least one free for the screen; the last cores are
    taken first, because the system's own work gathers on the first.
    """
    cores = machine.allowed[-machine.usable :]
    last = cores[-1]
    if config.pipeline.ingress_rate_hz == "max" and machine.usable >= 3:
        return [cores[-2], last, last, last]
    return [last] * 4


def plan(config: Config, machine: Machine) -> Placement:
    """Place the stages. Stages on one core share one worker.

    A core that the machine does not have is a `ConfigError`; one that exists but is not allowed is replaced with a
    warning. Where threads cannot be pinned the workers run unpinned, with a warning.
    """
    warnings: list[str] = []
    cores = _automatic(config, machine)
    for stage, name in enumerate(STAGE_NAMES):
        asked = getattr(config.threads, f"{name}_core")
        if asked == "auto":
            continue
        if asked not in machine.present:
            raise ConfigError(
                f"got {asked}, which this machine does not have",
                key=f"threads.{name}_core",
                value=asked,
                allowed=f'"auto" or one of the cores {_listed(machine.present)}',
            )
        if asked in machine.allowed:
            cores[stage] = asked
        else:
            cores[stage] = machine.allowed[asked % len(machine.allowed)]
            warnings.append(f"core {asked} of {name} is not allowed to this process: core {cores[stage]} used instead")
    masks: dict[int, int] = {}
    for stage, core in enumerate(cores):
        masks[core] = masks.get(core, 0) | 1 << stage
    if not machine.pins:
        warnings.append("this system does not bind threads to cores: the workers run unpinned")
    workers = tuple(WorkerPlan(mask, core if machine.pins else None) for core, mask in masks.items())
    return Placement(workers, tuple(warnings))


def _listed(cores: Sequence[int]) -> str:
    return f"{cores[0]} … {cores[-1]}" if len(cores) > 1 else str(cores[0])
