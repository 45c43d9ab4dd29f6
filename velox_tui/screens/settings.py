"""The settings of the screen, the limits and the keys: a row each, changed in its place, in force at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from velox_engine.config import KEYS, Origin, read_text
from velox_engine.config_rules import Flag, Value, Words, toml_value
from velox_engine.errors import ConfigError
from velox_tui.bindings import ACTS, BY_NAME, keymap
from velox_tui.screen_settings import themes
from velox_tui.widgets.choices import Choices

if TYPE_CHECKING:
    from velox_tui.screens.tuning import Tuning

_KEYS: Final = "ui.keys"
_TOLD: Final = 46
_HINT: Final = "enter, left, right change   {}esc leaves"


def choices(key: str) -> tuple[Value, ...]:
    """Return the values that a setting can have, where they are few; else none."""
    rule = KEYS[key].rule
    if key == "ui.theme":
        return themes()
    if isinstance(rule, Flag):
        return (True, False)
    return rule.words if isinstance(rule, Words) else ()


class SettingsScreen(ModalScreen[str]):
    """Answers ``save`` where that was asked for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q,ctrl+c,comma", "leave", "Back"),
        ("w", "save", "Save"),
        ("left", "step(-1)", "Before"),
        ("right", "step(1)", "Next"),
    ]
    AUTO_FOCUS = "OptionList"

    def __init__(self, board: Tuning) -> None:
        super().__init__()
        self._board = board
        self._rows: list[str] = []
        self._capturing = ""

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(id="settings"):
            yield Label("Settings", id="question")
            yield Choices(compact=True)
            yield Static("", id="about", markup=False)
            yield Input(id="value", compact=True)
            yield Static(_HINT.format("" if self._board.read_only else "w saves   "), id="hint", markup=False)

    def on_mount(self) -> None:
        """List all."""
        self.query_one(Input).display = False
        self._list()

    def _list(self) -> None:
        options = self.query_one(OptionList)
        at = options.highlighted or 0
        values, changes = self._board.values(), self._board.changes()
        self._rows, texts = [], []
        for key, value in values.items():
            if key != _KEYS:
                origin = "changed" if key in changes else str(self._board.origin(key))
                self._rows.append(key)
                texts.append(f"{key:24} {toml_value(value):20} {origin}")
        chosen = keymap(str(values[_KEYS]))
        for act in ACTS:
            self._rows.append(act.name)
            told = act.told if len(act.told) <= _TOLD else act.told[: _TOLD - 2] + self._board.glyphs.points
            texts.append(f"key of {act.name:17} {chosen.get(act.name, act.keys):20} {told}")
        options.clear_options()
        options.add_options(Option(text) for text in texts)
        options.highlighted = min(at, len(texts) - 1)
        self._explain()

    @property
    def _row(self) -> str:
        return self._rows[self.query_one(OptionList).highlighted or 0]

    def _explain(self) -> None:
        row = self._row
        if row in BY_NAME:
            self._say(f"{BY_NAME[row].told}; usually {BY_NAME[row].keys}")
        else:
            self._say(f"{KEYS[row].doc} ({KEYS[row].rule.range})")

    def _say(self, text: str, *, wrong: bool = False) -> None:
        about = self.query_one("#about", Static)
        about.set_class(wrong, "wrong")
        about.update(self._board.glyphs.plain(text))

    def on_option_list_option_highlighted(self) -> None:
        """Tell what the row is about."""
        if not self._capturing:
            self._explain()

    def on_option_list_option_selected(self) -> None:
        """Change the row: to the next of its values, by typing, or by pressing a key."""
        row = self._row
        if row in BY_NAME:
            self._capturing = row
            self._say(f"press the new key for {row}; backspace: as usual; escape: as it is")
        elif choices(row):
            self.action_step(1)
        else:
            field = self.query_one(Input)
            field.display, field.value = True, toml_value(self._board.values()[row]).strip('"')
            field.focus()

    def action_step(self, by: int) -> None:
        """Take the next value or the one before, of the few that there are."""
        row = self._row
        values = choices(row) if row not in BY_NAME else ()
        if values:
            now = self._board.values()[row]
            at = values.index(now) if now in values else -by
            self._set(row, values[(at + by) % len(values)])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take what was typed, if it is allowed."""
        row = self._row
        if self._set(row, read_text(row, event.value.strip(), Origin()).value):
            self._close_field()

    def _close_field(self) -> None:
        self.query_one(Input).display = False
        self.query_one(OptionList).focus()

    def _set(self, key: str, value: object) -> bool:
        try:
            self._board.set_to(key, value)
        except ConfigError as error:
            self._say(f"{error.problem}" + (f"; allowed is {error.allowed}" if error.allowed else ""), wrong=True)
            return False
        self._list()
        return True

    def on_key(self, event: events.Key) -> None:
        """Take the key that is to be bound."""
        if not self._capturing:
            return
        event.stop()
        event.prevent_default()
        name, self._capturing = self._capturing, ""
        chosen = keymap(str(self._board.values()[_KEYS]))
        if event.key == "escape":
            self._explain()
            return
        if event.key == "backspace":
            chosen.pop(name, None)
        else:
            chosen[name] = event.key
        self._set(_KEYS, " ".join(f"{act}={keys}" for act, keys in chosen.items()))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Let keys be typed or captured where they are wanted; save nothing where only looking is allowed."""
        del parameters
        if action == "save" and self._board.read_only:
            return False
        typing = self.query_one(Input).has_focus
        return not (self._capturing or (typing and action != "leave"))

    def action_leave(self) -> None:
        """Leave the field, or the settings."""
        if self.query_one(Input).has_focus:
            self._close_field()
            self._explain()
        else:
            self.dismiss("")

    def action_save(self) -> None:
        """Leave, and save."""
        self.dismiss("save")
