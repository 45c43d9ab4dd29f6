"""Asking an engine through its control socket, and waiting until what was asked for has taken effect."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from velox_engine.config_rules import printable
from velox_engine.errors import EngineError
from velox_engine.steering.protocol import MOST_BYTES, ProtocolError, decoded, encoded

_CONNECT_S: Final = 2.0
_AGAIN_S: Final = 0.02
TAKEN_S: Final = 5.0
"""How long an engine may take until it has a request: its control server never waits, so a longer silence tells."""

_LONGEST_REASON: Final = 400


class ControlClient:
    """A connection to an engine; a context that closes it. One thread at a time.

    ``who`` is how errors name the engine. Every method raises `EngineError` with the reason when it cannot be done.
    """

    def __init__(self, path: Path, who: str) -> None:
        self.who = who
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_CONNECT_S)
        self._in = b""
        self._last = 0
        give_up = time.monotonic() + _CONNECT_S
        while True:
            try:
                self._socket.connect(str(path))
                return
            except BlockingIOError as error:  # many come at once: the queue of those who wait is full
                problem: OSError = error
                if time.monotonic() < give_up:
                    time.sleep(_AGAIN_S)
                    continue
            except OSError as error:
                problem = error
            self._socket.close()
            raise EngineError(f"{who} {_why_not(problem)}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; leases are given back."""
        self._socket.close()

    def send(self, do: str, **more: Any) -> int:
        """Send a request without waiting for its answers; return its id."""
        self._last += 1
        try:
            self._socket.settimeout(TAKEN_S)
            self._socket.sendall(encoded({"id": self._last, "do": do, **more}))
        except TimeoutError:
            raise EngineError(f"{self.who} does not read what it is asked: it is stopped or hangs") from None
        except BrokenPipeError:  # it was closed from there: most likely it said why
            answer = self._receive(time.monotonic() + TAKEN_S, do, False)
            raise EngineError(str(answer.get("error", f"{self.who} has closed the connection"))) from None
        except OSError as error:
            raise EngineError(f"{self.who} {_why_not(error)}") from None
        return self._last

    def ask(self, do: str, timeout: float | None = None, *, until_taken: bool = False, **more: Any) -> dict[str, Any]:
        """Ask for something and wait until it has taken effect; return the last answer.

        ``timeout`` s is for the effect; that the request is taken may last `TAKEN_S`, or ``timeout`` if that is less.
        With ``until_taken`` the engine is left to carry it out.
        """
        number = self.send(do, **more)
        began = time.monotonic()
        end = None if timeout is None else began + timeout
        taken = False
        while True:
            until = end if taken else began + min(TAKEN_S, timeout if timeout is not None else TAKEN_S)
            answer = self._receive(until, do, taken)
            if answer.get("id") not in (number, None):
                continue
            if answer.get("taken"):
                taken = True
                if until_taken:
                    return answer
            elif answer.get("ok"):
                return answer
            else:
                why = printable(str(answer.get("error", "refused without a reason")))
                raise EngineError(why[:_LONGEST_REASON], state=answer.get("state"))

    def waiting(self) -> list[dict[str, Any]]:
        """Return the answers that have come, without waiting for any."""
        self._socket.settimeout(0)
        try:
            while data := self._socket.recv(MOST_BYTES):
                self._in += data
            raise EngineError(f"{self.who} closed the connection")
        except BlockingIOError:
            pass
        except OSError as error:
            raise EngineError(f"{self.who} {_why_not(error)}") from None
        *lines, self._in = self._in.split(b"\n")
        return [self._read(line) for line in lines]

    def _receive(self, until: float | None, do: str, taken: bool) -> dict[str, Any]:
        while b"\n" not in self._in:
            left = None if until is None else until - time.monotonic()
            try:
                if left is not None and left <= 0:
                    raise TimeoutError
                self._socket.settimeout(left)
                data = self._socket.recv(MOST_BYTES)
            except TimeoutError:
                told = (
                    f"has not carried out {do!r} in time" if taken else f"does not take {do!r}: it is stopped or hangs"
                )
                raise EngineError(f"{self.who} {told}") from None
            except OSError as error:
                raise EngineError(f"{self.who} {_why_not(error)}") from None
            self._in += data
            if not data:
                raise EngineError(f"{self.who} ended before it answered {do!r}")
            if len(self._in) > 2 * MOST_BYTES:
                raise EngineError(f"{self.who} answers what is no answer")
        line, _, self._in = self._in.partition(b"\n")
        return self._read(line)

    def _read(self, line: bytes) -> dict[str, Any]:
        try:
            return decoded(line)
        except ProtocolError as error:
            raise EngineError(f"{self.who} answers what is no answer: {error}") from None


def _why_not(error: OSError) -> str:
    """Say why an engine cannot be reached."""
    if isinstance(error, FileNotFoundError):
        return "cannot be steered: it has no control socket"
    if isinstance(error, ConnectionRefusedError):
        return "cannot be steered: nobody listens at its control socket"
    if isinstance(error, PermissionError):
        return "cannot be steered: it belongs to another user"
    if isinstance(error, TimeoutError | BlockingIOError):
        return "cannot be reached: it is stopped or hangs"
    if isinstance(error, ConnectionError):
        return "has closed the connection"
    return f"cannot be reached: {error.strerror or error}"
