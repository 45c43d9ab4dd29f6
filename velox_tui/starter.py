"""Starting the engine in a thread of its own, so that the screen is there before anything heavy is imported."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from velox_engine.config import Config
from velox_tui.memory import settle_collector

if TYPE_CHECKING:
    from velox_engine.engine import Engine


class Starter:
    """Makes and starts an engine; until it exists, a request to stop waits for it."""

    def __init__(
        self,
        config: Config,
        prepare: Callable[[], Any] = lambda: None,
        started: Callable[[Engine], None] = lambda engine: None,
    ) -> None:
        self.config = config
        self._prepare, self._started = prepare, started
        self._lock = threading.RLock()  # a signal's handler may come in the middle of it
        self._stop: tuple[str, bool] | None = None
        self.engine: Engine | None = None
        self.error: BaseException | None = None
        self.progress = ("loading", 0, 6)
        self.done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vx-starter", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def request_stop(self, reason: str = "stopped", drain: bool = True) -> None:
        """Stop the engine, or do not even start it; returns at once."""
        with self._lock:
            self._stop = (reason, drain)
            if self.engine is not None:
                self.engine.request_stop(reason, drain)

    def _run(self) -> None:
        try:
            from velox_engine.engine import Engine

            engine = Engine(self.config)
            with self._lock:
                self.engine = engine
                if self._stop is not None:
                    engine.request_stop(*self._stop)
            self._prepare()
            engine.start(self._tell)
            self._started(engine)
            settle_collector()
        except BaseException as error:
            self.error = error
        finally:
            self.done.set()

    def _tell(self, what: str, done: int, total: int) -> None:
        self.progress = (what, done + 1, total + 1)
