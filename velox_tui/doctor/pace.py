"""How fast and how evenly the cores go: clock, frequency, sleeps, and who else takes their time."""

from __future__ import annotations

from typing import Final

from velox_engine.config import Config
from velox_engine.lockfree.counter import ARM64, X86_64, invariant_by_flags
from velox_tui.doctor.cores import CPU, chosen_cores, machine_of, named, worker_cores
from velox_tui.doctor.findings import Finding, Verdict
from velox_tui.doctor.system import System

_FAST_CLOCKS: Final = ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "xen")
_SHARP_NS: Final = 1_000
_SAMPLE_S: Final = 0.25
_STEAL_BETTER: Final = 0.01
_STEAL_HURTS: Final = 0.10


def check_counter(system: System, config: Config) -> Finding:
    """Look whether the cycle counter can be the clock."""
    del config
    source = system.read("sys/devices/system/clocksource/clocksource0/current_clocksource")
    values = {"clocksource": source}
    if system.machine in ARM64:
        return Finding("counter", Verdict.OK, "the generic timer is the clock (arm64)", values=values)
    if system.machine in X86_64 and not system.linux:
        told = "this system does not tell whether the cycle counter is invariant: the monotonic clock is used"
        return Finding("counter", Verdict.UNCHECKED, told)
    if system.machine in X86_64 and invariant_by_flags(system.read("proc/cpuinfo") or ""):
        return Finding("counter", Verdict.OK, "the cycle counter is invariant and is the clock", values=values)
    told = "the cycle counter is not invariant: the monotonic clock is used"
    if source is not None and source not in _FAST_CLOCKS:
        mend = "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource"
        return Finding("counter", Verdict.HURTS, f"{told}, and {source} makes each look at it slow", mend, values)
    mend = "in a virtual machine have invtsc passed on, for libvirt <feature policy='require' name='invtsc'/>"
    return Finding("counter", Verdict.BETTER, told, mend, values)


def check_governor(system: System, config: Config) -> Finding:
    """Look whether the chosen cores keep their frequency."""
    found: dict[str, list[int]] = {}
    for core in chosen_cores(system, config):
        governor = system.read(f"{CPU}/cpu{core}/cpufreq/scaling_governor")
        if governor:
            found.setdefault(governor, []).append(core)
    if not found:
        return Finding("governor", Verdict.UNCHECKED, "the system tells no frequency governor, as in virtual machines")
    told = "; ".join(f"{governor} on {named(cores)}" for governor, cores in sorted(found.items()))
    values = {"governors": dict(sorted(found.items()))}
    if set(found) == {"performance"}:
        return Finding("governor", Verdict.OK, told, values=values)
    told += ": the first transactions after a quiet moment are slow"
    return Finding("governor", Verdict.BETTER, told, "sudo cpupower frequency-set -g performance", values)


def check_timers(system: System, config: Config) -> Finding:
    """Look whether a worker's sleeps can end on time."""
    del config
    if not system.linux:
        return Finding("timers", Verdict.UNCHECKED, "this system does not tell how late a sleep may end")
    usual, sharp = system.number("proc/self/timerslack_ns"), system.sharpened_ns()
    values = {"usual_ns": usual, "workers_ns": sharp}
    if sharp is not None and sharp <= _SHARP_NS:
        told = f"the workers' sleeps end on time (timer slack {sharp} ns" + (f", usual {usual:,} ns)" if usual else ")")
        return Finding("timers", Verdict.OK, told, values=values)
    slack = sharp if sharp is not None else usual
    told = "the system does not let a thread set its timer slack: paced sleeps end late"
    told += f" ({slack:,} ns)" if slack is not None else ""
    return Finding("timers", Verdict.BETTER, told, "velox-tui --set threads.idle=spin, or allow prctl here", values)


def check_steal(system: System, config: Config) -> Finding:
    """Look how much time the host takes away."""
    del config
    first = _times(system)
    if first is None:
        return Finding("steal", Verdict.UNCHECKED, "this system does not tell what its host takes away")
    system.wait(_SAMPLE_S)
    second = _times(system) or first
    ever = first[0] / first[1] if first[1] else 0.0
    now = (second[0] - first[0]) / (second[1] - first[1]) if second[1] > first[1] else 0.0
    values = {"since_start": round(ever, 4), "now": round(now, 4)}
    told = f"the host took {ever:.1%} of the cores' time since the start, {now:.1%} now"
    if ever >= _STEAL_HURTS:
        verdict = Verdict.HURTS
    elif max(ever, now) >= _STEAL_BETTER:
        verdict = Verdict.BETTER
    else:
        return Finding("steal", Verdict.OK, told, values=values)
    return Finding("steal", verdict, told, "none from inside: a host with cores of its own for this machine", values)


def _times(system: System) -> tuple[int, int] | None:
    """Return the ticks stolen and the ticks in all (proc(5), ``/proc/stat``: guest time is in user time already)."""
    words = next(
        (line.split() for line in (system.read("proc/stat") or "").splitlines() if line.startswith("cpu ")), []
    )
    if len(words) < 9 or not all(word.isdecimal() for word in words[1:]):
        return None
    return int(words[8]), sum(int(word) for word in words[1:9])


def check_load(system: System, config: Config) -> Finding:
    """Look whether others use the cores."""
    workers = len(worker_cores(system, config))
    try:
        load = float((system.read("proc/loadavg") or "").split()[0])
    except (IndexError, ValueError):
        return Finding("load", Verdict.UNCHECKED, "this system does not tell its load here")
    cores = len(machine_of(system).present)
    values = {"load": load, "cores": cores}
    told = f"{load:g} threads ran or wanted to in the last minute, on {cores} cores"
    if load + workers > cores:
        told += f": {workers} more will not all find one free"
        return Finding("load", Verdict.BETTER, told, "top, to see what else runs", values)
    return Finding("load", Verdict.OK, told, values=values)


CHECKS: Final = (check_counter, check_governor, check_timers, check_steal, check_load)
