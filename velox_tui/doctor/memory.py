"""Memory and what else the system rations: room for the telemetry, huge pages, limits."""

from __future__ import annotations

from typing import Final

from velox_engine.config import Config
from velox_engine.control_groups import memory_limit
from velox_engine.telemetry.region import region_bytes
from velox_tui.doctor.cores import worker_cores
from velox_tui.doctor.findings import Finding, Verdict
from velox_tui.doctor.system import System

_MB: Final = 1_000_000
_NEEDED: Final = 400 * _MB  # a run with the dashboard holds 200 MB, one that compiles 350 MB
_FILES_NEEDED: Final = 64
_FILES_EASY: Final = 256
_MOST_SYMBOLS: Final = 16_384  # that telemetry has room for with a recorded file (`source.py`)
_HUGE: Final = "sys/kernel/mm/transparent_hugepage/enabled"


def check_memory(system: System, config: Config) -> Finding:
    """Compare the memory that may be used with what a run takes."""
    del config
    limit, available = memory_limit(system.root), _available(system)
    if available is None and limit.file is None:
        return Finding("memory", Verdict.UNCHECKED, "this system does not tell how much memory is free here")
    values = {"available": available, "limit": None if limit.file is None else int(limit.value)}
    told = "no group limits it" if limit.file is None else f"limited to {limit.value / _MB:,.0f} MB (/{limit.file})"
    told += "" if available is None else f", {available / _MB:,.0f} MB available"
    if min(limit.value, float("inf") if available is None else available) < _NEEDED:
        told += f"; a run takes up to {_NEEDED // _MB} MB"
        mend = "free some, or docker update --memory 1g CONTAINER, or in a systemd unit MemoryMax=1G"
        return Finding("memory", Verdict.HURTS, told, mend, values)
    return Finding("memory", Verdict.OK, told, values=values)


def _available(system: System) -> int | None:
    for line in (system.read("proc/meminfo") or "").splitlines():
        name, _, amount = line.partition(":")
        if name == "MemAvailable" and amount.split()[0].isdecimal():
            return int(amount.split()[0]) * 1024
    return None


def check_telemetry(system: System, config: Config) -> Finding:
    """Look whether there is room for the telemetry region that others attach to."""
    directory = system.regions
    symbols = 1 if config.source.kind == "synthetic" else _MOST_SYMBOLS
    needed = region_bytes(len(worker_cores(system, config)), symbols)
    free = system.free_bytes(directory)
    values = {"directory": str(directory), "needed": needed, "free": free}
    if free is None:
        return Finding("telemetry", Verdict.UNCHECKED, f"{directory} does not tell how much room it has", values=values)
    told = f"{free / _MB:,.1f} MB free for {directory}, {needed / _MB:,.1f} MB wanted"
    if free < needed:
        told += ": the engine runs, but nobody can attach to it"
        mend = f"sudo mount -o remount,size=64m {directory.parent}, or docker run --shm-size=64m"
        return Finding("telemetry", Verdict.HURTS, told, mend, values)
    return Finding("telemetry", Verdict.OK, told, values=values)


def check_huge_pages(system: System, config: Config) -> Finding:
    """Look whether large arrays can lie in huge pages: numpy asks for them by ``madvise``."""
    del config
    text = system.read(_HUGE)
    if text is None:
        return Finding("huge pages", Verdict.UNCHECKED, "the system tells nothing of transparent huge pages")
    chosen = next((word.strip("[]") for word in text.split() if word.startswith("[")), text)
    values = {"transparent": chosen}
    if chosen == "never":
        told = "transparent huge pages are off: large books cost more address translation"
        return Finding("huge pages", Verdict.BETTER, told, f"echo madvise | sudo tee /{_HUGE}", values)
    if system.environ.get("NUMPY_MADVISE_HUGEPAGE") == "0" and chosen == "madvise":
        told = "NUMPY_MADVISE_HUGEPAGE=0 keeps large arrays out of huge pages"
        return Finding("huge pages", Verdict.BETTER, told, "unset NUMPY_MADVISE_HUGEPAGE", values)
    return Finding("huge pages", Verdict.OK, f"transparent huge pages: {chosen}", values=values)


def check_locked_memory(system: System, config: Config) -> Finding:
    """Tell the limit on locked memory, which nothing here needs yet is often asked for."""
    del config
    limit = system.rlimits["memlock"]
    told = "no limit" if limit is None else f"at most {limit / _MB:,.1f} MB"
    return Finding("memlock", Verdict.OK, f"{told}; the engine locks no memory", values={"bytes": limit})


def check_files(system: System, config: Config) -> Finding:
    """Look how many files may be open."""
    del config
    limit = system.rlimits["nofile"]
    values = {"files": limit}
    if limit is None or limit >= _FILES_EASY:
        told = "no limit on open files" if limit is None else f"{limit:,} files may be open"
        return Finding("nofile", Verdict.OK, told, values=values)
    verdict = Verdict.BETTER if limit >= _FILES_NEEDED else Verdict.HURTS
    told = f"{limit} files may be open: few for watchers and scrapes beside the engine's own"
    return Finding("nofile", verdict, told, "ulimit -n 1024", values)


CHECKS: Final = (check_memory, check_telemetry, check_huge_pages, check_locked_memory, check_files)
