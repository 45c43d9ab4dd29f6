"""The themes of our own, and the roles that panels draw with, as styles of whatever theme is on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.style import Style
from textual.color import Color, ColorParseError
from textual.theme import BUILTIN_THEMES, Theme

DARK: Final = Theme(
    name="velox-dark",
    primary="#5fafd7",
    secondary="#87afaf",
    accent="#d7af5f",
    foreground="#c8ced6",
    background="#0f1419",
    surface="#141b22",
    panel="#1c252e",
    success="#87af5f",
    warning="#d7875f",
    error="#e05f6b",
    dark=True,
)
LIGHT: Final = Theme(
    name="velox-light",
    primary="#1f6f9f",
    secondary="#3f7373",
    accent="#8a5a00",
    foreground="#22292f",
    background="#faf8f3",
    surface="#f1eee6",
    panel="#e6e1d5",
    success="#3f7a1f",
    warning="#b0501f",
    error="#b8233a",
    dark=False,
)

SIXTEEN: Final = Theme(
    name="velox-16",
    ansi=True,
    primary="ansi_bright_blue",
    secondary="ansi_magenta",
    accent="ansi_cyan",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    dark=True,
    variables=dict(BUILTIN_THEMES["ansi-dark"].variables),
)
"""For terminals that know sixteen colours: their own, of which each can be read on black and on white."""

Styles = dict[str, Style]

ROLES: Final = (
    "text", "dim", "faint", "title", "frame", "focus", "accent", "good", "warn", "bad", "badge", "alarm", "bid", "ask",
    "bids", "asks",
    "ingress", "orderbook", "bundles", "output", "dropped", "key",
)  # fmt: skip
"""Every word that a line of a panel may be drawn in."""


def roles(variables: Mapping[str, str]) -> Styles:
    """Make a style for each role from a theme's variables (hex colours, or names of the terminal's own colours)."""

    def colour(name: str) -> Color:
        try:
            return Color.parse(variables.get(name, ""))
        except ColorParseError:
            return Color.parse("#808080")

    back, text = colour("background"), colour("foreground")
    own = back.ansi is not None or text.ansi is not None  # the terminal's own colours cannot be mixed

    def style(front: Color, bold: bool = False, dim: bool = False) -> Style:
        return Style(color=front.rich_color, bgcolor=back.rich_color, bold=bold, dim=dim)

    def between(share: float) -> Style:
        return style(text, dim=True) if own else style(back.blend(text, share))

    primary, accent, secondary = colour("primary"), colour("accent"), colour("secondary")
    good, warn, bad = colour("success"), colour("warning"), colour("error")
    return {
        "text": style(text),
        "dim": between(0.62),
        "faint": between(0.24),
        "title": style(text, bold=True),
        "frame": between(0.28),
        "focus": style(primary, bold=True),
        "accent": style(accent),
        "good": style(good),
        "warn": style(warn, bold=True),
        "bad": style(bad, bold=True),
        "badge": Style(color=back.rich_color, bgcolor=accent.rich_color, bold=True) if not own else Style(reverse=True),
        "alarm": Style(color=back.rich_color, bgcolor=bad.rich_color, bold=True) if not own else Style(reverse=True),
        "bid": style(good),
        "ask": style(bad if own else bad.blend(text, 0.12)),
        "bids": style(good if own else back.blend(good, 0.55)),
        "asks": style(bad if own else back.blend(bad, 0.55)),
        "ingress": style(primary),
        "orderbook": style(secondary),
        "bundles": style(accent),
        "output": style(good),
        "dropped": style(bad),
        "key": style(primary, bold=True),
    }
