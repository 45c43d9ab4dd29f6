"""What graphs and bars are made of: braille dots, block elements or ASCII; pure functions from numpy to rows."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.int64]

# dots of a braille cell filled from below, left and right column (Unicode 16, block Braille Patterns)
_LEFT: Final = np.array([0x00, 0x40, 0x44, 0x46, 0x47])
_RIGHT: Final = np.array([0x00, 0x80, 0xA0, 0xB0, 0xB8])


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


def choose(wanted: str) -> Glyphs:
    """Return the set that was asked for; ``auto`` goes by the locale, and by what the Linux console can show."""
    if wanted in SETS:
        return SETS[wanted]
    encoding = (getattr(sys.__stderr__, "encoding", "") or "").lower().replace("-", "")
    # Python itself writes UTF-8 in the C locale; the terminal behind it was told nothing of that
    locale = next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "C")
    if not encoding.startswith("utf8") or "utf" not in locale.lower():
        return ASCII
    return BLOCK if os.environ.get("TERM") == "linux" else BRAILLE


def text_of(codes: NDArray[np.uint32]) -> str:
    """Return code points as text."""
    return codes.astype("<u4").tobytes().decode("utf-32-le")


def levels(values: NDArray[np.float64], top: float, steps: int, log: bool = False) -> Levels:
    """Return how many of ``steps`` each value fills of ``top``; -1 where it is unknown, at least 1 where it is above 0.

    ``log`` counts decades from 1, so that 1 is one step high and ``top`` all of them.
    """
    known = ~np.isnan(values)
    number = np.where(known, values, 0.0)
    share = np.log10(np.maximum(number, 1.0)) / max(np.log10(max(top, 10.0)), 1.0) if log else number / max(top, 1e-12)
    high = np.clip(np.rint(share * steps), 0, steps).astype(np.int64)
    return np.where(known, np.where(number > 0, np.maximum(high, 1), 0), -1)


def area(values: NDArray[np.float64], height: int, top: float, glyphs: Glyphs, log: bool = False) -> list[str]:
    """Draw a filled graph, the newest value at the right: ``height`` rows, first the top one.

    ``values``: float64, shape (columns × ``glyphs.across``,), NaN where nothing is known (drawn as nothing).
    """
    high = np.maximum(levels(values, top, height * glyphs.up, log), 0)
    rows = []
    for row in range(height - 1, -1, -1):
        fill = np.clip(high - row * glyphs.up, 0, glyphs.up)
        if glyphs.across == 2:
            codes = 0x2800 + (_LEFT[fill[0::2]] | _RIGHT[fill[1::2]])
            codes = np.where(codes == 0x2800, 0x20, codes)  # some fonts draw the empty pattern with eight faint dots
        else:
            table = np.array([ord(sign) for sign in (glyphs.steps if glyphs.up == 8 else " .:")])
            codes = table[fill]
        rows.append(text_of(codes.astype(np.uint32)))
    return rows


def spark(values: NDArray[np.float64], top: float, glyphs: Glyphs) -> str:
    """Draw one row, a value a column."""
    table = np.array([ord(sign) for sign in glyphs.steps])
    return text_of(table[np.maximum(levels(values, top, len(table) - 1), 0)].astype(np.uint32))


def bar(share: float, width: int, glyphs: Glyphs, mark: float | None = None) -> tuple[str, str]:
    """Draw a horizontal bar: the filled part and the rest, together ``width`` columns.

    ``mark`` puts a sign where a high-water mark stands, if that lies in the rest. A share above 0 fills at least an
    eighth of a column.
    """
    if width <= 0:
        return "", ""
    parts = len(glyphs.eighths) - 1
    total = min(max(share, 0.0), 1.0) * width * parts
    filled = max(round(total), 1) if share > 0 else 0
    whole, part = divmod(filled, parts)
    full = glyphs.eighths[-1] * whole + (glyphs.eighths[part] if part else "")
    rest = list(glyphs.rest * (width - len(full)))
    if mark is not None and rest:
        at = min(int(mark * width), width - 1) - len(full)
        if 0 <= at < len(rest):
            rest[at] = glyphs.mark
    return full, "".join(rest)
