"""An HTTP server that nobody can hold up: one thread, whose sockets never block, with limits.

A connection costs next to nothing until its request is whole; then it is answered at once. At most
``MOST_CONNECTIONS`` are kept, and a new one beyond that ends the oldest; each has ``PATIENCE_S`` in all.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import Final

from velox_engine.exporters.listening import listen, url_of
from velox_engine.exporters.requests import Answering, answered, is_whole
from velox_engine.threads import name_thread

MOST_CONNECTIONS: Final = 256
PATIENCE_S: Final = 5.0
_POLL_S: Final = 0.25
_AT_ONCE: Final = 32  # new ones that are taken before those that are there have their turn again
_WAIT_S: Final = 0.05
_READ: Final = 65536


class _Connection:
    """A client: what it sent so far, what it has still to take, and since when it is there."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.received = b""
        self.left = b""
        self.is_answered = False
        self.since = time.monotonic()


class HttpServer:
    """Listens at ``url`` from when it is made, and answers from `begin` until `end`.

    Raises `ConfigError` where host or port cannot be had; ``keys`` are the settings that they come from.
    """

    def __init__(self, host: str, port: int, answering: Answering, keys: tuple[str, str]) -> None:
        self._answering = answering
        self._listening = listen(host, port, keys)
        self._listening.setblocking(False)
        self.url = url_of(self._listening)
        self._open: dict[socket.socket, _Connection] = {}  # the oldest first
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="vx-http", daemon=True)

    def begin(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def end(self) -> None:
        """Answer no more, and close everything; takes a moment."""
        self._ended.set()
        if self._thread.ident is not None:
            with suppress(OSError):  # wakes it
                self._listening.shutdown(socket.SHUT_RDWR)
            self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        name_thread("vx-http")
        with selectors.DefaultSelector() as self._selector:
            self._selector.register(self._listening, selectors.EVENT_READ)
            while not self._ended.is_set():
                for key, _ in self._selector.select(_POLL_S):
                    if key.fileobj is self._listening:
                        self._accept()
                    elif key.fileobj in self._open:  # it may have been ended a moment ago
                        self._go_on(self._open[key.fileobj])
                self._end_late()
            for connection in list(self._open.values()):
                self._close(connection)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                client, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError:  # no descriptor is free, or it ends
                if self._open:
                    self._close(next(iter(self._open.values())))
                self._ended.wait(_WAIT_S)
                return
            client.setblocking(False)
            self._open[client] = _Connection(client)
            self._selector.register(client, selectors.EVENT_READ)
            if len(self._open) > MOST_CONNECTIONS:
                self._close(next(iter(self._open.values())))

    def _go_on(self, connection: _Connection) -> None:
        """Do what can be done for a connection without waiting."""
        try:
            if connection.left:
                self._write(connection)
            else:
                self._read(connection)
        except BlockingIOError:
            return
        except Exception:  # it has gone, or sent what the standard library's handler chokes on
            self._close(connection)

    def _read(self, connection: _Connection) -> None:
        received = connection.client.recv(_READ)
        if not received:
            self._close(connection)
        elif not connection.is_answered:  # else it is read to its end only that the answer may reach it
            connection.received += received
            if is_whole(connection.received):
                connection.is_answered = True
                connection.left = answered(connection.received, self._answering)
                connection.received = b""
                self._selector.modify(connection.client, selectors.EVENT_WRITE)
                self._write(connection)

    def _write(self, connection: _Connection) -> None:
        connection.left = connection.left[connection.client.send(connection.left) :]
        if not connection.left:
            connection.client.shutdown(socket.SHUT_WR)
            self._selector.modify(connection.client, selectors.EVENT_READ)

    def _end_late(self) -> None:
        """End those that have had their time."""
        late = time.monotonic() - PATIENCE_S
        while self._open and (oldest := next(iter(self._open.values()))).since < late:
            self._close(oldest)

    def _close(self, connection: _Connection) -> None:
        self._selector.unregister(connection.client)
        del self._open[connection.client]
        connection.client.close()
