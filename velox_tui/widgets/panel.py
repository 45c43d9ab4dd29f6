"""What every panel is: a framed area drawn with the Line API from a `Scene`, cheap where nothing changed."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from velox_tui.glyphs import Glyphs
from velox_tui.lines import Drawn, Line, columns_of, fitted, line, width_of
from velox_tui.scene import Scene
from velox_tui.themes import Styles, roles

_FRAME = 2  # columns, and rows, that the frame takes


def framed(drawn: Drawn, title: str, role: str, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Put a panel's lines into a frame of ``width`` by ``height``, with its title and key figure in the upper edge."""
    corner_a, flat, corner_b, side, corner_c, corner_d = tuple(glyphs.frame)
    if width < 4 or height < 3:
        return [fitted(((f"{title} {drawn.figure}", "text"),), width)] * min(height, 1) + [
            fitted((), width) for _ in range(height - 1)
        ]
    room, figure = width - 1, drawn.figure
    while figure and len(title) + columns_of(figure) + 5 > room and ", " in figure:
        figure = figure.rpartition(", ")[0]  # what stands last matters least
    head = line((corner_a + flat, role), (f" {title} ", "title"), (f"{figure} " if figure else "", "accent"))
    head = head if width_of(head) <= room else fitted(head, room)
    rows = [(*head, (flat * (room - width_of(head)) + corner_b, role))]
    blank = ((" " * (width - _FRAME), "text"),)
    for row in range(height - _FRAME):
        inner = fitted(drawn.lines[row], width - _FRAME) if row < len(drawn.lines) else blank
        rows.append(((side, role), *inner, (side, role)))
    rows.append(((corner_c + flat * (width - _FRAME) + corner_d, role),))
    return rows


class Rows(Widget):
    """A widget of lines in roles; ``show`` draws only the rows that changed."""

    every: ClassVar[float] = 0.0
    """At most so often it is painted, s: figures that change ten times a second cannot be read, only paid for."""

    def __init__(self, **more: str) -> None:
        super().__init__(**more)  # type: ignore[arg-type]  # only names and classes are handed on
        self._lines: list[Line] = []
        self._strips: list[Strip] = []
        self._styles_by_role: Styles = {}

    def forget(self) -> None:
        """Draw everything anew at the next `show`: the size or the colours are others."""
        self._lines, self._strips, self._styles_by_role = [], [], {}

    def notify_style_update(self) -> None:
        """Draw everything anew: another theme."""
        super().notify_style_update()
        self.forget()

    def show(self, lines: list[Line], width: int) -> None:
        """Show these lines, one a row, each as wide as the widget: ``width``."""
        if not self._styles_by_role:
            self._styles_by_role = self._filtered(roles(self.app.theme_variables))
        if len(lines) != len(self._lines):
            self._strips = [self._strip(row, width) for row in lines]
            self._lines = lines
            self.refresh()
            return
        changed = [y for y, row in enumerate(lines) if row != self._lines[y]]
        for y in changed:
            self._strips[y] = self._strip(lines[y], width)
        if changed:
            self._lines = lines
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def _strip(self, row: Line, width: int) -> Strip:
        styles = self._styles_by_role
        # every segment needs a style: without one the filter for NO_COLOR fails
        segments = []
        for role, parts in groupby(row, itemgetter(1)):
            segments.append(Segment("".join([text for text, _ in parts]), styles[role]))
        return Strip(segments, width)

    def _filtered(self, styles: Styles) -> Styles:
        """Change the styles once as Textual would every segment of every row: without colours, or to true ones."""
        background = self.background_colors[1]
        for each in self.get_line_filters():
            changed = each.apply([Segment("x", style) for style in styles.values()], background)
            styles = {role: segment.style or Style() for role, segment in zip(styles, changed, strict=True)}
        return styles

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return rows as they were last shown, without a look at borders, padding and opacity, which there are none of.

        The compositor asks for all rows of all widgets whenever one of them changed.
        """
        left, right = crop.column_span
        strips = [self.render_line(y) for y in crop.line_range]
        return [strip if not left and strip.cell_length == right else strip.crop(left, right) for strip in strips]

    def render_line(self, y: int) -> Strip:
        """Return a row as it was last shown."""
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self._styles_by_role.get("text") or self.rich_style)

    @property
    def text(self) -> str:
        """What the widget shows, as text."""
        return "\n".join("".join(part for part, _ in row) for row in self._lines)


class Panel(Rows, can_focus=True):
    """A framed panel. A subclass says its ``title`` and draws; what it raises is shown in its own place."""

    title: ClassVar[str] = ""

    class Zoomed(Message):
        """The panel wants all the room, or to give it back."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class Scrolled(Message):
        """The wheel was turned over a panel: ``up`` or down."""

        def __init__(self, name: str, up: bool) -> None:
            super().__init__()
            self.name, self.up = name, up

    def __init__(self, key: str) -> None:
        super().__init__(id=key)
        self.key = key
        self._scene: Scene | None = None

    def draw(self, scene: Scene, width: int, height: int) -> Drawn:
        """Return the content for an inner area of this size; a subclass does."""
        raise NotImplementedError

    def paint(self, scene: Scene) -> None:
        """Draw the scene; an error in it is shown here, and the rest goes on."""
        self._scene = scene
        width, height = self.size
        if width < 1 or height < 1:
            return
        role = "bad" if self.key in scene.alerts else "focus" if self.has_focus else "frame"
        try:
            drawn = self.draw(scene, max(width - _FRAME, 0), max(height - _FRAME, 0))
            rows = framed(drawn, self.title, role, width, height, scene.glyphs)
        except Exception as error:
            self.log.error(f"panel {self.key}: {error!r}")
            told = [line((f" {type(error).__name__}", "bad")), *_wrapped(str(error), width - 4)]
            rows = framed(Drawn("cannot be drawn", told), self.title, "bad", width, height, scene.glyphs)
        self.show(rows, width)

    def again(self) -> None:
        """Draw the last scene again."""
        if self._scene is not None:
            self.paint(self._scene)

    def on_resize(self, event: events.Resize) -> None:
        """Draw in the new size at once."""
        del event
        self.forget()
        self.again()

    def notify_style_update(self) -> None:
        """Draw in the new colours at once."""
        super().notify_style_update()
        if self.is_attached:
            self.call_later(self.again)

    def on_focus(self) -> None:
        """Show the focus in the frame."""
        self.again()

    def on_blur(self) -> None:
        """Show the frame as it was."""
        self.again()

    def on_click(self, event: events.Click) -> None:
        """Zoom at a double click."""
        if event.chain == 2:
            self.post_message(self.Zoomed(self.key))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Tell whoever knows what the wheel means here."""
        event.stop()
        self.post_message(self.Scrolled(self.key, True))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Tell whoever knows what the wheel means here."""
        event.stop()
        self.post_message(self.Scrolled(self.key, False))


def _wrapped(text: str, width: int) -> list[Line]:
    from textwrap import wrap

    return [line((f" {part}", "text")) for part in wrap(text, max(width, 8))] if text else []
