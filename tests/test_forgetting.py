"""Dialogs that have been closed leave nothing behind in memory."""

import gc
import weakref

from tests.ui_driving import looped, recorded_app, until
from velox_tui.forgetting import forget_dead_widgets
from velox_tui.screens.help import HelpScreen
from velox_tui.screens.main import MainScreen


@looped
async def test_a_closed_dialog_is_forgotten(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        caches = []
        for _ in range(3):
            await ui.pilot.press("question_mark")
            await until(ui.pilot, lambda: isinstance(ui.app.screen, HelpScreen))
            await ui.pilot.pause()
            caches += [weakref.ref(each._styles_cache) for each in ui.app.screen.walk_children()]
            await ui.pilot.press("escape")
            await until(ui.pilot, lambda: isinstance(ui.app.screen, MainScreen))
        await ui.pilot.pause()
        forget_dead_widgets()
        gc.collect()
        left = [each for each in caches if each() is not None]
        assert len(left) < len(caches) / 3, f"{len(left)} of {len(caches)}"  # the last one may still be on its way out
