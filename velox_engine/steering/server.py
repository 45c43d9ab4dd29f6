"""The control server: a thread that hears what other processes of the same user ask of an engine.

It never waits for a client: sockets do not block, requests that come in pieces and answers that nobody reads have
their time, and commands are answered when the supervisor has carried them out, while others go through. Without
clients it sleeps.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from velox_engine.steering.connection import Connection
from velox_engine.steering.desk import Desk, Steered
from velox_engine.steering.peers import peer_of
from velox_engine.steering.protocol import ProtocolError, decoded
from velox_engine.threads import name_thread

MOST_CONNECTIONS: Final = 32
_BACKLOG: Final = 64
_LOOK_S: Final = 1.0
_WAIT_S: Final = 0.05
_REST_S: Final = 1.0
_LAST_WORDS_S: Final = 0.5
_JOIN_S: Final = 3.0


class ControlServer:
    """Serves an engine at a path. ``trouble`` is told, from its thread, what keeps it from going on."""

    def __init__(self, path: Path, engine: Steered, trouble: Callable[[str], object]) -> None:
        """Bind the socket; raises `OSError` when that cannot be."""
        self.path = path
        self._trouble = trouble
        self._ended = threading.Event()
        self._listener = _bound(path)
        self._woken, self._waker = socket.socketpair()
        for each in (self._listener, self._woken, self._waker):
            each.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._desk = Desk(engine, self._wake)
        self._connections: dict[int, Connection] = {}
        self._resting_until = 0.0  # while nothing can be accepted
        self._thread = threading.Thread(target=self._run, name="vx-control", daemon=True)

    def start(self) -> None:
        """Begin to hear."""
        self._thread.start()

    def close(self) -> None:
        """Answer what can be answered, close everything and take the socket away; safe to call twice."""
        self._ended.set()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        if self._thread.ident is None:
            self._close_all()
            return
        self._wake()
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it will look anyway; closed: nobody looks any more
            self._waker.send(b"x")

    def _run(self) -> None:
        name_thread("vx-control")
        try:
            while not self._ended.is_set():
                self._turn()
            self._say_last_words()
        except Exception as error:  # a fault of ours must not end the engine
            self._trouble(f"nobody can steer any more: the control server failed ({type(error).__name__}: {error})")
            with contextlib.suppress(OSError):
                self.path.unlink()
        finally:
            for connection in list(self._connections.values()):
                self._drop(connection)
            self._close_all()

    def _turn(self) -> None:
        if self._desk.waits:
            timeout: float | None = _WAIT_S
        else:
            timeout = _LOOK_S if self._connections or self._resting_until else None
        for key, events in self._selector.select(timeout):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._woken:
                with contextlib.suppress(OSError):
                    self._woken.recv(4096)
            else:
                self._serve(key.data, events)
        for connection in self._desk.look():
            self._drop(connection)
        self._look_after_all()

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return
        except OSError:  # no descriptor left for it: hear those who are here, and try again later
            self._selector.unregister(self._listener)
            self._resting_until = time.monotonic() + _REST_S
            return
        connection = Connection(accepted, peer_of(accepted), time.monotonic())
        self._connections[accepted.fileno()] = connection
        self._selector.register(accepted, selectors.EVENT_READ, connection)
        with self._dropping(connection):
            if connection.peer.uid not in (-1, os.getuid()):
                connection.refuse(
                    f"this engine belongs to user {os.getuid()}, who alone may steer it; you are user "
                    f"{connection.peer.uid}"
                )
            elif len(self._connections) > MOST_CONNECTIONS:
                connection.refuse(f"{MOST_CONNECTIONS} others are connected, which is the most")

    def _serve(self, connection: Connection, events: int) -> None:
        with self._dropping(connection):
            now = time.monotonic()
            if events & selectors.EVENT_WRITE:
                connection.send(now)
            if events & selectors.EVENT_READ:
                try:
                    for line in connection.receive(now):
                        self._desk.take(connection, decoded(line), now)
                except ProtocolError as error:
                    connection.refuse(str(error))

    def _look_after_all(self) -> None:
        """Drop those whose time is over, and wait for room to write where answers wait."""
        now = time.monotonic()
        if self._resting_until and now >= self._resting_until:
            self._resting_until = 0.0
            self._selector.register(self._listener, selectors.EVENT_READ)
        for connection in list(self._connections.values()):
            self._desk.expire(connection, now)
            if connection.is_overdue(now):
                self._drop(connection)
                continue
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.wants_to_write else 0)
            if self._selector.get_key(connection.socket).events != events:
                self._selector.modify(connection.socket, events, connection)

    @contextlib.contextmanager
    def _dropping(self, connection: Connection) -> Iterator[None]:
        try:
            yield
        except OSError:  # it has gone, or will not hear
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        if connection.closed:
            return
        self._desk.leave(connection)
        self._connections.pop(connection.socket.fileno(), None)
        self._selector.unregister(connection.socket)
        connection.close()

    def _say_last_words(self) -> None:
        """Answer those who wait, most likely for the stop; they have half a second to take it."""
        for connection in [*self._desk.look(), *self._desk.settle_all()]:
            self._drop(connection)
        give_up = time.monotonic() + _LAST_WORDS_S
        while time.monotonic() < give_up and any(each.wants_to_write for each in self._connections.values()):
            for connection in list(self._connections.values()):
                with self._dropping(connection):
                    connection.send()
            time.sleep(0.01)

    def _close_all(self) -> None:
        self._selector.close()
        for each in (self._listener, self._woken, self._waker):
            each.close()


def _bound(path: Path) -> socket.socket:
    """Return a socket that listens at a path, for this user alone."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # the name holds our pid: what is there was left by one who had it before
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()
        listener.bind(str(path))
        path.chmod(0o600)  # until here the directory keeps others away
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
