"""The question before leaving while something runs; what does nothing is what is focused."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Label


class ConfirmScreen(ModalScreen[str]):
    """Answers ``drain``, ``leave`` or ``cancel``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "answer('cancel')", "Cancel"),
        ("d", "answer('drain')", "Drain and quit"),
        ("l", "answer('leave')", "Leave at once"),
        ("c,q,ctrl+c", "answer('cancel')", "Cancel"),
        ("left", "app.focus_previous", "Left"),
        ("right", "app.focus_next", "Right"),
    ]
    AUTO_FOCUS = "#cancel"

    def __init__(self, inside: int) -> None:
        super().__init__()
        self._inside = inside

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(id="dialog"):
            yield Label("The engine is running.", id="question")
            yield Label("Draining lets everything inside go out; leaving reports what stays.", classes="told")
            with Horizontal(id="answers"):
                yield Button("Drain and quit", id="drain", compact=True)
                yield Button("Leave at once", id="leave", compact=True)
                yield Button("Cancel", id="cancel", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer with the button's name."""
        self.dismiss(event.button.id or "cancel")

    def action_answer(self, answer: str) -> None:
        """Answer by a key."""
        self.dismiss(answer)
