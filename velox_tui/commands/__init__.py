"""The subcommands, one file each with ``main(arguments) -> exit code``; imported when they are called."""

from __future__ import annotations

from typing import Final

COMMANDS: Final[dict[str, str]] = {
    "attach": "watch and steer an engine that runs in another process",
    "bench": "what this machine can do, and what changed since another run",
    "config": "the configuration in force, and where each value came from",
    "ctl": "steer an engine from a script, and wait for the effect",
    "doctor": "what will keep this machine from doing well, and how to mend it",
    "feed": "what a recorded file holds",
    "ps": "the engines that run, and those that have died",
    "snapshot": "one look at an engine",
    "warm": "compile into the cache and leave",
}
"""Each command's name, which is its module's too, and what it does."""
