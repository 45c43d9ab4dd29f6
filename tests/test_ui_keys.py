"""Every key does what it says, to the engine and on the screen."""

import asyncio
import csv
import itertools
import json
import math
import threading
import time

import pytest
from textual.command import CommandPalette
from textual.widgets import Button, Input

from tests.ui_driving import calls, looped, recorded_app, settled, text_of, until
from velox_engine.errors import ConfigError, EngineError
from velox_engine.snapshot import State
from velox_tui.bindings import ACTS, keymap
from velox_tui.screens import main
from velox_tui.screens.confirm import ConfirmScreen, StopScreen
from velox_tui.screens.help import HelpScreen
from velox_tui.screens.main import MainScreen
from velox_tui.screens.symbol import SymbolScreen


@looped
async def test_p_pauses_and_goes_on(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        await ui.pilot.press("p")
        await until(ui.pilot, lambda: ui.engine.state is State.PAUSED)
        ui.sampler.change(state=State.PAUSED)
        ui.screen.tick()
        await ui.pilot.pause()
        assert "PAUSED" in text_of(ui.app)
        await ui.pilot.press("p")
        await until(ui.pilot, lambda: ui.engine.state is State.RUNNING)


@looped
async def test_d_drains_and_p_goes_on_from_there(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        await ui.pilot.press("d")
        await until(ui.pilot, lambda: ui.engine.state is State.DRAINED)
        ui.sampler.change(state=State.DRAINED)
        ui.screen.tick()
        await ui.pilot.pause()
        assert "DRAINED" in text_of(ui.app)
        assert "drained: " in text_of(ui.app)
        await ui.pilot.press("p")
        await until(ui.pilot, lambda: calls(ui, "resume"))


@looped
async def test_draining_shows_what_is_left_and_until_when(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        taken = ui.sampler.latest.snapshot.taken_unix_ns
        ui.sampler.change(state=State.DRAINING, drain_deadline_unix_ns=taken + 4_200_000_000)
        ui.screen.tick()
        await ui.pilot.pause()
        left = ui.sampler.latest.snapshot.inside
        assert f"DRAINING {left:,} left" in text_of(ui.app)
        assert "given up in 4.2 s" in text_of(ui.app)


@pytest.mark.parametrize("answer, drains", [("d", True), ("l", False)])
@looped
async def test_q_asks_while_it_runs(monkeypatch, answer, drains):
    async with recorded_app(monkeypatch) as ui:
        await ui.pilot.press("q")
        await until(ui.pilot, lambda: isinstance(ui.app.screen, ConfirmScreen))
        await ui.pilot.pause()
        assert ui.app.focused is ui.app.screen.query_one("#cancel", Button)
        assert calls(ui, "stop") == []
        await ui.pilot.press(answer)
        await until(ui.pilot, lambda: calls(ui, "stop") == [("stop", drains)])


@pytest.mark.parametrize("key", ["enter", "escape", "c"])
@looped
async def test_the_question_is_answered_by_no_unless_told(monkeypatch, key):
    async with recorded_app(monkeypatch) as ui:
        await ui.pilot.press("ctrl+c")
        await until(ui.pilot, lambda: isinstance(ui.app.screen, ConfirmScreen))
        await ui.pilot.pause()
        await ui.pilot.press(key)
        await until(ui.pilot, lambda: isinstance(ui.app.screen, MainScreen))
        assert calls(ui, "stop") == []


@looped
async def test_the_question_is_answered_by_the_mouse(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        await ui.pilot.press("q")
        await until(ui.pilot, lambda: isinstance(ui.app.screen, ConfirmScreen))
        await ui.pilot.pause()
        await ui.pilot.click("#drain")
        await until(ui.pilot, lambda: calls(ui, "stop") == [("stop", True)])


@looped
async def test_q_leaves_directly_when_drained(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        ui.engine.state = State.DRAINED
        await ui.pilot.press("q")
        await until(ui.pilot, lambda: calls(ui, "stop") == [("stop", True)])
        assert ui.app.leaving


@pytest.mark.parametrize("answer, drains", [("d", True), ("n", False)])
@looped
async def test_the_engine_is_stopped_after_asking_and_stays_shown(monkeypatch, answer, drains):
    async with recorded_app(monkeypatch) as ui:
        await ui.pilot.press("S")
        await until(ui.pilot, lambda: isinstance(ui.app.screen, StopScreen))
        await ui.pilot.pause()
        assert ui.app.focused is ui.app.screen.query_one("#cancel", Button)
        await ui.pilot.press(answer)
        await until(ui.pilot, lambda: calls(ui, "stop") == [("stop", drains)])
        await until(ui.pilot, lambda: isinstance(ui.app.screen, MainScreen))
        assert not ui.app.leaving
        await ui.pilot.press("S")  # there is nothing left to stop
        await ui.pilot.pause()
        assert isinstance(ui.app.screen, MainScreen)


@pytest.mark.parametrize("key", ["enter", "escape", "c", "q"])
@looped
async def test_nothing_is_stopped_unless_told(monkeypatch, key):
    async with recorded_app(monkeypatch) as ui:
        await ui.pilot.press("S")
        await until(ui.pilot, lambda: isinstance(ui.app.screen, StopScreen))
        await ui.pilot.pause()
        await ui.pilot.press(key)
        await until(ui.pilot, lambda: isinstance(ui.app.screen, MainScreen))
        assert calls(ui, "stop") == []


@looped
async def test_a_stop_does_not_wait_for_a_drain_that_lasts(monkeypatch):
    drained = threading.Event()
    async with recorded_app(monkeypatch) as ui:
        ui.engine.drain = lambda: drained.wait(60)
        await ui.pilot.press("d", "S")
        await until(ui.pilot, lambda: isinstance(ui.app.screen, StopScreen))
        await ui.pilot.pause()
        await ui.pilot.press("n")
        await until(ui.pilot, lambda: calls(ui, "stop") == [("stop", False)])
        drained.set()


@looped
async def test_rates_go_up_down_to_the_most_and_back(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        await ui.pilot.press("greater_than_sign", "less_than_sign", "m")
        await until(ui.pilot, lambda: len(calls(ui, "rate")) == 3)
        ui.sampler.change(rate_per_s=math.inf)
        await ui.pilot.press("m", "greater_than_sign", "less_than_sign")
        await until(ui.pilot, lambda: len(calls(ui, "rate")) == 5)
        assert [rate for _, rate in calls(ui, "rate")] == [200_000, 50_000, math.inf, 100_000, 50_000]


@looped
async def test_what_the_engine_refuses_is_told(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        ui.engine.refuses = EngineError("cannot pause while failed: it broke", state="failed")
        await ui.pilot.press("p")
        await until(ui.pilot, lambda: any("it broke" in event.text for event in ui.screen.own_events))
        await settled(ui.app, ui.pilot)
        assert "it broke" in text_of(ui.app)


@pytest.mark.parametrize("key", ["f", "space"])
@looped
async def test_the_picture_is_held_while_collecting_goes_on(monkeypatch, key):
    async with recorded_app(monkeypatch) as ui:
        await ui.pilot.press(key)
        await settled(ui.app, ui.pilot)
        before = text_of(ui.app)
        assert "FROZEN" in before
        last = ui.screen.history.last
        ui.sampler.rows.append(((last + 30.5) * 0.1, [5e6] * len(ui.screen.history.names)))
        ui.sampler.change(generated=10**9)
        ui.screen.tick()
        await settled(ui.app, ui.pilot)
        assert ui.screen.history.last == last + 30
        assert text_of(ui.app).splitlines()[1:] == before.splitlines()[1:]
        await ui.pilot.press(key)
        await settled(ui.app, ui.pilot)
        assert "FROZEN" not in text_of(ui.app)
        assert text_of(ui.app).splitlines()[1:] != before.splitlines()[1:]


@looped
async def test_z_gives_the_focused_panel_all_the_room(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        ui.screen.query_one("#latency").focus()
        await ui.pilot.press("z")
        await settled(ui.app, ui.pilot)
        assert list(ui.screen.places) == ["latency"]
        assert ui.screen.query_one("#latency").size == (120, 38)
        await ui.pilot.press("escape")
        await settled(ui.app, ui.pilot)
        assert len(ui.screen.places) == 7
        await ui.pilot.press("enter")
        await ui.pilot.pause()
        assert list(ui.screen.places) == ["latency"]
        await ui.pilot.press("z")
        assert len(ui.screen.places) == 7


@looped
async def test_a_double_click_zooms(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        await ui.pilot.click("#cores", times=2)
        await until(ui.pilot, lambda: list(ui.screen.places) == ["cores"])


@pytest.mark.parametrize("key, layout", [("1", "overview"), ("2", "pipeline"), ("3", "book"), ("4", "latency")])
@looped
async def test_digits_change_the_layout(monkeypatch, key, layout):
    async with recorded_app(monkeypatch, layout="latency" if key == "1" else "overview") as ui:
        before = dict(ui.screen.places)
        await ui.pilot.press(key)
        await ui.pilot.pause()
        assert ui.screen.look.layout == layout
        assert ui.screen.places != before


@looped
async def test_the_window_grows_shrinks_and_returns(monkeypatch):
    async with recorded_app(monkeypatch, window_secs=55) as ui:
        seen = [ui.screen.look.window]
        for key in ("minus", "minus", "minus", "equals_sign", "plus", "plus", "plus"):
            await ui.pilot.press(key)
            seen.append(ui.screen.look.window)
        assert seen == [60, 300, 900, 900, 60, 30, 10, 10]
        await settled(ui.app, ui.pilot)
        assert "10 s" in text_of(ui.app)


@pytest.mark.parametrize(
    "keys, field, values",
    [
        (["l", "l"], "log", [True, False]),
        (["v"] * 6, "series", ["ingress", "orderbook", "bundles", "output", "dropped", "all"]),
        (["left_square_bracket"] * 3, "depth", [10, 5, 5]),
        (["right_square_bracket"] * 2, "depth", [50, 100]),
        (["g"] * 7, "group", [2, 5, 10, 20, 50, 100, 1]),
        (["h", "h"], "heat", [False, True]),
        (["e"] * 3, "severity", ["warning", "error", "info"]),
    ],
)
@looped
async def test_keys_change_the_look_and_the_picture(monkeypatch, keys, field, values):
    async with recorded_app(monkeypatch, size=(160, 100), layout="book") as ui:
        seen, pictures = [], [text_of(ui.app)]
        for key in keys:
            await ui.pilot.press(key)
            await settled(ui.app, ui.pilot)
            seen.append(getattr(ui.screen.look, field))
            pictures.append(text_of(ui.app))
        assert seen == values
        changed = [a != b for a, b in itertools.pairwise(pictures)]
        assert changed[0]


@looped
async def test_t_changes_the_theme(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        seen = [ui.app.theme]
        for _ in range(3):
            await ui.pilot.press("t")
            await ui.pilot.pause()
            seen.append(ui.app.theme)
        assert seen[:2] == ["velox-dark", "velox-light"]
        assert len(set(seen)) == 4


@looped
async def test_x_writes_picture_snapshot_and_history(monkeypatch):
    from pathlib import Path
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        monkeypatch.chdir(folder)
        async with recorded_app(monkeypatch) as ui:
            await ui.pilot.press("x")
            await until(ui.pilot, lambda: len(list(Path(folder).iterdir())) == 3)
            await until(ui.pilot, lambda: any("written" in str(each.message) for each in ui.app._notifications))
        files = {path.suffix: path.read_text() for path in Path(folder).iterdir()}
        assert files[".svg"].startswith("<svg")
        assert json.loads(files[".json"])["state"] == "running"
        rows = list(csv.reader(files[".csv"].splitlines()))
        assert rows[0][:2] == ["time_utc", "ingress"]
        assert len(rows) > 100


@looped
async def test_s_chooses_a_symbol_by_a_part_of_its_name(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        base = {"price_decimals": 2, "size_decimals": 0, "tick": 1}
        from dataclasses import replace

        names = tuple({"symbol": name, **base} for name in ("SYNTH", "AMZN", "MSFT"))
        ui.sampler.latest = replace(ui.sampler.latest, instruments=names)
        await ui.pilot.press("s")
        await until(ui.pilot, lambda: isinstance(ui.app.screen, SymbolScreen))
        await until(ui.pilot, lambda: isinstance(ui.app.focused, Input))
        await ui.pilot.press("m", "s", "enter")
        await until(ui.pilot, lambda: isinstance(ui.app.screen, MainScreen))
        assert ui.screen.look.symbol == 2
        await until(
            ui, lambda: calls(ui, "watch") == [("watch", 0), ("watch", 2)] and calls(ui, "unwatch") == [("unwatch", 0)]
        )
        await settled(ui.app, ui.pilot)
        assert "MSFT" in text_of(ui.app)


@pytest.mark.parametrize("key", ["question_mark", "f1"])
@looped
async def test_help_names_every_key(monkeypatch, key):
    async with recorded_app(monkeypatch) as ui:
        await ui.pilot.press(key)
        await until(ui.pilot, lambda: isinstance(ui.app.screen, HelpScreen))
        text = ui.app.screen._text
        assert all(act.told in text and f"[{act.name}]" in text for act in ACTS)
        await ui.pilot.press("escape")
        assert isinstance(ui.app.screen, MainScreen)


@looped
async def test_the_palette_holds_the_acts(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        await ui.pilot.press("ctrl+p")
        await until(ui.pilot, lambda: isinstance(ui.app.screen, CommandPalette))
        await ui.pilot.press("escape")
        await until(ui.pilot, lambda: isinstance(ui.app.screen, MainScreen))
        titles = {command.title.casefold() for command in ui.app.get_system_commands(ui.screen)}
        hidden = {"palette", "back", "next", "previous"}
        assert all(act.told.casefold() in titles for act in ACTS if act.name not in hidden)
        command = next(each for each in ui.app.get_system_commands(ui.screen) if each.title.startswith("Logarithmic"))
        command.callback()
        await until(ui.pilot, lambda: ui.screen.look.log)


@looped
async def test_tab_and_arrows_move_the_focus(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        seen = []
        for key in ("tab", "right", "down", "left", "up", "shift+tab"):
            await ui.pilot.press(key)
            seen.append(ui.screen.focused.id if ui.screen.focused else None)
        assert seen[:4] == ["throughput", "pipeline", "latency", "depth"]
        assert None not in seen[:5]


@looped
async def test_events_scroll_by_keys_and_wheel(monkeypatch):
    from velox_tui.widgets.events import Events

    async with recorded_app(monkeypatch) as ui:
        for number in range(60):
            ui.screen.note("info", f"event {number}")
        events = ui.screen.query_one(Events)
        events.focus()
        await settled(ui.app, ui.pilot)
        assert "event 59" in text_of(ui.app)
        await ui.pilot.press("pageup")
        await settled(ui.app, ui.pilot)
        assert "event 59" not in text_of(ui.app)
        assert "below" in text_of(ui.app)
        await ui.pilot.press("pagedown", "up", "down")
        await settled(ui.app, ui.pilot)
        assert "event 59" in text_of(ui.app)


@looped
async def test_a_click_in_the_line_of_keys_does_what_its_key_does(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        await ui.pilot.click("#keys", offset=(2, 0))
        await until(ui.pilot, lambda: ui.engine.state is State.PAUSED)


@looped
async def test_read_only_takes_away_what_changes_the_engine(monkeypatch):
    async with recorded_app(monkeypatch, read_only=True) as ui:
        await until(ui.pilot, lambda: calls(ui, "watch"))
        for act in ACTS:
            if act.steers:
                await ui.pilot.press(act.keys)
        await ui.pilot.press("l")
        assert ui.screen.look.log
        assert [call[0] for call in ui.engine.calls] == ["watch"]
        titles = {command.title for command in ui.app.get_system_commands(ui.screen)}
        assert not any("rate" in title for title in titles)


@looped
async def test_keys_can_be_bound_anew(monkeypatch):
    async with recorded_app(monkeypatch, keys="pause=f9,b drain=ctrl+d") as ui:
        await ui.pilot.press("p")
        await ui.pilot.press("b")
        await until(ui.pilot, lambda: ui.engine.state is State.PAUSED)
        assert len(calls(ui, "pause")) == 1
        await ui.pilot.press("ctrl+d")
        await until(ui.pilot, lambda: ui.engine.state is State.DRAINED)
        assert "f9 pause" in text_of(ui.app)


def test_an_unknown_name_to_bind_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="unknown action pauze, the nearest is pause"):
        keymap("pauze=x")


def test_no_two_acts_have_one_key():
    keys = [key for act in ACTS for key in act.keys.split(",")]
    assert len(keys) == len(set(keys))
    assert len({act.name for act in ACTS}) == len(ACTS)


@looped
async def test_a_panel_that_raises_says_so_in_its_own_place(monkeypatch):
    from velox_tui.widgets.depth import Depth

    async with recorded_app(monkeypatch) as ui:
        monkeypatch.setattr(Depth, "draw", lambda self, scene, width, height: 1 // 0)
        await settled(ui.app, ui.pilot)
        text = text_of(ui.app)
        assert "ZeroDivisionError" in text
        assert "end to end" in text
        await ui.pilot.press("l")
        assert ui.screen.look.log


@looped
async def test_an_alert_is_told_once_and_marks_its_panel_while_it_lasts(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        ui.sampler.change(dropped=5)
        ui.screen.tick()
        assert ui.screen.alerts.panels == {"throughput"}
        for _ in range(30):
            ui.sampler.change()
            ui.screen.tick()
        told = [event.text for event in ui.screen.own_events]
        assert told == ["ingress drops: 5 so far", "over: ingress drops: 5 so far"]
        assert ui.screen.alerts.panels == frozenset()


@looped
async def test_when_unfocused_it_paints_once_a_second(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        ui.app.app_focus = False
        clock = [time.monotonic()]
        painted = []
        monkeypatch.setattr(
            ui.screen,
            "paint",
            lambda anyway=False: painted.append(clock[0]) or ui.screen.pace.painted(clock[0]),
        )
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(time, "monotonic", lambda: clock[0])
            for _ in range(50):
                clock[0] += 0.1
                ui.screen.tick()
        assert 4 <= len(painted) <= 6


@looped
async def test_a_terminal_that_takes_nothing_is_given_nothing_and_told_of(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        waiting = [3]
        monkeypatch.setattr(main, "waiting_writes", lambda app: waiting[0])
        ui.sampler.change(dropped=123)
        for _ in range(5):
            ui.screen.tick()
        await ui.pilot.pause()
        assert "drop 123" not in text_of(ui.app)
        waiting[0] = 0

        def drawn():
            ui.sampler.change(dropped=123)  # a newer look: a panel draws one only when its time has come
            ui.screen.tick()
            return "drop 123" in text_of(ui.app)

        await until(ui.pilot, drawn)
        assert "slowed" in text_of(ui.app)


@looped
async def test_dialogs_stand_any_size(monkeypatch):
    async with recorded_app(monkeypatch) as ui:
        for size in ((4, 55), (2, 1), (14, 3), (1, 1)):
            for key in ("s", "ctrl+p", "question_mark", "comma", "q"):
                for opened_at in ((120, 40), size):
                    await ui.pilot.resize_terminal(*opened_at)
                    await ui.pilot.press(key)
                    await ui.pilot.resize_terminal(*size)
                    await ui.pilot.press("a", "pagedown", "tab", "pageup", "pagedown")
                    while not isinstance(ui.app.screen, MainScreen):
                        assert ui.app.is_running
                        await ui.pilot.press("escape")


@looped
async def test_an_error_in_the_screen_is_shown_without_every_variable(monkeypatch):
    told = []

    async def broken():
        async with recorded_app(monkeypatch) as ui:
            monkeypatch.setattr(ui.screen, "take_in", lambda: 1 / 0)
            ui.screen.set_timer(0.01, ui.screen.tick)
            while ui.app.is_running:
                await asyncio.sleep(0.01)
            told.extend(segment.text for each in ui.app._exit_renderables for segment in each.segments)

    with pytest.raises(ZeroDivisionError):
        await broken()
    assert "ZeroDivisionError" in "".join(told)
    assert "locals" not in "".join(told)


@looped
async def test_resizing_to_anything_breaks_nothing(monkeypatch):
    import random

    chance = random.Random(7)
    async with recorded_app(monkeypatch) as ui:
        for _ in range(60):
            await ui.pilot.resize_terminal(chance.randint(1, 300), chance.randint(1, 100))
            await ui.pilot.press(chance.choice("1234zhlgv"))
        await ui.pilot.resize_terminal(120, 40)
        await settled(ui.app, ui.pilot)
        assert "RUNNING" in text_of(ui.app)
        assert "cannot be drawn" not in text_of(ui.app)
