"""The signs that the screen is made of: braille and blocks, blocks alone, or ASCII; and which fit a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Glyphs:
    """A set of signs. ``across`` and ``up`` are how many values a cell holds side by side and levels one above another.

    ``shades`` go from nothing to most; ``eighths`` are the parts of a horizontal bar, from nothing to full.
    """

    name: str
    across: int
    up: int
    frame: str  # top left, horizontal, top right, vertical, bottom left, bottom right
    eighths: str
    rest: str  # the empty part of a bar
    shades: str
    steps: str  # one cell high graph, from nothing to full
    mark: str  # high-water mark in a bar
    running: str
    paused: str
    yes: str
    no: str
    about: str
    micro: str
    dot: str
    arrow: str
    tee: str  # an axis
    up_arrow: str
    down_arrow: str
    dash: str
    points: str  # ellipsis

    def plain(self, text: str) -> str:
        """Return text with the signs that this set lacks replaced."""
        return text if self.name != "ascii" else text.translate(_PLAIN)


BRAILLE: Final = Glyphs(
    "braille", 2, 4, "╭─╮│╰╯", " ▏▎▍▌▋▊▉█", "╌", " ░▒▓█", " ▁▂▃▄▅▆▇█", "▏", "●", "‖", "✓", "✗", "≈", "µ", "·", "→", "┤",
    "▲", "▼", "–", "…",
)  # fmt: skip
BLOCK: Final = Glyphs(
    "block", 1, 8, "┌─┐│└┘", " ▏▎▍▌▋▊▉█", "─", " ░▒▓█", " ▁▂▃▄▅▆▇█", "▏", "■", "‖", "√", "×", "≈", "µ", "·", "→", "┤",
    "▲", "▼", "–", "…",
)  # fmt: skip
ASCII: Final = Glyphs(
    "ascii", 1, 2, "+-+|++", " ########", ".", " .:%#", " .:-=+*%#", "|", "*", "=", "ok", "NO", "~", "u", "-", ">", "|",
    "^", "v", "-", "..",
)  # fmt: skip
SETS: Final = {each.name: each for each in (BRAILLE, BLOCK, ASCII)}
_PLAIN: Final = str.maketrans(
    {"–": "-", "·": "-", "…": "..", "≈": "~", "µ": "u", "→": ">", "×": "x", "Σ": "S", "≤": "<", "≥": ">", "✓": "ok"}
)


def choose(wanted: str, environ: Mapping[str, str] | None = None, encoding: str | None = None) -> Glyphs:
    """Return the set that was asked for; ``auto`` goes by the locale, and by what the Linux console can show.

    ``environ`` stands in for ``os.environ``, ``encoding`` for standard error's, which the screen is drawn on.
    """
    if wanted in SETS:
        return SETS[wanted]
    environ = os.environ if environ is None else environ
    if encoding is None:
        encoding = getattr(sys.__stderr__, "encoding", "") or ""
    # Python itself writes UTF-8 in the C locale; the terminal behind it was told nothing of that
    if not encoding.lower().replace("-", "").startswith("utf8") or "utf" not in locale_name(environ).lower():
        return ASCII
    return BLOCK if environ.get("TERM") == "linux" else BRAILLE


def locale_name(environ: Mapping[str, str]) -> str:
    """Return the locale of characters that the environment names."""
    return next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "C")
