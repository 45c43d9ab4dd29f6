"""The application: shows the start, then the dashboard; owns what the screens share. Imports nothing of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from rich.segment import Segments
from textual.app import App, SystemCommand
from textual.screen import Screen

from velox_engine.config import Config, Settings, searched_files
from velox_engine.config_save import SettingsFile
from velox_tui.bindings import ACTS, keymap
from velox_tui.forgetting import FORGET_S, forget_dead_widgets, remove_empty_notices
from velox_tui.memory import give_back
from velox_tui.screens.start import StartScreen
from velox_tui.signs import Glyphs
from velox_tui.starter import Starter
from velox_tui.themes import DARK, LIGHT, SIXTEEN

if TYPE_CHECKING:
    from velox_tui.attacher import Attacher

_POLL_S: Final = 0.03


class VeloxApp(App[None]):
    """The screen of one engine.

    ``leaving`` is set when the user asked to leave; ``gone`` when the terminal has been given back. ``record(severity,
    text, part)`` takes what the screen tells into the log.
    """

    CSS_PATH = "styles/velox.tcss"
    TITLE = "Velox"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS = []  # noqa: RUF012  # the base class says how it is typed

    def __init__(self, config: Config, starter: Starter | Attacher, glyphs: Glyphs, *, read_only: bool = False) -> None:
        super().__init__()
        self.config, self.starter, self.glyphs, self.read_only = config, starter, glyphs, read_only
        self.leaving = False
        self.chosen_keys = keymap(config.ui.keys)
        self.animation_level = "none"
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.register_theme(SIXTEEN)
        if config.ui.theme in self.available_themes:
            self.theme = config.ui.theme
        self.on_signal: Callable[[], None] = lambda: None
        self.settings: Settings | None = None
        self.written_settings: SettingsFile | None = None
        self.record: Callable[[str, str, str], None] = lambda severity, text, part: None

    def settings_file(self) -> SettingsFile:
        """Return the file that settings are saved to, as it was read or last written.

        That is the one that was read, or else the user's own.
        """
        if self.written_settings is not None:
            return self.written_settings
        if self.settings is not None and self.settings.file is not None:
            return SettingsFile(self.settings.file, self.settings.content)
        return SettingsFile(searched_files()[1], None)

    def use_mouse(self, wanted: bool) -> None:
        """Take the mouse, or leave it to the terminal; where its driver cannot, from the next start on."""
        driver = self._driver
        if driver is None or not hasattr(driver, "_mouse"):
            return
        if wanted:
            driver._mouse = True
            getattr(driver, "_enable_mouse_support", bool)()
        else:
            getattr(driver, "_disable_mouse_support", bool)()
            driver._mouse = False

    def on_mount(self) -> None:
        """Show what comes first."""
        self.set_keymap(self.chosen_keys)
        self.set_interval(FORGET_S, self._forget)
        self.open()

    def _forget(self) -> None:
        forget_dead_widgets()
        give_back()

    def open(self) -> None:
        """Show the start, and begin it."""
        self.push_screen(StartScreen(self.glyphs.name == "ascii"))
        self.begin()

    def begin(self) -> None:
        """Begin the start, and follow it."""
        self.starter.start()
        self._starting = self.set_interval(_POLL_S, self._follow_start)

    def _follow_start(self) -> None:
        screen = self.screen
        if not self.starter.done.is_set():
            if isinstance(screen, StartScreen):
                screen.show(*self.starter.progress)
            return
        self._starting.stop()
        if self.starter.error is not None or self.starter.engine is None:
            self.exit()
            return
        from velox_tui.screens.main import MainScreen

        main = MainScreen(
            self.starter.engine, self.starter.config, self.glyphs, self.chosen_keys, read_only=self.read_only
        )
        self.switch_screen(main)

    def action_cancel_start(self) -> None:
        """Leave before it has started."""
        self.leaving = True
        self.starter.request_stop("left while starting")

    async def action_quit(self) -> None:
        """Leave as the dashboard does it, wherever the request comes from."""
        await self.screen.run_action("screen.quit") if hasattr(self.screen, "action_quit") else self.exit()

    def _refresh_notifications(self) -> None:
        super()._refresh_notifications()
        remove_empty_notices(self)

    def _fatal_error(self) -> None:
        """Give the traceback up for showing when the terminal is given back.

        Textual would write out every variable of every function with it: of snapshots, that takes minutes.
        """
        from rich.traceback import Traceback

        self.bell()
        told = Traceback(show_locals=False, width=None)
        self._exit_renderables.append(Segments(self.console.render(told, self.console.options)))
        self._close_messages_no_wait()

    def action_command_palette(self) -> None:
        """Search for a command."""
        from velox_tui.screens.palette import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Give the palette every act of the dashboard."""
        if not hasattr(screen, "paint"):
            return
        for act in ACTS:
            if act.name in ("palette", "back", "next", "previous") or (self.read_only and act.steers):
                continue
            yield SystemCommand(
                act.told[0].upper() + act.told[1:], f"key {act.keys.split(',')[0]}", _runner(screen, act.action)
            )
        for theme in sorted(self.available_themes):
            yield SystemCommand(f"Theme {theme}", "change the colours", _themer(self, theme))


def _runner(screen: Screen[object], action: str) -> Callable[[], object]:
    return lambda: screen.call_later(screen.run_action, action)


def _themer(app: App[None], theme: str) -> Callable[[], None]:
    return lambda: setattr(app, "theme", theme)
