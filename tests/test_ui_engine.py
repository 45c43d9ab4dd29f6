"""The dashboard on a real engine: whatever is pressed at whatever size, nothing is lost and nothing breaks."""

import asyncio
import random

import pytest

from tests.ui_driving import text_of
from velox_engine.config import load_config
from velox_engine.snapshot import State
from velox_tui.app import VeloxApp
from velox_tui.bindings import ACTS
from velox_tui.glyphs import BRAILLE
from velox_tui.screens.main import MainScreen
from velox_tui.starter import Starter

KEYS = [key for act in ACTS for key in act.keys.split(",") if act.name not in ("export", "palette", "quit")]


async def started(app, pilot, starter):
    """Wait until the dashboard shows a running engine."""
    end = asyncio.get_running_loop().time() + 120
    while not isinstance(app.screen, MainScreen) or app.screen.sampler.latest is None:
        assert starter.error is None
        assert asyncio.get_running_loop().time() < end
        await pilot.pause(0.05)


def driven(steps, **settings):
    """Run the dashboard on a real engine, do ``steps(app, pilot, engine)``, and return the report."""

    async def run():
        overrides = {"source.seed": 7, "pipeline.ingress_rate_hz": 20_000, **settings}
        starter = Starter(load_config(overrides=overrides, environ={}))
        app = VeloxApp(starter.config, starter, BRAILLE)
        async with app.run_test(size=(120, 40)) as pilot:
            await started(app, pilot, starter)
            await steps(app, pilot, starter.engine)
        return await asyncio.to_thread(starter.engine.stop)

    return asyncio.run(run())


async def until(pilot, holds, seconds=20.0):
    end = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert asyncio.get_running_loop().time() < end
        await pilot.pause(0.02)


def test_keys_steer_a_real_engine_and_the_screen_follows():
    async def steps(app, pilot, engine):
        await pilot.press("p")
        await until(pilot, lambda: engine.state is State.PAUSED and "PAUSED" in text_of(app))
        await pilot.press("p")
        await until(pilot, lambda: engine.state is State.RUNNING and "RUNNING" in text_of(app))
        await pilot.press("greater_than_sign")
        await until(pilot, lambda: engine.snapshot().rate_per_s == 50_000 and "of 50.0k/s" in text_of(app))
        await pilot.press("m")
        await until(pilot, lambda: "of max" in text_of(app))
        await pilot.press("m", "d")
        await until(pilot, lambda: engine.state is State.DRAINED and "DRAINED" in text_of(app))
        await until(pilot, lambda: "alike in all four" in text_of(app))

    report = driven(steps)
    assert report.conserved
    assert report.left_behind["transactions"] == 0


@pytest.mark.parametrize("seed", [2])
def test_random_keys_and_sizes_break_nothing_and_lose_nothing(seed):
    chance = random.Random(seed)

    async def steps(app, pilot, engine):
        for _ in range(12):
            await pilot.resize_terminal(chance.randint(1, 300), chance.randint(1, 100))
            for _ in range(4):
                await pilot.press(chance.choice(KEYS))
            # whatever dialog that has opened is left again, without leaving the dashboard
            while not isinstance(app.screen, MainScreen):
                await pilot.press("escape")
                await pilot.pause()
        await pilot.resize_terminal(120, 40)
        await pilot.pause(0.5)
        assert "cannot be drawn" not in text_of(app)
        assert engine.state in (State.RUNNING, State.PAUSED, State.DRAINING, State.DRAINED)

    report = driven(steps)
    assert report.conserved, report.problems
    assert report.left_behind["transactions"] == 0
