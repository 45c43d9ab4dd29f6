"""The cores: which there are, which are allowed, which the workers take, and what lies between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from velox_engine.config import Config
from velox_engine.control_groups import core_limit
from velox_engine.errors import ConfigError
from velox_engine.placement import Machine, parse_cores, plan, this_machine
from velox_engine.telemetry.layout import STAGE_NAMES
from velox_tui.doctor.findings import Finding, Verdict
from velox_tui.doctor.system import System

CPU: Final = "sys/devices/system/cpu"


def listed(cores: Iterable[int]) -> str:
    """Write cores as Linux does: ``0-3,8``; empty for none."""
    parts: list[list[int]] = []
    for core in sorted(cores):
        if parts and core == parts[-1][-1] + 1:
            parts[-1].append(core)
        else:
            parts.append([core])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def named(cores: Sequence[int]) -> str:
    """Write cores with their noun."""
    return f"core {listed(cores)}" if len(cores) == 1 else f"cores {listed(cores)}"


def cores_in(text: str) -> tuple[int, ...]:
    """Read a list of cores as Linux writes it; none where it is none."""
    try:
        return parse_cores(text)
    except ValueError:
        return ()


def machine_of(system: System) -> Machine:
    """Return the cores as the engine's placement sees them."""
    return this_machine(system.root, system.allowed)


def chosen_cores(system: System, config: Config) -> tuple[int, ...]:
    """Return the cores that workers would run on; all allowed ones where they would run unpinned, or could not."""
    try:
        workers = plan(config, machine_of(system)).workers
    except ConfigError:
        return system.allowed
    return tuple(sorted(worker.core for worker in workers if worker.core is not None)) or system.allowed


def check_cores(system: System, config: Config) -> Finding:
    """Compare the cores that are allowed with those that are asked for."""
    machine = machine_of(system)
    values: dict[str, Any] = {"present": list(machine.present), "allowed": list(machine.allowed)}
    told = f"{len(machine.allowed)} of {len(machine.present)} cores allowed ({listed(machine.allowed)})"
    try:
        placement = plan(config, machine)
    except ConfigError as error:
        return Finding("cores", Verdict.HURTS, str(error), f"velox-tui --set {error.key}=auto", values)
    values["workers"] = [{"stages": list(worker.names), "core": worker.core} for worker in placement.workers]
    where = "; ".join(
        f"{', '.join(worker.names)} on {'any core' if worker.core is None else f'core {worker.core}'}"
        for worker in placement.workers
    )
    told = f"{told}: {where}"
    if placement.warnings:
        missing = tuple(core for core in machine.present if core not in machine.allowed)
        mend = f"taskset -c {listed(machine.present)} velox-tui" if missing and machine.pins else ""
        mend = mend or "none: this system does not bind threads to cores"
        return Finding("cores", Verdict.BETTER, f"{told}; {'; '.join(placement.warnings)}", mend, values)
    if len(machine.allowed) == 1:
        told += "; the screen and the system share the only core with the engine"
        return Finding("cores", Verdict.BETTER, told, _more_cores(machine), values)
    if config.pipeline.ingress_rate_hz == "max" and machine.usable < 3:
        told += "; at maximum rate a third core would let ingress have one of its own"
        return Finding("cores", Verdict.BETTER, told, _more_cores(machine), values)
    return Finding("cores", Verdict.OK, told, values=values)


def _more_cores(machine: Machine) -> str:
    if len(machine.allowed) < len(machine.present):
        return f"taskset -c {listed(machine.present)} velox-tui"
    return "none: a machine with more cores"


def check_quota(system: System, config: Config) -> Finding:
    """Look whether a control group gives less time than the cores have."""
    if not system.linux:
        return Finding("cgroup", Verdict.UNCHECKED, "this system has no control groups")
    limit = core_limit(system.root)
    if limit.file is None:
        return Finding("cgroup", Verdict.OK, "no limit on processor time")
    values = {"cores": limit.value, "file": f"/{limit.file}"}
    told = f"processor time of {limit.value:g} cores (/{limit.file})"
    needed = len(worker_cores(system, config))
    if limit.value < needed:
        told += f", and {'the worker wants' if needed == 1 else f'{needed} workers want'} {needed}: they are held up"
        return Finding("cgroup", Verdict.HURTS, told, _lift(needed + 1), values)
    if limit.value < needed + 1:
        return Finding("cgroup", Verdict.BETTER, f"{told}: nothing is left for the screen", _lift(needed + 1), values)
    return Finding("cgroup", Verdict.OK, told, values=values)


def worker_cores(system: System, config: Config) -> tuple[int | None, ...]:
    """Return the core of each worker; one unpinned worker where the plan fails, which is told elsewhere."""
    try:
        return tuple(worker.core for worker in plan(config, machine_of(system)).workers)
    except ConfigError:
        return (None,)


def _lift(cores: int) -> str:
    return f"docker update --cpus {cores} CONTAINER, or in a systemd unit CPUQuota={cores}00%"


def check_siblings(system: System, config: Config) -> Finding:
    """Look whether two workers share one core's units."""
    chosen = chosen_cores(system, config)
    shared = set()
    known = False
    for core in chosen:
        siblings = system.read(f"{CPU}/cpu{core}/topology/thread_siblings_list")
        if siblings is not None:
            known = True
            both = tuple(each for each in cores_in(siblings) if each in chosen)
            shared |= {both} if len(both) > 1 else set()
    if not known:
        return Finding("siblings", Verdict.UNCHECKED, "the system does not tell which cores are hyper-threads of one")
    if shared:
        pairs = "; ".join(sorted(listed(both) for both in shared))
        told = f"workers share a core as hyper-threads: {pairs}"
        mend = _apart(system, config, min(shared)[0], chosen)
        return Finding("siblings", Verdict.BETTER, told, mend, {"shared": sorted(map(list, shared))})
    return Finding("siblings", Verdict.OK, f"no two workers are hyper-threads of one core ({named(chosen)})")


def _apart(system: System, config: Config, core: int, chosen: Sequence[int]) -> str:
    """Say how the stages on a core are moved to one whose hyper-threads do nothing else."""
    for other in system.allowed:
        siblings = cores_in(system.read(f"{CPU}/cpu{other}/topology/thread_siblings_list") or str(other))
        if not set(siblings) & set(chosen):
            workers = plan(config, machine_of(system)).workers
            moved = [name for worker in workers if worker.core == core for name in worker.names]
            return _placed(dict.fromkeys(moved, other))
    return "none: no allowed core is free of them"


def _placed(cores: Mapping[str, int]) -> str:
    return " ".join(["velox-tui", *(f"--set threads.{stage}_core={core}" for stage, core in cores.items())])


def check_numa(system: System, config: Config) -> Finding:
    """Look whether the workers are on one memory node."""
    chosen = chosen_cores(system, config)
    nodes = {}
    for node in cores_in(system.read("sys/devices/system/node/online") or ""):
        cores = cores_in(system.read(f"sys/devices/system/node/node{node}/cpulist") or "")
        nodes[node] = cores
    if not nodes:
        return Finding("numa", Verdict.UNCHECKED, "the system does not tell of memory nodes")
    used = sorted(node for node, cores in nodes.items() if set(cores) & set(chosen))
    values = {"nodes": len(nodes), "used": used}
    if len(used) > 1:
        near = max(used, key=lambda node: len(set(nodes[node]) & set(system.allowed)))
        told = f"the workers are on nodes {listed(used)}: every transaction crosses between their memories"
        return Finding("numa", Verdict.HURTS, told, f"taskset -c {listed(nodes[near])} velox-tui", values)
    told = "one memory node" if len(nodes) == 1 else f"all workers on node {listed(used)} of {len(nodes)}"
    return Finding("numa", Verdict.OK, told, values=values)


def check_isolated(system: System, config: Config) -> Finding:
    """Look whether the chosen cores are kept free of everything else."""
    text = system.read(f"{CPU}/isolated")
    if text is None:
        return Finding("isolated", Verdict.UNCHECKED, "the system does not tell which cores are isolated")
    isolated, chosen = cores_in(text), chosen_cores(system, config)
    values = {"isolated": list(isolated)}
    if isolated and set(chosen) <= set(isolated):
        return Finding("isolated", Verdict.OK, f"the workers' {named(chosen)} isolated", values=values)
    if isolated:
        told = f"{named(isolated)} isolated, but the workers use {named(chosen)}"
        first, *others = STAGE_NAMES
        mend = _placed({first: isolated[0], **dict.fromkeys(others, isolated[-1])})
        if not set(isolated) <= set(system.allowed):
            mend = f"taskset -c {listed({*system.allowed, *isolated})} {mend}"
        return Finding("isolated", Verdict.BETTER, told, mend, values)
    told = f"no core is isolated: other work may interrupt the workers on {named(chosen)}"
    cores = listed(chosen)
    mend = f"boot Linux with isolcpus={cores} nohz_full={cores} rcu_nocbs={cores}"
    return Finding("isolated", Verdict.BETTER, told, mend, values)


CHECKS: Final = (check_cores, check_quota, check_siblings, check_numa, check_isolated)
