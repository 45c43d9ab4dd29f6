"""Running without a screen: a line a second, the drain, the final statistics, the report, the exit code."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable
from typing import Final

from velox_engine.config import Config
from velox_engine.engine import Engine
from velox_engine.errors import EngineError
from velox_engine.lockfree.histogram_view import Histogram
from velox_engine.snapshot import State
from velox_tui.ending import FAILED, TO_OUTPUT, exit_code, write_report
from velox_tui.figures import drain_line, final_statistics, second_line
from velox_tui.memory import settle_allocator, settle_collector
from velox_tui.options import RunOptions
from velox_tui.output import LineOutput, hold_standard_descriptors
from velox_tui.progress import Progress
from velox_tui.services import Services
from velox_tui.signals import EXIT_BASE, Ending, Hangups
from velox_tui.streams import complain

_STEP_S: Final = 0.1
_JOIN_S: Final = 0.5


def run(config: Config, options: RunOptions) -> int:
    """Run the pipeline to its end without a screen; return the exit code.

    Raises `ConfigError` before anything has started.
    """
    hold_standard_descriptors()
    if config.source.kind == "synthetic":
        settle_allocator()
    messages = LineOutput.messages()
    services = Services(config, messages=messages)
    try:
        services.prepare()
    except BaseException:
        messages.close()
        raise
    for _, text in services.notes if not services.log.speaks else ():
        messages.tell(text)
    engine = Engine(config)
    ending, hangups = Ending(engine), Hangups()
    try:
        with ending.installed(signal.SIGINT, signal.SIGTERM), hangups.installed():
            if not _start(engine, ending):
                return EXIT_BASE + ending.signal if ending.signal is not None else 0
            services.start(engine)
            settle_collector()
            return _Run(engine, ending, hangups, options, services, messages).to_its_end()
    finally:
        services.stop()
        messages.close()


def _start(engine: Engine, ending: Ending) -> bool:
    """Start the engine, or give it up at a signal; say whether it runs.

    It starts in a thread of its own: the compiler leaves no room for signals in the one that it works in.
    """
    failed: list[BaseException] = []

    def start() -> None:
        try:
            engine.start(progress)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=start, name="vx-start", daemon=True)
    with Progress("compiling", lines=False) as progress:
        thread.start()
        while thread.is_alive():
            thread.join(_STEP_S)
            if ending.signal is not None:
                break
    if thread.is_alive():
        if engine.state in (State.STARTING, State.STOPPED):  # else it has begun to run, and drains
            complain(f"{ending.name}: leaving as soon as the compiler lets go")
        while thread.is_alive() and ending.count < 2:
            thread.join(_STEP_S)
    thread.join(_JOIN_S)  # of a second signal: once more, the compiler may have let go already
    if thread.is_alive():
        os._exit(EXIT_BASE + (ending.signal or 0))  # the interpreter would end in the middle of the compiler's work
    if not failed:
        return True
    if not isinstance(failed[0], EngineError) or failed[0].state != State.STOPPED.word:
        raise failed[0]
    complain(f"{ending.name} while starting: nothing was run" if ending.name else str(failed[0]))
    return False


class _Run:
    """A run that has started: what is said of it while it lasts, and what is left of it."""

    def __init__(
        self,
        engine: Engine,
        ending: Ending,
        hangups: Hangups,
        options: RunOptions,
        services: Services,
        messages: LineOutput,
    ) -> None:
        self._engine = engine
        self._services = services
        self._ending = ending
        self._hangups = hangups
        self._options = options
        # with the report on standard output, everything else must leave it alone
        self._lines = None if options.report == TO_OUTPUT else LineOutput.standard()
        self._messages = messages
        self._told = {text for _, text in services.notes}

    def to_its_end(self) -> int:
        """Follow the engine until it has ended; return the exit code."""
        self._follow()
        count = self._ending.count  # what comes later ends the wait for whoever reads the report
        report = self._engine.stop()
        self._warn(report.warnings)
        if self._lines is not None:
            self._lines.put(drain_line(report) + "\n")
            self._lines.put(final_statistics(report))
            self._close(self._lines)
        self._warn(self._services.stop())
        path = self._options.report
        written = path is None or write_report(report, path, self._messages, lambda: self._ending.count > count)
        return exit_code(report, self._ending.signal) if written else FAILED

    def _warn(self, warnings: Iterable[str]) -> None:
        """Tell the engine's warnings, each once; where the log speaks they are among its records."""
        for warning in warnings:
            if warning not in self._told:
                self._told.add(warning)
                if not self._services.log.speaks:
                    self._messages.tell(warning)

    def _say(self, severity: str, text: str) -> None:
        """Tell something of our own."""
        log = self._services.log
        log.record(severity, text)
        if not log.speaks:
            self._messages.tell(text)

    def _follow(self) -> None:
        """Write a line a second until the engine has ended; one that somebody else drained may be resumed."""
        begun = time.monotonic()
        second = 0
        before = Histogram.empty()
        while True:
            due = begun + second + 1
            while time.monotonic() < due:
                if self._engine.wait_ended(min(_STEP_S, max(due - time.monotonic(), 0.001))):
                    return
                if self._hangups.take():
                    self._say("info", f"SIGHUP: going on; {self._services.log.reopen()}")
            second += 1
            snapshot = self._engine.snapshot()
            self._warn(snapshot.warnings)
            if self._lines is not None:
                p99 = snapshot.output.latency.since(before).percentile(99)
                self._lines.put(second_line(second, snapshot, p99) + "\n")
            before = snapshot.output.latency

    def _close(self, lines: LineOutput) -> None:
        if lines.close():
            return
        why = lines.problem or "its reader has stopped reading; what it had not read is given up"
        self._say("warning", f"standard output: {why}")
