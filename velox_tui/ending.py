"""How a run ends for whoever started it: the exit code, and the report written where it was asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

from velox_engine.report import Report
from velox_engine.whole_file import write_whole
from velox_tui.output import LineOutput

FAILED: Final = 1
WRONG_USE: Final = 2
DRAIN_LATE: Final = 3
LIMIT_MISSED: Final = 4
TO_OUTPUT: Final = "-"
"""The path of a report that goes to standard output."""


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


def write_report(report: Report, path: str, messages: LineOutput, given_up: Callable[[], bool] = lambda: False) -> bool:
    """Write the report as JSON to a file, whole or not at all, or with ``"-"`` to standard output.

    That waits for its reader, from ``given_up()`` on for a moment only. Where the report cannot be written it goes to
    ``messages``. Say whether it was written.
    """
    text = report.to_json() + "\n"
    problem = _write_to_output(text, given_up) if path == TO_OUTPUT else _write_to_file(text, path)
    if problem is None:
        return True
    where = "standard output" if path == TO_OUTPUT else path
    messages.tell(f"the report could not be written to {where}: {problem}; here it is")
    messages.put(text)
    return False


def _write_to_output(text: str, given_up: Callable[[], bool]) -> str | None:
    output = LineOutput.standard()
    output.put(text)
    output.close(math.inf, given_up)
    return output.problem


def _write_to_file(text: str, path: str) -> str | None:
    try:
        _write_to(Path(path), text)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _write_to(path: Path, text: str) -> None:
    if path.exists() and not path.is_file():  # a pipe or a device takes what it is given
        path.write_text(text, encoding="utf-8")
    else:
        write_whole(path, text.encode())
