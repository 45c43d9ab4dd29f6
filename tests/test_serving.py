"""``attach --serve``: the dashboard in a real browser, read-only; what may not look; how it ends."""

import asyncio
import contextlib
import io
import re
import signal
import socket
import zipfile

import pytest

from tests.browser import Browser, installed
from tests.command import ROOT, velox
from tests.running import PATIENCE_S, Velox, start, until
from velox_engine.snapshot import State
from velox_tui.commands.attach import address
from velox_tui.options import UsageError

aiohttp = pytest.importorskip("aiohttp", reason="textual-serve, which brings it, is not installed")
pytest.importorskip("textual_serve", reason="textual-serve is not installed")

from velox_engine.exporters.listening import listen  # noqa: E402  # what it needs may be missing
from velox_tui import serving  # noqa: E402

needs_browser = pytest.mark.skipif(installed() is None, reason="no Chromium or Chrome is installed")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """An engine in a process of its own."""
    with start(tmp_path_factory.mktemp("engine"), "--name", "shown", "--rate", "5000") as engine:
        engine.until_running()
        yield engine
        assert engine.process.poll() is None
        assert engine.snapshot().state is State.RUNNING


class Serving(Velox):
    """A process that serves the engine; ``url`` is where."""

    def __init__(self, home, engine, *words):
        super().__init__(home, "attach", str(engine.process.pid), "--serve", *words)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"shown \(pid \d+\) can be watched at (http://\S+)/ \(ctrl\+c .*\)\n", line)
        assert found, line + self.process.stderr.read()
        self.url = found[1]

    def viewers(self):
        """Give the processes of the viewers."""
        import psutil

        with contextlib.suppress(psutil.Error):
            return [each for each in psutil.Process(self.process.pid).children() if each.is_running()]
        return []


@needs_browser
def test_a_browser_shows_the_engine_and_cannot_change_it(engine, tmp_path):
    async def look(url):
        async with Browser(tmp_path / "browser") as browser:
            await browser.open(f"{url}/")
            await browser.until("window.heard.includes('attached to')", "it is attached")
            heard = await browser.until("window.heard.includes('SYNTH') && window.heard", "the book is drawn")
            assert "read-only" in heard
            assert "shown" in await browser.value("document.title")
            assert (await browser.picture()).startswith(b"\x89PNG")
            await browser.press("p")  # would pause an engine that may be steered
            await browser.press("?")
            await browser.until("window.heard.includes('choose the symbol')", "the help is shown")
            await browser.press("?")
            await browser.press("x")
            files = tmp_path / "browser" / "files"
            await asyncio.to_thread(until, lambda: [*files.glob("shown-*.zip")], "the export has arrived")
            (archive,) = files.glob("shown-*.zip")
            await browser.press("q")
            await browser.until("document.body.classList.contains('-closed')", "it says that it has ended")
            return archive.read_bytes()

    with Serving(tmp_path, engine, ":0") as serving_:
        before = engine.snapshot()
        packed = asyncio.run(look(serving_.url))
        after = engine.snapshot()
        assert (before.state, after.state) == (State.RUNNING, State.RUNNING)
        assert (after.pid, after.paused_s) == (before.pid, before.paused_s)
        until(lambda: not serving_.viewers(), "the viewer's process has ended")
        serving_.process.terminate()
        assert serving_.end()[0] == 143
    with zipfile.ZipFile(io.BytesIO(packed)) as together:
        assert sorted(name.rpartition(".")[2] for name in together.namelist()) == ["csv", "json", "svg"]
    assert not [*tmp_path.glob("shown-*")]  # nothing was written where it is served from


async def heard(session, url, what):
    """Watch until something was drawn."""
    async with session.ws_connect(f"{url}/ws?width=100&height=30", origin=url) as viewer:
        text = ""
        async with asyncio.timeout(PATIENCE_S):
            while what not in text:
                message = await viewer.receive()
                assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), message
                text += message.data.decode(errors="replace") if isinstance(message.data, bytes) else ""
        yield viewer


def test_each_viewer_is_a_reader_of_its_own_and_none_outlives_the_server(engine, tmp_path):
    async def watch(serving_):
        async with aiohttp.ClientSession() as session, contextlib.AsyncExitStack() as viewers:
            for _ in range(2):
                watching = heard(session, serving_.url, "attached to")
                viewers.push_async_callback(watching.aclose)
                last = await anext(watching)
            assert len(serving_.viewers()) == 2
            serving_.process.send_signal(signal.SIGINT)
            async with asyncio.timeout(PATIENCE_S):
                while not last.closed:
                    await last.receive()

    with Serving(tmp_path, engine, "127.0.0.1:0", "--ascii") as serving_:
        asyncio.run(watch(serving_))
        processes = serving_.viewers()
        assert serving_.end()[0] == 130
    until(lambda: not any(each.is_running() for each in processes), "no viewer is left")


# --- in this process: who may look -------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def served(command, host="127.0.0.1"):
    """Serve a command in this process; give the URL."""
    listening = listen(host, 0, ("--serve", "--serve"))
    server = serving.DashboardServer(command, listening, host, "Velox: test")
    runner = aiohttp.web.AppRunner(await server._make_app(), shutdown_timeout=1)
    await runner.setup()
    await aiohttp.web.SockSite(runner, listening).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        await runner.cleanup()


def test_pages_and_sockets_are_for_those_who_asked_here():
    async def ask():
        async with served("exec sleep 60") as url, aiohttp.ClientSession() as session:
            port = url.rpartition(":")[2]

            async def status(path, **headers):
                async with session.get(f"{url}{path}", headers=headers) as answer:
                    return answer.status, await answer.text()

            good, page = await status("/")
            assert good == 200
            assert f"ws://127.0.0.1:{port}/ws" in page
            assert re.findall(r"https?://(?!127\.0\.0\.1:)\S+", page) == []  # nothing is fetched from elsewhere
            assert (await status("/", Host=f"localhost:{port}"))[0] == 200
            for path in ("/", "/ws", "/download/x"):
                assert (await status(path, Host="evil.example"))[0] == 403  # a name made to point here
                assert (await status(path, Origin="http://evil.example"))[0] == 403  # another site's page
                assert (await status(path, Origin="null"))[0] == 403
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(f"{url}/ws", origin="http://evil.example")

    asyncio.run(ask())


def test_no_more_viewers_than_there_may_be_and_none_that_hangs_stays(monkeypatch):
    monkeypatch.setattr(serving, "MOST_VIEWERS", 2)
    monkeypatch.setattr(serving, "_PATIENCE_S", 0.2)

    async def ask():
        # a process that neither draws nor ends
        async with served("exec sleep 60") as url, aiohttp.ClientSession() as session:
            held = [await session.ws_connect(f"{url}/ws") for _ in range(2)]
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(f"{url}/ws")
            assert refused.value.status == 503
            await held[0].close()
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    with contextlib.suppress(aiohttp.WSServerHandshakeError):
                        await session.ws_connect(f"{url}/ws")
                        return
                    await asyncio.sleep(0.05)

    asyncio.run(ask())


def test_a_viewer_that_cannot_start_ends_for_its_browser_too():
    async def ask():
        async with served("echo no engine runs >&2; exit 2") as url, aiohttp.ClientSession() as session:
            viewer = await session.ws_connect(f"{url}/ws")
            assert (await viewer.receive(timeout=PATIENCE_S)).type is aiohttp.WSMsgType.CLOSE

    asyncio.run(ask())


# --- what is asked -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where, meant",
    [
        ("", ("127.0.0.1", 9465)),
        ("8000", ("127.0.0.1", 8000)),
        (":0", ("127.0.0.1", 0)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("here:", ("here", 9465)),
        ("[::1]:8000", ("::1", 8000)),
    ],
)
def test_an_address_is_host_and_port(where, meant):
    assert address(where) == meant


@pytest.mark.parametrize("where", ["65536", "here:x", "::1", "::1:80", "[1]:80", "1:2:3", "-1", "123456"])
def test_what_is_no_address_is_refused(where):
    with pytest.raises(UsageError, match=r"^--serve: got .*; allowed is HOST:PORT, HOST: or PORT, with a port from 0"):
        address(where)


def test_what_cannot_be_served_is_one_line(engine, tmp_path):
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "textual_serve.py").write_text("raise ModuleNotFoundError(name='textual_serve')\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for words, says, env in [
            (["--serve", str(port), "shown"], f"--serve: got {port}, which another program uses on 127.0.0.1; ", {}),
            (["--serve", "no.such.invalid:0", "shown"], "--serve: got no.such.invalid: ", {}),
            (["nobody", "--serve"], "no engine is called nobody", {}),
            (["--serve", "nobody"], "no engine is called nobody", {}),
            (["--serve", "1:x", "shown"], "--serve: got 1:x; allowed is HOST:PORT", {}),
            (
                ["shown", "--serve", ":0"],
                "--serve: textual_serve is not installed; pip install 'velox-tui[serve]' has it",
                {"PYTHONPATH": f"{tmp_path}/without:{ROOT}"},
            ),
        ]:
            done = velox(tmp_path, "attach", *words, env=env)
            assert (done.returncode, done.stdout) == (2, ""), done.stderr
            assert done.stderr.startswith(f"velox-tui: {says}"), done.stderr
            assert done.stderr.count("\n") == 1
