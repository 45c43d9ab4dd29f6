"""An HTTP server that nobody can hold up: the standard library's, with limits.

At most ``MOST_CONNECTIONS`` are kept; a new one beyond that ends the oldest. A request must be there, and its answer
taken, within ``PATIENCE_S``; it may hold ``MOST_BYTES``. Every answer closes its connection.
"""

from __future__ import annotations

import errno
import io
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Final, NamedTuple

from velox_engine.exporters.listening import listen, url_of
from velox_engine.threads import name_thread

MOST_CONNECTIONS: Final = 32
MOST_BYTES: Final = 16 * 1024
PATIENCE_S: Final = 5.0
_POLL_S: Final = 0.25
_RESERVE: Final = 4  # so many times more while those that were ended take leave
_NO_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE)
_WAIT_S: Final = 0.05


class Answer(NamedTuple):
    """What is answered."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Answering = Callable[[str, str, str], Answer]
"""``answering(path, query, accept)``: called in a thread of its own for each request."""


class _TooLongError(Exception):
    """A request is longer than it may be."""


class _Bounded(io.RawIOBase):
    """A request's bytes, no more than ``MOST_BYTES`` of them."""

    def __init__(self, source: Any) -> None:
        self._source, self._left = source, MOST_BYTES

    def readline(self, size: int | None = -1) -> bytes:
        """Read a line."""
        line: bytes = self._source.readline(min(self._left + 1, size) if size and size > 0 else self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise _TooLongError
        return line

    def close(self) -> None:
        """Close what it reads from."""
        self._source.close()


class _Handler(BaseHTTPRequestHandler):
    """Reads a request and answers it."""

    server: HttpServer
    server_version = "velox"
    sys_version = ""
    timeout = PATIENCE_S
    wbufsize = -1

    def setup(self) -> None:
        """Bound what is read."""
        name_thread("vx-http-client")
        super().setup()
        self.rfile = _Bounded(self.rfile)  # type: ignore[assignment]  # all that is used of it is readline

    def handle(self) -> None:
        """Answer one request."""
        self.close_connection = True
        try:
            self.handle_one_request()
        except _TooLongError:
            self.requestline, self.command, self.request_version = "", "", "HTTP/1.0"
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {MOST_BYTES} bytes")

    def do_GET(self) -> None:  # the standard library calls it so
        """Answer with headers and body."""
        path, _, query = self.path.partition("?")
        answer = self.server.answering(path, query, self.headers.get("Accept", ""))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: standard error belongs to the run."""


class HttpServer(ThreadingMixIn, TCPServer):
    """Listens at ``url`` from when it is made, and answers from `begin` until `end`.

    Raises `ConfigError` where host or port cannot be had; ``keys`` are the settings that they come from.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, answering: Answering, keys: tuple[str, str]) -> None:
        self.answering = answering
        self._lock = threading.Lock()
        self._open: dict[socket.socket, float] = {}
        listening = listen(host, port, keys)
        super().__init__(listening.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.url = url_of(listening)
        self._thread = threading.Thread(target=self._serve, name="vx-http", daemon=True)

    def begin(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def end(self) -> None:
        """Answer no more, and close everything."""
        if self._thread.ident is not None:
            self.shutdown()
        self.server_close()
        with self._lock:
            left = list(self._open)
        for connection in left:
            _end(connection)

    def _serve(self) -> None:
        name_thread("vx-http")
        self.serve_forever(_POLL_S)

    # ---- what the standard library's server calls

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a connection; where no descriptor is free, end the oldest and let the next try have it."""
        try:
            connection, address = super().get_request()
        except OSError as error:
            if error.errno in _NO_DESCRIPTORS:
                self._end_oldest()
                time.sleep(_WAIT_S)
            raise
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Make room for it; refuse it where even those that were ended are too many."""
        with self._lock:
            crowd = len(self._open)
            if crowd < MOST_CONNECTIONS * _RESERVE:
                self._open[request] = time.monotonic()
        if crowd >= MOST_CONNECTIONS:
            self._end_oldest()
        return crowd < MOST_CONNECTIONS * _RESERVE

    def service_actions(self) -> None:
        """End those that have had their time."""
        now = time.monotonic()
        with self._lock:
            late = [connection for connection, since in self._open.items() if now - since > PATIENCE_S]
        for connection in late:
            _end(connection)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that leaves or dawdles is no news."""

    def _end_oldest(self) -> None:
        with self._lock:
            oldest = next((each for each, since in self._open.items() if since > 0), None)
            if oldest is not None:
                self._open[oldest] = 0.0  # it takes leave: never the oldest again
        if oldest is not None:
            _end(oldest)


def _end(connection: socket.socket) -> None:
    """Wake the thread that waits for a connection; it will close it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
