"""Running with the screen: the counterpart of `headless`, from the start to the exit code."""

from __future__ import annotations

import os
import signal
from importlib import import_module
from typing import TYPE_CHECKING

from velox_engine.config import Config, placed
from velox_engine.errors import VeloxError
from velox_tui.app import VeloxApp
from velox_tui.leaver import Leaver
from velox_tui.memory import settle_allocator
from velox_tui.options import RunOptions
from velox_tui.screen_settings import OWN_THEMES, screen_problems
from velox_tui.services import Services
from velox_tui.signals import EXIT_BASE, Ending
from velox_tui.signs import choose
from velox_tui.starter import Starter
from velox_tui.streams import complain
from velox_tui.themes import DARK, SIXTEEN

if TYPE_CHECKING:
    from velox_engine.engine import Engine
    from velox_engine.report import Report
    from velox_tui.attacher import Attacher

_FAILED = 1
_LOOK_S = 0.1
_AT_ONCE = 2  # so many signals


def _prepare() -> None:
    """Import what the dashboard draws with while the start is on the screen."""
    import_module("velox_tui.screens.main")


def checked_app(
    config: Config, starter: Starter | Attacher, options: RunOptions, kind: type[VeloxApp] = VeloxApp
) -> VeloxApp:
    """Make the application; raises `ConfigError` for a theme or a key's name that there is not."""
    if config.source.kind == "synthetic":
        settle_allocator()
    for problem in screen_problems(config.ui.theme, config.ui.keys):
        raise problem if options.settings is None else placed(problem, options.settings.values)
    app = kind(config, starter, choose(config.ui.glyphs), read_only=options.read_only)
    app.settings = options.settings
    if os.environ.get("NO_COLOR"):
        if app.current_theme.ansi:
            app.theme = DARK.name  # without colours the terminal's own would be one on itself
    elif app.console.color_system == "standard" and config.ui.theme in OWN_THEMES:
        app.theme = SIXTEEN.name  # mixed colours would all become grey
    return app


def run(config: Config, options: RunOptions) -> int:
    """Run the pipeline with the dashboard; return the exit code.

    Raises `ConfigError` for what keeps it from starting, after the terminal was given back.
    """
    services = Services(config)
    starter = Starter(config, _prepare, services.start)
    app = checked_app(config, starter, options)
    services.prepare()
    try:
        return _run(app, config, options, starter, services)
    finally:
        services.stop()


def _run(app: VeloxApp, config: Config, options: RunOptions, starter: Starter, services: Services) -> int:
    ending = Ending(starter, wake=lambda: _wake(app))
    finished = _Finish(starter, ending, options, services)
    leaver = Leaver(ending, finished.stopped, lambda: app.leaving, lambda: finished.code(silent=True))
    with ending.installed(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        leaver.start()
        try:
            app.record = services.log.record
            app.run(mouse=config.ui.mouse)
        finally:
            leaver.left()
            starter.request_stop("the screen ended")
        while not starter.done.wait(_LOOK_S):
            if ending.count >= _AT_ONCE:
                os._exit(EXIT_BASE + (ending.signal or 0))  # the compiler does not let go
        if starter.error is not None:
            return _not_started(starter.error, ending)
        crashed = bool(app.return_code) or app._exception is not None
        if app._exception is not None:
            services.log.failed("the screen crashed", app._exception)
        code = finished.code()
    return code or (_FAILED if crashed else 0)


def _wake(app: VeloxApp) -> None:
    app.leaving = True
    loop = app._loop
    if loop is not None and not loop.is_closed():
        loop.call_soon_threadsafe(lambda: None)


def _not_started(error: BaseException, ending: Ending) -> int:
    if ending.signal is not None:
        complain(f"{ending.name} while starting: nothing was run")
        return EXIT_BASE + ending.signal
    if isinstance(error, VeloxError) and getattr(error, "state", "") == "stopped":
        complain("left while starting: nothing was run")
        return 0
    raise error


class _Finish:
    """What is done once the engine has stopped: the statistics, the report, the exit code."""

    def __init__(self, starter: Starter, ending: Ending, options: RunOptions, services: Services) -> None:
        self._starter, self._ending, self._options, self._services = starter, ending, options, services

    def stopped(self) -> bool:
        """Say whether the engine has stopped, or never came to run."""
        engine = self._starter.engine
        if self._starter.done.is_set() and (self._starter.error is not None or engine is None):
            return True
        return engine is not None and engine.wait_stopped(0)

    def code(self, silent: bool = False) -> int:
        """Wait for the end, say how it was, and return the exit code.

        ``silent`` says nothing on the terminal, which may not read any more.
        """
        from velox_tui.ending import TO_OUTPUT, exit_code, write_report
        from velox_tui.figures import drain_line, final_statistics
        from velox_tui.output import LineOutput

        engine: Engine | None = self._starter.engine
        if self._starter.error is not None or engine is None:
            return EXIT_BASE + self._ending.signal if self._ending.signal is not None else _FAILED
        count = self._ending.count
        report: Report = engine.stop(reason="the screen ended")
        late = self._services.stop()
        path, messages = self._options.report, LineOutput.messages()
        if silent and path == TO_OUTPUT:
            path = None
        if not silent:
            for warning in (*report.warnings, *late):
                messages.tell(warning)
            if path != TO_OUTPUT:
                lines = LineOutput.standard()
                lines.put(drain_line(report) + "\n" + final_statistics(report))
                lines.close()
        written = path is None or write_report(report, path, messages, lambda: self._ending.count > count)
        if not silent:
            messages.close()
        return exit_code(report, self._ending.signal) if written else _FAILED
