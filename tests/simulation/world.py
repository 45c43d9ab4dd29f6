"""A run of the whole engine in one thread, made from a seed: what it is, who runs when, what goes wrong.

Real are the stages' steps, their memory, the supervisor with its chronicle, the reader and the report. Made up are
threads, time, the source of a recorded run, and the sink. The supervisor's sleeps let the workers run, its joins let
them end; so it, too, is interleaved with them at every place where it looks at them. What a seed makes is made again by
the same seed, to the last step.
"""

import math
import queue
from contextlib import suppress
from random import Random

import numpy as np

from tests.simulation import clock, driver
from tests.simulation.checks import ALL, Violation
from tests.simulation.people import DAMAGED, SimulatedDecoder, SimulatedSink, SimulatedSinkThread, apply_all
from velox_engine import assembly as assembling
from velox_engine import report as reporting
from velox_engine.books import running
from velox_engine.books.running import RunningBucketed, RunningExact
from velox_engine.command import Command
from velox_engine.config import (
    BookSettings,
    BufferSettings,
    BundleSettings,
    Config,
    PipelineSettings,
    SourceSettings,
    ThreadSettings,
)
from velox_engine.lockfree.clock import Clock
from velox_engine.lockfree.memory import aligned_words
from velox_engine.placement import Machine
from velox_engine.snapshot import State
from velox_engine.source import Source
from velox_engine.supervisor import Supervisor
from velox_engine.telemetry import layout, region
from velox_engine.telemetry.layout import Block

MOST = 20_000
"""Transactions that a run may publish: what the ghost can remember."""
_ROWS = 60_000
_BEGIN = 10**12
_MS = 1_000_000
_FIRST_ORDERS = 64
_LONGEST = 600 * 1000 * _MS


class SimulatedClock(Clock):
    """A clock whose parting from the monotonic one is made up."""

    stepped = 0

    def behind_monotonic_ns(self):
        return SimulatedClock.stepped


class SimulatedThread:
    """Stands in for a worker's thread where the supervisor joins it."""

    def __init__(self, world, index):
        self.world, self.index, self.name = world, index, f"vx-worker-{index}"

    def is_alive(self):
        return not self.world.left(self.index)

    def join(self, timeout):
        end = int(clock.words[clock.NOW]) + int(timeout * 1e9)
        while self.is_alive() and clock.words[clock.NOW] < end:
            self.world.run_until(end)


def make_ghost():
    """Memory for one run; it serves the next one, too."""
    return driver.Ghost(
        aligned_words(driver.LENGTH),
        np.zeros((MOST, 8), np.uint64),
        np.zeros((4, MOST), np.int64),
        np.zeros((MOST + 8192, 5), np.int64),
        np.zeros((_ROWS, driver.ROW), np.int64),
        np.zeros(layout.STAGE_LENGTH, np.int64),
        np.zeros((4, layout.STAGE_LENGTH), np.int64),
        (np.zeros(1, np.int64),) * 4,
    )


def prepare():
    """Put simulated time and people into the engine's modules; once a process, before anything is compiled."""
    time = clock.Time(lambda seconds: World.current.sleep(seconds))
    for module in clock.install().modules:
        module.time = time
    running._FIRST_ORDERS = _FIRST_ORDERS  # so that books must grow
    region.process_start = lambda pid: 1
    assembling.open_source = lambda config, clock: World.current.source
    assembling._open_sink = lambda config, clock, source: World.current.sink
    assembling.SinkThread = SimulatedSinkThread
    assembling.OUTLET_SIZE = 512
    reporting.environment = lambda source: {}


class World:
    """One run; ``World(seed, ghost).run()`` raises `Violation` when a promise is broken."""

    current = None
    driving = False  # whether its workers run now

    def __init__(self, seed, ghost):
        World.current = self
        self.seed, self.ghost = seed, ghost
        self.choose = Random(seed)
        for each in (ghost.words, ghost.published):
            each[:] = 0
        self.recorded, sinking = self.choose.random() < 0.25, self.choose.random() < 0.5
        self.config = self._settings("simulated" if sinking else "none")
        self.decoder = None
        self.source = self._source()
        self.sink = SimulatedSink(self.choose) if sinking else None
        clock.words[:] = _BEGIN, self.choose.choice([0, 1, 50, 400])
        SimulatedClock.stepped = 0
        machine = Machine((0, 1, 2, 3), (0, 1, 2, 3), math.inf, False)
        self.assembly = assembling.assemble(
            self.config, SimulatedClock(1.0, _BEGIN, _BEGIN, _BEGIN, "simulated"), machine, attach=False
        )
        self.assembly.book.complete()
        self.ghost = ghost._replace(images=tuple(self.image(stage) for stage in range(4)))
        self._size_driver()
        self.supervisor = Supervisor(self.assembly)
        self.supervisor.crew.threads = [SimulatedThread(self, index) for index in range(len(self.assembly.workers))]
        self.commands, self.dead, self.full, self.drained_at_the_end = [], False, False, False
        self.report = None

    # ---- making

    def _settings(self, sink):
        choose = self.choose
        gap = choose.choice([2_000, 20_000, 100_000, 1_000_000])
        rate = "max" if choose.random() < 0.4 else 1e9 / gap
        bucketed = choose.random() < 0.4
        count = choose.choice([0, 0, choose.randrange(1, MOST // 2)])
        duration = choose.choice([0, 0, choose.randrange(1, 60) * 1e-3])
        sizes = [2 ** choose.randrange(8) for _ in range(3)]
        config = Config(
            pipeline=PipelineSettings(
                name="simulated",
                ingress_rate_hz=rate,
                count=count,
                run_duration_secs=duration,
                on_full=choose.choice(["wait", "wait", "drop"]),
                batch=choose.choice([1, 2, 7, 16, 64, 256]),
                stamp=choose.choice(["batch", "batch", "batch", "each"]),
                drain_timeout_secs=choose.choice([0.02, 0.5, 5.0]),
                sink=sink,
            ),
            source=SourceSettings(
                seed=choose.randrange(1, 2**63),
                model="uniform" if bucketed and choose.random() < 0.5 else "market",
                live_orders=choose.choice([10, 50, 400]),
            ),
            buffers=BufferSettings(),
            bundle=BundleSettings(
                max_size=choose.choice([1, 2, 3, 16, 61, 256]), timeout_ns=choose.choice([1, 5_000, 100_000, 5_000_000])
            ),
            book=BookSettings(kind="bucketed" if bucketed else "exact"),
            threads=ThreadSettings(**{f"{name}_core": choose.randrange(4) for name in layout.STAGE_NAMES}),
            given=frozenset({"pipeline.ingress_rate_hz"}) if choose.random() < 0.5 else frozenset(),
        )
        for name, size in zip(("ingress_ring_size", "bundle_ring_size", "output_ring_size"), sizes, strict=True):
            object.__setattr__(config.buffers, name, size)  # smaller than anybody may configure: full all the time
        return config

    def _source(self):
        if not self.recorded:
            from velox_engine.source import open_source

            return open_source(self.config, None)
        self.decoder = SimulatedDecoder(self.choose, MOST)
        by_time = "pipeline.ingress_rate_hz" not in self.config.given
        return Source(
            self.decoder.instruments,
            self.decoder.staging,
            self.decoder.feed,
            self.decoder,
            by_time,
            telemetry_symbols=4,
        )

    def _size_driver(self):
        words, choose = self.ghost.words, self.choose
        words[driver.KEY] = choose.randrange(2**63)
        self.tick = choose.choice([50_000, 500_000, 3 * _MS])
        words[driver.MOST_STEPS] = choose.choice([50, 500, 2000])
        words[driver.GAP_NS] = choose.choice([100, 1_000, 10_000])
        words[driver.JUMP_NS] = choose.choice([1, 100_000, 3 * _MS, 40 * _MS, 1500 * _MS])
        words[driver.BURST] = choose.choice([1, 3, 20])
        words[driver.MAX_SIZE], words[driver.TIMEOUT] = self.config.bundle.max_size, self.config.bundle.timeout_ns
        words[driver.WAKE] = 2**62
        workers = self.assembly.workers
        for index, worker in enumerate(workers):
            for stage in range(4):
                if worker.image[layout.WORKER_STAGES] >> stage & 1:
                    words[driver.WORKER_OF + stage] = index
        words[driver.LEFT + len(workers) : driver.LEFT + 4] = 1
        self.workers = (*workers, *[workers[-1]] * (4 - len(workers)))
        self.places = np.array([self.assembly.region.at(Block.STAGE, stage) for stage in range(4)])
        if not self.recorded and self.choose.random() < 0.2:
            self.assembly.stages.ingress.stage.at[2] = 1  # latency as where a source loops

    # ---- running

    @property
    def now(self):
        return int(clock.words[clock.NOW])

    def left(self, worker):
        return bool(self.ghost.words[driver.LEFT + worker])

    def run_until(self, moment):
        """Let the workers run until a moment; when they have used up their steps, they are put aside until then."""
        moment, words = max(moment, self.now + 1), self.ghost.words
        halted = self.supervisor.state in (State.PAUSED, State.DRAINED) and not self._resuming
        words[driver.STILL] = halted
        self.driving = True
        why = driver.drive(
            clock.words, self.assembly.stages, self.workers, self.assembly.book.state, self.ghost, self.places, moment
        )
        self.driving = False
        if why == driver.GROW:
            self.assembly.book.grow()
        elif why == driver.OUT_OF_ROOM:
            self.full = True
        elif why != driver.WRONG_SEEN:
            clock.words[clock.NOW] = max(self.now, moment)
        if why == driver.WRONG_SEEN:
            what, detail = int(words[driver.WHAT]), int(words[driver.DETAIL])
            raise Violation(f"{driver.PROBLEMS[what]} ({detail})")
        if self.decoder is not None:
            self.decoder.step()
        if self.sink is not None:
            self.assembly.sink.step()

    def sleep(self, seconds):
        """The supervisor sleeps, often longer than it wants to: others run meanwhile."""
        self.run_until(self.now + int(seconds * 1e9 * self.choose.choice([1, 1, 20, 100])))

    _resuming = False

    def run(self):
        """Run to the end, and check it."""
        supervisor = self.supervisor
        supervisor._begin()
        plan = self._plan()
        end = self.now + _LONGEST
        ticks = 0
        while not supervisor.finished.is_set():
            ticks += 1
            # whoever waits long looks less and less often, or a drain of seconds would take most of the time
            longest = self.tick * (1 + ticks // 50)
            self.run_until(self.now + self.choose.randrange(longest))
            while plan and plan[0][0] <= self.now:
                self._do(*plan.pop(0)[1:])
            if self.full and not self.full_told:
                self.full_told = True
                self._do("stop", (True, "enough"))
            with suppress(queue.Empty):
                self._execute(supervisor._queue.get_nowait())
            supervisor._look()
            self._look()
            if self.now > end:
                raise Violation(f"it hangs, {supervisor.state.word}")
        self._check()

    full_told = False

    def _execute(self, command):
        """As the supervisor does; a resume ends the stillness when it begins to be told, not when it is answered."""
        self._resuming = command.kind == "resume"
        self.supervisor._execute(command)
        self._resuming = False

    def _plan(self):
        """Choose what people and the world do, and when; the last is always a stop."""
        choose, plan = self.choose, []
        at = self.now
        for _ in range(choose.choice([0, 1, 3, 8])):
            at += int(choose.choice([0.1, 2, 10]) * choose.random() * self.tick)
            kind = choose.choice(
                ["pause", "resume", "resume", "rate", "rate", "drain", "lease", "look", "clock", "fault"]
            )
            value = None
            if kind == "rate":
                value = choose.choice([math.inf, 1e9 / choose.choice([2_000, 50_000, 10**6, 10**9])])
            elif kind == "lease":
                value = (choose.randrange(8), choose.choice([-1, 0, 3]))
            elif kind == "clock":
                value = choose.choice([-2_000, -60, 60, 5_000]) * _MS
            elif kind == "fault":
                kind = choose.choice(["die", "die", "stall", "break the source"])
                value = choose.randrange(4)
            plan.append((at, kind, value))
        at += int(choose.choice([0.1, 10, 40]) * choose.random() * self.tick)
        plan.append((at, "stop", (choose.random() < 0.8, "asked")))
        if choose.random() < 0.2:
            plan.append((at + choose.randrange(5 * _MS), "stop", (False, "asked again")))
        return plan

    def _do(self, kind, value):
        words = self.ghost.words
        if kind == "look":
            snapshot = self.supervisor._reader.read()
            if not snapshot.conservation.holds:
                raise Violation(f"a watcher is told {snapshot.conservation.problems}")
        elif kind == "clock":
            SimulatedClock.stepped += value
        elif kind == "die":
            if not self.dead and self.choose.random() < 0.3:
                self.dead = True
                worker = int(words[driver.WORKER_OF + value])
                for stage in range(4):
                    if words[driver.WORKER_OF + stage] == worker:
                        words[driver.STALLED + stage] = 2**62
                self.supervisor.crew.failures.put(f"worker {worker} died: simulated")
        elif kind == "stall":
            words[driver.STALLED + value] = max(
                words[driver.STALLED + value], self.now + self.choose.randrange(50 * _MS)
            )
        elif kind == "break the source":
            if self.decoder is not None:
                self.decoder.failure = DAMAGED
                self.decoder.end()
        else:
            command = Command(kind, value)
            self.commands.append((kind, command))
            if not self.supervisor.finished.is_set():
                self.supervisor.submit(command)

    def _look(self):
        """What must hold whenever the supervisor has looked."""
        if self.supervisor.state is State.DRAINED and not self._resuming:
            passed = self.passed
            if len(set(passed)) != 1 or self.assembly.stages.bundler.stage.image[layout.BUNDLE_OPEN]:
                raise Violation(f"drained with {passed} passed")

    # ---- looking, for the checks

    @property
    def passed(self):
        """What each stage has passed."""
        return [int(self.image(stage)[layout.STAGE_PROCESSED]) for stage in range(4)]

    @property
    def accepted(self):
        return self.passed[0]

    @property
    def generated(self):
        return int(self.image(layout.INGRESS)[layout.INGRESS_GENERATED])

    @property
    def rows(self):
        return int(self.ghost.words[driver.ROWS])

    @property
    def bundles(self):
        return int(self.ghost.words[driver.BUNDLES])

    @property
    def served(self):
        return self.ghost.words[driver.SERVED : driver.SERVED + 4].tolist()

    @property
    def publications(self):
        return int(self.ghost.words[driver.PUBLICATIONS])

    @property
    def steps(self):
        return int(self.ghost.words[driver.STEPS])

    def stage(self, number):
        stages = self.assembly.stages
        return (stages.ingress, stages.orderbook, stages.bundler, stages.output)[number].stage

    def image(self, number):
        return self.stage(number).image

    def plain_book(self, records):
        """The book after these records, applied to an empty one at once."""
        symbols = len(self.source.instruments)
        book = (
            RunningBucketed(symbols) if self.config.book.kind == "bucketed" else RunningExact(symbols, windowed=False)
        )
        book.complete()
        apply_all(book, records)
        return book.summary(0)

    def _check(self):
        supervisor, assembly = self.supervisor, self.assembly
        state = supervisor.state
        self.drained_at_the_end = state is State.STOPPED and self._drained_last()
        self.report = reporting.make_report(
            supervisor._reader.read(),
            ns_per_tick=1.0,
            reason=supervisor.reason or "stopped",
            failure=supervisor.failure or supervisor.failure_of_source,
            settled=not supervisor.crew.hung,
            drain_timed_out=supervisor.drain_timed_out,
            drained=(supervisor.drained_transactions, supervisor.drained_bundles),
            paused_s=supervisor.paused_s,
            books=[assembly.book.summary(symbol) for symbol in range(len(self.source.instruments))],
            instruments=self.source.instruments,
            source={},
            limits=self.config.limits,
            cpu_s=0.0,
            clock_source="simulated",
        )
        if supervisor.crew.hung:
            return  # a worker that never came back: what it counted is not known, and the report says so
        for check in ALL:
            check(self)

    def _drained_last(self):
        """Whether the run ended with a drain that was through in time."""
        events = [event.text for event in self.supervisor._reader.events()]
        states = [text.split(":")[0] for text in events if text.split(":")[0] in ("drained", "running", "stopped")]
        return states[-2:] == ["drained", "stopped"]
