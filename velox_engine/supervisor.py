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
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from velox_engine.assembly import Assembly, gap_ticks, worker_arguments, write_instruments
from velox_engine.chaos import Chaos
from velox_engine.errors import EngineError, cannot
from velox_engine.lockfree.clock import read_ticks
from velox_engine.lockfree.ring import RELEASED
from velox_engine.lockfree.seqlock import seqlock_begin, seqlock_end
from velox_engine.snapshot import Snapshot, State
from velox_engine.stages import control as word
from velox_engine.stages.control import Phase
from velox_engine.stages.handles import get_word, set_word
from velox_engine.stages.hiccup import run_hiccup
from velox_engine.stages.worker import Reason, run_worker
from velox_engine.telemetry import layout
from velox_engine.telemetry.chronicle import Chronicle
from velox_engine.telemetry.layout import LINE_WORDS, Block
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.threads import name_thread, pin_thread, sharpen_sleeps

_TICK_S: Final = 0.01
_CALM_TICK_S: Final = 0.03  # while nothing is being emptied: waking costs more than the look itself
_CONTROL_EVERY_S: Final = 0.1
_STALL_NS: Final = 1_000_000_000
_SUSPENDED_NS: Final = 50_000_000
# on a machine that is busy with other things a worker may not run for seconds; that is no fault of it
_JOIN_S: Final = 10.0
_ACKNOWLEDGE_S: Final = 10.0
_DRAINED_OUTPUT: Final = word.DRAINED + layout.OUTPUT * LINE_WORDS

_RUNNING_STATES: Final = (State.RUNNING, State.PAUSED)
_PHASES: Final = {State.RUNNING: Phase.RUN, State.PAUSED: Phase.PAUSE, State.DRAINED: Phase.DRAIN}
"""What ingress does in each state that a pause or a resume may be asked for in."""


@dataclass(slots=True)
class Command:
    """Something that the supervisor is asked to do; ``done`` is set when it has taken effect or failed.

    Whoever does not wait gives ``answered``, which is called then, from the supervisor's thread.
    """

    kind: str
    value: Any = None
    answered: Callable[[Exception | None], None] = lambda error: None
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None

    def finish(self, error: Exception | None = None) -> None:
        """Answer it."""
        self.error = error
        self.done.set()
        self.answered(error)


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
        self._failures: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._notes: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._draining: list[Command] = []
        self._deadline = 0.0
        self._stopping: list[Command] = []
        self._serial = 0
        self._reader = TelemetryReader(assembly.region)
        self._next_control = self._next_sample = 0.0
        self._drift_ns = 0
        self._paused_at = 0.0
        self._paused_s = 0.0
        self._stalled = 0
        self._instruments_known = len(assembly.source.instruments)
        self.failure_of_source = ""
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._run, name="vx-supervisor", daemon=True)
        self.hung: tuple[str, ...] = ()
        self.finished = threading.Event()
        self._clock_steps_ns = 0
        chaos = assembly.config.chaos.enabled
        self.chaos = Chaos(assembly, assembly.chaos_seed, self._pretend_step) if chaos else None

    # ---- from other threads

    def start(self) -> None:
        """Start the workers, then the supervisor itself; ingress begins at once."""
        for index in range(len(self._assembly.workers)):
            self._threads.append(threading.Thread(target=self._work, args=(index,), daemon=True))
        self._threads.append(threading.Thread(target=self._measure_hiccups, daemon=True))
        for thread in self._threads:
            thread.start()
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

    # ---- the workers' Python shells

    def _work(self, index: int) -> None:
        name_thread(f"vx-worker-{index}")
        sharpen_sleeps()
        worker = self._assembly.workers[index]
        core = int(worker.image[layout.WORKER_CORE])
        if core >= 0:
            problem = pin_thread(core)
            if problem is not None:
                worker.image[layout.WORKER_CORE] = -1
                self.note("warning", f"worker {index} is not bound to core {core} and runs unpinned: {problem}")
        worker.image[layout.WORKER_THREAD_ID] = threading.get_native_id()  # from here on chaos may move it
        try:
            while run_worker(*worker_arguments(self._assembly, index)) == Reason.GROW:
                begun = read_ticks()
                self._assembly.book.grow()
                worker.image[layout.WORKER_GROWS] += 1
                worker.image[layout.WORKER_GROW_TICKS] += read_ticks() - begun
        except BaseException as error:
            self._failures.put(f"worker {index} died: {type(error).__name__}: {error}")
            self._publish_last_words(index)

    def _publish_last_words(self, index: int) -> None:
        """Enter a dead worker's loop once more when it has nothing to do there but to publish and leave."""
        while not get_word(self._words, word.STOP):
            time.sleep(_TICK_S)
        with contextlib.suppress(Exception):
            run_worker(*worker_arguments(self._assembly, index))

    def _measure_hiccups(self) -> None:
        name_thread("vx-hiccup")
        sharpen_sleeps()
        region, image = self._assembly.region, np.zeros(layout.HISTOGRAM_LENGTH, np.int64)
        scale = self._assembly.clock.ns_per_tick
        run_hiccup(self._control, image, region.words, region.at(Block.HICCUP), scale)

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
        self._drift_ns = self._assembly.clock.behind_monotonic_ns()
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
        self._paused_at = paused_at

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
        if self._paused_at:
            self._paused_s += resumed_at - self._paused_at
            self._paused_at = 0.0

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
        if self._paused_at:
            self._paused_s += time.monotonic() - self._paused_at
            self._paused_at = 0.0
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
        while not self._failures.empty():
            self.failure = self.failure or self._failures.get()
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
            self._begin_drain(self._why_ended())
        if now >= self._next_control:
            self._next_control = now + _CONTROL_EVERY_S
            paused = self._paused_s + (now - self._paused_at if self._paused_at else 0.0)
            self.chronicle.control[layout.CONTROL_PAUSED_NS] = int(paused * 1e9)
            self._watch_heartbeats()
            self._publish_source()
            self.chronicle.write_control()
        if now >= self._next_sample:
            self._next_sample = max(self._next_sample + 1.0, now)
            self.chronicle.sample(self._reader.read())
            self._watch_clock()

    def _why_ended(self) -> str:
        decoder, count = self._assembly.source.decoder, self._config.pipeline.count
        generated = int(self._assembly.region.payload(Block.CURSORS)[layout.CURSOR_GENERATED])
        if count and generated >= count:
            return "count reached"
        # a short file may be read to its end long before all of it is taken
        taken = get_word(self._assembly.source.staging.ring.words, RELEASED)
        if decoder is None or not decoder.ended or taken < decoder.staged:
            return "duration reached"
        if decoder.feed.oddities.cut_off:
            self.chronicle.event("warning", f"{decoder.feed.path}: {decoder.feed.oddities.cut_off}")
        if decoder.failure:
            self.chronicle.event("error", decoder.failure)
            self.failure_of_source = decoder.failure
            return decoder.failure
        return "end of file"

    def _publish_source(self) -> None:
        """Publish what the source and the sink have learned."""
        source, sink = self._assembly.source, self._assembly.sink
        if len(source.instruments) != self._instruments_known:
            self._instruments_known = len(source.instruments)
            write_instruments(self._assembly.region, source.instruments)
        if sink is not None:
            self.chronicle.control[layout.CONTROL_SINK_WRITTEN] = sink.sink.written
            self.chronicle.control[layout.CONTROL_SINK_LOST] = sink.sink.lost
            if sink.failure:
                written, lost = sink.sink.written, sink.sink.lost
                self.chronicle.event_once("error", sink.failure, sink_written=written, sink_lost=lost)

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

    def _watch_heartbeats(self) -> None:
        now = read_ticks()
        for index in range(len(self._assembly.workers)):
            beat = get_word(self._words, word.HEARTBEATS + index * LINE_WORDS)
            late = beat > 0 and (now - beat) * self._assembly.clock.ns_per_tick > _STALL_NS
            was = self._stalled >> index & 1
            names = ", ".join(self._assembly.placement.workers[index].names)
            if late and not was:
                text = f"worker {index} ({names}) stalled: no heartbeat for a second"
                self.chronicle.event("warning", text, worker=index, stages=names)
            elif was and not late:
                self.chronicle.event("info", f"worker {index} ({names}) beats again", worker=index, stages=names)
            self._stalled = self._stalled & ~(1 << index) | int(late) << index
        self.chronicle.control[layout.CONTROL_STALLED] = self._stalled

    def _pretend_step(self, ns: int) -> None:
        """Chaos: let the clock seem to have stepped."""
        self._clock_steps_ns += ns

    def _watch_clock(self) -> None:
        """Begin a new schedule when the clock and the monotonic clock parted: the machine was suspended or moved."""
        drift = self._assembly.clock.behind_monotonic_ns() + self._clock_steps_ns
        if abs(drift - self._drift_ns) > _SUSPENDED_NS and self.state in _RUNNING_STATES:
            step = (drift - self._drift_ns) / 1e9
            self.chronicle.event("warning", f"clock step of {step:+.3f} s: new schedule", step_s=round(step, 6))
            self._order(Phase(int(self._words[word.PHASE])), rebase=True)
        self._drift_ns = drift

    def _end(self) -> None:
        """Stop the workers and leave; the region holds their last words."""
        if self.chaos is not None:
            self.chaos.stop()
        set_word(self._words, word.STOP, 1)
        give_up = time.monotonic() + _JOIN_S
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(give_up - time.monotonic(), 0.01))
        self.hung = tuple(thread.name for thread in self._threads if thread.is_alive())
        for name in self.hung:
            self.failure = self.failure or f"{name} did not stop within {_JOIN_S:g} s"
        self._end_source_and_sink()
        self._gather_notes()
        if self._paused_at:
            self._paused_s += time.monotonic() - self._paused_at
            self._paused_at = 0.0
        self.chronicle.control[layout.CONTROL_PAUSED_NS] = int(self._paused_s * 1e9)
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
        if source.decoder is not None and not source.decoder.stop(_JOIN_S):
            self.chronicle.event("warning", "the decoder did not stop in time")
        if sink is not None and not sink.stop(float(self._config.pipeline.drain_timeout_secs) + _JOIN_S):
            self.failure = self.failure or "the sink did not take everything in time"
        self._publish_source()

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
        return self._paused_s
