"""Keeping notices that have gone from staying in memory: two things that Textual's do, up to its version 8.2 at least.

Each notice is two widgets. What a widget's border and padding are drawn with is remembered for the last 1,024 widgets,
by a cache whose keys hold the widget's picture; and where a notice is found to be over by another one that comes, the
inner one of its widgets is taken away and the outer one stays.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from textual._styles_cache import StylesCache
from textual.app import App, ScreenStackError
from textual.css.query import NoMatches
from textual.widgets._toast import ToastHolder


def forget_pictures() -> None:
    """Have backgrounds remembered by their colours alone."""
    kept: Any = StylesCache.get_inner_outer
    plain = getattr(kept, "__wrapped__", None)
    if plain is None:  # done already, or as it should be
        return

    @lru_cache(1024)
    def by_colours(base_background: Any, background: Any) -> Any:
        return plain(None, base_background, background)

    def get_inner_outer(self: StylesCache, base_background: Any, background: Any) -> Any:
        return by_colours(base_background, background)

    StylesCache.get_inner_outer = get_inner_outer  # type: ignore[method-assign,assignment]


def remove_empty(app: App[Any]) -> None:
    """Take away what is left of notices that are over."""
    try:
        for holder in app.screen.query(ToastHolder):
            if not holder.children:
                holder.remove()
    except (ScreenStackError, NoMatches):  # there is no screen yet, or none any more
        return
