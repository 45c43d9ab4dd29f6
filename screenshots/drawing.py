"""Drawing a screen of text as SVG that looks alike everywhere: dots, blocks and frames are shapes, words are text.

Terminal fonts differ in how wide they make braille patterns and in whether box corners meet; shapes do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from xml.sax.saxutils import escape

from rich.cells import cell_len
from rich.segment import Segment

WIDE, HIGH, SIZE = 8.4, 17.0, 14.0  # a cell and its letters, px
_MARGIN = 12.0
_FONT = "'Fira Code','DejaVu Sans Mono',Menlo,Consolas,monospace"
_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))  # bit → column, row
_SHADES = {"░": 0.25, "▒": 0.5, "▓": 0.75, "█": 1.0}
_FRAMES = "╭╮╰╯┌┐└┘─│┤╌"


class Cell(NamedTuple):
    """A sign and its look."""

    sign: str
    front: str
    back: str
    bold: bool


def cells(rows: Iterable[Iterable[Segment]], front: str, back: str) -> list[list[Cell]]:
    """Return a screen's rows of segments as cells, with default colours."""
    found = []
    for row in rows:
        line: list[Cell] = []
        for segment in row:
            style = segment.style
            if segment.control:
                continue
            color = front if style is None or style.color is None else style.color.get_truecolor().hex
            behind = (
                back if style is None or style.bgcolor is None else style.bgcolor.get_truecolor(foreground=False).hex
            )
            if style is not None and style.reverse:
                color, behind = behind, color
            for sign in segment.text:
                line.append(Cell(sign, color, behind, bool(style and style.bold)))
                line.extend([Cell("", color, behind, False)] * (cell_len(sign) - 1))
        found.append(line)
    return found


def _rect(x: float, y: float, wide: float, high: float, color: str, opacity: float = 1.0) -> str:
    clear = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{wide:.2f}" height="{high:.2f}" fill="{color}"{clear}/>'


def _shape(sign: str, x: float, y: float, color: str) -> str | None:
    code = ord(sign)
    middle_x, middle_y = x + WIDE / 2, y + HIGH / 2
    if 0x2800 <= code < 0x2900:
        path = "".join(
            f"M{x + WIDE * (0.28 + 0.46 * column) - 1.35:.1f} {y + HIGH * (0.125 + 0.25 * row):.1f}"
            "a1.35 1.35 0 1 0 2.7 0a1.35 1.35 0 1 0 -2.7 0"
            for bit, (column, row) in enumerate(_DOTS)
            if (code - 0x2800) >> bit & 1
        )
        return f'<path d="{path}" fill="{color}"/>'
    if sign in _SHADES:
        return _rect(x, y, WIDE + 0.2, HIGH + 0.2, color, _SHADES[sign])
    if "▁" <= sign <= "▇":
        part = (code - 0x2580) / 8
        return _rect(x, y + HIGH * (1 - part), WIDE + 0.2, HIGH * part + 0.2, color)
    if "▉" <= sign <= "▏":
        return _rect(x, y, WIDE * (0x2590 - code) / 8, HIGH + 0.2, color)
    if sign not in _FRAMES:
        return None
    right, bottom = x + WIDE, y + HIGH
    paths = {
        "─": f"M{x:.1f} {middle_y:.1f}H{right:.1f}",
        "╌": f"M{x + 1:.1f} {middle_y:.1f}h2.4m1.6 0h2.4",
        "│": f"M{middle_x:.1f} {y:.1f}V{bottom:.1f}",
        "┤": f"M{middle_x:.1f} {y:.1f}V{bottom:.1f}M{x:.1f} {middle_y:.1f}H{middle_x:.1f}",
    }
    corner = {"╭": (right, bottom), "┌": (right, bottom), "╮": (x, bottom), "┐": (x, bottom)}
    corner |= {"╰": (right, y), "└": (right, y), "╯": (x, y), "┘": (x, y)}
    if sign in corner:
        side, end = corner[sign]
        path = f"M{side:.1f} {middle_y:.1f}Q{middle_x:.1f} {middle_y:.1f} {middle_x:.1f} {end:.1f}"
    else:
        path = paths[sign]
    return f'<path d="{path}" stroke="{color}" fill="none" stroke-width="1.1"/>'


def body(rows: list[list[Cell]]) -> str:
    """Return the elements that draw a screen, at the origin."""
    parts: list[str] = []
    for index, row in enumerate(rows):
        y = index * HIGH
        at = 0
        while at < len(row):
            end = at
            while end < len(row) and row[end].back == row[at].back:
                end += 1
            parts.append(_rect(at * WIDE, y, (end - at) * WIDE + 0.3, HIGH + 0.3, row[at].back))
            at = end
        at = 0
        while at < len(row):
            cell = row[at]
            if cell.sign in ("", " "):
                at += 1
                continue
            if cell.sign in _SHADES or cell.sign == "─":  # runs of these are one shape
                end = at
                while end < len(row) and row[end].sign == cell.sign and row[end].front == cell.front:
                    end += 1
                wide = (end - at) * WIDE
                solid = cell.sign != "─"
                top, high = (y, HIGH + 0.2) if solid else (y + HIGH / 2 - 0.55, 1.1)
                parts.append(_rect(at * WIDE, top, wide + 0.2, high, cell.front, _SHADES.get(cell.sign, 1.0)))
                at = end
                continue
            shape = _shape(cell.sign, at * WIDE, y, cell.front)
            if shape is not None:
                parts.append(shape)
                at += 1
                continue
            end = at
            while end < len(row) and row[end].sign not in ("", " ") and row[end][1:] == cell[1:]:
                if _shape(row[end].sign, 0, 0, "") is not None:
                    break
                end += 1
            text = "".join(each.sign for each in row[at:end])
            bold = ' font-weight="bold"' if cell.bold else ""
            parts.append(
                f'<text x="{at * WIDE:.1f}" y="{y + 13:.1f}" textLength="{(end - at) * WIDE:.1f}" '
                f'lengthAdjust="spacingAndGlyphs" fill="{cell.front}"{bold}>{escape(text)}</text>'
            )
            at = max(end, at + 1)
    return "".join(parts)


def size_of(rows: list[list[Cell]]) -> tuple[float, float]:
    """Return a picture's width and height, margins included."""
    return max(map(len, rows)) * WIDE + 2 * _MARGIN, len(rows) * HIGH + 2 * _MARGIN


def svg(rows: list[list[Cell]], back: str) -> str:
    """Return a screen as an SVG document."""
    wide, high = size_of(rows)
    return document(f'<g transform="translate({_MARGIN} {_MARGIN})">{body(rows)}</g>', wide, high, back)


def document(content: str, wide: float, high: float, back: str, style: str = "") -> str:
    """Wrap elements into an SVG document with a round background."""
    plain = re.sub(r"\s+", " ", style)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high:.0f}" width="{wide:.0f}" '
        f'height="{high:.0f}" font-family="{_FONT}" font-size="{SIZE}px"><style>{plain}</style>'
        f'<rect width="100%" height="100%" rx="8" fill="{back}"/>{content}</svg>\n'
    )
