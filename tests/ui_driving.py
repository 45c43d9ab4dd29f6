"""The dashboard without a terminal: with a recorded run and a fake engine, or with a real one."""

from __future__ import annotations

import asyncio
import functools
import os
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from tests.ui_recording import FakeSampler
from velox_engine.config import load_config
from velox_engine.errors import EngineError
from velox_engine.snapshot import State
from velox_tui.app import VeloxApp
from velox_tui.glyphs import BRAILLE, SETS
from velox_tui.screens import main
from velox_tui.screens.main import MainScreen
from velox_tui.starter import Starter


class FakeEngine:
    """Takes commands down and changes its state as an engine would."""

    def __init__(self):
        self.state = State.RUNNING
        self.calls = []
        self.refuses = None
        self.ended = False

    def _took(self, *call):
        self.calls.append(call)
        if self.refuses is not None:
            raise self.refuses

    def pause(self):
        self._took("pause")
        self.state = State.PAUSED

    def resume(self):
        self._took("resume")
        self.state = State.RUNNING

    def drain(self):
        self._took("drain")
        self.state = State.DRAINED

    def set_rate(self, rate):
        self._took("rate", rate)

    def watch(self, symbol):
        self._took("watch", symbol)
        return symbol

    def set_limits(self, limits):
        self._took("limits", limits)

    def unwatch(self, slot):
        self._took("unwatch", slot)

    def request_stop(self, reason="stopped", drain=True):
        self._took("stop", drain)
        self.state = State.STOPPED
        self.ended = True

    def wait_stopped(self, timeout=None):
        return self.ended

    def start(self):
        raise EngineError("started already")


class FakeStarter:
    """Has a fake engine at once."""

    def __init__(self, config):
        self.config = config
        self.engine = FakeEngine()
        self.error = None
        self.progress = ("done", 6, 6)
        self.done = SimpleNamespace(is_set=lambda: True)

    def start(self):
        pass

    def request_stop(self, reason="stopped", drain=True):
        self.engine.request_stop(reason, drain)


@asynccontextmanager
async def recorded_app(monkeypatch, size=(120, 40), glyphs="braille", read_only=False, **settings):
    """Run the dashboard on the recording; gives the app, its pilot, screen, engine and sampler."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(time, "thread_time", lambda: 0.0)  # the cost of a frame is not to be seen
    sampler = FakeSampler()
    monkeypatch.setattr(main.MainScreen, "make_sampler", lambda self: sampler)
    config = load_config(overrides={f"ui.{key}": value for key, value in settings.items()}, environ={})
    starter = FakeStarter(config)
    app = VeloxApp(config, starter, SETS[glyphs], read_only=read_only)
    async with app.run_test(size=size) as pilot:
        end = asyncio.get_running_loop().time() + 60
        while not isinstance(app.screen, main.MainScreen):
            assert asyncio.get_running_loop().time() < end, "the dashboard never came"
            await pilot.pause(0.01)
        await settled(app, pilot)
        yield SimpleNamespace(app=app, pilot=pilot, screen=app.screen, engine=starter.engine, sampler=sampler)
    os.environ.pop("TZ", None)
    time.tzset()


def calls(ui, kind):
    """What the fake engine was told of this kind."""
    return [call for call in ui.engine.calls if call[0] == kind]


async def settled(app, pilot):
    """Wait until sizes, styles and pictures are what they will be."""
    for _ in range(3):
        await pilot.pause()
    for screen in app.screen_stack:
        if isinstance(screen, main.MainScreen):
            screen.frame_ms = 8.4
            screen.paint(True)
    await pilot.pause()


def text_of(app):
    """Return the whole screen as text, without spaces at the ends of lines."""
    return "\n".join(strip.text.rstrip() for strip in app.screen._compositor.render_strips()) + "\n"


async def started(app, pilot, starter):
    """Wait until the dashboard shows a running engine."""
    end = asyncio.get_running_loop().time() + 120
    while not isinstance(app.screen, MainScreen) or app.screen.sampler.latest is None:
        assert starter.error is None
        assert asyncio.get_running_loop().time() < end
        await pilot.pause(0.05)


async def _rest(*_):
    await asyncio.sleep(0.001)


def driven(steps, **settings):
    """Run the dashboard on a real engine, do ``steps(app, pilot, engine)``, and return the report."""

    async def run():
        with pytest.MonkeyPatch.context() as patch:
            # the pilot takes a process that works for one whose screen is not done, and waits a second for each key
            for module in ("app", "pilot"):
                patch.setattr(f"textual.{module}.wait_for_idle", _rest)
            return await drive()

    async def drive():
        overrides = {"source.seed": 7, "pipeline.ingress_rate_hz": 20_000, **settings}
        starter = Starter(load_config(overrides=overrides, environ={}))
        app = VeloxApp(starter.config, starter, BRAILLE)
        async with app.run_test(size=(120, 40)) as pilot:
            await started(app, pilot, starter)
            await steps(app, pilot, starter.engine)
        return await asyncio.to_thread(starter.engine.stop)

    return asyncio.run(run())


async def until(pilot, holds, seconds=60.0):
    """Wait until something holds, as long as the dashboard lives."""
    end = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert pilot.app._exception is None, pilot.app._exception
        assert pilot.app.is_running, "the dashboard has ended"
        assert asyncio.get_running_loop().time() < end, "it did not come to be"
        await pilot.pause(0.02)


def looped(test):
    """Run an async test in a loop of its own."""

    @functools.wraps(test)  # pytest sees the arguments of the test itself
    def run(**how):
        asyncio.run(test(**how))

    return run
