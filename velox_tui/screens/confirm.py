"""Questions before what cannot be undone; the answer that does nothing is what is focused."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Label


class ConfirmScreen(ModalScreen[str]):
    """Asks a question. A subclass gives it its words and its answers, by their ids; ``cancel`` is added."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "answer('cancel')", "Cancel"),
        ("c,q,ctrl+c", "answer('cancel')", "Cancel"),
        ("left", "app.focus_previous", "Left"),
        ("right", "app.focus_next", "Right"),
    ]
    AUTO_FOCUS = "#cancel"

    question: str = ""
    told: str = ""
    answers: tuple[tuple[str, str], ...] = ()

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(id="dialog"):
            yield Label(self.question, id="question", markup=False)
            yield Label(self.told, classes="told", markup=False)
            with Horizontal(id="answers"):
                for key, words in (*self.answers, ("cancel", "Cancel")):
                    yield Button(words, id=key, compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer with the button's name."""
        self.dismiss(event.button.id or "cancel")

    def action_answer(self, answer: str) -> None:
        """Answer by a key."""
        self.dismiss(answer)


class LeaveScreen(ConfirmScreen):
    """Before leaving while the engine runs. Answers ``drain``, ``leave`` or ``cancel``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("d", "answer('drain')", "Drain and quit"),
        ("l", "answer('leave')", "Leave at once"),
    ]
    question = "The engine is running."
    told = "Draining lets everything inside go out; leaving reports what stays."
    answers = (("drain", "Drain and quit"), ("leave", "Leave at once"))


class StopScreen(ConfirmScreen):
    """Before stopping the engine and going on to look at it. Answers ``drain``, ``now`` or ``cancel``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("d", "answer('drain')", "Drain and stop"),
        ("n", "answer('now')", "Stop now"),
    ]
    told = "It cannot be started again. Draining first lets everything inside go out."
    answers = (("drain", "Drain and stop"), ("now", "Stop now"))

    def __init__(self, who: str) -> None:
        super().__init__()
        self.question = f"Stop {who}?"


class RemoveScreen(ConfirmScreen):
    """Before what a dead engine left is removed. Answers ``remove`` or ``cancel``."""

    BINDINGS: ClassVar[list[BindingType]] = [("r", "answer('remove')", "Remove")]
    told = "Its last snapshot, events and samples cannot be read any more then."
    answers = (("remove", "Remove"),)

    def __init__(self, who: str) -> None:
        super().__init__()
        self.question = f"Remove what {who} left?"
