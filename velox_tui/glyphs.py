"""Graphs and bars made of signs: pure functions from numpy to rows of text."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from velox_tui.signs import ASCII, BLOCK, BRAILLE, SETS, Glyphs, choose

__all__ = ["ASCII", "BLOCK", "BRAILLE", "SETS", "Glyphs", "area", "bar", "choose", "levels", "spark", "text_of"]

Levels = NDArray[np.int64]

# dots of a braille cell filled from below, left and right column (Unicode 16, block Braille Patterns)
_LEFT: Final = np.array([0x00, 0x40, 0x44, 0x46, 0x47])
_RIGHT: Final = np.array([0x00, 0x80, 0xA0, 0xB0, 0xB8])
_PAIRS: Final = (0x2800 + (_LEFT[:, None] | _RIGHT)).ravel().astype(np.uint32)  # by 5 × left + right
_PAIRS[0] = 0x20  # some fonts draw the empty pattern with eight faint dots


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
    high = levels(values, top, height * glyphs.up, log)
    below = np.arange(height - 1, -1, -1)[:, None] * glyphs.up
    fill = np.minimum(np.maximum(high - below, 0), glyphs.up)  # shape (height, points)
    if glyphs.across == 2:
        codes = _PAIRS[fill[:, 0::2] * 5 + fill[:, 1::2]]
    else:
        codes = np.array([ord(sign) for sign in (glyphs.steps if glyphs.up == 8 else " .:")], np.uint32)[fill]
    text, width = text_of(codes.ravel()), codes.shape[1]
    return [text[row * width : (row + 1) * width] for row in range(height)]


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
