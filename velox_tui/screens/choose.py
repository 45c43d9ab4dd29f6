"""Choosing an engine: those that run, and those that have died, which can be looked at or removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from velox_engine.discovery import Found, remove
from velox_engine.errors import EngineError
from velox_tui.finding import who
from velox_tui.listing import row_of, table
from velox_tui.screens.confirm import RemoveScreen
from velox_tui.widgets.choices import Choices

_LOOK_S: Final = 1.0
_KEYS: Final = "enter attaches   r removes what a dead engine left   q leaves"
_KEYS_READ_ONLY: Final = "enter attaches   q leaves"


class ChooseScreen(Screen[None]):
    """Lists what ``look()`` finds, anew each second; ``chosen(found)`` is called with the one that was taken.

    ``read_only``: nothing can be removed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        ("q,escape,ctrl+c", "app.cancel_start", "Leave"),
        ("r,delete", "remove", "Remove"),
    ]

    def __init__(
        self, look: Callable[[], list[Found]], chosen: Callable[[Found], None], *, read_only: bool = False
    ) -> None:
        super().__init__()
        self._look, self._chosen, self._read_only = look, chosen, read_only
        self._found: list[Found] = []
        self._shown: list[str] = []
        # held, not searched for: the list is looked at to the last, while the screen's tree is being taken down
        self._question = Static("Which engine?", id="engines-title", markup=False)
        self._columns = Static("", id="engines-heads", markup=False)
        self._engines = Choices(id="engines-list", compact=True, markup=False)

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(id="engines"):
            yield self._question
            yield self._columns
            yield self._engines
            yield Static(_KEYS_READ_ONLY if self._read_only else _KEYS, id="engines-keys", markup=False)

    def on_mount(self) -> None:
        """List them, and go on to."""
        self._list()
        self.set_interval(_LOOK_S, self._list)
        self._engines.focus()

    def _list(self) -> None:
        try:
            found = self._look()
        except EngineError as error:
            self._question.update(str(error))
            return
        heads, *rows = table([row_of(each) for each in found])
        if [heads, *rows] == self._shown and found == self._found:
            return
        marked = self._marked()
        self._found, self._shown = found, [heads, *rows]
        self._question.update("Which engine?" if found else "No engine runs any more.")
        self._columns.update(heads if found else "")
        self._engines.clear_options()
        self._engines.add_options(Option(row) for row in rows)
        if found:
            paths = [each.path for each in found]
            self._engines.highlighted = paths.index(marked.path) if marked is not None and marked.path in paths else 0

    def _marked(self) -> Found | None:
        at = self._engines.highlighted
        return self._found[at] if at is not None and at < len(self._found) else None

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take it."""
        self._chosen(self._found[event.option_index])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Take away what removes where only looking is allowed."""
        del parameters
        return not (self._read_only and action == "remove")

    def action_remove(self) -> None:
        """Remove what the marked engine left, after asking."""
        marked = self._marked()
        if marked is None:
            return
        if marked.alive:
            self.notify(f"{who(marked)} lives; only what dead engines left can be removed", markup=False)
            return

        def decided(answer: str | None) -> None:
            if answer == "remove":
                self._remove(marked)

        self.app.push_screen(RemoveScreen(who(marked)), decided)

    def _remove(self, found: Found) -> None:
        try:
            told = f"removed {who(found)}" if remove(found) else f"{who(found)} lives"
        except OSError as error:
            told = f"{who(found)} cannot be removed: {error.strerror or error}"
        self.notify(told, markup=False)
        self._list()
