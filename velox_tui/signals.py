"""What SIGINT, SIGTERM and SIGHUP do: the first drains and leaves, the second leaves at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, Protocol

EXIT_BASE: Final = 128
_Handler = Callable[[int, FrameType | None], Any]


class Stoppable(Protocol):
    """What a signal steers: an engine, or one that is still to come."""

    def request_stop(self, reason: str = "stopped", drain: bool = True) -> None:
        """Ask for a stop and return at once."""


class Ending:
    """Remembers the signal that ends a run, and steers the engine by it, without the help of any event loop."""

    def __init__(self, engine: Stoppable, *, wake: Callable[[], None] = lambda: None) -> None:
        self._engine = engine
        self._wake = wake
        self.signal: int | None = None
        self.count = 0

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Stop the engine first, then wake whoever waits; runs in the main thread between two bytecodes."""
        del frame
        self.count += 1
        if self.signal is None:
            self.signal = number
        name = signal.Signals(self.signal).name
        self._engine.request_stop(name, drain=self.count == 1)
        self._wake()

    @property
    def name(self) -> str | None:
        """The name of the signal, ``None`` if there was none."""
        return None if self.signal is None else signal.Signals(self.signal).name

    @contextmanager
    def installed(self, *numbers: int) -> Iterator[None]:
        """Handle these signals meanwhile, also where they were inherited as ignored; put the old handlers back.

        Where one of them has ended the run they are ignored from then on: the exit code is told, nothing is left to be
        ended, and a second one would only kill the interpreter while it cleans up.
        """
        with handled(self.handle, *numbers, ended=lambda: self.signal is not None):
            yield


class Hangups:
    """Counts SIGHUP where it does not end the run."""

    def __init__(self) -> None:
        self._waiting = 0

    def take(self) -> bool:
        """Whether one came since this was asked last."""
        waiting, self._waiting = self._waiting, 0
        return waiting > 0

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Count the signal meanwhile."""

        def count(number: int, frame: FrameType | None) -> None:
            self._waiting += 1

        with handled(count, signal.SIGHUP):
            yield


@contextmanager
def handled(handler: _Handler, *numbers: int, ended: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Handle these signals meanwhile; put the old handlers back, or ignore the signals where ``ended()``."""
    before: dict[int, Any] = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_IGN if ended() else old if old is not None else signal.SIG_DFL)
