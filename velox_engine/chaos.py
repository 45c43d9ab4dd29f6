"""Chaos: a thread that makes faults on purpose while an engine runs, at moments drawn from a seed.

It works from outside, so that an engine without it pays nothing. What it does to stages goes through one control word,
a mask of stages that their workers leave out of a turn; what it does to threads through the operating system:

========== =============================================================================================
stalls     a stage is put aside for up to ``longest_ms``
naps       one is put aside for up to half a millisecond where it hurts: an open bundle, a ring almost
           full, an order or a drain on its way
moves      a worker is bound to another core, wherever its code is at that moment
crowds     a thread spins on a worker's core for up to ``longest_ms``: the worker is descheduled
squeezes   all workers are bound to one core for up to ``longest_ms``: the others are taken away
clock      the clock seems to have stepped by up to two seconds
memory     so many megabytes are taken and given back
sink       writes fail or are slow (`velox_engine.sinks.FaultySink`)
========== =============================================================================================
"""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from velox_engine.assembly import Assembly
from velox_engine.lockfree.ring import CAPACITY, PUBLISHED, RELEASED, Ring
from velox_engine.stages import control as word
from velox_engine.stages.handles import get_word, set_word
from velox_engine.telemetry import layout
from velox_engine.telemetry.layout import LINE_WORDS, STAGE_NAMES
from velox_engine.threads import name_thread

_LONGEST_NAP_S: Final = 0.0005
_LONGEST_STEP_NS: Final = 2_000_000_000
_LEAST_STEP_NS: Final = 60_000_000  # what is less is not noticed as a step
_ALMOST_FULL: Final = 0.9
_JOIN_S: Final = 5.0
_MOST_CROWDS: Final = 8  # threads that spin at once
_MEGABYTE: Final = 1 << 20
_SPIN: Final = bytes(1 << 16)
_STAGES: Final = range(len(STAGE_NAMES))


class Chaos:
    """Makes faults until it is stopped; ``counts`` says how many of each kind, and for how long (seconds)."""

    def __init__(self, assembly: Assembly, seed: int, step_clock: Callable[[int], None]) -> None:
        self._assembly = assembly
        self._settings = assembly.config.chaos
        self._control = assembly.stages.control.words
        self._step_clock = step_clock
        self.seed = seed
        self._random = random.Random(seed)
        self._stopped = threading.Event()
        self._aside = [0.0] * len(STAGE_NAMES)  # until when each stage is put aside
        self._squeezed = 0.0
        self._cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self._crowd: list[threading.Thread] = []
        self.counts: dict[str, float] = dict.fromkeys(
            ("stalls", "stalled_s", "naps", "moves", "crowds", "squeezes", "clock_steps", "memory_takes"), 0
        )
        self._thread = threading.Thread(target=self._run, name="vx-chaos", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Let everything go as it was, and end."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_S)
        for thread in self._crowd:
            thread.join(_JOIN_S)
        set_word(self._control, word.ASIDE, 0)

    def report(self) -> dict[str, Any]:
        """Say what was done, for the final report."""
        told: dict[str, Any] = {"seed": self.seed}
        told |= {kind: round(count, 6) for kind, count in self.counts.items()}
        sink = self._assembly.sink
        faulty = None if sink is None else sink.faults
        return told | ({} if faulty is None else faulty)

    # ---- the thread

    def _run(self) -> None:
        name_thread("vx-chaos")
        settings = self._settings
        kinds: dict[Callable[[], None], float] = {
            self._stall: settings.stalls_hz,
            self._nap: settings.naps_hz,
            self._move: settings.moves_hz,
            self._crowd_out: settings.crowds_hz,
            self._squeeze: settings.squeezes_hz,
            self._step: settings.clock_steps_hz,
            self._take_memory: settings.memory_hz if settings.memory_mb else 0.0,
        }
        now = time.monotonic()
        due = [(now + self._gap(rate), index, act, rate) for index, (act, rate) in enumerate(kinds.items()) if rate]
        heapq.heapify(due)
        try:
            while not self._stopped.is_set():
                self._let_go(time.monotonic())
                if due and due[0][0] <= time.monotonic():
                    moment, index, act, rate = heapq.heappop(due)
                    act()
                    # what is late is not made up for: the host may have stood still
                    heapq.heappush(due, (max(moment, time.monotonic()) + self._gap(rate), index, act, rate))
                    continue
                ahead = [until for until in (*self._aside, self._squeezed, *[each[0] for each in due[:1]]) if until]
                self._stopped.wait(max(min(ahead) - time.monotonic(), 0.0) if ahead else None)
        finally:
            set_word(self._control, word.ASIDE, 0)
            self._give_cores_back()

    def _gap(self, rate: float) -> float:
        return self._random.expovariate(rate)

    def _length(self) -> float:
        """Draw for how long, seconds: mostly short, at times as long as is allowed."""
        return self._settings.longest_ms * 1e-3 * self._random.random() ** 3

    def _put_aside(self, stage: int, seconds: float) -> None:
        self._aside[stage] = max(self._aside[stage], time.monotonic() + seconds)
        self._write_aside()

    def _write_aside(self) -> None:
        set_word(self._control, word.ASIDE, sum(1 << stage for stage in _STAGES if self._aside[stage]))

    def _let_go(self, now: float) -> None:
        if any(until and until <= now for until in self._aside):
            self._aside = [until if until > now else 0.0 for until in self._aside]
            self._write_aside()
        if self._squeezed and self._squeezed <= now:
            self._squeezed = 0.0
            self._give_cores_back()

    # ---- stages

    def _stall(self) -> None:
        seconds = self._length()
        self._put_aside(self._random.choice(_STAGES), seconds)
        self.counts["stalls"] += 1
        self.counts["stalled_s"] += seconds

    def _nap(self) -> None:
        self._put_aside(self._random.choice(self._worst_places() or [*_STAGES]), _LONGEST_NAP_S * self._random.random())
        self.counts["naps"] += 1

    def _worst_places(self) -> list[int]:
        """List the stages that hold something up when they rest now."""
        stages, control = self._assembly.stages, self._control
        found = []
        if get_word(control, word.ACKNOWLEDGED) != get_word(control, word.SERIAL):
            found.append(layout.INGRESS)
        drained = [get_word(control, word.DRAINED + stage * LINE_WORDS) for stage in _STAGES]
        found += [stage for stage in (1, 2, 3) if drained[stage] != drained[stage - 1]]
        if stages.bundler.stage.image[layout.BUNDLE_OPEN]:
            found.append(layout.BUNDLE)
        for reader, ring in enumerate((stages.ingress_ring, stages.bundle_ring, stages.output_ring), 1):
            if _filled(ring) >= _ALMOST_FULL:
                found += [reader - 1, reader]
        return found

    # ---- threads and cores

    def _threads(self) -> list[int]:
        """Return the system's numbers of the workers' threads that have begun."""
        found = [int(worker.image[layout.WORKER_THREAD_ID]) for worker in self._assembly.workers]
        return [thread for thread in found if thread]

    def _bind(self, thread: int, cores: set[int]) -> bool:
        try:
            os.sched_setaffinity(thread, cores)
        except (AttributeError, OSError):  # not on this system, or the thread has ended
            return False
        return True

    def _move(self) -> None:
        threads = self._threads()
        if len(self._cores) > 1 and threads and not self._squeezed:
            self.counts["moves"] += self._bind(self._random.choice(threads), {self._random.choice(self._cores)})

    def _squeeze(self) -> None:
        if not self._cores:
            return
        core = self._random.choice(self._cores)
        bound = [self._bind(thread, {core}) for thread in self._threads()]
        if any(bound):
            self._squeezed = time.monotonic() + self._length()
            self.counts["squeezes"] += 1

    def _give_cores_back(self) -> None:
        for worker in self._assembly.workers:
            core, thread = int(worker.image[layout.WORKER_CORE]), int(worker.image[layout.WORKER_THREAD_ID])
            if thread and self._cores:
                self._bind(thread, {core} if core >= 0 else set(self._cores))

    def _crowd_out(self) -> None:
        worker = self._random.choice(self._assembly.workers)
        core, seconds = int(worker.image[layout.WORKER_CORE]), self._length()
        self._crowd = [thread for thread in self._crowd if thread.is_alive()]
        if len(self._crowd) == _MOST_CROWDS:
            return
        thread = threading.Thread(target=self._spin, args=(core, seconds), name="vx-crowd", daemon=True)
        self._crowd.append(thread)
        thread.start()
        self.counts["crowds"] += 1

    def _spin(self, core: int, seconds: float) -> None:
        """Use up a core: hashing lets go of the interpreter, so that only the worker is in need."""
        name_thread("vx-crowd")
        if core >= 0:
            with contextlib.suppress(AttributeError, OSError):
                os.sched_setaffinity(0, {core})
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._stopped.is_set():
            hashlib.sha256(_SPIN).digest()

    # ---- the rest

    def _step(self) -> None:
        size = self._random.randrange(_LEAST_STEP_NS, _LONGEST_STEP_NS)
        self._step_clock(self._random.choice([-size, size]))
        self.counts["clock_steps"] += 1

    def _take_memory(self) -> None:
        taken = []
        with contextlib.suppress(MemoryError):
            for _ in range(self._settings.memory_mb):
                taken.append(np.ones(_MEGABYTE, np.uint8))
                if self._stopped.is_set():
                    break
        self.counts["memory_takes"] += 1


def _filled(ring: Ring) -> float:
    words = ring.words
    return float((words[PUBLISHED] - words[RELEASED]) / words[CAPACITY])
