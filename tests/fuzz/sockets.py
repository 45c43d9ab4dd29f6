"""What listens: the control socket and the HTTP endpoint, and the client's side of the control socket."""

from __future__ import annotations

import json
import random
import socket
import tempfile
import threading
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.fuzz.feeds import check_message
from tests.fuzz.mutation import mutated
from tests.scraping import get
from velox_engine.config import MetricsSettings
from velox_engine.errors import EngineError
from velox_engine.exporters.endpoints import Endpoints
from velox_engine.snapshot import State
from velox_engine.steering.client import ControlClient
from velox_engine.steering.protocol import REQUESTS
from velox_engine.steering.server import ControlServer

_PATIENCE_S = 20.0
_LAST_REQUEST = b'\n{"id":-987654321,"do":"state"}\n'
_LAST_ANSWER = b'"id":-987654321,'


class _Engine:
    """Carries out what the real one would, at once; wrong values it refuses as the real one does."""

    state = State.RUNNING

    def order(self, kind: str, value: Any, answered: Any) -> None:
        if kind == "rate" and not (value == "max" or (type(value) in (int, float) and value > 0)):
            raise EngineError("rate: allowed is a number above 0, or max", state="running")
        answered(None)

    def lease(self, symbol: int, answered: Any) -> int:
        if symbol > 9:
            raise EngineError("no such symbol", state="running")
        answered(None)
        return symbol

    def give_back(self, slot: int) -> None:
        pass

    def wait_stopped(self, timeout: float | None = None) -> bool:
        return False


class ControlTarget:
    """A real control server on a real socket, whose client sends anything and leaves."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name, "c.control")
        self._troubles: list[str] = []
        self._server = ControlServer(self._path, _Engine(), self._troubles.append)
        self._server.start()
        values: list[dict[str, Any]] = [{"id": 1, "do": do} for do in REQUESTS]
        values += [{"id": 2, "do": "rate", "per_second": value} for value in (5, 1e9, "max", -1, None)]
        values += [{"id": 2**53, "do": "watch", "symbol": 3}, {"do": "stop", "drain": False}]
        self._corpus = [json.dumps(value).encode() + b"\n" for value in values]
        self._corpus.append(b"".join(self._corpus))

    def close(self) -> None:
        """Let go of what it holds."""
        self._server.close()
        self._folder.cleanup()

    def make(self, choose: random.Random) -> bytes:
        """What a client sends: damaged requests, or whole ones with anything in their members."""
        if choose.random() < 0.5:
            return b"".join(_request(choose) for _ in range(choose.choice((1, 1, 3, 20))))
        most = 200_000 if choose.random() < 0.02 else 4000
        return mutated(choose, self._corpus, text=True, most=most)[: 4 << 14]

    def run(self, data: bytes) -> str:
        """Send it, perhaps in pieces; read the answers, which must be JSON; see that others are still served."""
        choose = random.Random(zlib.crc32(data))
        heard = b""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(_PATIENCE_S)
            client.connect(str(self._path))
            cut = choose.randrange(len(data) + 1) if choose.random() < 0.3 else len(data)
            try:
                client.sendall(data[:cut])
                client.sendall(data[cut:])
                if choose.random() < 0.1:
                    return "left at once"
                # an end would have the requests before it forgotten; the answer to a last one tells that all are read
                client.sendall(_LAST_REQUEST)
                while _LAST_ANSWER not in heard and (came := client.recv(1 << 16)):
                    heard += came
            except (BrokenPipeError, ConnectionResetError):
                pass
        for line in heard.split(b"\n")[:-1]:
            answer = json.loads(line)
            assert answer.get("taken") or answer["ok"] in (True, False), answer
        assert not self._troubles, self._troubles
        if choose.random() < 0.05:
            with ControlClient(self._path, "it") as other:
                assert other.ask("state", _PATIENCE_S)["ok"]
        return "answered" if _LAST_ANSWER in heard else "refused" if b'"id":null' in heard else "ended"


def _request(choose: random.Random) -> bytes:
    depth = choose.choice((50, 400, 900, 950, 980, 995, 3000))
    anything: list[Any] = [
        None,
        True,
        0,
        -1,
        3,
        2**31,
        2**53 + 1,
        2**70,
        1.5,
        1e308,
        float("inf"),
        float("nan"),
        "",
        "max",
    ]
    anything += ["x" * 3000, "\x1b[2J", "\ud800", [], {}, [1], {"a": 1}]
    request: dict[str, Any] = {"id": choose.randrange(9), "do": choose.choice(REQUESTS)}
    for name in choose.sample(("id", "do", "per_second", "symbol", "drain", "more"), choose.randint(0, 3)):
        request[name] = choose.choice(anything)
    line = json.dumps(request)
    if choose.random() < 0.1:
        nested = choose.choice(("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth))
        line = line[:-1] + f', "{choose.choice(("id", "do", "per_second", "symbol", "drain"))}": {nested}}}'
    return line.encode() + b"\n"


class ControlClientTarget:
    """A client whose engine answers anything."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name, "c.control")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._listener.listen(8)
        self._answer = b""
        self._corpus = [
            b'{"id":1,"taken":true}\n{"id":1,"ok":true,"state":"paused"}\n',
            b'{"id":1,"ok":false,"error":"cannot","state":"stopped"}\n',
            b'{"id":null,"ok":false,"error":"no"}\n',
        ]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:  # closed
                return
            with connected:
                connected.settimeout(_PATIENCE_S)
                try:
                    connected.recv(4096)
                    connected.sendall(self._answer)
                except OSError:
                    pass

    def close(self) -> None:
        """Let go of what it holds."""
        self._listener.close()
        self._folder.cleanup()

    def make(self, choose: random.Random) -> bytes:
        """What an engine answers."""
        return mutated(choose, self._corpus, text=True)

    def run(self, data: bytes) -> str:
        """Ask, and see that whatever comes is an answer or an error of ours."""
        self._answer = data
        try:
            with ControlClient(self._path, "it") as client:
                client.ask("pause", 5.0)
        except EngineError as error:
            check_message(error)
            return "refused"
        return "answered"


class HttpTarget:
    """The real endpoint: each request is answered or ended, and others are served after it."""

    def __init__(self) -> None:
        self._told: list[tuple[str, str]] = []
        settings = MetricsSettings(enabled=True, port=0)
        self._endpoints = Endpoints(settings, lambda *told: self._told.append(told))
        self._endpoints.prepare()
        where = urlsplit(self._told[0][1].split()[2].removesuffix("/metrics,"))
        self._address = (where.hostname, where.port)
        paths = (b"/metrics", b"/livez", b"/readyz?verbose", b"/healthz", b"/", b"/nothing")
        self._corpus = [
            method + b" " + path + b" HTTP/1.1\r\nHost: here\r\nAccept: " + accept + b"\r\nContent-Length: 3\r\n\r\nabc"
            for method in (b"GET", b"HEAD", b"POST")
            for path in paths
            for accept in (b"*/*", b"application/openmetrics-text;version=1.0.0;q=0.5", b"text/plain;q=x,,;=")
        ]

    def close(self) -> None:
        """Let go of what it holds."""
        self._endpoints.stop()

    def make(self, choose: random.Random) -> bytes:
        """A request."""
        most = 64 * 1024 if choose.random() < 0.05 else 2000
        return mutated(choose, self._corpus, text=True, most=most)

    def run(self, data: bytes) -> str:
        """Send it; read what is answered."""
        heard = b""
        with socket.create_connection(self._address, timeout=_PATIENCE_S) as client:
            try:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                while came := client.recv(1 << 16):
                    heard += came
            except (BrokenPipeError, ConnectionResetError):
                pass
        if random.Random(zlib.crc32(data)).random() < 0.02:
            assert get(f"http://{self._address[0]}:{self._address[1]}/")[0] == 200  # others are still served
        assert [severity for severity, _ in self._told] == ["info"], self._told[1:]
        words = heard.split(None, 2)
        if not heard:
            return "ended"
        if not heard.startswith(b"HTTP/1."):
            return "answered as HTTP/0.9"
        check_message(Exception(words[1].decode()))
        return f"status {words[1].decode()}"
