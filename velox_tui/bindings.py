"""Every key: one table, from which the bindings, the line of keys, the help screen and the palette are made."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velox_engine.errors import ConfigError

if TYPE_CHECKING:
    from textual.binding import BindingType


@dataclass(frozen=True, slots=True)
class Act:
    """Something that a key does: its name for rebinding, keys, the action's method, a short and a full description.

    ``steers`` marks what changes the engine or a file of settings, which ``--read-only`` takes away. ``sign`` is how
    the line of keys writes the key; acts without a ``short`` word are not in it.
    """

    name: str
    keys: str
    action: str
    short: str
    told: str
    sign: str = ""
    steers: bool = False


ACTS: Final = (
    Act("pause", "p", "pause", "pause", "pause the flow, or go on (also after a drain)", steers=True),
    Act("drain", "d", "drain", "drain", "take nothing more in and empty everything", steers=True),
    Act(
        "quit",
        "q,ctrl+c",
        "quit",
        "quit",
        "leave; asks while something runs; attached: only detach",
        "q",
    ),
    Act("stop", "S", "stop", "", "stop the engine, after asking; it stays on the screen", steers=True),
    Act("help", "question_mark,f1", "help", "help", "show all keys", "?"),
    Act("faster", "greater_than_sign", "faster", "", "raise the rate a step", ">", steers=True),
    Act("slower", "less_than_sign", "slower", "rate", "lower the rate a step", "< >", steers=True),
    Act("maximum", "m", "maximum", "max", "maximum rate, and back", steers=True),
    Act("freeze", "f,space", "freeze", "freeze", "hold the picture; collecting goes on", "f"),
    Act("zoom", "z,enter", "zoom", "zoom", "give the focused panel all the room, and back", "z"),
    Act("layout-1", "1", "layout('overview')", "", "layout overview"),
    Act("layout-2", "2", "layout('pipeline')", "", "layout pipeline"),
    Act("layout-3", "3", "layout('book')", "", "layout book"),
    Act("layout-4", "4", "layout('latency')", "layout", "layout latency", "1-4"),
    Act("window-less", "plus", "window(-1)", "", "shorter time window", "+"),
    Act("window-more", "minus", "window(1)", "window", "longer time window", "+ -"),
    Act("window-usual", "equals_sign", "window(0)", "", "time window as configured", "="),
    Act("log", "l", "log", "log", "logarithmic or linear graphs"),
    Act("series", "v", "series", "series", "all series of the throughput graph, or one of them large"),
    Act("shallower", "left_square_bracket", "depth(-1)", "", "fewer levels of the book", "["),
    Act("deeper", "right_square_bracket", "depth(1)", "depth", "more levels of the book", "[ ]"),
    Act("group", "g", "group", "group", "more ticks to a level of the book"),
    Act("symbol", "s", "symbol", "symbol", "choose the symbol"),
    Act("heat", "h", "heat", "heat", "the book as a heat map, price by time"),
    Act("severity", "e", "severity", "events", "which events are shown: all, warnings, errors"),
    Act("theme", "t", "next_theme", "theme", "the next theme"),
    Act("export", "x", "export", "export", "write picture (SVG), snapshot (JSON) and history (CSV)"),
    Act("settings", "comma", "settings", "", "settings: look at them and change them, limits and keys too", ","),
    Act("save", "w", "save", "", "save the settings that were changed", "w", steers=True),
    Act("palette", "ctrl+p", "command_palette", "palette", "search for a command", "^p"),
    Act("back", "escape", "back", "", "end the zoom", "esc"),
    Act("next", "tab", "next_panel", "", "focus the next panel", "tab"),
    Act("previous", "shift+tab", "previous_panel", "", "focus the panel before", "shift+tab"),
    Act("left", "left", "move('left')", "", "focus the panel to the left", "←"),
    Act("right", "right", "move('right')", "", "focus the panel to the right", "→"),
    Act("up", "up", "move('up')", "", "focus the panel above; scroll in Events", "↑"),
    Act("down", "down", "move('down')", "", "focus the panel below; scroll in Events", "↓"),
    Act("page-up", "pageup", "page(-1)", "", "scroll Events back a page", "pgup"),
    Act("page-down", "pagedown", "page(1)", "", "scroll Events on a page", "pgdn"),
)
BY_NAME: Final = {act.name: act for act in ACTS}


def bindings() -> list[BindingType]:
    """Return the bindings of the dashboard, each with its name as id."""
    from textual.binding import Binding

    return [Binding(act.keys, act.action, act.told, id=act.name, priority="tab" in act.keys) for act in ACTS]


def keymap(text: str) -> dict[str, str]:
    """Return what `[ui.keys]` rebinds, by name; raises `ConfigError` for a name that no act has."""
    for problem in unknown_acts(text):
        raise problem
    return {name: keys for name, _, keys in (word.partition("=") for word in text.split())}


def unknown_acts(text: str) -> Iterator[ConfigError]:
    """Yield an error for each name in a text such as ``pause=p drain=d`` that no act has."""
    for word in text.split():
        name = word.partition("=")[0]
        if name not in BY_NAME:
            near = difflib.get_close_matches(name, BY_NAME, 1, 0.0)[0]
            yield ConfigError(f"unknown action {name}, the nearest is {near}", key="ui.keys", value=name)


_SIGNS: Final = {
    "greater_than_sign": ">", "less_than_sign": "<", "question_mark": "?", "plus": "+", "minus": "-",
    "equals_sign": "=", "comma": ",", "left_square_bracket": "[", "right_square_bracket": "]", "escape": "esc",
}  # fmt: skip


def sign_of(act: Act, chosen: dict[str, str]) -> str:
    """Return how the line of keys writes an act's key, rebound or not."""
    if act.name in chosen or not act.sign:
        first = chosen.get(act.name, act.keys).split(",")[0]
        return _SIGNS.get(first, first.replace("ctrl+", "^"))
    return act.sign


def all_keys(act: Act, chosen: dict[str, str]) -> str:
    """Return every key of an act as the help screen writes them."""
    keys = chosen.get(act.name, act.keys).split(",")
    return " or ".join(_SIGNS.get(key, key) for key in keys)
