"""``/metrics``, ``/livez``, ``/readyz`` and ``/healthz``: served from before the engine is compiled until it ended."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from velox_engine.config import MetricsSettings
from velox_engine.exporters.exposition import Exposition
from velox_engine.exporters.health import judge
from velox_engine.exporters.prometheus import EngineMetrics
from velox_engine.exporters.requests import Answer
from velox_engine.exporters.server import HttpServer
from velox_engine.exporters.watch import Watch, Watched

_INDEX: Final = b"""\
/metrics   Prometheus metrics; also as OpenMetrics
/livez     200 while every worker's heart beats, else 503
/readyz    200 while it lives and runs, else 503
/healthz   both, with reasons, as JSON
"""


class Endpoints:
    """The service: an HTTP server whose every answer comes from one snapshot."""

    name = "metrics"

    def __init__(self, settings: MetricsSettings, tell: Callable[[str, str], None]) -> None:
        self._settings, self._tell = settings, tell
        self._watch = Watch()
        self._metrics = EngineMetrics(self._watch, settings.symbols)
        self._exposition = Exposition()
        self._server: HttpServer | None = None
        self._troubles: set[str] = set()

    def prepare(self) -> None:
        """Listen and answer; raises `ConfigError` where the port cannot be had."""
        keys = ("metrics.host", "metrics.port")
        self._server = HttpServer(self._settings.host, self._settings.port, self._answer, keys)
        self._server.begin()
        self._tell("info", f"metrics at {self._server.url}/metrics, health at /livez, /readyz and /healthz")

    def start(self, engine: Watched) -> None:
        """Look at the engine from now on."""
        self._watch.begin(engine)

    def stop(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.end()

    def _answer(self, path: str, query: str, accept: str) -> Answer:
        del query  # nothing is asked for by it
        try:
            return self._made(path, accept)
        except Exception as error:  # whatever it is, the client is answered and the run goes on
            trouble = f"{path} could not be answered: {type(error).__name__}: {error}"
            if trouble not in self._troubles and len(self._troubles) < 8:
                self._troubles.add(trouble)
                self._tell("warning", trouble)
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, f"{trouble}\n".encode())

    def _made(self, path: str, accept: str) -> Answer:
        if path == "/metrics":
            return Answer(HTTPStatus.OK, *self._exposition.text(self._metrics.families(), accept))
        if path == "/livez":
            health = judge(self._watch.snapshot())
            return _told(health.live, health.against_life)
        if path == "/readyz":
            health = judge(self._watch.snapshot())
            return _told(health.ready, health.reasons)
        if path == "/healthz":
            health = judge(self._watch.snapshot())
            return Answer(_status(health.ready), health.to_json().encode(), "application/json")
        if path == "/":
            return Answer(HTTPStatus.OK, _INDEX)
        return Answer(HTTPStatus.NOT_FOUND, b"there is nothing here; there is:\n" + _INDEX)


def _status(good: bool) -> HTTPStatus:
    return HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE


def _told(good: bool, reasons: tuple[str, ...]) -> Answer:
    return Answer(_status(good), ("ok\n" if good else "".join(f"{reason}\n" for reason in reasons)).encode())
