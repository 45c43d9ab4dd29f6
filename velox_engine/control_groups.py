"""What the control groups that this process is in allow it: cores and memory, of versions 1 and 2.

Every group above counts as well; the least limit is the one that is felt. Rules: the kernel's
``Documentation/admin-guide/cgroup-v2.rst`` and ``cgroup-v1/``, ``scheduler/sched-bwc.rst``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_GROUPS: Final = "sys/fs/cgroup"
_NO_LIMIT: Final = 1 << 60  # version 1 writes "no limit" as the largest page-aligned number


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit, infinity for none, and the file below the root that it was read from."""

    value: float = float("inf")
    file: str | None = None


def cores_of_quota(text: str) -> float:
    """Read ``cpu.max``: quota and period in µs, ``max`` for none; return how many cores that is."""
    quota, _, period = text.strip().partition(" ")
    return float("inf") if quota == "max" else int(quota) / int(period)


def core_limit(root: Path = Path("/")) -> Limit:
    """Return how many cores' worth of time the groups allow."""
    least = _least(root, "", "cpu.max", cores_of_quota)
    for directory in _groups(root, "cpu"):
        quota = directory / "cpu.cfs_quota_us"
        try:
            microseconds = int((root / quota).read_text())
            period = int((root / directory / "cpu.cfs_period_us").read_text())
        except (OSError, ValueError):
            continue
        if microseconds > 0 and period > 0 and microseconds / period < least.value:  # -1: none
            least = Limit(microseconds / period, str(quota))
    return least


def memory_limit(root: Path = Path("/")) -> Limit:
    """Return how many bytes of memory the groups allow."""

    def size(text: str) -> float:
        number = float("inf") if text.strip() == "max" else int(text)
        return number if number < _NO_LIMIT else float("inf")

    limits = (_least(root, "", "memory.max", size), _least(root, "memory", "memory.limit_in_bytes", size))
    return min(limits, key=lambda limit: limit.value)


def _least(root: Path, controller: str, name: str, read: Callable[[str], float]) -> Limit:
    least = Limit()
    for directory in _groups(root, controller):
        file = directory / name
        try:
            value = read((root / file).read_text())
        except (OSError, ValueError, ZeroDivisionError):
            continue  # the root has none, nor has a system without control groups
        if value < least.value:
            least = Limit(value, str(file))
    return least


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield this process's group of a controller and those above, below ``root``; no controller: version 2."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    own, mounts = "/", ["unified", ""] if not controller else [controller]
    for line in lines:
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if controller in names.split(","):
            own, mounts = path, [*mounts, names] if names not in mounts else mounts
    group = Path(os.path.normpath("/" + own.lstrip("/"))).relative_to("/")
    for mount in mounts:
        if (root / _GROUPS / mount).is_dir():
            yield from (Path(_GROUPS, mount, each) for each in (group, *group.parents))
            return
