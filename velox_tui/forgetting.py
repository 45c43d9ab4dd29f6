"""What Textual would keep of widgets that have gone, for as long as a run lasts."""

from __future__ import annotations

from typing import Any, Final

from textual._styles_cache import StylesCache
from textual.app import App, ScreenStackError
from textual.widgets._toast import ToastHolder

FORGET_S: Final = 10.0


def forget_dead_widgets() -> None:
    """Let go of the rows of widgets that have gone: notices, dialogs, lists.

    Textual remembers the colours of the last 1,024 widgets under their caches of rows, and with each cache every row
    that the widget ever drew at its last size, cut in every way in which it was cut: a megabyte for a large dialog.
    Finding a colour anew takes microseconds.
    """
    # a detail of Textual's; where it is no longer so, nothing is kept either
    clear = getattr(StylesCache.get_inner_outer, "cache_clear", None)
    if clear is not None:
        clear()


def remove_empty_notices(app: App[Any]) -> None:
    """Take away what is left of notices that are over.

    A notice is two widgets, one in the other. Where another notice that comes finds it to be over, before its own time
    has told it, Textual takes the inner one away and leaves the outer one for good.
    """
    try:
        for holder in app.screen.query(ToastHolder):
            if not holder.children:
                holder.remove()
    except ScreenStackError:  # there is no screen yet, or none any more
        return
