"""Make the picture of the dashboard in a browser: an engine, ``attach --serve`` on it, and a real Chromium.

``python screenshots/browser.py [--seconds 70] [--out FILE]``. The graphs fill with the seconds; the run is seeded.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser import Browser  # noqa: E402  # found by the path above

NAME = "market"
PROGRAM = (sys.executable, "-m", "velox_tui")


async def picture(url: str, seconds: float) -> bytes:
    """Look for so long, and return what is seen then."""
    with tempfile.TemporaryDirectory() as home:
        async with Browser(home, (1440, 900)) as browser:
            await browser.open(f"{url}/?fontsize=16")
            await browser.until("window.heard.includes('SYNTH')", "the book is drawn")
            await asyncio.sleep(seconds)
            return bytes(await browser.picture())


def main() -> int:
    """Make the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=70)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "browser.png")
    asked = parser.parse_args()
    words = ("--no-ui", "--name", NAME, "--rate", "100000", "--seed", "7")
    with tempfile.TemporaryDirectory() as home:
        engine = subprocess.Popen([*PROGRAM, *words], cwd=home, stdout=subprocess.PIPE, text=True)
        assert engine.stdout is not None
        engine.stdout.readline()  # a second has passed: it runs
        server = subprocess.Popen(
            [*PROGRAM, "attach", str(engine.pid), "--serve", ":0"], cwd=home, stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        try:
            found = re.search(r"http://[^/]+", server.stdout.readline())
            assert found is not None, "nothing is served"
            asked.out.write_bytes(asyncio.run(picture(found[0], asked.seconds)))
        finally:
            for process in (server, engine):
                process.terminate()
                process.communicate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
