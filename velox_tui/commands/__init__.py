"""The subcommands, one file each with ``main(arguments) -> exit code``; imported when they are called."""

from __future__ import annotations

from typing import Final

COMMANDS: Final[dict[str, str]] = {
    "config": "the configuration in force, and where each value came from",
    "doctor": "what will keep this machine from doing well, and how to mend it",
    "feed": "what a recorded file holds",
    "warm": "compile into the cache and leave",
}
"""Each command's name, which is its module's too, and what it does."""
