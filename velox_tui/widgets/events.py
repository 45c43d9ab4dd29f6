"""What happened, with its time; scrolls, and can be narrowed to warnings or errors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from velox_engine.snapshot import Event
from velox_tui.glyphs import Glyphs
from velox_tui.lines import Drawn, Line, clip, line
from velox_tui.scene import Scene
from velox_tui.widgets.panel import Panel

SEVERITIES: Final = ("info", "warning", "error")
_ROLES: Final = {"info": "text", "warning": "warn", "error": "bad"}
_SIGNS: Final = {"info": " ", "warning": "!", "error": "E"}


def chosen_events(events: Sequence[Event], least: str) -> list[Event]:
    """Return the events of at least a severity."""
    return [each for each in events if SEVERITIES.index(each.severity) >= SEVERITIES.index(least)]


def event_line(event: Event, width: int, glyphs: Glyphs) -> Line:
    """Write an event: local time, a sign of its severity, what happened."""
    when = time.strftime("%H:%M:%S", time.localtime(event.unix_ns / 1e9))
    text = glyphs.plain(event.text)
    return line(
        (f"{when} ", "dim"), (clip(f"{_SIGNS[event.severity]} {text}", width - 9).rstrip(), _ROLES[event.severity])
    )


class Events(Panel):
    """The journal of this run, the newest below."""

    title = "Events"
    every = 0.25

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self._back = 0  # events scrolled back from the newest

    def scroll(self, by: int) -> None:
        """Scroll; above 0 towards the newest."""
        self._back = max(self._back - by, 0)
        self.again()

    def draw(self, scene: Scene, width: int, height: int) -> Drawn:
        """Write the last ones that fit, or those scrolled to."""
        found = chosen_events(scene.events, scene.look.severity)
        self._back = min(self._back, max(len(found) - height, 0))
        end = len(found) - self._back
        rows = [event_line(each, width, scene.glyphs) for each in found[max(end - height, 0) : end]]
        only = "" if scene.look.severity == "info" else f", {scene.look.severity}s"
        back = f", {self._back} below" if self._back else ""
        return Drawn(f"{len(found)}{only}{back}", rows or [line(("nothing yet", "dim"))])
