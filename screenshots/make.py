"""Make the pictures of the dashboard: every layout in both themes as SVG and PNG, and an animated one of a run.

``python screenshots/make.py [--source FILE] [--out FOLDER]``. PNG needs ``rsvg-convert`` (Debian: librsvg2-bin);
without it only SVG is written. The run is seeded; with ``--source`` it replays a recorded file instead.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from drawing import HIGH, WIDE, Cell, body, cells, document, svg  # noqa: E402  # found by the path above

from velox_engine.config import load_config  # noqa: E402  # found by the path above
from velox_engine.snapshot import State  # noqa: E402  # found by the path above
from velox_tui.app import VeloxApp  # noqa: E402  # found by the path above
from velox_tui.glyphs import BRAILLE  # noqa: E402  # found by the path above
from velox_tui.starter import Starter  # noqa: E402  # found by the path above

SIZES = {"": (120, 40), "-80x24": (80, 24), "-200x60": (200, 60)}
LAYOUTS = ("overview", "pipeline", "book", "latency")
THEMES = ("velox-dark", "velox-light")
FRAME_S = 0.5
RECORDED_RATE = 2_000  # some forty times as fast as a busy stock of 2012


def picture(app: VeloxApp) -> tuple[list[list[Cell]], str]:
    """Return what an application shows as cells, and its background."""
    colours = app.theme_variables
    rows: Iterable[Any] = app.screen._compositor.render_strips()
    return cells(rows, colours["foreground"], colours["background"]), colours["background"]


def write(rows: list[list[Cell]], back: str, path: Path) -> None:
    """Write a picture as SVG, and as PNG where that can be had."""
    path.with_suffix(".svg").write_text(svg(rows, back), encoding="utf-8")
    converter = shutil.which("rsvg-convert")
    if converter is not None:
        subprocess.run(
            [converter, "-z", "1", str(path.with_suffix(".svg")), "-o", str(path.with_suffix(".png"))], check=True
        )


def animated(frames: list[list[list[Cell]]], back: str) -> str:
    """Return frames as one SVG that shows them one after another for ever, by style sheet alone."""
    count, seconds = len(frames), len(frames) * FRAME_S
    share = 100 / count
    style = (
        f"@keyframes f {{ 0% {{ visibility: visible }} {share:.3f}%, 100% {{ visibility: hidden }} }}"
        f" .f {{ visibility: hidden; animation: f {seconds:g}s step-end infinite }}"
    )
    drawn = "".join(
        f'<g class="f" style="animation-delay:{index * FRAME_S:g}s" transform="translate(12 12)">{body(frame)}</g>'
        for index, frame in enumerate(frames)
    )
    wide = max(len(row) for frame in frames for row in frame) * WIDE + 24
    return document(drawn, wide, len(frames[0]) * HIGH + 24, back, style)


async def wait(pilot: Any, seconds: float) -> None:
    """Let the application live for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await pilot.pause(0.05)


async def make(out: Path, source: str) -> None:
    """Run the dashboard and take the pictures."""
    recorded = {} if source == "synthetic" else {"source.loop": True, "pipeline.ingress_rate_hz": RECORDED_RATE}
    config = load_config(overrides={"source.seed": 7, "source.kind": source, **recorded}, environ={})
    starter = Starter(config)
    app = VeloxApp(config, starter, BRAILLE)
    frames: list[list[list[Cell]]] = []
    async with app.run_test(size=(100, 30)) as pilot:
        await wait(pilot, 0.3)
        frames.append(picture(app)[0])
        while not hasattr(app.screen, "paint"):
            await pilot.pause(0.02)
        engine: Any = starter.engine
        for step, key in enumerate(
            ["", "", "", "", "greater_than_sign", "", "greater_than_sign", "", "", "", "d", "", ""]
        ):
            if key:
                await pilot.press(key)
            await wait(pilot, 1.0 if step < 10 else 0.4)
            frames.append(picture(app)[0])
        (out / "run.svg").write_text(animated(frames, picture(app)[1]), encoding="utf-8")
        await pilot.press("p", *("g",) * (2 if recorded else 0))
        engine.set_rate(config.pipeline.ingress_rate_hz)
        await wait(pilot, 25)
        for theme in THEMES:
            app.theme = theme
            for suffix, size in SIZES.items():
                await pilot.resize_terminal(*size)
                for number, layout in enumerate(LAYOUTS, 1):
                    if suffix and layout != "overview":
                        continue
                    await pilot.press(str(number))
                    await wait(pilot, 1.5)
                    write(*picture(app), out / f"{layout}{suffix}-{theme.removeprefix('velox-')}")
        assert engine.state is State.RUNNING
        engine.stop()


def main() -> None:
    """Read the options and go."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", default="synthetic", help="a recorded file to replay")
    parser.add_argument("--out", type=Path, default=HERE, help="where the pictures go")
    asked = parser.parse_args()
    asyncio.run(make(asked.out, asked.source))


if __name__ == "__main__":
    main()
