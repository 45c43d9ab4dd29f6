"""Makes sure that the process ends: a terminal that has gone or reads no more must not keep it, nor the engine."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from velox_tui.guard import Guard
from velox_tui.signals import Ending

_LOOK_S: Final = 0.25
_PATIENCE_S: Final = 3.0
_MODES: Final = (1049, 1000, 1002, 1003, 1006, 1015, 1016, 2004, 1004)  # alternate screen, mouse, paste, focus
_RESTORE: Final = "".join(f"\x1b[?{mode}l" for mode in _MODES).encode() + b"\x1b[?25h\x1b[<u\x1b[0m\r\n"


def has_gone(descriptor: int) -> bool:
    """Say whether the terminal behind a descriptor has hung up."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


def saved_terminal() -> Any:
    """Return the terminal's settings as they are, ``None`` where there are none."""
    import termios

    try:
        return termios.tcgetattr(sys.__stdin__.fileno())  # type: ignore[union-attr]
    except (OSError, ValueError, AttributeError, termios.error):
        return None


def restore_terminal(settings: Any) -> None:
    """Give the terminal back without waiting for it: settings, alternate screen, cursor, mouse."""
    import termios

    with suppress(Exception):
        descriptor = sys.__stderr__.fileno()  # type: ignore[union-attr]
        with suppress(Exception):
            termios.tcflush(descriptor, termios.TCOFLUSH)  # what it did not read is of no use to it any more
        os.set_blocking(descriptor, False)
        os.write(descriptor, _RESTORE)
        os.set_blocking(descriptor, True)
    with suppress(Exception):
        if settings is not None:
            termios.tcsetattr(sys.__stdin__.fileno(), termios.TCSANOW, settings)  # type: ignore[union-attr]


class Leaver:
    """A thread that looks after the end.

    ``finished`` says whether the engine has stopped, ``wanted`` whether it is time to leave then; ``last`` does what is
    to be done in place of the main thread, and returns the exit code.
    """

    def __init__(
        self, ending: Ending, finished: Callable[[], bool], wanted: Callable[[], bool], last: Callable[[], int]
    ) -> None:
        self._ending, self._finished, self._wanted, self._last = ending, finished, wanted, last
        self._settings = saved_terminal()
        self._guard = Guard(_RESTORE)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vx-leaver", daemon=True)

    def start(self) -> None:
        """Begin; before the screen takes the terminal."""
        self._guard.start()
        self._thread.start()

    def left(self) -> None:
        """Note that the main thread has left the screen by itself."""
        self._left.set()
        self._guard.dismiss()

    def _run(self) -> None:
        since: float | None = None
        while not self._left.wait(_LOOK_S):
            if self._ending.signal is None and has_gone(sys.__stdin__.fileno()):  # type: ignore[union-attr]
                self._ending.handle(signal.SIGHUP, None)
            if not (self._finished() and (self._wanted() or self._ending.signal is not None)):
                since = None
                continue
            since = since or time.monotonic()
            patience = _PATIENCE_S if self._ending.count < 2 else _LOOK_S
            if time.monotonic() - since > patience and not self._left.is_set():
                code = 1
                with suppress(BaseException):
                    code = self._last()
                restore_terminal(self._settings)
                self._guard.dismiss()
                os._exit(code)
