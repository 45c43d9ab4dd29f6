"""The threads that an engine's compiled loops run in: started, bound to their cores, and waited for at the end."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from velox_engine.assembly import Assembly, worker_arguments
from velox_engine.lockfree.clock import read_ticks
from velox_engine.stages import control as word
from velox_engine.stages.handles import get_word
from velox_engine.stages.hiccup import run_hiccup
from velox_engine.stages.worker import Reason, run_worker
from velox_engine.telemetry import layout
from velox_engine.telemetry.layout import Block
from velox_engine.threads import name_thread, pin_thread, sharpen_sleeps

_STOP_LOOK_S: Final = 0.01
# on a machine that is busy with other things a worker may not run for seconds; that is no fault of it
JOIN_S: Final = 10.0
"""How long the end waits for a thread, s."""


class Crew:
    """The workers and the hiccup meter of an assembled engine.

    ``failures`` holds what workers died of; ``hung`` names those that did not leave when they were told to.
    """

    def __init__(self, assembly: Assembly, note: Callable[[str, str], None]) -> None:
        self._assembly = assembly
        self._note = note
        self.threads: list[threading.Thread] = []
        self.failures: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.hung: tuple[str, ...] = ()

    def start(self) -> None:
        """Start them; the workers wait for orders."""
        for index in range(len(self._assembly.workers)):
            self.threads.append(threading.Thread(target=self._work, args=(index,), daemon=True))
        self.threads.append(threading.Thread(target=self._measure_hiccups, daemon=True))
        for thread in self.threads:
            thread.start()

    def join(self) -> None:
        """Wait for them, who have been told to stop; all together for ten seconds at the most."""
        give_up = time.monotonic() + JOIN_S
        for thread in self.threads:
            if thread.is_alive():
                thread.join(max(give_up - time.monotonic(), 0.01))
        self.hung = tuple(thread.name for thread in self.threads if thread.is_alive())

    def _work(self, index: int) -> None:
        name_thread(f"vx-worker-{index}")
        sharpen_sleeps()
        worker = self._assembly.workers[index]
        core = int(worker.image[layout.WORKER_CORE])
        if core >= 0:
            problem = pin_thread(core)
            if problem is not None:
                worker.image[layout.WORKER_CORE] = -1
                self._note("warning", f"worker {index} is not bound to core {core} and runs unpinned: {problem}")
        worker.image[layout.WORKER_THREAD_ID] = threading.get_native_id()  # from here on chaos may move it
        try:
            while run_worker(*worker_arguments(self._assembly, index)) == Reason.GROW:
                begun = read_ticks()
                self._assembly.book.grow()
                worker.image[layout.WORKER_GROWS] += 1
                worker.image[layout.WORKER_GROW_TICKS] += read_ticks() - begun
        except BaseException as error:
            self.failures.put(f"worker {index} died: {type(error).__name__}: {error}")
            self._publish_last_words(index)

    def _publish_last_words(self, index: int) -> None:
        """Enter a dead worker's loop once more when it has nothing to do there but to publish and leave."""
        while not get_word(self._assembly.stages.control.words, word.STOP):
            time.sleep(_STOP_LOOK_S)
        with contextlib.suppress(Exception):
            run_worker(*worker_arguments(self._assembly, index))

    def _measure_hiccups(self) -> None:
        name_thread("vx-hiccup")
        sharpen_sleeps()
        region, image = self._assembly.region, np.zeros(layout.HISTOGRAM_LENGTH, np.int64)
        scale = self._assembly.clock.ns_per_tick
        run_hiccup(self._assembly.stages.control, image, region.words, region.at(Block.HICCUP), scale)
