"""Whether this machine's cycle counter can be a clock. Imports nothing heavy: the compile cache's key asks it too."""

from __future__ import annotations

import platform
import sys
from functools import cache
from pathlib import Path
from typing import Final

ARM64: Final = ("aarch64", "arm64")
X86_64: Final = ("x86_64", "amd64")
_CPUINFO: Final = Path("/proc/cpuinfo")


def invariant_by_flags(cpuinfo: str) -> bool:
    """Say whether x86 processor flags promise a counter of constant rate that does not stop in sleep states.

    Intel SDM vol. 3, "Time-Stamp Counter"; Linux shows it as ``constant_tsc`` and ``nonstop_tsc``. Every processor of
    the listing must have both.
    """
    listed = [line.split(":", 1)[1].split() for line in cpuinfo.splitlines() if line.startswith("flags")]
    return bool(listed) and all("constant_tsc" in flags and "nonstop_tsc" in flags for flags in listed)


@cache
def has_invariant_counter() -> bool:
    """Say whether the cycle counter runs at one rate, always, on all cores.

    arm64's generic timer does by its architecture (Arm ARM, D12); x86-64 by its flags, which only Linux shows.
    """
    machine = platform.machine().lower()
    if machine in ARM64:
        return True
    if machine not in X86_64 or not sys.platform.startswith("linux"):
        return False
    try:
        return invariant_by_flags(_CPUINFO.read_text())
    except OSError:
        return False
