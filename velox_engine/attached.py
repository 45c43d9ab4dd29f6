"""An engine of another process, as whoever watches it sees it: the counterpart of `Engine`. Imports no numba.

Looking reads its telemetry region, steering asks its control socket. Whoever watches costs the engine nothing but the
depth slots that are leased, and those end with the connection, or ten seconds after the last look.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from velox_engine.discovery import Found, is_alive
from velox_engine.errors import EngineError, RegionError, cannot
from velox_engine.snapshot import Event, Snapshot, State
from velox_engine.steering.client import TAKEN_S, ControlClient
from velox_engine.steering.protocol import RENEW_S
from velox_engine.telemetry import layout
from velox_engine.telemetry.layout import Block
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.telemetry.region_file import RegionFile, open_region

SILENT_S: Final = 2.0
"""An engine's supervisor writes ten times a second; one that has not for so long is stopped, or hangs."""
_LIVES_S: Final = 0.25
"""How often it is asked whether the process lives."""
_POLL_S: Final = 0.1
_EVENTS: Final = 32
_DAMAGE: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a region raises whose blocks are whole but hold what no engine writes."""


@contextlib.contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Make a `RegionError` of what goes wrong while the content of a region is put to use."""
    try:
        yield
    except _DAMAGE as error:
        raise RegionError(path, f"is damaged: {type(error).__name__}: {error}") from None


class AttachedReader(TelemetryReader):
    """Reads the region of another process; what is damaged is a `RegionError`, a dead engine is told as failed."""

    def __init__(self, region: RegionFile, engine: AttachedEngine) -> None:
        super().__init__(region)
        self._engine = engine
        self._path = region.path

    def read(self) -> Snapshot:
        """Take a snapshot, and renew what is leased; raises `RegionError`.

        An engine that has written nothing for two seconds is stopped, or hangs as a whole: every worker has stalled.
        """
        self._engine.renew()
        snapshot = self._look()
        if snapshot.state >= State.STOPPED:
            return snapshot
        if self._engine.lives:
            silent = snapshot.state is not State.STARTING and self.silent_s() > SILENT_S
            self._engine.note_silence(silent)
            stalled = tuple(worker.index for worker in snapshot.workers)
            return replace(snapshot, stalled_workers=stalled) if silent else snapshot
        snapshot = self._look()  # its very last word may have come after the first look
        if snapshot.state >= State.STOPPED:
            return snapshot
        self._engine.note_death()
        return replace(snapshot, state=State.FAILED, stalled_workers=())

    def _look(self) -> Snapshot:
        with damage_told(self._path):
            snapshot = super().read()
            if not all(isinstance(text, str) for text in snapshot.warnings):
                raise ValueError("warnings that are no text")
            for name, section in snapshot.config.items():
                if name != "book_outcomes" and not isinstance(section, dict):
                    raise ValueError(f"a configuration whose {name} is no section")
        return snapshot

    def written_state(self) -> State:
        """Return the state as it was last written; raises `RegionError`."""
        with damage_told(self._path):
            return State(int(self.block(Block.CONTROL)[layout.CONTROL_STATE]))

    def events(self) -> list[Event]:
        """Return the last events, and what this watcher has met itself; raises `RegionError`."""
        with damage_told(self._path):
            return super().events() + self._engine.own_events

    def instruments(self) -> list[dict[str, Any]]:
        """Return the instrument table; raises `RegionError`."""
        with damage_told(self._path):
            return super().instruments()

    def samples(self) -> dict[str, NDArray[np.int64]]:
        """Return the one-second samples; raises `RegionError`."""
        with damage_told(self._path):
            return super().samples()


class AttachedEngine:
    """Watches and steers an engine of another process; any thread may call. Commands raise as those of `Engine` do.

    ``found`` says who it is. Raises `RegionError` when its telemetry cannot be read.
    """

    def __init__(self, found: Found) -> None:
        self.found = found
        self._region = open_region(found.path)
        self._readers = threading.local()
        self._started = self._region.word(layout.HEADER_PID_STARTED)
        self._lock = threading.Lock()
        self._client: ControlClient | None = None
        self._watched: dict[int, int] = {}
        self._next_handle = 0
        self._renewed = 0.0
        self._lives, self._looked = found.alive, 0.0
        self._events: list[Event] = []
        self._refused = ""
        self._died = self._silent = False

    # ---- looking

    def reader(self) -> AttachedReader:
        """Return the calling thread's reader of the telemetry region."""
        reader: AttachedReader | None = getattr(self._readers, "reader", None)
        if reader is None:
            reader = self._readers.reader = AttachedReader(self._region, self)
        return reader

    def snapshot(self) -> Snapshot:
        """Take a snapshot; raises `RegionError`."""
        return self.reader().read()

    @property
    def lives(self) -> bool:
        """Whether its process is there."""
        now = time.monotonic()
        if self._lives and now - self._looked >= _LIVES_S:
            self._looked = now
            self._lives = is_alive(self.found.pid, self._started, self.found.path)
        return self._lives

    @property
    def state(self) -> State:
        """The state as it was last written; failed where the process has died since, or the region is damaged."""
        lived = self.lives
        try:
            state = self.reader().written_state()
        except RegionError:
            return State.FAILED
        return state if lived or state >= State.STOPPED else State.FAILED

    @property
    def died(self) -> bool:
        """Whether its process has gone without having ended the engine: killed, or crashed."""
        try:
            return not self.lives and self.reader().written_state() < State.STOPPED
        except RegionError:
            return not self.lives

    def wait_stopped(self, timeout: float | None = None) -> bool:
        """Wait until it has stopped, failed or died, or the time is up; say whether it has."""
        end = None if timeout is None else time.monotonic() + timeout
        while self.state < State.STOPPED:
            if end is not None and time.monotonic() >= end:
                return False
            time.sleep(_POLL_S)
        return True

    @property
    def own_events(self) -> list[Event]:
        """What this watcher has met itself, oldest first."""
        return list(self._events)

    def note(self, severity: str, text: str) -> None:
        """Add an event that this watcher alone sees; ``severity`` is info, warning or error."""
        self._events = [*self._events[1 - _EVENTS :], Event(time.time_ns(), severity, text)]

    def note_death(self) -> None:
        """Add the event that the process has died, once."""
        if not self._died:
            self._died = True
            self.note("error", f"{self.found.who} has died: killed, or crashed; this is the last that it wrote")

    def note_silence(self, silent: bool) -> None:
        """Add an event when it begins to write nothing any more, and when it writes again."""
        if silent and not self._silent:
            self.note("warning", f"{self.found.who} has written nothing for {SILENT_S:g} s: it is stopped, or hangs")
        elif self._silent and not silent:
            self.note("info", f"{self.found.who} writes again")
        self._silent = silent

    # ---- steering

    def pause(self) -> None:
        """Take nothing more in; what is inside flows on."""
        self._ask("pause")

    def resume(self) -> None:
        """Go on after a pause or a drain."""
        self._ask("resume")

    def set_rate(self, per_second: float | str) -> None:
        """Begin a new schedule at this rate; ``"max"`` or infinity: as fast as it goes."""
        self._ask("rate", per_second="max" if per_second == float("inf") else per_second)

    def drain(self) -> None:
        """Stop ingress, empty every ring, flush the partial bundle; returns when all is out."""
        self._ask("drain")

    def stop(self, drain: bool = True) -> None:
        """Drain, unless told not to, and stop the workers; returns when they have stopped."""
        self._ask("stop", drain=drain)

    def request_stop(self, reason: str = "stopped", drain: bool = True) -> None:
        """Ask for a stop and return when it is taken; the reason that its report gives is the engine's own words."""
        del reason
        self._ask("stop", until_taken=True, drain=drain)

    def _ask(self, do: str, **more: Any) -> None:
        self._check(do)
        with self._connected() as client:
            client.ask(do, **more)

    def _check(self, do: str) -> None:
        if not self.lives:
            how = "has died" if self.died else "has ended"
            raise EngineError(f"{cannot(do)}: {self.found.who} {how}", state=self.state.word)

    def _connected(self) -> ControlClient:
        return ControlClient(self.found.control, self.found.who)

    # ---- leases

    def watch(self, symbol: int) -> int:
        """Have a symbol's book published; return a handle for `unwatch`.

        When all eight depth slots are leased an event says so, and it begins when one is free. Raises `EngineError`
        when the engine cannot be asked.
        """
        with self._lock:
            handle = self._next_handle
            self._next_handle += 1
            if self.lives and self.state < State.STOPPED:
                try:
                    self._client = self._client or self._connected()
                    self._client.ask("watch", TAKEN_S, symbol=symbol)
                except EngineError as error:
                    if error.state is None:
                        self._disconnect()
                        raise
                    self._tell_refused(str(error))
            self._watched[handle] = symbol
        return handle

    def unwatch(self, handle: int) -> None:
        """Give a depth slot back; nothing happens where the engine has gone."""
        with self._lock:
            symbol = self._watched.pop(handle, None)
            if symbol is None or symbol in self._watched.values() or self._client is None:
                return
            try:
                self._client.ask("unwatch", TAKEN_S, symbol=symbol)
            except EngineError:
                self._disconnect()
        if self._refused:
            self._renewed = 0.0  # the slot that is free now may be the one that was wanted

    def renew(self) -> None:
        """Renew what is leased, if it is time; never waits. Whoever looks calls it."""
        now = time.monotonic()
        if not self._watched or now - self._renewed < RENEW_S or not self.lives or not self._lock.acquire(False):
            return
        try:
            self._renewed = now
            self._client = self._client or self._connected()
            answers = self._client.waiting()
            for symbol in set(self._watched.values()):
                self._client.send("watch", symbol=symbol)
            refusals = [str(each.get("error")) for each in answers if each.get("ok") is False]
            self._tell_refused(refusals[0] if refusals else "" if answers else self._refused)
        except EngineError as error:
            self._disconnect()
            if self.state < State.STOPPED:
                self._tell_refused(str(error))
        finally:
            self._lock.release()

    def _tell_refused(self, why: str) -> None:
        if why and not self._refused:
            self.note("warning", f"no book is published for this watcher yet: {why}")
        elif self._refused and not why:
            self.note("info", "the book is published again")
        self._refused = why

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def close(self) -> None:
        """Give everything back; looking goes on to be possible."""
        with self._lock:
            self._watched.clear()
            self._disconnect()
