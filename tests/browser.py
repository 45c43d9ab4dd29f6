"""A real browser without a screen, driven by the Chrome DevTools protocol."""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

PATIENCE_S = 60.0
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# what the page is sent is kept as text, as a terminal drawn on a canvas cannot be read
LISTEN = """
window.heard = "";
window.WebSocket = class extends WebSocket {
  constructor(...words) {
    super(...words);
    const decoder = new TextDecoder();
    this.addEventListener("message", (event) => {
      if (typeof event.data !== "string") window.heard += decoder.decode(event.data, {stream: true});
    });
  }
};
"""


def installed():
    """Give the browser's path, ``None`` where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A browser with one page, as an asynchronous context; it keeps what it needs in ``home``."""

    def __init__(self, home, size=(1280, 760)):
        self.home = Path(home)
        self._size = size
        self._serial = 0

    async def __aenter__(self):
        import aiohttp

        words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        words += ["--no-first-run", "--disable-background-networking", "--remote-debugging-port=0"]
        words += [f"--user-data-dir={self.home}", f"--window-size={self._size[0]},{self._size[1]}", "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {**os.environ, "HOME": str(self.home)}
        self._process = subprocess.Popen([installed(), *words], env=environment, start_new_session=True, **quiet)
        self._session = aiohttp.ClientSession()
        await self._until(lambda: (self.home / "DevToolsActivePort").exists())
        port = (self.home / "DevToolsActivePort").read_text().split()[0]
        async with self._session.get(f"http://127.0.0.1:{port}/json") as answer:
            page = next(each for each in await answer.json() if each["type"] == "page")
        self._socket = await self._session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=1 << 26)
        await self.call("Page.enable")
        await self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        await self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.home / "files"))
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=LISTEN)
        return self

    async def __aexit__(self, *_):
        await self._socket.close()
        await self._session.close()
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def _until(self, holds):
        give_up = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < give_up, "the browser does not start"
            assert self._process.poll() is None, "the browser has ended"
            await asyncio.sleep(0.05)

    async def call(self, method, **given):
        """Call a method of the protocol; return its result."""
        self._serial += 1
        await self._socket.send_json({"id": self._serial, "method": method, "params": given})
        while True:
            answer = json.loads((await asyncio.wait_for(self._socket.receive(), PATIENCE_S)).data)
            if answer.get("id") == self._serial:
                assert "error" not in answer, answer
                return answer["result"]

    async def value(self, script):
        """Evaluate a script; return its value."""
        result = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return result["result"].get("value")

    async def open(self, url):
        """Open a page."""
        await self.call("Page.navigate", url=url)

    async def until(self, script, what):
        """Wait until a script's value is true; return it."""
        give_up = time.monotonic() + PATIENCE_S
        while not (value := await self.value(script)):
            heard = await self.value("window.heard")
            assert time.monotonic() < give_up, f"waited in vain until {what}; heard {str(heard)[-2000:]!r}"
            await asyncio.sleep(0.1)
        return value

    async def press(self, key):
        """Press a key that writes a character."""
        await self.value("document.querySelector('.xterm-helper-textarea').focus()")
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def picture(self):
        """Give what is seen, as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])
