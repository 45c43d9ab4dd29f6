"""A list to choose from, at any size."""

from __future__ import annotations

from contextlib import suppress

from textual.widgets import OptionList


class Choices(OptionList):
    """Textual's list, whose turning of a page fails as long as it has had no room for a line."""

    def action_page_up(self) -> None:
        """Go a page up."""
        with suppress(LookupError):
            super().action_page_up()  # type: ignore[no-untyped-call]

    def action_page_down(self) -> None:
        """Go a page down."""
        with suppress(LookupError):
            super().action_page_down()  # type: ignore[no-untyped-call]
