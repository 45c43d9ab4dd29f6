"""What is seen first: what is being compiled or loaded, at once and before anything heavy is imported."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Middle
from textual.screen import Screen
from textual.widgets import Static

_BAR = 30


def progress_text(what: str, done: int, total: int, ascii_only: bool, width: int) -> str:
    """Write how far the start is."""
    columns = max(min(_BAR, width - 12), 4)
    full = columns * min(done, total) // max(total, 1)
    on, off = ("#", ".") if ascii_only else ("━", "─")
    return f"{on * full}{off * (columns - full)} {done}/{total}\n\n{what}"


class StartScreen(Screen[None]):
    """Name, progress, and how to leave."""

    BINDINGS: ClassVar[list[BindingType]] = [("q,ctrl+c", "app.cancel_start", "Leave")]

    def __init__(self, ascii_only: bool) -> None:
        super().__init__()
        self._ascii = ascii_only
        self._shown = ""
        self._progress = Static("", id="start-progress", markup=False)  # held: it may be written before it is mounted

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Middle(id="start"):
            yield Static("V E L O X", id="start-name")
            yield self._progress
            yield Static("q leaves", id="start-keys")

    def show(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` steps are done and that ``what`` is going on."""
        text = progress_text(what, done, total, self._ascii, self.size.width)
        if text != self._shown:
            self._shown = text
            self._progress.update(text)
