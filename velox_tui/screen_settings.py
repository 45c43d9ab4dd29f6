"""What is wrong with settings of the screen beyond their types: names that only the screen knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Final

from velox_engine.errors import ConfigError
from velox_tui.bindings import unknown_acts

OWN_THEMES: Final = ("velox-dark", "velox-light", "velox-16")


def screen_problems(theme: str, keys: str) -> Iterator[ConfigError]:
    """Yield an error for a theme that there is not, and for each action that there is not."""
    if theme not in OWN_THEMES:
        names = themes()
        if theme not in names:
            near = difflib.get_close_matches(theme, names, 1, 0.0)[0]
            yield ConfigError(f"unknown theme, the nearest is {near}", key="ui.theme", value=theme)
    yield from unknown_acts(keys)


def themes() -> tuple[str, ...]:
    """Return every theme's name, ours first. Asks the screen's library."""
    from textual.theme import BUILTIN_THEMES

    return (*OWN_THEMES, *sorted(BUILTIN_THEMES))
