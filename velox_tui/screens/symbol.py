"""Choosing a symbol: type a part of its name, take it with enter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from velox_tui.widgets.choices import Choices

_MOST: Final = 200


def matching(names: Sequence[str], typed: str) -> list[int]:
    """Return the indices of names that hold what was typed; those that begin with it first."""
    part = typed.strip().casefold()
    found = [index for index, name in enumerate(names) if part in name.casefold()]
    return sorted(found, key=lambda index: not names[index].casefold().startswith(part))[:_MOST]


class SymbolScreen(ModalScreen[int | None]):
    """Answers the index of a symbol, or ``None``."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,ctrl+c", "answer", "Back")]

    def __init__(self, names: Sequence[str], chosen: int) -> None:
        super().__init__()
        self._names, self._chosen = names, chosen
        self._found: list[int] = []

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(id="symbols"):
            yield Input(placeholder=f"search {len(self._names):,} symbols", compact=True)
            yield Choices(compact=True)

    def on_mount(self) -> None:
        """List all."""
        self._list("")

    def _list(self, typed: str) -> None:
        self._found = matching(self._names, typed)
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(self._names[index]) for index in self._found)
        if self._found:
            options.highlighted = self._found.index(self._chosen) if self._chosen in self._found else 0

    def on_input_changed(self, event: Input.Changed) -> None:
        """List what matches."""
        self._list(event.value)

    def on_input_submitted(self) -> None:
        """Take the marked one."""
        at = self.query_one(OptionList).highlighted
        self.dismiss(self._found[at] if at is not None and self._found else None)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the clicked one."""
        self.dismiss(self._found[event.option_index])

    def on_key(self, event: events.Key) -> None:
        """Move in the list while typing."""
        options = self.query_one(OptionList)
        if event.key in ("up", "down") and not options.has_focus:
            options.action_cursor_up() if event.key == "up" else options.action_cursor_down()
            event.stop()

    def action_answer(self) -> None:
        """Choose nothing."""
        self.dismiss(None)
