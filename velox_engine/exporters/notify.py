"""Telling a service manager how the run goes, by systemd's notification protocol (sd_notify(3)).

READY=1 when the engine runs; WATCHDOG=1 only while every worker's heart beats, if the manager asked for it;
STOPPING=1 when a stop was asked for; EXTEND_TIMEOUT_USEC while it compiles and while it drains for that stop, so that
neither is taken for a hang. Used where a manager listens: where it has set ``NOTIFY_SOCKET``.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping
from typing import Final, Protocol

from velox_engine.exporters.health import judge
from velox_engine.exporters.watch import Watch, Watched
from velox_engine.snapshot import State
from velox_engine.threads import name_thread

_LOOK_S: Final = 0.1
_EXTEND_EVERY_S: Final = 1.0
_EXTENSION_US: Final = 10_000_000
_LONGEST_START_S: Final = 600.0
_SEND_S: Final = 1.0


class Manager:
    """The service manager's socket. A manager that does not listen any more is ignored."""

    def __init__(self, address: str) -> None:
        # a leading @ stands for Linux's abstract names
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0))
        self._socket.settimeout(_SEND_S)

    def tell(self, *assignments: str) -> None:
        """Send assignments such as ``READY=1``."""
        try:
            self._socket.sendto("\n".join(assignments).encode(), self._address)
        except OSError:
            return

    def close(self) -> None:
        """Tell nothing more."""
        self._socket.close()


def watchdog_s(environment: Mapping[str, str]) -> float:
    """Return within how many seconds the manager wants to hear of us; 0 where it does not (sd_watchdog_enabled(3))."""
    try:
        if int(environment.get("WATCHDOG_PID", os.getpid())) != os.getpid():
            return 0.0
        return max(int(environment.get("WATCHDOG_USEC", 0)), 0) * 1e-6
    except ValueError:
        return 0.0


class Steered(Watched, Protocol):
    """What it needs to know of an engine."""

    @property
    def state(self) -> State:
        """The state as it is now."""

    @property
    def stop_asked(self) -> bool:
        """Whether it is about to stop, however long the drain before takes."""


class Notifier:
    """The service: a thread that follows the engine and tells the manager."""

    name = "service manager"

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._manager = Manager(environment["NOTIFY_SOCKET"])
        # twice in the time that is allowed, as the protocol's manual has it
        self._beat_s = watchdog_s(environment) / 2
        self._watch = Watch()
        self._engine: Steered | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vx-notify", daemon=True)
        self._state: State | None = None
        self._stopping = False
        self._next_extension = self._next_beat = 0.0

    def prepare(self) -> None:
        """Begin to tell that it starts."""
        self._thread.start()

    def start(self, engine: Steered) -> None:
        """Follow this engine."""
        self._watch.begin(engine)
        self._engine = engine

    def stop(self) -> None:
        """Say the last."""
        self._ended.set()
        self._thread.join()
        self._manager.close()

    def _run(self) -> None:
        name_thread("vx-notify")
        give_up = time.monotonic() + _LONGEST_START_S
        while not self._ended.is_set():
            now, engine = time.monotonic(), self._engine
            if engine is None:
                self._tell_state(State.STARTING)
                self._extend(now, now < give_up)
            else:
                self._tell_state(engine.state)
                self._tell_stopping(engine.stop_asked)
                self._extend(now, self._stopping)
                self._beat(now)
            self._ended.wait(_LOOK_S)
        self._tell_stopping(True)

    def _tell_state(self, state: State) -> None:
        """Tell a state when it is new; the first after the start is when it is ready."""
        if state is self._state:
            return
        ready = ["READY=1"] if self._state in (None, State.STARTING) and state is not State.STARTING else []
        self._state = state
        self._manager.tell(*ready, f"STATUS={state.word}")

    def _tell_stopping(self, stopping: bool) -> None:
        if stopping and not self._stopping:
            self._stopping = True
            self._manager.tell("STOPPING=1")

    def _extend(self, now: float, wanted: bool) -> None:
        if wanted and now >= self._next_extension:
            self._next_extension = now + _EXTEND_EVERY_S
            self._manager.tell(f"EXTEND_TIMEOUT_USEC={_EXTENSION_US}")

    def _beat(self, now: float) -> None:
        if self._beat_s and now >= self._next_beat and judge(self._watch.snapshot()).live:
            self._next_beat = now + self._beat_s
            self._manager.tell("WATCHDOG=1")
