"""How a run ends for whoever started it: the exit code, and the report written where it was asked for."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from velox_engine.report import Report
from velox_tui.streams import complain

FAILED: Final = 1
WRONG_USE: Final = 2
DRAIN_LATE: Final = 3
LIMIT_MISSED: Final = 4


def exit_code(report: Report, signal_number: int | None) -> int:
    """Return the exit code of a run: the first that applies of failure, late drain, signal, missed limit."""
    if report.state == "failed" or report.problems or not report.conserved or report.sink.get("lost"):
        return FAILED
    if report.drain_timed_out:
        return DRAIN_LATE
    if signal_number is not None:
        return 128 + signal_number
    if any(not limit["met"] for limit in report.limits.values()):
        return LIMIT_MISSED
    return 0


def write_report(report: Report, path: str) -> bool:
    """Write the report as JSON to a file, whole or not at all; where that fails it goes to standard error.

    Say whether it was written.
    """
    text = report.to_json() + "\n"
    try:
        _write_whole(Path(path), text)
    except OSError as error:
        complain(f"the report could not be written to {path}: {error.strerror or error}; here it is")
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(text)
            sys.stderr.flush()
        return False
    return True


def _write_whole(path: Path, text: str) -> None:
    if path.exists() and not path.is_file():  # a pipe or a device takes what it is given
        with path.open("w", encoding="utf-8") as file:
            file.write(text)
        return
    target = path.resolve()
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
