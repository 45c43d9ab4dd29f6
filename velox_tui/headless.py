"""Running without a screen: a line a second, the drain, the final statistics, the report, the exit code."""

from __future__ import annotations

import signal
import time
from typing import Final

from velox_engine.config import Config
from velox_engine.engine import Engine
from velox_engine.errors import EngineError
from velox_engine.lockfree.histogram_view import Histogram
from velox_engine.report import Report
from velox_engine.snapshot import State
from velox_tui.ending import FAILED, exit_code, write_report
from velox_tui.figures import drain_line, final_statistics, second_line
from velox_tui.options import RunOptions
from velox_tui.output import LineOutput
from velox_tui.progress import Progress
from velox_tui.signals import Ending
from velox_tui.streams import complain, put

_STEP_S: Final = 0.1


def run(config: Config, options: RunOptions) -> int:
    """Run the pipeline to its end without a screen; return the exit code.

    Raises `ConfigError` before anything has started.
    """
    engine = Engine(config)
    ending = Ending(engine)
    with ending.installed(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        return _run(engine, ending, options)


def _run(engine: Engine, ending: Ending, options: RunOptions) -> int:
    try:
        with Progress("compiling", lines=False) as progress:
            engine.start(progress)
    except EngineError:
        if ending.signal is None:
            raise
        complain(f"{ending.name} while starting: nothing was run")
        return 128 + ending.signal
    # with the report on standard output, everything else must leave it alone
    lines = None if options.report == "-" else LineOutput.standard()
    _follow(engine, lines)
    report = engine.stop()
    for warning in report.warnings:
        complain(warning)
    if lines is not None:
        lines.put(drain_line(report) + "\n")
        lines.put(final_statistics(report))
        lines.close()
    return _finish(report, ending, options)


def _follow(engine: Engine, lines: LineOutput | None) -> None:
    """Write a line a second until the engine has drained or stopped."""
    begun = time.monotonic()
    second = 0
    before = Histogram.empty()
    while True:
        due = begun + second + 1
        while time.monotonic() < due:
            if engine.wait(min(_STEP_S, max(due - time.monotonic(), 0.001))) >= State.DRAINED:
                return
        second += 1
        snapshot = engine.snapshot()
        if lines is not None:
            p99 = snapshot.output.latency.since(before).percentile(99)
            lines.put(second_line(second, snapshot, p99) + "\n")
        before = snapshot.output.latency


def _finish(report: Report, ending: Ending, options: RunOptions) -> int:
    code = exit_code(report, ending.signal)
    if options.report == "-":
        written = put(report.to_json() + "\n") == 0
    elif options.report is not None:
        written = write_report(report, options.report)
    else:
        written = True
    return code if written else FAILED
