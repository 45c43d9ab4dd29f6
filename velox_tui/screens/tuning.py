"""Settings that can be changed while it runs: what they are now, how a new value takes effect, and saving them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from velox_engine.config import Origin
from velox_engine.config_rules import Value
from velox_engine.config_save import SaveError, SavePlan, SettingsFile, plan_save, save
from velox_engine.config_table import checked
from velox_engine.errors import ConfigError
from velox_tui.bindings import BY_NAME, keymap
from velox_tui.scene import WINDOWS
from velox_tui.screen_settings import screen_problems
from velox_tui.screens.base import Dashboard
from velox_tui.screens.saving import SaveScreen
from velox_tui.screens.settings import SettingsScreen
from velox_tui.signs import choose

TUNABLE: Final = (
    "ui.theme",
    "ui.layout",
    "ui.glyphs",
    "ui.mouse",
    "ui.window_secs",
    "ui.fps",
    "book.depth",
    "limits.max_drop_rate",
    "limits.min_throughput",
    "limits.max_p99_us",
    "ui.keys",
)


def window_step(seconds: float) -> int:
    """Return the time window nearest to a setting."""
    return min(WINDOWS, key=lambda each: abs(math.log(each / seconds)))


class Tuning(Dashboard):
    """A part of the dashboard's screen."""

    _saved: dict[str, Value]

    def remember(self) -> None:
        """Take the values as they are now for those that are saved; at the start, and after saving."""
        self._saved = self.values()

    def values(self) -> dict[str, Value]:
        """Return the value that each of `TUNABLE` has now."""
        found: dict[str, Value] = {}
        for key in TUNABLE:
            section, _, name = key.partition(".")
            found[key] = getattr(getattr(self.config, section), name)
        window = self.config.ui.window_secs
        found["ui.window_secs"] = window if window_step(window) == self.look.window else self.look.window
        return found | {"ui.theme": self.app.theme, "ui.layout": self.look.layout, "book.depth": self.look.depth}

    def changes(self) -> dict[str, Value]:
        """Return what is not as it was read or saved."""
        return {key: value for key, value in self.values().items() if value != self._saved[key]}

    def origin(self, key: str) -> Origin:
        """Say where the value that was read came from."""
        settings = self.velox.settings
        return Origin() if settings is None else settings.values[key].origin

    # ---- taking effect

    def set_to(self, key: str, value: object) -> None:
        """Let a setting have a value, at once. Raises `ConfigError` for one that is not allowed."""
        new = checked(key, value)
        section, _, name = key.partition(".")
        held = getattr(self.config, section)
        changed = replace(held, **{name: new})
        if section == "ui":
            for problem in screen_problems(changed.theme, changed.keys):
                raise problem
            _check_keys(keymap(changed.keys))
        self.config = replace(self.config, **{section: changed})
        effects: dict[str, Any] = {
            "ui.theme": lambda: setattr(self.app, "theme", new),
            "ui.layout": lambda: self.run_layout(str(new)),
            "ui.glyphs": self._take_glyphs,
            "ui.mouse": lambda: self.velox.use_mouse(bool(new)),
            "ui.window_secs": self._take_window,
            "ui.fps": self.keep_pace,
            "book.depth": lambda: self.change_look(depth=new),
            "ui.keys": self._take_keys,
        }
        effects.get(key, self._take_limits)()

    def _take_glyphs(self) -> None:
        self.glyphs = self.velox.glyphs = choose(self.config.ui.glyphs)
        self.paint(True)

    def _take_window(self) -> None:
        self.usual_window = window_step(self.config.ui.window_secs)
        self.change_look(window=self.usual_window)

    def _take_keys(self) -> None:
        chosen = keymap(self.config.ui.keys)
        self.chosen.clear()
        self.chosen.update(chosen)
        self.app.set_keymap(chosen)
        self.paint_keys()

    def _take_limits(self) -> None:
        """Give alerts the limits, and the engine's report too where only looking is not all that is allowed."""
        limits = self.config.limits
        self.alerts.use(limits)
        if self.own_engine is not None and not self.read_only:
            self.own_engine.set_limits(limits)

    # ---- the dialogs

    def action_settings(self) -> None:
        """Show the settings, to be changed."""
        self.app.push_screen(SettingsScreen(self), self._settled)

    def _settled(self, answer: str | None) -> None:
        if answer == "save" and not self.read_only:
            self.action_save()

    def action_save(self) -> None:
        """Show what would be written where, and write it if that is wanted."""
        changes = self.changes()
        source = self.velox.settings_file()
        if not changes:
            self.notify(f"nothing to save: all is as in {source.path}", timeout=4, markup=False)
            return
        try:
            plan = plan_save(source, changes)
        except SaveError as error:
            self.app.push_screen(SaveScreen.refused(error))
            return
        self.app.push_screen(SaveScreen.asking(plan, self._stronger(changes)), lambda yes: self._save(plan, yes))

    def _stronger(self, changes: Mapping[str, Value]) -> list[str]:
        """Say which of the values something stronger than the file sets, which will be in force again."""
        origins = ((key, self.origin(key)) for key in changes)
        return [
            f"{key} is set by {origin}, which is stronger than a file"
            for key, origin in origins
            if origin.source is not None and origin.line is None
        ]

    def _save(self, plan: SavePlan, yes: bool | None) -> None:
        if not yes:
            return
        saved = self.values()

        def write() -> None:
            written = save(plan)
            if plan.target == plan.source.path:
                self.velox.written_settings = SettingsFile(written.path, written.content)
            self.app.call_from_thread(self.note, "info", f"settings saved to {plan.target}", notice=True)
            self._saved = saved

        self.commander.give("", write)


def _check_keys(chosen: Mapping[str, str]) -> None:
    """Raise `ConfigError` where two acts have one key."""
    owners: dict[str, str] = {}
    for name, act in BY_NAME.items():
        for key in chosen.get(name, act.keys).split(","):
            if key in owners:
                problem = f"{key} is the key of {owners[key]} and of {name}"
                raise ConfigError(problem, key="ui.keys", value=key, allowed="a key of its own for each")
            owners[key] = name
