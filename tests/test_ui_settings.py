"""Settings are changed from the dashboard, take effect at once, and are saved only when that is asked for."""

import tomllib
from types import SimpleNamespace

import pytest
from textual.widgets import Button, Input, OptionList

from tests.ui_driving import calls, looped, recorded_app, settled, text_of, until
from velox_engine.config import Given, Origin, resolve
from velox_engine.config_rules import toml_value
from velox_engine.errors import ConfigError
from velox_engine.snapshot import State
from velox_tui.bindings import ACTS
from velox_tui.screens.main import MainScreen
from velox_tui.screens.saving import SaveScreen
from velox_tui.screens.settings import SettingsScreen
from velox_tui.screens.tuning import TUNABLE


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user's directory without a configuration, and an empty directory to stand in."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return SimpleNamespace(path=tmp_path, file=tmp_path / "config" / "velox-tui" / "config.toml")


async def opened(ui):
    await ui.pilot.press("comma")
    await until(ui.pilot, lambda: isinstance(ui.app.screen, SettingsScreen) and ui.app.screen._rows)
    return ui.app.screen


async def at_row(ui, screen, row):
    screen.query_one(OptionList).highlighted = screen._rows.index(row)
    await ui.pilot.pause()


async def saving(ui):
    await ui.pilot.press("w")
    await until(ui.pilot, lambda: isinstance(ui.app.screen, SaveScreen))
    await ui.pilot.pause()
    return ui.app.screen


def with_settings(ui, path, text, given=()):
    """Let the dashboard have been started with this file, in the directory that it lies in."""
    path.write_text(text)
    ui.app.settings = resolve(path.name, given, {})


@looped
async def test_the_settings_are_shown_with_their_origin(monkeypatch, home):
    async with recorded_app(monkeypatch, layout="book") as ui:
        with_settings(ui, home.path / "my.toml", '[ui]\n\nlayout = "book"\n')
        screen = await opened(ui)
        text = text_of(ui.app)
        assert set(TUNABLE) - {"ui.keys"} | {act.name for act in ACTS} == set(screen._rows)
        assert 'ui.layout                "book"               my.toml:3' in text
        assert 'ui.theme                 "velox-dark"         default' in text
        await ui.pilot.press("escape")
        assert isinstance(ui.app.screen, MainScreen)


@pytest.mark.parametrize(
    "key, seen",
    [
        ("ui.theme", lambda ui: ui.app.theme == "velox-light"),
        ("ui.layout", lambda ui: ui.app.screen_stack[-2].look.layout == "pipeline"),
        ("ui.glyphs", lambda ui: ui.app.screen_stack[-2].glyphs.name == "braille"),
        ("ui.mouse", lambda ui: ui.app.screen_stack[-2].config.ui.mouse is False),
    ],
)
@looped
async def test_what_has_few_values_goes_through_them_at_once(monkeypatch, home, key, seen):
    async with recorded_app(monkeypatch, glyphs="ascii") as ui:
        screen = await opened(ui)
        await at_row(ui, screen, key)
        before = screen._board.values()[key]
        await ui.pilot.press("right")
        await ui.pilot.pause()
        assert seen(ui)
        assert "changed" in text_of(ui.app)
        await ui.pilot.press("left")
        await ui.pilot.pause()
        assert screen._board.values()[key] == before
        assert screen._board.changes() == {}
        await ui.pilot.press("enter")
        await ui.pilot.pause()
        assert seen(ui)


@pytest.mark.parametrize(
    "key, typed, value, seen",
    [
        ("ui.window_secs", "300", 300, lambda board: board.look.window == 300),
        ("ui.fps", "2.5", 2.5, lambda board: board._timer._interval == pytest.approx(0.4)),
        ("book.depth", "7", 7, lambda board: board.look.depth == 7),
        ("limits.max_p99_us", "1500", 1500, lambda board: board.alerts._limits.max_p99_us == 1500),
        ("limits.max_drop_rate", "off", "off", lambda board: board.alerts._limits.max_drop_rate == "off"),
    ],
)
@looped
async def test_other_values_are_typed_and_checked_as_in_a_file(monkeypatch, home, key, typed, value, seen):
    async with recorded_app(monkeypatch) as ui:
        screen = await opened(ui)
        await at_row(ui, screen, key)
        await ui.pilot.press("enter")
        field = screen.query_one(Input)
        await until(ui.pilot, lambda: field.has_focus)
        assert field.value == toml_value(screen._board.values()[key]).strip('"')
        field.value = "-1"
        await ui.pilot.press("enter")
        await ui.pilot.pause()
        assert "got -1; allowed is" in " ".join(text_of(ui.app).split())
        assert field.has_focus
        field.value = typed
        await ui.pilot.press("enter")
        await until(ui.pilot, lambda: not field.has_focus)
        assert screen._board.values()[key] == value
        assert seen(screen._board)


@looped
async def test_typing_is_left_by_escape_and_types_letters_that_are_keys_elsewhere(monkeypatch, home):
    async with recorded_app(monkeypatch) as ui:
        screen = await opened(ui)
        await at_row(ui, screen, "ui.fps")
        await ui.pilot.press("enter")
        await until(ui.pilot, lambda: screen.query_one(Input).has_focus)
        await ui.pilot.press("w", "q", "comma")
        assert screen.query_one(Input).value == "wq,"  # what is typed takes the old value's place
        await ui.pilot.press("escape")
        assert not screen.query_one(Input).has_focus
        assert screen._board.changes() == {}
        assert isinstance(ui.app.screen, SettingsScreen)


@looped
async def test_limits_reach_the_report_but_not_where_only_looking_is_allowed(monkeypatch, home):
    for read_only in (False, True):
        async with recorded_app(monkeypatch, read_only=read_only) as ui:
            ui.screen.set_to("limits.max_p99_us", 250)
            assert [limits.max_p99_us for _, limits in calls(ui, "limits")] == ([] if read_only else [250])


@looped
async def test_a_key_is_bound_by_pressing_it(monkeypatch, home):
    async with recorded_app(monkeypatch) as ui:
        screen = await opened(ui)
        await at_row(ui, screen, "pause")
        await ui.pilot.press("enter", "f2")
        await ui.pilot.pause()
        assert "key of pause             f2" in text_of(ui.app)
        await ui.pilot.press("escape")
        await settled(ui.app, ui.pilot)
        assert "f2 pause" in text_of(ui.app)
        await ui.pilot.press("p")
        await ui.pilot.press("f2")
        await until(ui.pilot, lambda: ui.engine.state is State.PAUSED)
        assert len(calls(ui, "pause")) == 1
        screen = await opened(ui)
        await at_row(ui, screen, "pause")
        await ui.pilot.press("enter", "backspace", "escape")
        await ui.pilot.pause()
        assert ui.screen.chosen == {}
        await ui.pilot.press("p")
        await until(ui.pilot, lambda: len(calls(ui, "resume")) == 1)


@looped
async def test_a_key_that_another_has_is_refused_and_escape_keeps_the_old_one(monkeypatch, home):
    async with recorded_app(monkeypatch) as ui:
        screen = await opened(ui)
        await at_row(ui, screen, "pause")
        await ui.pilot.press("enter", "d")
        await ui.pilot.pause()
        assert "d is the key of pause and of drain" in text_of(ui.app)
        await ui.pilot.press("enter", "escape")
        await ui.pilot.pause()
        assert isinstance(ui.app.screen, SettingsScreen)
        assert screen._board.changes() == {}


@looped
async def test_a_wrong_value_changes_nothing(monkeypatch, home):
    async with recorded_app(monkeypatch) as ui:
        for key, value in (("ui.theme", "velox-drak"), ("ui.keys", "pauze=x"), ("ui.fps", 0), ("book.depth", "deep")):
            with pytest.raises(ConfigError):
                ui.screen.set_to(key, value)
        assert ui.screen.changes() == {}


# ---- saving


@looped
async def test_nothing_is_written_unless_it_is_asked_for_and_confirmed(monkeypatch, home):
    async with recorded_app(monkeypatch) as ui:
        await ui.pilot.press("w")
        await ui.pilot.pause()
        assert any("nothing to save" in str(each.message) for each in ui.app._notifications)
        await ui.pilot.press("t", "2", "minus")
        screen = await saving(ui)
        assert ui.app.focused is screen.query_one("#cancel", Button)
        text = text_of(ui.app)
        assert screen._question == f"Save to {home.file}?"
        assert "a new file" in text
        for line in ('+theme = "velox-light"', '+layout = "pipeline"', "+window_secs = 300"):
            assert line in text
        await ui.pilot.press("enter")
        await until(ui.pilot, lambda: isinstance(ui.app.screen, MainScreen))
        assert not home.file.exists()
        await saving(ui)
        await ui.pilot.press("s")
        await until(ui.pilot, home.file.exists)
        await until(ui.pilot, lambda: ui.screen.changes() == {})
        assert tomllib.loads(home.file.read_text()) == {
            "ui": {"theme": "velox-light", "layout": "pipeline", "window_secs": 300}
        }
        assert f"settings saved to {home.file}" in [each.text for each in ui.screen.own_events]
        # and once more, now that the file is there
        await ui.pilot.press("1")
        await saving(ui)
        await ui.pilot.press("s")
        await until(ui.pilot, lambda: ui.screen.changes() == {})
        assert resolve(home.file, [], {}).config.ui.layout == "overview"


@looped
async def test_the_file_that_was_read_is_written_with_its_comments(monkeypatch, home):
    async with recorded_app(monkeypatch) as ui:
        path = home.path / "my.toml"
        with_settings(ui, path, "# mine\n[ui]\nfps = 10  # often\n\n# end\n[limits]\n")
        ui.screen.set_to("ui.fps", 5)
        ui.screen.set_to("ui.keys", "pause=f2")
        ui.screen.set_to("limits.max_p99_us", 250)
        await saving(ui)
        await ui.pilot.click("#save")
        await until(ui.pilot, lambda: ui.screen.changes() == {})
        assert path.read_text() == (
            '# mine\n[ui]\nfps = 5   # often\n\n[ui.keys]\npause = "f2"\n\n# end\n[limits]\nmax_p99_us = 250\n'
        )
        assert (home.path / "my.toml.bak").read_text().startswith("# mine\n[ui]\nfps = 10")


@looped
async def test_a_file_that_changed_meanwhile_is_shown_and_left_alone(monkeypatch, home):
    async with recorded_app(monkeypatch) as ui:
        path = home.path / "my.toml"
        with_settings(ui, path, "[ui]\nfps = 10\n")
        path.write_text("[ui]\nfps = 3\n")
        ui.screen.set_to("ui.fps", 5)
        screen = await saving(ui)
        text = text_of(ui.app)
        assert "The settings are not saved." in text
        assert "my.toml: has changed since it was read: nothing was written" in text
        assert "-fps = 10" in text
        assert "+fps = 3" in text
        assert not screen.query("#save")
        await ui.pilot.press("s")
        await until(ui.pilot, lambda: isinstance(ui.app.screen, MainScreen))
        assert path.read_text() == "[ui]\nfps = 3\n"
        assert ui.screen.changes() == {"ui.fps": 5}


@looped
async def test_what_is_stronger_than_a_file_is_told(monkeypatch, home):
    async with recorded_app(monkeypatch, theme="nord") as ui:
        given = [Given("ui.theme", "nord", Origin("VELOX_UI__THEME"))]
        with_settings(ui, home.path / "my.toml", "", given)
        ui.screen.set_to("ui.theme", "velox-light")
        await saving(ui)
        assert "ui.theme is set by VELOX_UI__THEME, which is stronger than a file" in text_of(ui.app)


@looped
async def test_a_write_that_fails_is_told_and_the_settings_stay_changed(monkeypatch, home):
    async with recorded_app(monkeypatch) as ui:
        ui.screen.set_to("ui.fps", 5)
        await saving(ui)
        (home.path / "config").write_text("no directory")
        await ui.pilot.press("s")
        await until(ui.pilot, lambda: ui.screen.own_events)
        assert "cannot be" in ui.screen.own_events[-1].text
        assert ui.screen.own_events[-1].text.endswith("Not a directory")
        assert ui.screen.changes() == {"ui.fps": 5}
        screen = await saving(ui)
        assert screen._question == "The settings are not saved."


@looped
async def test_where_only_looking_is_allowed_nothing_is_saved(monkeypatch, home):
    async with recorded_app(monkeypatch, read_only=True) as ui:
        await ui.pilot.press("t", "w")
        await ui.pilot.pause()
        assert isinstance(ui.app.screen, MainScreen)
        await opened(ui)
        await ui.pilot.press("w")
        await ui.pilot.pause()
        assert isinstance(ui.app.screen, SettingsScreen)
        assert "w saves" not in text_of(ui.app)
        assert not home.file.exists()


@looped
async def test_saving_from_the_settings_asks_first(monkeypatch, home):
    async with recorded_app(monkeypatch) as ui:
        screen = await opened(ui)
        await at_row(ui, screen, "ui.layout")
        await ui.pilot.press("right", "w")
        await until(ui.pilot, lambda: isinstance(ui.app.screen, SaveScreen))
        await ui.pilot.press("w")
        await until(ui.pilot, home.file.exists)


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (200, 60)])
@looped
async def test_the_dialogs_fit_every_size(monkeypatch, home, size):
    async with recorded_app(monkeypatch, size=size) as ui:
        await opened(ui)
        await settled(ui.app, ui.pilot)
        assert "ui.theme" in text_of(ui.app)
        await ui.pilot.press("escape")
        ui.screen.set_to("ui.fps", 5)
        await saving(ui)
        assert "Save" in text_of(ui.app)
        assert "Cancel" in text_of(ui.app)
