"""The supervisor: one thread that alone steers the workers, keeps the state machine, and watches.

Commands come to it through a queue, from any thread, and are answered when they have taken effect. It wakes every
30 ms, while draining every 10 ms: looks whether the source has ended, whether a drain is over or late, whether the
workers' hearts beat, whether the machine was suspended; once a second it takes a sample.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Final

from velox_engine.assembly import Assembly, gap_ticks
from velox_engine.chaos import Chaos
from velox_engine.command import Command
from velox_engine.crew import JOIN_S, Crew
from velox_engine.errors import EngineError, cannot
from velox_engine.lockfree.seqlock import seqlock_begin, seqlock_end
from velox_engine.lookout import Lookout
from velox_engine.snapshot import Snapshot, State
from velox_engine.stages import control as word
from velox_engine.stages.control import Phase
from velox_engine.stages.handles import get_word, set_word
from velox_engine.telemetry import layout
from velox_engine.telemetry.chronicle import Chronicle
from velox_engine.telemetry.layout import LINE_WORDS, Block
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.threads import name_thread

_TICK_S: Final = 0.01
_CALM_TICK_S: Final = 0.03  # while nothing is being emptied: waking costs more than the look itself
_CONTROL_EVERY_S: Final = 0.1
_ACKNOWLEDGE_S: Final = 10.0
_DRAINED_OUTPUT: Final = word.DRAINED + layout.OUTPUT * LINE_WORDS

_RUNNING_STATES: Final = (State.RUNNING, State.PAUSED)
_PHASES: Final = {State.RUNNING: Phase.RUN, State.PAUSED: Phase.PAUSE, State.DRAINED: Phase.DRAIN}
"""What ingress does in each state that a pause or a resume may be asked for in."""


class _PausedTime:
    """How long an engine has been paused in all, s by the monotonic clock."""

    def __init__(self) -> None:
        self._before = 0.0
        self._since: float | None = None

    def begin(self, at: float) -> None:
        """Begin a pause."""
        self._since = at

    def end(self, at: float) -> None:
        """End the pause, if there is one."""
        self._before, self._since = self.total(at), None

    def total(self, now: float) -> float:
        """Return all of it until now."""
        return self._before + (now - self._since if self._since is not None else 0.0)


class Supervisor:
    """Runs an assembled engine. ``changed`` is notified at every change of state."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._control = assembly.stages.control
        self._words = assembly.stages.control.words
        self._config = assembly.config
        self.chronicle = Chronicle(assembly.region)
        self.changed = threading.Condition()
        self.state = State.STARTING
        self.reason = ""
        self.failure = ""
        self.drain_timed_out = False
        self.drained_transactions = 0
        self.drained_bundles = 0
        self._drain_from = (0, 0)
        self._queue: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._notes: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._draining: list[Command] = []
        self._deadline = 0.0
        self._stopping: list[Command] = []
        self._serial = 0
        self._reader = TelemetryReader(assembly.region)
        self._next_control = self._next_sample = 0.0
        self._paused = _PausedTime()
        self.crew = Crew(assembly, self.note)
        self._lookout = Lookout(assembly, self.chronicle)
        self._thread = threading.Thread(target=self._run, name="vx-supervisor", daemon=True)
        self.finished = threading.Event()
        chaos = assembly.config.chaos.enabled
        self.chaos = Chaos(assembly, assembly.chaos_seed, self._lookout.pretend_step) if chaos else None

    # ---- from other threads

    def start(self) -> None:
        """Start the workers, then the supervisor itself; ingress begins at once."""
        self.crew.start()
        if self._assembly.sink is not None:
            self._assembly.sink.start()
        if self.chaos is not None:
            self.chaos.start()  # before the one who may end it
        self._thread.start()

    def submit(self, command: Command) -> Command:
        """Hand over a command; safe in a signal handler."""
        self._queue.put(command)
        return command

    def note(self, severity: str, text: str) -> None:
        """Hand over an event to be told; it is lost once the supervisor has ended."""
        self._notes.put((severity, text))

    def join(self, timeout: float | None = None) -> None:
        """Wait until the supervisor has ended."""
        self._thread.join(timeout)

    def snapshot(self) -> Snapshot:
        """Take a snapshot with the supervisor's own reader; only after it has ended."""
        return self._reader.read()

    # ---- the supervisor's thread

    def _run(self) -> None:
        name_thread("vx-supervisor")
        try:
            self._begin()
            while not self.finished.is_set():
                with contextlib.suppress(queue.Empty):
                    self._execute(self._queue.get(timeout=_TICK_S if self._deadline else _CALM_TICK_S))
                self._look()
        except BaseException as error:  # whatever it is: the workers must not be left running unwatched
            self.failure = self.failure or f"supervisor: {type(error).__name__}: {error}"
            self.state = State.FAILED
            self._end()

    def _begin(self) -> None:
        chronicle = self.chronicle
        chronicle.set_rate(self._first_rate())
        chronicle.control[layout.CONTROL_SEED] = self._assembly.seed
        chronicle.control[layout.CONTROL_STARTED_UNIX_NS] = time.time_ns()
        for text in self._assembly.warnings:
            chronicle.event("warning", text)
        if self.chaos is not None:
            chronicle.event("warning", f"chaos is on, seed {self.chaos.seed}: faults are made on purpose")
        self._next_sample = time.monotonic() + 1.0
        self._lookout.clock_step()  # what lies before the run is none
        self._order(Phase.RUN)
        self._enter(State.RUNNING)

    def _first_rate(self) -> float:
        """Return the rate to begin with: infinity is maximum rate, not-a-number the recorded pace."""
        if self._assembly.source.by_time:
            return float("nan")
        gap = float(self._control.rates[word.GAP])
        return float("inf") if gap == 0.0 else float(self._config.pipeline.ingress_rate_hz)

    def _enter(self, state: State) -> None:
        if state == self.state:
            return
        with self.changed:
            self.state = state
            self.chronicle.set_state(state)
            reason = {"reason": self.reason} if self.reason and state >= State.DRAINING else {}
            self.chronicle.event("error" if state is State.FAILED else "info", self._told(state), **reason)
            self.changed.notify_all()

    def _told(self, state: State) -> str:
        why = self.failure if state is State.FAILED else self.reason if state >= State.DRAINING else ""
        return f"{state.word}: {why}" if why else state.word

    def _order(self, phase: Phase, *, rebase: bool = False, drain: bool = False, gap: float | None = None) -> None:
        """Give ingress a phase, and with it a new schedule, a new drain or a new pace; a gap is in ticks."""
        words = self._words
        seqlock_begin(words, word.SERIAL)
        words[word.PHASE] = phase
        words[word.REBASE] += rebase or gap is not None
        words[word.DRAIN_EPOCH] += drain
        if gap is not None:
            self._control.rates[word.GAP] = gap
            words[word.NEW_PACE] += 1
        seqlock_end(words, word.SERIAL)
        self._serial += 2

    def _acknowledged(self) -> bool:
        give_up = time.monotonic() + _ACKNOWLEDGE_S
        while get_word(self._words, word.ACKNOWLEDGED) != self._serial:
            self._gather_failures()
            if self.state is State.FAILED or time.monotonic() > give_up:
                return False
            time.sleep(0.0005)
        return True

    def _execute(self, command: Command) -> None:
        handlers: dict[str, Callable[[Command], None]] = {
            "pause": self._pause,
            "resume": self._resume,
            "rate": self._set_rate,
            "drain": self._drain,
            "stop": self._stop,
            "lease": self._lease,
        }
        try:
            handlers[command.kind](command)
        except EngineError as error:
            command.finish(error)

    def _refuse(self, command: Command, allowed: str) -> EngineError:
        why = f": {self.failure}" if self.failure else ""
        return EngineError(
            f"{cannot(command.kind)} while {self.state.word}{why}; allowed while {allowed}", state=self.state.word
        )

    def _pause(self, command: Command) -> None:
        if self.state is State.PAUSED:
            command.finish()
            return
        if self.state is not State.RUNNING:
            raise self._refuse(command, "running")
        self._order(Phase.PAUSE)
        paused_at = time.monotonic()
        self._answer_when_acknowledged(command, State.PAUSED)
        self._paused.begin(paused_at)

    def _resume(self, command: Command) -> None:
        if self.state is State.RUNNING:
            command.finish()
            return
        if self.state not in (State.PAUSED, State.DRAINED):
            raise self._refuse(command, "paused or drained")
        if get_word(self._words, word.ENDED):
            raise EngineError("cannot resume: the source has ended", state=self.state.word)
        resumed_at = time.monotonic()
        self._order(Phase.RUN)
        self._answer_when_acknowledged(command, State.RUNNING)
        self._paused.end(resumed_at)

    def _answer_when_acknowledged(self, command: Command, state: State) -> None:
        before = _PHASES[self.state]
        if not self._acknowledged():
            if self.state is not State.FAILED:
                self._order(before)  # whenever ingress looks again: the state has not changed
            raise EngineError(f"ingress did not take the command {command.kind!r} over", state=self.state.word)
        self._enter(state)
        command.finish()

    def _set_rate(self, command: Command) -> None:
        if self.state not in (State.RUNNING, State.PAUSED, State.DRAINED):
            raise self._refuse(command, "running, paused or drained")
        rate = float(command.value)
        self._order(Phase(int(self._words[word.PHASE])), gap=gap_ticks(rate, self._assembly.clock))
        if not self._acknowledged():
            raise EngineError("ingress did not take the new rate over", state=self.state.word)
        self.chronicle.set_rate(rate)
        self.chronicle.write_control()
        self.chronicle.event("info", f"rate {'max' if rate == float('inf') else f'{rate:,.10g}/s'}")
        command.finish()

    def _drain(self, command: Command) -> None:
        if self.state is State.DRAINED:
            command.finish()
            return
        if self.state is State.DRAINING:
            self._draining.append(command)
            return
        if self.state not in _RUNNING_STATES:
            raise self._refuse(command, "running or paused")
        self._draining.append(command)
        self._begin_drain(str(command.value or "drain asked for"))

    def _begin_drain(self, reason: str) -> None:
        self.reason = self.reason or reason
        self._paused.end(time.monotonic())
        cursors = self._assembly.region.payload(Block.CURSORS)
        self._drain_from = (int(cursors[layout.CURSOR_OUTPUT]), int(cursors[layout.CURSOR_BUNDLES_OUT]))
        self._order(Phase.DRAIN, drain=True)
        timeout = float(self._config.pipeline.drain_timeout_secs)
        self._deadline = time.monotonic() + timeout
        self.chronicle.control[layout.CONTROL_DRAIN_DEADLINE_UNIX_NS] = time.time_ns() + int(timeout * 1e9)
        if self.state is not State.FAILED:
            self._enter(State.DRAINING)

    def _is_drained(self) -> bool:
        return get_word(self._words, _DRAINED_OUTPUT) == int(self._words[word.DRAIN_EPOCH])

    def _stop(self, command: Command) -> None:
        drain, reason = command.value
        if self.state in _RUNNING_STATES and drain:
            self._stopping.append(command)
            self._begin_drain(reason)
            return
        if (self.state is State.DRAINING or self._deadline) and drain:  # a failed engine drains what it can as well
            self._stopping.append(command)
            return
        self.reason = self.reason or reason
        self._stopping.append(command)
        self._end()

    def _lease(self, command: Command) -> None:
        slot, symbol = command.value
        set_word(self._words, word.LEASES + slot, symbol + 1)
        command.finish()

    def _gather_notes(self) -> None:
        while not self._notes.empty():
            self.chronicle.event(*self._notes.get())

    def _gather_failures(self) -> None:
        self._gather_notes()
        while not self.crew.failures.empty():
            self.failure = self.failure or self.crew.failures.get()
            self.reason = self.failure
            if self.state is not State.FAILED:
                self._enter(State.FAILED)
                self._begin_drain(self.failure)

    def _look(self) -> None:
        now = time.monotonic()
        self._gather_failures()
        self._watch_drain(now)
        if self.state is State.RUNNING and get_word(self._words, word.ENDED):
            self.chronicle.control[layout.CONTROL_SOURCE_ENDED] = 1
            self._begin_drain(self._lookout.why_source_ended())
        if now >= self._next_control:
            self._next_control = now + _CONTROL_EVERY_S
            self.chronicle.control[layout.CONTROL_PAUSED_NS] = int(self._paused.total(now) * 1e9)
            self._lookout.look_at_hearts()
            self._lookout.publish_ends()
            self.chronicle.write_control()
        if now >= self._next_sample:
            self._next_sample = max(self._next_sample + 1.0, now)
            self.chronicle.sample(self._reader.read())
            self._watch_clock()

    def _watch_drain(self, now: float) -> None:
        if self.state is State.DRAINING or (self.state is State.FAILED and self._deadline):
            if self._is_drained():
                self._end_drain(None)
            elif now > self._deadline:
                self.drain_timed_out = True
                self._end_drain(f"the drain deadline of {self._config.pipeline.drain_timeout_secs:g} s passed")

    def _end_drain(self, problem: str | None) -> None:
        self._deadline = 0.0
        self.chronicle.control[layout.CONTROL_DRAIN_DEADLINE_UNIX_NS] = 0
        cursors = self._assembly.region.payload(Block.CURSORS)
        self.drained_transactions += int(cursors[layout.CURSOR_OUTPUT]) - self._drain_from[0]
        self.drained_bundles += int(cursors[layout.CURSOR_BUNDLES_OUT]) - self._drain_from[1]
        error = None
        if problem is not None:
            left = int(cursors[layout.CURSOR_INGRESS]) - int(cursors[layout.CURSOR_OUTPUT])
            self.chronicle.event("error", f"{problem} with {left:,} transactions inside", inside=left)
            error = EngineError(f"{problem} with {left:,} transactions inside", state=self.state.word)
        waiting, self._draining = self._draining, []
        if self.state is not State.FAILED and problem is None:
            self._enter(State.DRAINED)
            self.reason = self.reason if self._stopping or get_word(self._words, word.ENDED) else ""
        for command in waiting:
            command.finish(error)
        if self._stopping or problem is not None or self.state is State.FAILED:
            self._end()

    def _watch_clock(self) -> None:
        """Begin a new schedule when the clock and the monotonic clock parted: the machine was suspended or moved."""
        step = self._lookout.clock_step()
        if step and self.state in _RUNNING_STATES:
            self.chronicle.event("warning", f"clock step of {step:+.3f} s: new schedule", step_s=round(step, 6))
            self._order(Phase(int(self._words[word.PHASE])), rebase=True)

    def _end(self) -> None:
        """Stop the workers and leave; the region holds their last words."""
        if self.chaos is not None:
            self.chaos.stop()
        set_word(self._words, word.STOP, 1)
        self.crew.join()
        for name in self.crew.hung:
            self.failure = self.failure or f"{name} did not stop within {JOIN_S:g} s"
        self._end_source_and_sink()
        self._gather_notes()
        self._paused.end(time.monotonic())
        self.chronicle.control[layout.CONTROL_PAUSED_NS] = int(self.paused_s * 1e9)
        self._enter(State.FAILED if self.failure else State.STOPPED)
        self.chronicle.write_control()  # one that had failed before enters nothing, and has last words as well
        with self.changed:
            self.finished.set()
            self.changed.notify_all()
        for command in (*self._stopping, *self._draining):
            self._answer_late(command)
        while not self._queue.empty():
            self._answer_late(self._queue.get())

    def _end_source_and_sink(self) -> None:
        source, sink = self._assembly.source, self._assembly.sink
        if source.decoder is not None and not source.decoder.stop(JOIN_S):
            self.chronicle.event("warning", "the decoder did not stop in time")
        if sink is not None and not sink.stop(float(self._config.pipeline.drain_timeout_secs) + JOIN_S):
            self.failure = self.failure or "the sink did not take everything in time"
        self._lookout.publish_ends()

    def _answer_late(self, command: Command) -> None:
        """Answer what waited for the end or came after it: a stop is satisfied, anything else is refused."""
        command.finish(None if command.kind == "stop" else self._refuse(command, "running"))

    @property
    def at_end(self) -> bool:
        """Whether nothing will come any more: it has ended, or is drained and its source has nothing more to give."""
        return self.finished.is_set() or (self.state is State.DRAINED and bool(get_word(self._words, word.ENDED)))

    @property
    def paused_s(self) -> float:
        """Seconds paused in all."""
        return self._paused.total(time.monotonic())

    @property
    def failure_of_source(self) -> str:
        """What the source ended by, if it could not be read to its end."""
        return self._lookout.failure_of_source
