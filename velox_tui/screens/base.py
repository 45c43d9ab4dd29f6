"""What the parts of the dashboard's screen share: its state, and what each part needs of the others."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from velox_engine.attached import AttachedEngine
from velox_engine.config import Config
from velox_tui.alerts import AlertKeeper
from velox_tui.arrangement import Place
from velox_tui.commander import Commander
from velox_tui.glyphs import Glyphs
from velox_tui.history import History
from velox_tui.sampler import Sampler
from velox_tui.scene import Look
from velox_tui.widgets.events import Events
from velox_tui.widgets.panel import Panel

if TYPE_CHECKING:
    from velox_engine.engine import Engine
    from velox_tui.app import VeloxApp


class Dashboard(Screen[None]):
    """The state of the dashboard.

    ``chosen`` are the keys that were rebound, ``panels`` all there are, ``places`` those that show.
    """

    engine: Engine | AttachedEngine
    config: Config
    glyphs: Glyphs
    chosen: dict[str, str]
    read_only: bool
    look: Look
    usual_window: int
    sampler: Sampler
    history: History
    commander: Commander
    alerts: AlertKeeper
    places: dict[str, Place]
    panels: dict[str, Panel]

    @property
    def event_list(self) -> Events:
        """The panel of events."""
        panel = self.panels["events"]
        assert isinstance(panel, Events)
        return panel

    @property
    def attached(self) -> AttachedEngine | None:
        """The engine, where it runs in another process."""
        return self.engine if isinstance(self.engine, AttachedEngine) else None

    @property
    def own_engine(self) -> Engine | None:
        """The engine, where it runs in this process."""
        return None if isinstance(self.engine, AttachedEngine) else self.engine

    @property
    def velox(self) -> VeloxApp:
        """The application."""
        app: VeloxApp = self.app  # type: ignore[assignment]  # there is no other that makes this screen
        return app

    @property
    @abstractmethod
    def shows_heat(self) -> bool:
        """Whether the heat map is shown."""

    @abstractmethod
    def lay_out(self, width: int | None = None, height: int | None = None) -> None:
        """Give every panel its place."""

    @abstractmethod
    def paint(self, anyway: bool = False) -> None:
        """Paint what shows."""

    @abstractmethod
    def hold(self, held: bool) -> None:
        """Hold the picture as it is, or let it go."""

    @abstractmethod
    def note(self, severity: str, text: str, *, notice: bool = False) -> None:
        """Add a line to Events."""

    @abstractmethod
    def answered(self, what: str, error: Exception | None) -> None:
        """Take a command's answer."""

    @abstractmethod
    def change_look(self, **changes: Any) -> None:
        """Show it in another way."""

    @abstractmethod
    def run_layout(self, name: str) -> None:
        """Show another layout."""

    @abstractmethod
    def keep_pace(self) -> None:
        """Paint as often as the configuration says."""

    @abstractmethod
    def paint_keys(self) -> None:
        """Draw the line of keys anew."""

    @abstractmethod
    def watch_symbol(self, symbol: int) -> None:
        """Have a symbol's book published."""
