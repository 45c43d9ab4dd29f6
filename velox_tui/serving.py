"""The dashboard in browsers, through textual-serve: each viewer is a process of its own that attaches read-only.

Pages and sockets are answered only where the browser itself asked for them here: a page of another site that a viewer
has open must not be able to look (its ``Origin`` differs), nor one whose name was made to point to this machine (its
``Host`` is none of ours while only this machine is served).
"""

from __future__ import annotations

import asyncio
import ipaddress
import shlex
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import WSCloseCode, web
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

from velox_engine.config import Config
from velox_engine.config_rules import toml_value
from velox_engine.exporters.listening import listen, url_of
from velox_tui.signals import EXIT_BASE
from velox_tui.streams import complain, put

MOST_VIEWERS: Final = 8
_PATIENCE_S: Final = 3.0
_SIZE: Final = (("width", 80), ("height", 24))  # of a viewer that does not say
_WIDEST: Final = 1000
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(word: str | None, name: str, host: str, port: int, config: Config) -> int:
    """Serve until a signal comes; return the exit code.

    ``word`` is how viewers find the engine, ``name`` what the page is called. Raises `ConfigError` where host or port
    cannot be had.
    """
    listening = listen(host, port, ("--serve", "--serve"))
    server = DashboardServer(viewer_command(word, config), listening, host, f"Velox: {name}")
    put(f"{name} can be watched at {url_of(listening)}/ (ctrl+c ends that; the engine runs on)\n")
    if not server.alone:
        complain(f"whoever reaches {url_of(listening)} can watch: there is no password")
    return asyncio.run(_serve(server, listening))


async def _serve(server: DashboardServer, listening: socket.socket) -> int:
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(number: int) -> None:
        if not ended.done():
            ended.set_result(number)

    for number in _ENDING:
        asyncio.get_running_loop().add_signal_handler(number, end, number)
    runner = web.AppRunner(await server._make_app(), shutdown_timeout=_PATIENCE_S)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    try:
        return EXIT_BASE + await ended
    finally:
        await runner.cleanup()


def viewer_command(word: str | None, config: Config) -> str:
    """Return the shell's command for a viewer: attached read-only, with the settings of the screen as they are here."""
    shown = {key: getattr(config.ui, key) for key in config.ui.__slots__}
    if shown["glyphs"] == "auto":
        shown["glyphs"] = "braille"  # browsers have every sign, whatever this process's locale says
    settings = [part for key, value in shown.items() for part in ("--set", f"ui.{key}={toml_value(value)}")]
    engine = [word] if word is not None else []
    return "exec " + shlex.join([sys.executable, "-m", "velox_tui", "attach", *engine, "--read-only", *settings])


class DashboardServer(Server):
    """Pages, sockets and the viewers' processes; ``alone`` says whether only this machine is served."""

    def __init__(self, command: str, listening: socket.socket, host: str, title: str) -> None:
        address, port = listening.getsockname()[:2]
        pages = str(Path(__file__).parent / "web")
        super().__init__(command, host, port, title, templates_path=pages)
        self.alone = ipaddress.ip_address(address).is_loopback
        self._hosts = {host, "localhost", "127.0.0.1", "::1"}
        self._viewers: set[web.WebSocketResponse] = set()

    async def on_startup(self, app: web.Application) -> None:
        """Say nothing: it was said already."""

    async def on_shutdown(self, app: web.Application) -> None:
        """Let the viewers go."""
        for viewer in list(self._viewers):
            await viewer.close(code=WSCloseCode.GOING_AWAY, message=b"the server ends")

    def _check(self, request: web.Request) -> None:
        """Refuse what another site asks for in its visitor's name."""
        asked, origin = urlsplit(f"//{request.host}"), request.headers.get("Origin")
        if self.alone and asked.hostname not in self._hosts:
            raise web.HTTPForbidden(text=f"{request.host} is none of this server's names\n")
        if origin is not None and urlsplit(origin).netloc != asked.netloc:
            raise web.HTTPForbidden(text=f"{origin} may not look here\n")

    async def handle_index(self, request: web.Request) -> Any:
        """Answer with the page, whose addresses are those that the browser asked for."""
        self._check(request)
        self.public_url = f"{request.scheme}://{request.host}"
        response = await super().handle_index(request)
        response.headers["Cache-Control"] = "no-store"
        return response

    async def handle_download(self, request: web.Request) -> web.StreamResponse:
        """Answer with a file that a viewer has asked its process for."""
        self._check(request)
        return await super().handle_download(request)

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Run a viewer for as long as its browser is there."""
        self._check(request)
        if len(self._viewers) >= MOST_VIEWERS:
            raise web.HTTPServiceUnavailable(text=f"{MOST_VIEWERS} watch already\n")
        websocket = web.WebSocketResponse(heartbeat=15)
        self._viewers.add(websocket)
        try:
            await websocket.prepare(request)
            viewer = _Viewer(self, websocket)
            width, height = (to_int(request.query.get(name, ""), usual) for name, usual in _SIZE)
            await viewer.start(min(max(width, 1), _WIDEST), min(max(height, 1), _WIDEST))
            try:
                await self._process_messages(websocket, viewer)
            finally:
                await viewer.stop()
        finally:
            self._viewers.discard(websocket)
        return websocket


class _Viewer(AppService):
    """One viewer's process. When it ends its browser is told, and it never outlives the browser."""

    def __init__(self, server: DashboardServer, websocket: web.WebSocketResponse) -> None:
        super().__init__(
            server.command,
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=self._close,
            download_manager=server.download_manager,
        )
        self._websocket = websocket

    async def _close(self) -> None:
        await self._websocket.close()

    async def run(self) -> None:
        """Run the process to its end."""
        try:
            with suppress(ConnectionError):  # the browser left in the middle of a picture
                await super().run()
        finally:
            await self._close()

    async def stop(self) -> None:
        """Ask the process to end, and end it where it does not."""
        with suppress(TimeoutError):
            await asyncio.wait_for(super().stop(), _PATIENCE_S)
        if self._process is None:
            return
        try:
            await asyncio.wait_for(self._process.wait(), _PATIENCE_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
