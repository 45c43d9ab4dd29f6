"""Opening an engine of another process for the dashboard: what `Starter` is for an engine of our own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from velox_engine.attached import AttachedEngine
from velox_engine.config import BookSettings, Config, LimitSettings
from velox_engine.discovery import Found, find_engines
from velox_engine.errors import ConfigError
from velox_tui.finding import listed
from velox_tui.memory import settle_collector


class Attacher:
    """Opens the engine that was chosen, away from the screen's thread."""

    def __init__(self, config: Config, prepare: Callable[[], Any] = lambda: None) -> None:
        self.config = config
        self._prepare = prepare
        self.chosen: Found | None = None
        self.engine: AttachedEngine | None = None
        self.error: BaseException | None = None
        self.progress = ("attaching", 1, 2)
        self.done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vx-attacher", daemon=True)

    def start(self) -> None:
        """Begin to open ``chosen``."""
        self._thread.start()

    def request_stop(self, reason: str = "stopped", drain: bool = True) -> None:
        """Nothing to do: whoever only watches leaves the engine alone."""

    def _run(self) -> None:
        try:
            assert self.chosen is not None
            engine = AttachedEngine(self.chosen)
            self.config = as_watched(self.config, engine.snapshot().config)
            self._prepare()
            dead = [each for each in find_engines() if not each.alive and each.path != self.chosen.path]
            if dead:
                text = f"{listed(dead)} died and left telemetry; velox-tui ps --remove-dead takes it away"
                engine.note("info", text)
            self.engine = engine
            settle_collector()
        except BaseException as error:
            self.error = error
        finally:
            self.done.set()


def as_watched(own: Config, engines: dict[str, Any]) -> Config:
    """Return the watcher's own configuration with what the engine says of limits and depth, which alerts go by."""
    try:
        limits = _section(LimitSettings, engines.get("limits"))
        book = _section(BookSettings, engines.get("book"))
        return replace(own, limits=limits, book=book)
    except (ConfigError, TypeError):
        return own


def _section(kind: Any, given: Any) -> Any:
    known = {each.name for each in fields(kind)}
    return kind(**{name: value for name, value in dict(given or {}).items() if name in known})
