"""A thread that gives the engine its commands, because they return only when they have taken effect."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from velox_engine.errors import VeloxError

Answer = Callable[[str, Exception | None], None]


class Commander:
    """Runs commands one after another away from the event loop; ``answer(what, error)`` is called from its thread."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._queue: queue.SimpleQueue[tuple[str, Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="vx-commander", daemon=True)
        self._thread.start()

    def give(self, what: str, command: Callable[[], Any]) -> None:
        """Run a command soon; ``what`` is how the answer names it."""
        self._queue.put((what, command))

    def give_apart(self, what: str, command: Callable[[], Any]) -> None:
        """Run a command at once, beside whatever runs: one that must not wait until a drain is over."""
        threading.Thread(target=self._do, args=(what, command), name="vx-commander", daemon=True).start()

    def stop(self) -> None:
        """Take no more; what waits is still run."""
        self._queue.put(None)

    def _run(self) -> None:
        while (order := self._queue.get()) is not None:
            self._do(*order)

    def _do(self, what: str, command: Callable[[], Any]) -> None:
        try:
            command()
        except VeloxError as error:
            self._answer(what, error)
        except Exception as error:  # a fault of ours must not end the thread that everything is steered by
            self._answer(what, RuntimeError(f"{type(error).__name__}: {error}"))
        else:
            self._answer(what, None)
