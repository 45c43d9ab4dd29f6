"""The line of keys at the bottom: as many as fit, each to be clicked."""

from __future__ import annotations

from textual import events

from velox_tui.bindings import ACTS, sign_of
from velox_tui.lines import Line, Part, fitted, line
from velox_tui.widgets.panel import Rows


def key_parts(
    chosen: dict[str, str], read_only: bool, width: int, attached: bool = False
) -> list[tuple[str, str, str]]:
    """Return sign, word and action of the keys that fit a width, the most important first."""
    found, room = [], width - 1
    for act in ACTS:
        if not act.short or (read_only and act.steers):
            continue
        sign = sign_of(act, chosen)
        word = "detach" if attached and act.name == "quit" else act.short
        need = len(sign) + len(word) + 3
        if need > room:
            break
        room -= need
        found.append((sign, word, act.action))
    return found


class KeyLine(Rows):
    """The last line of the screen."""

    def __init__(self, chosen: dict[str, str], read_only: bool, attached: bool = False) -> None:
        super().__init__(id="keys")
        self._chosen, self._read_only, self._attached = chosen, read_only, attached
        self._ends: list[tuple[int, str]] = []

    def paint(self) -> None:
        """Draw it."""
        width = self.size.width
        if not width or not self.size.height:
            return
        parts: list[Part] = [(" ", "text")]
        self._ends, at = [], 1
        for sign, word, action in key_parts(self._chosen, self._read_only, width, self._attached):
            parts += [(sign, "key"), (f" {word}  ", "dim")]
            at += len(sign) + len(word) + 3
            self._ends.append((at, action))
        row: Line = fitted(line(*parts), width)
        self.show([row], width)

    def on_resize(self) -> None:
        """Draw it in the new width."""
        self.forget()
        self.paint()

    def notify_style_update(self) -> None:
        """Draw it in the new colours."""
        super().notify_style_update()
        if self.is_attached:
            self.call_later(self.paint)

    async def on_click(self, event: events.Click) -> None:
        """Do what the clicked key does."""
        action = next((action for end, action in self._ends if event.x < end), None)
        if action is not None:
            await self.screen.run_action(action)
