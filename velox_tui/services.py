"""What runs beside an engine: metrics, health, logs. Used alike with the screen and without; imports neither numba.

Each is a `Service`, made in `services_of`. One that fails after the start is a warning and never hurts the engine.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol

from velox_engine.config import Config
from velox_tui.log.service import LogService
from velox_tui.output import LineOutput

if TYPE_CHECKING:
    from velox_engine.engine import Engine

_STOP_S: Final = 2.0

Tell = Callable[[str, str], None]
"""``tell(severity, text)``: how a service says something while it works; severity is info, warning or error."""


class Service(Protocol):
    """Something that runs beside an engine.

    ``name`` is what warnings call it. Its work is done in threads of its own, daemons named ``vx-…``.
    """

    name: str

    def prepare(self) -> None:
        """Take what it needs of the machine, such as ports and files, before anything is compiled; it may serve then.

        Raises `ConfigError` where it cannot have it: in one line, and nothing is started.
        """

    def start(self, engine: Engine) -> None:
        """Begin with an engine that runs; returns soon."""

    def stop(self) -> None:
        """End, and let go of everything; the engine has stopped, its last words can be read.

        It is called once after a `prepare` that succeeded, also where `start` was never called or failed.
        """


def services_of(config: Config, tell: Tell) -> list[Service]:
    """Make what this configuration and the environment want beside an engine; nothing of it has begun."""
    wanted: list[Service] = []
    if config.metrics.enabled:
        from velox_engine.exporters.endpoints import Endpoints

        wanted.append(Endpoints(config.metrics, tell))
    if config.metrics.hlog != "none":
        from velox_engine.exporters.hlog import LatencyLog

        wanted.append(LatencyLog(config.metrics, tell))
    if os.environ.get("NOTIFY_SOCKET"):
        from velox_engine.exporters.notify import Notifier

        wanted.append(Notifier(os.environ))
    return wanted


class Services:
    """All services of a run.

    What they tell becomes an event of the engine, warnings and errors also part of its report. ``notes`` holds what
    they told before it ran, and `stop` returns what can no longer be told there. ``log`` is the first to begin and the
    last to end, so that it holds all of that; without a screen it gets ``messages``.
    """

    def __init__(
        self,
        config: Config,
        make: Callable[[Config, Tell], Iterable[Service]] = services_of,
        messages: LineOutput | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._late: list[str] = []
        self._prepared: list[Service] = []
        self._stopped = False
        self.notes: list[tuple[str, str]] = []
        self.log = LogService(config, self.tell, messages)
        self._services: list[Service] = [self.log, *make(config, self.tell)]

    def tell(self, severity: str, text: str) -> None:
        """Tell something, from any thread."""
        with self._lock:
            if self._engine is None and not self._stopped:
                self.notes.append((severity, text))
            elif self._engine is None or not self._engine.note(severity, text):
                self._late += [text] if severity != "info" else []
                self.log.record(severity, text)

    def prepare(self) -> None:
        """Prepare all, or none: the first `ConfigError` lets go of the others and is raised."""
        try:
            for service in self._services:
                service.prepare()
                self._prepared.append(service)
        except BaseException:
            self.stop()
            raise

    def start(self, engine: Engine) -> None:
        """Give all of them the engine, which runs; never raises."""
        with self._lock:
            if self._stopped:
                return
            self._engine = engine
            for severity, text in self.notes:
                engine.note(severity, text)
        for service in self._prepared:
            try:
                service.start(engine)
            except Exception as error:
                self.tell("warning", f"{service.name} did not start: {_told(error)}")

    def stop(self) -> list[str]:
        """End all within two seconds, once the engine has stopped; return the warnings that no report holds.

        One that does not end in time is left behind with its daemon threads. Calling it again does nothing.
        """
        with self._lock:
            if self._stopped:
                return []
            self._stopped = True
        if self._engine is None:  # it never ran: no event holds what was told
            for severity, text in self.notes:
                self.log.record(severity, text)
        self._end_all([each for each in self._prepared if each is not self.log])
        self._end_all([each for each in self._prepared if each is self.log])
        with self._lock:
            return list(self._late)

    def _end_all(self, services: list[Service]) -> None:
        ends = [threading.Thread(target=self._end, args=(each,), daemon=True) for each in services]
        for end in ends:
            end.start()
        give_up = time.monotonic() + _STOP_S
        for service, end in zip(services, ends, strict=True):
            end.join(max(give_up - time.monotonic(), 0.0))
            if end.is_alive():
                self.tell("warning", f"{service.name} did not stop within {_STOP_S:g} s")

    def _end(self, service: Service) -> None:
        try:
            service.stop()
        except Exception as error:
            self.tell("warning", f"{service.name} did not stop as it should: {_told(error)}")


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
