"""The engine: starts, steers and stops the workers. Everything here may be called from any thread."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from velox_engine.assembly import Assembly, assemble
from velox_engine.command import Command
from velox_engine.compiling import Progress, compile_stages
from velox_engine.config import Config, LimitSettings, checked
from velox_engine.discovery import tidy
from velox_engine.errors import EngineError, cannot
from velox_engine.jit import Interrupted
from velox_engine.lockfree.clock import calibrate
from velox_engine.report import Report, make_report
from velox_engine.snapshot import Snapshot, State
from velox_engine.steering.leases import Leases
from velox_engine.steering.protocol import control_path
from velox_engine.steering.server import ControlServer
from velox_engine.supervisor import Supervisor
from velox_engine.telemetry.reader import TelemetryReader

_POLL_S: Final = 0.05


def compile_engine(progress: Progress | None = None, config: Config | None = None) -> None:
    """Compile everything that a run of this configuration needs, into the cache; load it where it is there already.

    ``progress(what, done, total)`` is called as each step begins and at the end. The default configuration is compiled
    for if none is given.
    """
    assembly = assemble(config or Config(), calibrate(), attach=False)
    try:
        compile_stages(assembly, progress or (lambda what, done, total: None))
    finally:
        assembly.release()


class Engine:
    """A transaction pipeline: ``with Engine(load_config("config.toml")) as engine: …``.

    Entering starts it, leaving drains and stops it. A command in the wrong state is an `EngineError` that names the
    state. All methods may be called from any thread, in any order. ``stop_asked`` says whether it is about to stop,
    however long the drain before that takes.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._limits = config.limits
        self._lock = threading.Lock()
        self._supervisor: Supervisor | None = None
        self._assembly: Assembly | None = None
        self._starting = False
        self._unstarted: Assembly | None = None
        self._cancelled = ""
        self.stop_asked = False
        self._report: Report | None = None
        self._readers = threading.local()
        self._leases = Leases()
        self._server: ControlServer | None = None
        self._cpu_s = 0.0

    # ---- life

    def start(self, progress: Progress | None = None) -> None:
        """Compile, make the memory and start the workers.

        Raises `EngineError` when it was started before or stopped meanwhile, `ConfigError` for what the machine cannot
        give, `FeedError` for a source that cannot be read, `ClockError` when its clock cannot be used.
        """
        with self._lock:
            if self._starting or self._supervisor is not None:
                raise EngineError(f"cannot start while {self.state.word}", state=self.state.word)
            if self._cancelled:
                raise EngineError(f"stopped before it started: {self._cancelled}", state=State.STOPPED.word)
            self._starting = True
        try:
            self._start(progress or (lambda what, done, total: None))
        except BaseException:
            self._starting = False
            if self._unstarted is not None:
                self._release(self._unstarted)
            raise
        self._wait_for(lambda state: state is not State.STARTING, None)

    def _start(self, tell: Progress) -> None:
        with contextlib.suppress(OSError):
            tidy()
        assembly = assemble(self.config, calibrate())
        self._unstarted = assembly
        self._serve(assembly)
        with contextlib.suppress(Interrupted):  # told below, as when it was cancelled after the last pass
            compile_stages(assembly, tell, lambda: bool(self._cancelled))
        if assembly.source.decoder is not None and not self._cancelled:
            assembly.source.decoder.start()
            assembly.source.decoder.wait_until_begun()
        with self._lock:
            if self._cancelled:
                raise EngineError(f"stopped while starting: {self._cancelled}", state=State.STOPPED.word)
            self._assembly, self._unstarted = assembly, None
            self._supervisor = Supervisor(assembly)
            self._cpu_s = time.process_time()
            self._supervisor.start()

    def _serve(self, assembly: Assembly) -> None:
        """Let other processes of this user steer; where that cannot be, the engine runs without."""
        if assembly.region.path is None:
            return
        path = control_path(assembly.region.path)
        try:
            self._server = ControlServer(path, self, lambda text: self.note("warning", text))
        except OSError as error:
            assembly.warnings.append(f"nobody can steer from outside: no control socket could be made ({error})")
        else:
            self._server.start()

    def _release(self, assembly: Assembly) -> None:
        if self._server is not None:
            self._server.close()
        assembly.release()

    def stop(self, drain: bool = True, reason: str = "stopped") -> Report:
        """Drain (unless told not to), stop the workers, and return the report; again the same report when stopped.

        While it is still starting this cancels the start and raises `EngineError`, as there is nothing to report.
        """
        self.request_stop(reason, drain)
        with self._lock:
            supervisor = self._supervisor
        if supervisor is None:
            raise EngineError("it was never started: there is nothing to report", state=self.state.word)
        supervisor.finished.wait()
        return self.report()

    def request_stop(self, reason: str = "stopped", drain: bool = True) -> None:
        """Ask for a stop and return at once; safe in a signal handler. `wait` tells when it has happened."""
        self.stop_asked = True
        supervisor = self._supervisor
        if supervisor is None:
            self._cancelled = self._cancelled or reason
            if self._unstarted is not None:  # whoever leaves without waiting for the compiler leaves nothing behind
                self._release(self._unstarted)
            supervisor = self._supervisor  # it may have begun to run in between
        if supervisor is not None and not supervisor.finished.is_set():
            supervisor.submit(Command("stop", (drain, reason)))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._supervisor is not None:
            self.stop()

    # ---- commands

    def pause(self) -> None:
        """Take nothing more in; what is inside flows on."""
        self._ask(Command("pause"))

    def resume(self) -> None:
        """Go on after a pause or a drain."""
        self._ask(Command("resume"))

    def set_rate(self, per_second: float | str) -> None:
        """Begin a new schedule at this rate; ``"max"`` or infinity: as fast as it goes.

        Raises `ConfigError` for a rate that the configuration would not take either.
        """
        self._ask(Command("rate", _rate(per_second)))

    def drain(self) -> None:
        """Stop ingress, empty every ring, flush the partial bundle; returns when all is out.

        Raises `EngineError` when the deadline (``drain_timeout_secs``) passes first.
        """
        self._ask(Command("drain"))

    def watch(self, symbol: int) -> int:
        """Lease a depth slot for a symbol index, so that snapshots carry its book; return the slot for `unwatch`.

        Raises `EngineError` when all eight are leased.
        """
        slot = self._leases.take(symbol, self.state.word)
        try:
            self._ask(Command("lease", (slot, symbol)))
        except EngineError:
            self._leases.give_back(slot)
            raise
        return slot

    def unwatch(self, slot: int) -> None:
        """Give a depth slot back."""
        self._ask(Command("lease", (slot, -1)))
        self._leases.give_back(slot)

    def _ask(self, command: Command) -> None:
        supervisor = self._supervisor
        if supervisor is None:
            raise EngineError(f"{cannot(command.kind)} while {self.state.word}", state=self.state.word)
        supervisor.submit(command)
        while not command.done.wait(_POLL_S):
            if supervisor.finished.is_set() and not command.done.wait(_POLL_S):
                why = f": {supervisor.failure}" if supervisor.failure else ""
                raise EngineError(f"{cannot(command.kind)} while {self.state.word}{why}", state=self.state.word)
        if command.error is not None:
            raise command.error

    # ---- commands of others, who do not wait: the control server's

    def order(self, kind: str, value: Any, answered: Callable[[Exception | None], None]) -> None:
        """Hand a command over and return at once; ``answered`` is called from another thread when it took effect.

        Raises `EngineError` or `ConfigError` when it is refused at once, and nothing is answered then.
        """
        self.stop_asked = self.stop_asked or kind == "stop"
        supervisor = self._supervisor
        if supervisor is None and kind == "stop":
            self.request_stop(value[1], value[0])
            answered(None)
            return
        if supervisor is None:
            raise EngineError(f"{cannot(kind)} while {self.state.word}", state=self.state.word)
        supervisor.submit(Command(kind, _rate(value) if kind == "rate" else value, answered))

    def lease(self, symbol: int, answered: Callable[[Exception | None], None]) -> int:
        """Lease a depth slot as `watch` does, but return at once."""
        slot = self._leases.take(symbol, self.state.word)
        try:
            self.order("lease", (slot, symbol), answered)
        except EngineError:
            self._leases.give_back(slot)
            raise
        return slot

    def give_back(self, slot: int) -> None:
        """Give a depth slot back as `unwatch` does, but return at once; nothing to do for an engine that has ended."""
        supervisor = self._supervisor
        if supervisor is not None:
            supervisor.submit(Command("lease", (slot, -1)))
        self._leases.give_back(slot)

    def set_limits(self, limits: LimitSettings) -> None:
        """Let the report judge the run by other limits than it was started with."""
        self._limits = limits

    def note(self, severity: str, text: str) -> bool:
        """Add an event to those that snapshots and watchers show; ``severity`` is info, warning or error.

        Warnings and errors become part of the report. Return ``False`` where it is not running, or does not any more.
        """
        supervisor = self._supervisor
        if supervisor is None or supervisor.finished.is_set():
            return False
        supervisor.note(severity, text)
        return True

    # ---- looking

    @property
    def state(self) -> State:
        """The state as it is now."""
        supervisor = self._supervisor
        if supervisor is not None:
            return supervisor.state
        return State.STOPPED if self._cancelled else State.STARTING

    def wait(self, timeout: float | None = None) -> State:
        """Wait until it is drained, stopped or failed and at rest, or the time is up; return the state."""
        return self._wait_for(lambda state: state >= State.DRAINED, timeout)

    def _wait_for(self, reached: Any, timeout: float | None) -> State:
        supervisor = self._supervisor
        if supervisor is None:
            return self.state
        with supervisor.changed:
            supervisor.changed.wait_for(lambda: reached(supervisor.state) or supervisor.finished.is_set(), timeout)
        return supervisor.state

    def wait_ended(self, timeout: float | None = None) -> bool:
        """Wait until nothing will come any more, or the time is up; say whether that is so.

        It has ended then, or is drained and its source has nothing more to give. An engine that was drained by a
        command goes on at `resume`.
        """
        supervisor = self._supervisor
        if supervisor is None:
            return False
        with supervisor.changed:
            return supervisor.changed.wait_for(lambda: supervisor.at_end, timeout)

    def wait_stopped(self, timeout: float | None = None) -> bool:
        """Wait until the workers have stopped, or the time is up; say whether they have."""
        return self._supervisor is not None and self._supervisor.finished.wait(timeout)

    def snapshot(self) -> Snapshot:
        """Take a snapshot; each thread has a reader of its own, so counts never go back within a thread."""
        return self.reader().read()

    def reader(self) -> TelemetryReader:
        """Return the calling thread's reader of the telemetry region, for samples, events and books too."""
        reader: TelemetryReader | None = getattr(self._readers, "reader", None)
        if reader is None:
            reader = self._readers.reader = self.new_reader()
        return reader

    def new_reader(self) -> TelemetryReader:
        """Make a reader that belongs to no thread, for those who use one in turn, such as a server's threads."""
        if self._assembly is None:
            raise EngineError(f"nothing to read while {self.state.word}", state=self.state.word)
        return TelemetryReader(self._assembly.region)

    def report(self) -> Report:
        """Return the final report; raises `EngineError` before it has stopped."""
        supervisor, assembly = self._supervisor, self._assembly
        if supervisor is None or assembly is None or not supervisor.finished.is_set():
            raise EngineError(f"no report while {self.state.word}; allowed once stopped", state=self.state.word)
        with self._lock:
            if self._report is None:
                self._report = self._make_report(supervisor, assembly)
                self._release(assembly)
            return self._report

    def _make_report(self, supervisor: Supervisor, assembly: Assembly) -> Report:
        supervisor.join()
        config = assembly.config
        return make_report(
            TelemetryReader(assembly.region).read(),
            ns_per_tick=assembly.clock.ns_per_tick,
            reason=supervisor.reason or "stopped",
            failure=supervisor.failure or supervisor.failure_of_source,
            settled=not supervisor.crew.hung,
            drain_timed_out=supervisor.drain_timed_out,
            drained=(supervisor.drained_transactions, supervisor.drained_bundles),
            paused_s=supervisor.paused_s,
            books=[assembly.book.summary(symbol) for symbol in range(len(assembly.source.instruments))],
            instruments=assembly.source.instruments,
            source=assembly.source.describe(config),
            limits=self._limits,
            cpu_s=time.process_time() - self._cpu_s,
            clock_source=assembly.clock.source,
            chaos=supervisor.chaos.report() if supervisor.chaos is not None else None,
        )


def _rate(per_second: object) -> float:
    rate = checked("pipeline.ingress_rate_hz", "max" if per_second == float("inf") else per_second)
    return float("inf") if rate == "max" else float(rate)
