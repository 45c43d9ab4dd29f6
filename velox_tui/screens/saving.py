"""What will be written to the configuration file, before it is; or why it is not, with how the file has changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Label, Static

from velox_engine.config_save import SaveError, SavePlan

_STYLES = {"-": "$text-error", "+": "$text-success", "@": "dim"}


def drawn(difference: Iterable[str]) -> Content:
    """Return the lines of a difference in their colours; the signs before them tell the same without."""
    rows = [Content.styled(line, _STYLES.get(line[:1], "")) for line in difference]
    return Content("\n").join(rows)


class SaveScreen(ModalScreen[bool]):
    """Answers whether to write."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,c,q,ctrl+c", "answer(False)", "Cancel"),
        ("s,w", "answer(True)", "Save"),
        ("left", "app.focus_previous", "Left"),
        ("right", "app.focus_next", "Right"),
    ]
    AUTO_FOCUS = "#cancel"

    def __init__(self, question: str, notes: Iterable[str], difference: Iterable[str], *, may_save: bool) -> None:
        super().__init__()
        self._question, self._notes, self._difference = question, [*notes], [*difference]
        self._may_save = may_save

    @classmethod
    def asking(cls, plan: SavePlan, stronger: Iterable[str]) -> Self:
        """Ask before a plan is carried out."""
        notes = [note for note in (plan.note, *stronger) if note]
        notes += [f"the old content stays in {plan.backup}"] if plan.backup is not None else []
        return cls(f"Save to {plan.target}?", notes, plan.difference, may_save=True)

    @classmethod
    def refused(cls, error: SaveError) -> Self:
        """Tell why nothing is written."""
        return cls("The settings are not saved.", [str(error)], error.difference, may_save=False)

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(id="dialog", classes="wide"):
            yield Label(self._question, id="question", markup=False)
            for note in self._notes:
                yield Label(note, classes="note", markup=False)
            with VerticalScroll(id="difference"):
                yield Static(drawn(self._difference))
            with Horizontal(id="answers"):
                if self._may_save:
                    yield Button("Save", id="save", compact=True)
                yield Button("Cancel" if self._may_save else "Close", id="cancel", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer with the button."""
        self.dismiss(event.button.id == "save")

    def action_answer(self, answer: bool) -> None:
        """Answer by a key."""
        self.dismiss(answer and self._may_save)
