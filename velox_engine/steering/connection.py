"""One connection of the control server: bytes to lines, answers to bytes, with limits against those who do badly."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from typing import Any, Final

from velox_engine.steering.peers import Peer
from velox_engine.steering.protocol import MOST_BYTES, ProtocolError, encoded

_CHUNK: Final = 16 * 1024
_MOST_UNREAD: Final = 256 * 1024
"""Bytes of answers that wait for a client which does not read them; with more it is dropped."""
PARTIAL_S: Final = 5.0
"""How long a request may take to arrive, and an answer to be read."""
IDLE_S: Final = 30.0
"""How long a connection may ask nothing, while it holds no lease and waits for no answer."""


@dataclass(slots=True)
class Lease:
    """A depth slot that a connection holds, and when it asked for it last."""

    slot: int
    renewed: float


class Connection:
    """A client. ``leases`` by symbol, ``waiting`` counts requests that have no final answer yet."""

    def __init__(self, connected: socket.socket, peer: Peer, now: float) -> None:
        connected.setblocking(False)
        self.socket = connected
        self.peer = peer
        self.leases: dict[int, Lease] = {}
        self.waiting = 0
        self.closed = False
        self._in = bytearray()
        self._out = bytearray()
        self._leaving = False
        self._asked = now
        self._begun: float | None = None  # when the request began that has not arrived whole
        self._stuck: float | None = None  # since when nobody reads the answers

    @property
    def wants_to_write(self) -> bool:
        """Whether answers wait to be read."""
        return bool(self._out)

    def receive(self, now: float) -> list[bytes]:
        """Take what has come; return the lines that are whole.

        Raises `ProtocolError` for one that is too long, and `ConnectionError` when the other end has gone: what it
        asked for before is not done, since it has given up waiting for it, and may have been told that it failed.
        """
        with contextlib.suppress(BlockingIOError, InterruptedError):
            while len(self._in) <= 2 * MOST_BYTES:
                data = self.socket.recv(_CHUNK)
                if not data:
                    raise ConnectionError
                self._in += data
        *lines, rest = self._in.split(b"\n")
        if len(rest) > MOST_BYTES or any(len(line) > MOST_BYTES for line in lines):
            raise ProtocolError(f"a request has at most {MOST_BYTES} bytes")
        self._in = bytearray(rest)
        if lines:
            self._asked = now
        self._begun = (now if lines or self._begun is None else self._begun) if rest else None
        return [bytes(line) for line in lines if line.strip()]

    def answer(self, message: dict[str, Any]) -> None:
        """Send an answer as soon as it is read; raises `ConnectionError` where that will not be."""
        if not self.closed and not self._leaving:
            self._out += encoded(message)
            self.send()
            if len(self._out) > _MOST_UNREAD:
                raise ConnectionError

    def send(self, now: float | None = None) -> None:
        """Send what waits, as much as goes at once; raises `ConnectionError` when the other end has gone."""
        try:
            while self._out:
                del self._out[: self.socket.send(self._out)]
                self._stuck = None
        except (BlockingIOError, InterruptedError):
            if self._stuck is None:
                self._stuck = now
        except OSError:
            raise ConnectionError from None
        if self._leaving and not self._out:
            raise ConnectionError

    def refuse(self, problem: str) -> None:
        """Say why, and then hear no more."""
        self.answer({"id": None, "ok": False, "error": problem})
        self._leaving = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RD)
        self.send()

    def is_overdue(self, now: float) -> bool:
        """Say whether it is time to close it: a request or an answer that does not get through, or nothing to do."""
        if self._out and self._stuck is None:
            self._stuck = now
        since = [each for each in (self._begun, self._stuck if self._out else None) if each is not None]
        if any(now - each > PARTIAL_S for each in since):
            return True
        return not self.leases and not self.waiting and now - self._asked > IDLE_S

    def close(self) -> None:
        """Close it."""
        self.closed = True
        self.socket.close()
