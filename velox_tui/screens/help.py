"""All keys, and what the signs on the screen mean."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from velox_tui.bindings import ACTS, all_keys
from velox_tui.glyphs import Glyphs

_MEANINGS = (
    "rates are means of the last second, latencies count from the moment a transaction was due",
    "a bar of a ring: what waits now; the mark in it: the most that ever waited",
    "≈ before a price: it stands for a bucket of prices, not for one",
    "host: how late a thread wakes that only sleeps; such stalls are the machine's, not the engine's",
    "ui: processor time of a frame, and the share of a core that the screen takes",
    'names in [ ] rebind keys in the configuration: [ui.keys] pause = "f2"',
    "no screen at all, for screen readers and scripts: velox-tui --no-ui",
)


def help_text(chosen: dict[str, str], read_only: bool, glyphs: Glyphs) -> str:
    """Write the help."""
    keys = {act: all_keys(act, chosen) for act in ACTS if not (read_only and act.steers)}
    wide = max(map(len, keys.values())) + 2
    rows = ["KEYS", "", *(f"{text:{wide}}{act.told} [{act.name}]" for act, text in keys.items())]
    rows += ["", "READING THE SCREEN", "", *(f"{glyphs.dot} {each}" for each in _MEANINGS)]
    return glyphs.plain("\n".join(rows))


class HelpScreen(ModalScreen[None]):
    """The help, above the dashboard; any of the keys that leave things ends it."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,q,question_mark,f1,ctrl+c,enter", "app.pop_screen", "Back")]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with VerticalScroll(id="help"):
            yield Static(self._text, markup=False)
