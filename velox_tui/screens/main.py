"""The dashboard: lays the panels out, and paints them from one timer."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from textual import events
from textual.app import ComposeResult
from textual.containers import Container

from velox_engine.config import Config
from velox_engine.errors import EngineError
from velox_engine.snapshot import Event, State
from velox_tui.alerts import AlertKeeper
from velox_tui.arrangement import Place, heat_by_default, place, size_class, tree
from velox_tui.bindings import BY_NAME, bindings
from velox_tui.commander import Commander
from velox_tui.glyphs import Glyphs
from velox_tui.heat import HeatHistory
from velox_tui.history import History
from velox_tui.machine import own_cores
from velox_tui.pace import Pace, waiting_writes
from velox_tui.sampler import Sampler, series_names
from velox_tui.scene import Glance, Look, Scene
from velox_tui.screens.steering import Steering
from velox_tui.screens.tuning import Tuning, window_step
from velox_tui.screens.viewing import Viewing
from velox_tui.widgets.bundles import Bundles
from velox_tui.widgets.cores import Cores
from velox_tui.widgets.depth import Depth
from velox_tui.widgets.events import Events
from velox_tui.widgets.figures import Figures
from velox_tui.widgets.heatmap import HeatMap
from velox_tui.widgets.keyline import KeyLine
from velox_tui.widgets.latency import Latency
from velox_tui.widgets.panel import Panel
from velox_tui.widgets.pipeline import Pipeline
from velox_tui.widgets.status import Status
from velox_tui.widgets.throughput import Throughput

if TYPE_CHECKING:
    from velox_engine.attached import AttachedEngine
    from velox_engine.engine import Engine

PANELS: Final[dict[str, type[Panel]]] = {
    "throughput": Throughput,
    "pipeline": Pipeline,
    "depth": Depth,
    "heat": HeatMap,
    "latency": Latency,
    "bundles": Bundles,
    "cores": Cores,
    "events": Events,
    "figures": Figures,
}
_HALF_TICK_S: Final = 0.02
_FIRST_LOOK_S: Final = 0.02  # the sampler has seen something by then: a frame's time without an empty board
_OWN_EVENTS: Final = 256


class MainScreen(Steering, Viewing, Tuning):
    """Status, the board of panels, and the line of keys."""

    BINDINGS = bindings()
    AUTO_FOCUS = ""

    def __init__(
        self,
        engine: Engine | AttachedEngine,
        config: Config,
        glyphs: Glyphs,
        chosen: dict[str, str],
        *,
        read_only: bool = False,
    ) -> None:
        super().__init__()
        self.engine, self.config, self.glyphs, self.chosen, self.read_only = engine, config, glyphs, chosen, read_only
        # held, not searched for: they are painted to the last, while the screen's tree is being taken down
        self.status = Status(id="status")
        self.panels = {key: panel(key) for key, panel in PANELS.items()}
        self.key_line = KeyLine(chosen, read_only, self.attached is not None)
        window = window_step(config.ui.window_secs)
        self.usual_window = window
        self.look = Look(window=window, depth=config.book.depth, layout=config.ui.layout)
        self.sampler = self.make_sampler()
        self.history = History(series_names(self.sampler.cores))
        self.heat = HeatHistory()
        self.alerts = AlertKeeper(config.limits)
        self.own_events: list[Event] = []
        self.commander = Commander(self.answered)
        self.places: dict[str, Place] = {}
        self.frame_ms = float("nan")
        self._held: tuple[Glance, History, HeatHistory] | None = None
        self._painted = (-1, self.look)
        self.pace = Pace(config.ui.fps)
        self._panel_at: dict[str, float] = {}
        self._journal: tuple[tuple[Event, ...], list[Event], bool, tuple[Event, ...]] = ((), [], True, ())
        self._state: State | None = None
        self._thread_s = 0.0
        self._source_ended = False

    def make_sampler(self) -> Any:
        """Make what glances come from."""
        cores = set(own_cores())
        if self.attached is not None:  # its workers may be where this process may not run
            cores |= {worker.core for worker in self.attached.snapshot().workers if worker.core is not None}
        return Sampler(
            self.engine,
            on_trouble=lambda text: self.soon(self.note, "error", text),
            cores=tuple(sorted(cores)),
            on_hurried=lambda: self.soon(self.tick),
        )

    def compose(self) -> ComposeResult:
        """Lay it out; which panels show, and where, is decided by the size."""
        yield self.status
        with Container(id="board"):
            yield from self.panels.values()
        yield self.key_line

    def on_mount(self) -> None:
        """Begin to look and to paint."""
        self.sampler.start()
        self.watch_symbol(self.look.symbol)
        self._timer = self.set_interval(1 / self.config.ui.fps, self.tick)
        self.set_timer(_FIRST_LOOK_S, self.tick)
        self.remember()
        self.lay_out()

    def keep_pace(self) -> None:
        """Paint as often as the configuration says."""
        self._timer.stop()
        self.pace = Pace(self.config.ui.fps)
        self._timer = self.set_interval(1 / self.config.ui.fps, self.tick)

    def paint_keys(self) -> None:
        """Draw the line of keys anew."""
        self.key_line.forget()
        self.key_line.paint()

    def on_unmount(self) -> None:
        """End what was begun."""
        self.sampler.stop()
        self.commander.stop()

    def on_resize(self, event: events.Resize) -> None:
        """Arrange for the new size."""
        self.lay_out(event.size.width, event.size.height - 2)
        self.status.forget()
        self.call_after_refresh(self.paint, True)

    # ---- arranging

    @property
    def shows_heat(self) -> bool:
        """Whether the heat map is shown: as wanted, or as the layout has it."""
        size = size_class(self.size.width, self.size.height - 2)
        return heat_by_default(self.look.layout, size) if self.look.heat is None else self.look.heat

    def lay_out(self, width: int | None = None, height: int | None = None) -> None:
        """Give every panel its place."""
        width = self.size.width if width is None else width
        height = max(self.size.height - 2 if height is None else height, 0)
        size = size_class(width, height)
        node = (
            self.look.zoomed if self.look.zoomed and size != "tiny" else tree(self.look.layout, size, self.shows_heat)
        )
        self.places = place(node, width, height)
        for key, panel in self.panels.items():
            at = self.places.get(key)
            panel.display = at is not None
            if at is not None:
                panel.styles.offset = (at.x, at.y)
                panel.styles.width, panel.styles.height = at.width, at.height
        focused = self.focused
        if focused is not None and focused.id not in self.places:
            self.set_focus(None)

    # ---- painting

    def tick(self) -> None:
        """Take in what is new; paint, if it is time to."""
        self.take_in()
        waiting = waiting_writes(self.app)
        if self.pace.due(time.monotonic(), self.frame_ms / 1000, waiting, self.app.app_focus):
            self.paint()
        if self.engine.wait_stopped(0):
            self.stopped()

    def take_in(self) -> None:
        """Bring history, heat map and alerts up to the newest glance."""
        while self.sampler.rows:
            self.history.add(*self.sampler.rows.popleft())
        glance = self.sampler.latest
        if glance is None:
            return
        snapshot = glance.snapshot
        depth = next((each for each in snapshot.depths if each.symbol == self.look.symbol), None)
        if depth is not None and snapshot.state is not State.PAUSED:
            self.heat.add(snapshot.taken_unix_ns * 1e-9, depth, snapshot.trades)
        for turn in self.alerts.look(snapshot, lambda: snapshot.output.latency.since(glance.ten.output.latency)):
            if turn.begins:
                self.note(turn.alert.severity, turn.alert.text, notice=True)
            else:
                self.note("info", f"over: {turn.alert.text}")
        if snapshot.source_ended and not self._source_ended:
            self._source_ended = True
            self.note("info", "the source has ended", notice=True)

    def scene(self, glance: Glance) -> Scene:
        """Put together what panels draw."""
        history, heat = self.history, self.heat
        if self._held is not None:
            glance, history, heat = self._held
        return Scene(
            glance,
            history,
            heat,
            self.look,
            self.glyphs,
            self.alerts.panels,
            self._events_of(glance),
            self.config.ui.fps,
            self.frame_ms,
            self.read_only,
            self.attached is not None,
            self._gone(),
            self.pace.slowed(time.monotonic()),
        )

    def _gone(self) -> str:
        """Say what became of an engine in another process."""
        if self.attached is None or self.attached.lives:
            return ""
        return "died" if self.attached.died else "ended"

    def _events_of(self, glance: Glance) -> tuple[Event, ...]:
        """Return the engine's events and our own by time; put together anew only when there are others."""
        known, of = self._journal, (glance.events, self.own_events, self._held is None)
        if known[0] is not of[0] or known[1] is not of[1] or known[2] != of[2]:
            until = math.inf if self._held is None else glance.snapshot.taken_unix_ns
            own = [each for each in self.own_events if each.unix_ns <= until]
            told = tuple(sorted((*glance.events, *own), key=lambda each: each.unix_ns))
            self._journal = known = (*of, told)
        return known[3]

    def paint(self, anyway: bool = False) -> None:
        """Paint what shows, if anything is new."""
        glance = self.sampler.latest
        if glance is None:
            return
        changed = anyway or self._painted[1] != self.look or self._state is not glance.snapshot.state
        if not changed and self._painted[0] == glance.serial:
            return
        used = time.thread_time()
        if self._thread_s:
            spent = (used - self._thread_s) * 1000
            self.frame_ms = spent if math.isnan(self.frame_ms) else self.frame_ms + 0.1 * (spent - self.frame_ms)
        self._thread_s = used
        now = time.monotonic()
        self.pace.painted(now)
        self._painted, self._state = (glance.serial, self.look), glance.snapshot.state
        scene = self.scene(glance)
        with self.app.batch_update():
            if self._is_due("status", Status.every, now, changed):
                self.status.paint(replace(scene, glance=glance))
            for key in self.places if self._held is None or changed else ():
                panel = self.panels[key]
                if self._is_due(key, panel.every, now, changed):
                    panel.paint(scene)

    def _is_due(self, key: str, every: float, now: float, changed: bool) -> bool:
        due = changed or now - self._panel_at.get(key, 0.0) >= every - _HALF_TICK_S
        if due:
            self._panel_at[key] = now
        return due

    def hold(self, held: bool) -> None:
        """Hold the picture as it is, or let it go."""
        glance = self.sampler.latest
        self._held = (glance, self.history.copy(), self.heat.copy()) if held and glance is not None else None

    def note(self, severity: str, text: str, *, notice: bool = False) -> None:
        """Add a line of our own to Events; with a notice where it must be seen."""
        self.own_events = [*self.own_events[1 - _OWN_EVENTS :], Event(time.time_ns(), severity, text)]
        self.velox.record(severity, text, "screen")
        if notice:
            level = {"info": "information", "warning": "warning", "error": "error"}[severity]
            self.notify(text, severity=level, timeout=4, markup=False)  # type: ignore[arg-type]  # one of three words

    # ---- what the panels ask for

    def on_panel_zoomed(self, message: Panel.Zoomed) -> None:
        """Zoom by the mouse."""
        self.panels[message.name].focus()
        self.action_zoom()

    def on_panel_scrolled(self, message: Panel.Scrolled) -> None:
        """Turn the wheel into what the panel under it can change."""
        step = -1 if message.up else 1
        if message.name == "throughput":
            self.action_window(step)
        elif message.name in ("depth", "heat"):
            self.action_depth(step)
        elif message.name == "events":
            self.event_list.scroll(step * 3)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Take away what changes the engine where only looking is allowed."""
        del parameters
        steering = {act.action for act in BY_NAME.values() if act.steers}
        return not (self.read_only and action in steering)

    def state(self) -> State:
        """Return the engine's state as it is now."""
        try:
            return self.engine.state
        except EngineError:
            return State.STOPPED
