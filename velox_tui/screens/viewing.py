"""What the keys do to the picture alone: each changes the `Look` and has it painted."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from velox_tui.arrangement import neighbour
from velox_tui.export import archive, exported, write_files
from velox_tui.scene import DEPTHS, GROUPS, SERIES, WINDOWS
from velox_tui.screen_settings import OWN_THEMES
from velox_tui.screens.base import Dashboard
from velox_tui.screens.help import HelpScreen, help_text
from velox_tui.screens.symbol import SymbolScreen
from velox_tui.widgets.events import Events

T = TypeVar("T")


def stepped(steps: Sequence[T], now: T, by: int, key: Any = None) -> T:
    """Return the step that lies ``by`` steps from the one nearest to ``now``; the ends stay the ends."""
    value = key or (lambda each: each)
    at = min(range(len(steps)), key=lambda index: abs(value(steps[index]) - value(now)))
    return steps[min(max(at + by, 0), len(steps) - 1)]


def following(words: Sequence[str], now: str) -> str:
    """Return the word after ``now``, the first after the last."""
    return words[(words.index(now) + 1) % len(words)] if now in words else words[0]


class Viewing(Dashboard):
    """A part of the dashboard's screen."""

    def change_look(self, **changes: Any) -> None:
        """Change the look, and have it painted."""
        self.look = replace(self.look, **changes)
        if changes.keys() & {"layout", "zoomed", "heat"}:
            self.lay_out()
            self.call_after_refresh(self.paint, True)
        else:
            self.paint()

    def action_freeze(self) -> None:
        """Hold the picture, or let it go."""
        self.hold(not self.look.frozen)
        self.change_look(frozen=not self.look.frozen)

    def action_zoom(self) -> None:
        """Give the focused panel all the room, or end that."""
        focused = self.focused
        if self.look.zoomed:
            self.action_back()
        elif focused is not None and focused.id in self.places:
            self.change_look(zoomed=focused.id)
        else:
            first = next(iter(self.places), None)
            if first is not None:
                self.panels[first].focus()
                self.change_look(zoomed=first)

    def action_back(self) -> None:
        """End the zoom."""
        if self.look.zoomed:
            self.change_look(zoomed="")
        else:
            self.set_focus(None)

    def action_layout(self, name: str) -> None:
        """Show another layout."""
        self.run_layout(name)

    def run_layout(self, name: str) -> None:
        """Show another layout."""
        self.change_look(layout=name, zoomed="", heat=None)

    def action_window(self, by: int) -> None:
        """Take a longer or shorter time window; 0: as configured."""
        self.change_look(window=stepped(WINDOWS, self.look.window, by) if by else self.usual_window)

    def action_log(self) -> None:
        """Change between linear and logarithmic graphs."""
        self.change_look(log=not self.look.log)

    def action_series(self) -> None:
        """Show all series, or one large."""
        self.change_look(series=following(("all", *SERIES), self.look.series))

    def action_depth(self, by: int) -> None:
        """Show more or fewer levels."""
        self.change_look(depth=stepped(DEPTHS, self.look.depth, by))

    def action_group(self) -> None:
        """Put more ticks into a level; from the most back to one."""
        self.change_look(group=GROUPS[(GROUPS.index(self.look.group) + 1) % len(GROUPS)])

    def action_heat(self) -> None:
        """Show the heat map, or no longer."""
        self.change_look(heat=not self.shows_heat)

    def action_severity(self) -> None:
        """Change which events are shown."""
        self.change_look(severity=following(("info", "warning", "error"), self.look.severity))

    def action_symbol(self) -> None:
        """Choose the symbol."""
        glance = self.sampler.latest
        if glance is not None:
            names = [str(each["symbol"]) for each in glance.instruments]
            self.app.push_screen(SymbolScreen(names, self.look.symbol), self._chosen)

    def _chosen(self, symbol: int | None) -> None:
        if symbol is not None and symbol != self.look.symbol:
            self.change_look(symbol=symbol)
            self.watch_symbol(symbol)

    def action_next_theme(self) -> None:
        """Take the next theme, ours first."""
        others = sorted(name for name in self.app.available_themes if name not in OWN_THEMES)
        self.app.theme = following((*OWN_THEMES, *others), self.app.theme)
        self.notify(f"theme {self.app.theme}", timeout=2)

    def action_export(self) -> None:
        """Write picture, snapshot and history; in a browser that is a download, and nothing is written here."""
        glance = self.sampler.latest
        if glance is None:
            return
        picture = self.app.export_screenshot()
        times, values = self.history.table(self.look.window)
        names = self.history.names

        def write() -> None:
            stem, files = exported(glance.snapshot, picture, times, values, names)
            if self.app.is_web:
                packed = io.BytesIO(archive(stem, files))
                self.app.call_from_thread(
                    self.app.deliver_binary, packed, save_filename=f"{stem}.zip", mime_type="application/zip"
                )
                return
            self.answered(f"written: {write_files(stem, files)}.svg, .json, .csv", None)

        self.commander.give("", write)

    def action_help(self) -> None:
        """Show all keys."""
        self.app.push_screen(HelpScreen(help_text(self.chosen, self.read_only, self.glyphs)))

    def action_command_palette(self) -> None:
        """Search for a command."""
        self.app.action_command_palette()

    # ---- focus

    def action_next_panel(self) -> None:
        """Focus the next panel."""
        self.focus_next()

    def action_previous_panel(self) -> None:
        """Focus the panel before."""
        self.focus_previous()

    def action_move(self, direction: str) -> None:
        """Focus the neighbour; in Events up and down scroll."""
        focused = self.focused
        if isinstance(focused, Events) and direction in ("up", "down"):
            focused.scroll(-1 if direction == "up" else 1)
            return
        current = focused.id if focused is not None and focused.id else ""
        found = neighbour(self.places, current, direction)
        if found is not None:
            self.panels[found].focus()

    def action_page(self, by: int) -> None:
        """Scroll Events a page."""
        self.event_list.scroll(by * max(self.event_list.size.height - 3, 1))
