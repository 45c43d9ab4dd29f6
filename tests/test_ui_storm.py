"""Whatever is pressed at whatever size while the engine runs, pauses and drains: nothing breaks and nothing is lost.

``VELOX_STORM=full`` makes it 500 sizes and 10,000 presses; ``VELOX_STORM_SEED`` chooses another order.
"""

import os
import random

import pytest

from tests.ui_driving import driven, text_of, until
from velox_engine.snapshot import State
from velox_tui.arrangement import size_class
from velox_tui.bindings import ACTS, BY_NAME
from velox_tui.scene import DEPTHS, GROUPS, LAYOUTS, WINDOWS
from velox_tui.screens.confirm import ConfirmScreen
from velox_tui.screens.main import PANELS, MainScreen
from velox_tui.widgets.panel import Panel

FULL = os.environ.get("VELOX_STORM") == "full"
SEED = int(os.environ.get("VELOX_STORM_SEED", "2"))
SIZES, PRESSES_A_SIZE = (500, 20) if FULL else (12, 5)
KEYS = [key for act in ACTS for key in act.keys.split(",")]
STATES = (State.RUNNING, State.PAUSED, State.DRAINING, State.DRAINED)
FAULTS = ("Error", "failed")


async def out_of_dialogs(app, pilot, chance):
    """Type something into whatever dialog has opened, and leave it without leaving the dashboard."""
    while not isinstance(app.screen, MainScreen):
        assert app.is_running, app._exception
        if not isinstance(app.screen, ConfirmScreen):
            await pilot.press(*(chance.choice(("a", "3", "down", "pagedown", "space", "tab")) for _ in range(2)))
        await pilot.press("escape")
        await pilot.pause()


def check(app, engine):
    """Say whether screen and engine are what they may be."""
    screen = app.screen
    for key, panel in ((key, screen.query_one(f"#{key}", Panel)) for key in PANELS):
        assert panel.display == (key in screen.places)
        assert "cannot be drawn" not in panel.text, panel.text
    look = screen.look
    assert (look.window in WINDOWS, look.group in GROUPS, look.layout in LAYOUTS) == (True, True, True)
    assert min(DEPTHS) <= look.depth <= max(DEPTHS)
    assert not look.zoomed or size_class(*screen.size) == "tiny" or list(screen.places) == [look.zoomed]
    assert engine.state in STATES
    snapshot = engine.snapshot()
    assert snapshot.conservation.holds, snapshot.conservation.problems
    assert snapshot.dropped == 0
    wrong = [each for each in screen.own_events if each.severity == "error" and any(w in each.text for w in FAULTS)]
    assert not wrong


@pytest.mark.timeout(7200 if FULL else 600)
def test_random_keys_and_sizes_break_nothing_and_lose_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # for what x writes
    print(f"VELOX_STORM_SEED={SEED}")
    chance = random.Random(SEED)
    pressed, left = [], []
    monkeypatch.setattr(MainScreen, "leave", lambda screen, *, drain: left.append(screen.engine.state))

    async def steps(app, pilot, engine):
        seen = set()
        for _ in range(SIZES):
            await pilot.resize_terminal(chance.randint(1, 300), chance.randint(1, 100))
            for _ in range(PRESSES_A_SIZE):
                pressed.append(chance.choice(KEYS))
                await pilot.press(pressed[-1])
                seen.add(engine.state)
                await out_of_dialogs(app, pilot, chance)
                assert app.is_running, pressed[-30:]
            await pilot.pause()
            check(app, engine)
        assert set(left) <= {State.DRAINED}  # nobody is asked then; everywhere else the dialog was left by escape
        await pilot.resize_terminal(120, 40)
        await pilot.press("1", "escape", *(["f"] if app.screen.look.frozen else []))
        # what was asked for last has been done, and is shown
        await until(pilot, lambda: engine.state is not State.DRAINING)
        await until(pilot, lambda: f" {engine.state.word.upper()} " in text_of(app))
        before = engine.state
        await pilot.press(BY_NAME["pause"].keys)
        after = State.PAUSED if before is State.RUNNING else State.RUNNING
        await until(pilot, lambda: engine.state is after and f" {after.word.upper()} " in text_of(app))
        check(app, engine)
        if FULL:
            assert seen >= {State.RUNNING, State.PAUSED, State.DRAINED}
            assert set(pressed) == set(KEYS)

    report = driven(steps)
    assert report.conserved, report.problems
    assert report.left_behind["transactions"] == 0
    assert len(set(report.checksum.values())) == 1
