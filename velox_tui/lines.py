"""Lines of text in roles: what every panel's pure functions return, before colours come to it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from rich.cells import cell_len, set_cell_size

Part = tuple[str, str]
"""Text, and the role that it is drawn in."""
Line = tuple[Part, ...]


_NARROW: Final = re.compile("[ -~\u00a0-\u00ac\u00ae-\u02ff\u0370-\u0482\u2500-\u25fc\u2800-\u28ff]*").fullmatch
"""Whether each character takes one column: nearly all that we draw."""


def columns_of(text: str) -> int:
    """Return how many columns a text takes.

    rich keeps the answers to its last four thousand questions. Ours are figures that hardly ever come again: they would
    lie about in memory, by the hundred from each frame, for nothing.
    """
    return len(text) if _NARROW(text) else cell_len(text)


class Drawn(NamedTuple):
    """A panel's content: the key figure for its title, and its lines."""

    figure: str
    lines: list[Line]


def line(*parts: Part) -> Line:
    """Make a line; parts without text are left out."""
    return tuple(part for part in parts if part[0])


def plain(row: Line) -> str:
    """Return a line's text alone."""
    return "".join(text for text, _ in row)


def width_of(row: Line) -> int:
    """Return how many columns a line takes."""
    return sum(columns_of(text) for text, _ in row)


def _cut(text: str, width: int) -> str:
    return text[:width] if _NARROW(text) else set_cell_size(text, width)


def fitted(row: Line, width: int) -> Line:
    """Return a line of exactly ``width`` columns: cut, or filled up with spaces."""
    parts: list[Part] = []
    left = width
    for text, role in row:
        long = columns_of(text)
        if long >= left:
            parts.append((text if long == left else _cut(text, left), role))
            left = 0
            break
        parts.append((text, role))
        left -= long
    if left:
        if parts and parts[-1][1] == "text":
            parts[-1] = (parts[-1][0] + " " * left, "text")
        else:
            parts.append((" " * left, "text"))
    return tuple(parts)


def apart(left: Line, right: Line, width: int) -> Line:
    """Put one line at the left edge and one at the right; the right one gives way."""
    gap = width - width_of(left) - width_of(right)
    return fitted((*left, (" " * gap, "text"), *right), width) if gap >= 1 else fitted(left, width)


def columns(rows: Iterable[Line], more: Iterable[Line], width: int, gap: str = " ") -> list[Line]:
    """Put two blocks of lines side by side, the first in ``width`` columns."""
    first, second = list(rows), list(more)
    count = max(len(first), len(second))
    first += [()] * (count - len(first))
    second += [()] * (count - len(second))
    return [(*fitted(a, width), (gap, "text"), *b) for a, b in zip(first, second, strict=True)]


def clip(text: str, width: int) -> str:
    """Return text in exactly ``width`` columns."""
    return set_cell_size(text, max(width, 0))
