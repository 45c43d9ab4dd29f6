"""The HTTP server that nobody can hold up: slow, long, many and broken clients beside one that only wants an answer."""

import contextlib
import socket
import threading
import time

import pytest

from tests.running import PATIENCE_S, until
from tests.scraping import Served, get, seconds
from velox_engine.exporters import server as module
from velox_engine.exporters.requests import MOST_BYTES
from velox_engine.exporters.server import MOST_CONNECTIONS


@pytest.fixture
def served():
    with Served() as served:
        yield served


def closed(connection):
    """Say whether the other side has closed a connection."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_paths_and_methods(served):
    assert served.get("/")[0] == 200
    assert served.get("/metrics?x=y")[0] == 200
    assert served.get("/nothing")[0] == 404
    assert "/healthz" in served.get("/nothing")[2]
    for method in ("POST", "PUT", "DELETE", "PATCH", "BREW"):
        assert served.get("/metrics", method=method)[0] == 501
    status, headers, body = served.get("/metrics", method="HEAD")
    assert (status, body) == (200, "")
    assert int(headers["Content-Length"]) == len(served.get("/metrics")[2])


@pytest.mark.parametrize(
    "sent",
    [b"", b"\r\n", b"GET", b"\0" * 100, b"GET / HTTP/9.9\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\nHost: \xff\r\n\r\n"],
    ids=["nothing", "empty", "half", "zeros", "version", "bytes"],
)
def test_broken_requests_end_and_hurt_nobody(served, sent):
    with served.connection() as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert not answer or answer.startswith((b"HTTP/1.0 ", b"<!DOCTYPE", b"build", b"/metrics", b"# HELP")), answer
    assert served.get("/livez")[0] == 200


def test_a_header_of_ten_megabytes_is_refused_before_it_is_read(served):
    with served.connection() as connection:
        with contextlib.suppress(OSError):  # it hangs up in the middle
            connection.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 10_000_000)
        with contextlib.suppress(OSError):
            answer = connection.recv(65536)
            assert answer == b"" or b" 431 " in answer
    with served.connection() as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * (MOST_BYTES // 6))
        assert b" 431 " in connection.recv(65536)
    assert served.get("/livez")[0] == 200


def test_a_thousand_connections_delay_nobody(served):
    with contextlib.ExitStack() as crowd:
        held = [crowd.enter_context(served.connection()) for _ in range(1000)]
        begun = time.monotonic()
        assert served.get("/livez")[0] == 200
        assert seconds(begun) < PATIENCE_S
        # the newest are kept; of the others none is
        until(lambda: sum(map(closed, held)) >= 1000 - MOST_CONNECTIONS, "all but the newest are ended")
        assert served.get("/metrics")[0] == 200


def test_who_dawdles_is_ended(served, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.5)
    with served.connection() as slow, served.connection() as silent:
        stop = threading.Event()

        def dawdle():
            with contextlib.suppress(OSError):
                for byte in b"GET /metrics HTTP/1.1\r\n" * 1000:
                    slow.send(bytes([byte]))
                    if stop.wait(0.05):
                        return

        thread = threading.Thread(target=dawdle)
        thread.start()
        try:
            assert served.get("/livez")[0] == 200
            thread.join(PATIENCE_S)  # its connection was ended
            assert not thread.is_alive()
        finally:
            stop.set()
            thread.join()
        assert silent.recv(1) == b""


def test_an_answer_that_fails_is_told_once_and_the_next_is_tried(served, monkeypatch):
    def fail(families, accept):
        raise RuntimeError("no text")

    monkeypatch.setattr(served.endpoints._exposition, "text", fail)
    for _ in range(3):
        assert served.get("/metrics")[::2] == (500, "/metrics could not be answered: RuntimeError: no text\n")
    assert served.told[1:] == [("warning", "/metrics could not be answered: RuntimeError: no text")]
    monkeypatch.undo()
    assert served.get("/metrics")[0] == 200


def test_it_goes_on_when_descriptors_are_short(served, monkeypatch):
    accept, failing = socket.socket.accept, threading.Event()

    def short(self):
        if failing.is_set():
            raise OSError(24, "Too many open files")
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", short)
    failing.set()
    with served.connection() as waiting:
        waiting.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        failing.clear()
        assert waiting.recv(65536).startswith(b"HTTP/1.0 200 ")
    assert served.get("/livez")[0] == 200


def test_the_end_closes_everything_and_frees_the_port():
    before = threading.active_count()
    with Served() as served:
        url, held = served.url, [served.connection() for _ in range(5)]
        get(f"{url}/livez")
    for connection in held:
        connection.settimeout(PATIENCE_S)
        with contextlib.suppress(OSError):
            assert connection.recv(1) == b""
        connection.close()
    with Served(port=int(url.rpartition(":")[2])) as again:
        assert again.url == url
        assert again.get("/livez")[0] == 200
    until(lambda: threading.active_count() <= before, "no thread is left")


def test_names_and_addresses_of_either_family():
    with Served(host="localhost") as served:
        assert served.get("/livez")[0] == 200
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with Served(host="::1") as served:
        assert served.url.startswith("http://[::1]:")
        assert served.get("/livez")[0] == 200
