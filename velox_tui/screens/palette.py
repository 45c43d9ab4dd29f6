"""The command palette: Textual's, at any size."""

from __future__ import annotations

from contextlib import suppress

from textual.command import CommandPalette


class Palette(CommandPalette):
    """Searches for commands."""

    def _action_command_list(self, action: str) -> None:
        # a list that has had no room for a line yet fails when a page of it is to be turned
        with suppress(LookupError):
            super()._action_command_list(action)
