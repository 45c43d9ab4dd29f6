"""Running the dashboard on an engine of another process: the counterpart of `dashboard`, from the list to the end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from importlib import import_module

from velox_engine.config import Config
from velox_engine.discovery import Found
from velox_engine.errors import EngineError, RegionError
from velox_tui.app import VeloxApp
from velox_tui.attacher import Attacher
from velox_tui.dashboard import checked_app
from velox_tui.finding import who
from velox_tui.leaver import Leaver
from velox_tui.options import RunOptions
from velox_tui.screens.start import StartScreen
from velox_tui.signals import EXIT_BASE, Ending

_FAILED = 1


def _prepare() -> None:
    """Import what the dashboard draws with while the start is on the screen."""
    import_module("velox_tui.screens.main")


class AttachApp(VeloxApp):
    """The screen of an engine in another process; where several are meant, the user first chooses from ``look()``."""

    starter: Attacher
    look: Callable[[], list[Found]]

    def open(self) -> None:
        """Show the start, or first the list to choose from."""
        if self.starter.chosen is not None:
            super().open()
            return
        from velox_tui.screens.choose import ChooseScreen

        self.push_screen(ChooseScreen(self.look, self._chosen, read_only=self.read_only))

    def _chosen(self, found: Found) -> None:
        self.starter.chosen = found
        self.switch_screen(StartScreen(self.glyphs.name == "ascii"))
        self.begin()

    def action_cancel_start(self) -> None:
        """Leave before anything is attached."""
        self.leaving = True
        self.exit()


def run(found: list[Found], look: Callable[[], list[Found]], config: Config, options: RunOptions) -> int:
    """Attach the dashboard to an engine; return the exit code.

    ``found`` are the engines that are meant: the only one is taken, of several the user chooses from what ``look()``
    finds. The terminal is given back before anything is raised: `EngineError` where the engine cannot be read.
    """
    attacher = Attacher(config, _prepare)
    attacher.chosen = found[0] if len(found) == 1 else None
    app = checked_app(config, attacher, options, AttachApp)
    assert isinstance(app, AttachApp)
    app.look = look
    ending = Ending(attacher, wake=lambda: _leave(app))
    leaver = Leaver(ending, lambda: True, lambda: app.leaving, lambda: _code(ending))
    with ending.installed(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        leaver.start()
        try:
            app.run(mouse=config.ui.mouse)
        finally:
            leaver.left()
            if attacher.engine is not None:
                attacher.engine.close()
    if isinstance(attacher.error, RegionError) and attacher.chosen is not None:
        raise EngineError(f"{who(attacher.chosen)} cannot be attached: it {attacher.error.problem}")
    if attacher.error is not None:
        raise attacher.error
    crashed = bool(app.return_code) or app._exception is not None
    return _code(ending) or (_FAILED if crashed else 0)


def _code(ending: Ending) -> int:
    return 0 if ending.signal is None else EXIT_BASE + ending.signal


def _leave(app: VeloxApp) -> None:
    app.leaving = True
    loop = app._loop
    if loop is not None and not loop.is_closed():
        loop.call_soon_threadsafe(app.exit)
