"""What others reach it by: the port that metrics are served on, and the place where the log goes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from velox_engine.config import Config
from velox_tui.doctor.findings import Finding, Verdict
from velox_tui.doctor.system import System
from velox_tui.log.place import wanted_path

_MB: Final = 1_000_000
_LEAST_FREE: Final = 10 * _MB


def check_port(system: System, config: Config) -> Finding:
    """Look whether the port of the metrics can be had."""
    metrics = config.metrics
    if not metrics.enabled:
        return Finding("metrics", Verdict.OK, "off")
    values = {"host": metrics.host, "port": metrics.port}
    where = f"{metrics.host}:{metrics.port}"
    problem = None if metrics.port == 0 else system.port_problem(metrics.host, metrics.port)
    if problem is None:
        return Finding("metrics", Verdict.OK, f"{where} is free" if metrics.port else "any free port", values=values)
    mend = "velox-tui --set metrics.port=0, for any that is free"
    return Finding("metrics", Verdict.HURTS, f"{where}: {problem}", mend, values)


def check_log(system: System, config: Config) -> Finding:
    """Look whether the log can be written."""
    path = wanted_path(config, system.environ)
    if path is None:
        return Finding("log", Verdict.OK, "off")
    values = {"file": str(path)}
    near = next((each for each in (path, *path.parents) if each.exists()), Path("/"))
    if not os.access(near, os.W_OK) or (near != path and not near.is_dir()):
        mend = "velox-tui --set log.file=FILE, or --set log.file=none"
        return Finding("log", Verdict.BETTER, f"{path} cannot be written", mend, values)
    free = system.free_bytes(near)
    if free is not None and free < _LEAST_FREE:
        told = f"{path}: {free / _MB:,.1f} MB free"
        return Finding("log", Verdict.BETTER, told, "free some, or velox-tui --set log.file=FILE elsewhere", values)
    return Finding("log", Verdict.OK, str(path), values=values)


CHECKS: Final = (check_port, check_log)
