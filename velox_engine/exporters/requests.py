"""Reading an HTTP request and writing its answer, by the standard library's handler, from bytes to bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, NamedTuple

MOST_BYTES: Final = 16 * 1024
"""A request may be so long."""
_ENDS: Final = (b"\r\n\r\n", b"\n\n")


class Answer(NamedTuple):
    """What is answered."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Answering = Callable[[str, str, str], Answer]
"""``answering(path, query, accept)``: called for each request."""


def is_whole(received: bytes) -> bool:
    """Say whether what was received can be answered: its headers are there, or it is too long already."""
    return len(received) > MOST_BYTES or any(end in received for end in _ENDS)


def answered(received: bytes, answering: Answering) -> bytes:
    """Return the answer to a request, headers and body; the connection is to be closed behind it."""
    return _Handler(received, answering).answer


class _Handler(BaseHTTPRequestHandler):
    """Reads one request and answers it; there is no socket, only bytes."""

    server_version = "velox"
    sys_version = ""

    def __init__(self, received: bytes, answering: Answering) -> None:
        self._answering = answering
        self.rfile = io.BytesIO(received)
        self.wfile = io.BytesIO()
        self.client_address = ("", 0)
        self.close_connection = True
        if len(received) > MOST_BYTES:
            self.requestline, self.command, self.request_version = "", "", self.default_request_version
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {MOST_BYTES} bytes")
        else:
            self.handle_one_request()
        self.answer = self.wfile.getvalue()

    def do_GET(self) -> None:
        """Answer with headers and body."""
        path, _, query = self.path.partition("?")
        answer = self._answering(path, query, self.headers.get("Accept", ""))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: standard error belongs to the run."""
