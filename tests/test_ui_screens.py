"""Whole screens at every size, as they should look; VELOX_GOLDENS=write writes them anew."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.ui_driving import recorded_app, settled, text_of

GOLDENS = Path(__file__).parent / "goldens"
SIZES = ((40, 12), (80, 24), (120, 40), (200, 60))


def compare(name, text):
    path = GOLDENS / f"{name}.txt"
    if os.environ.get("VELOX_GOLDENS") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def shown(monkeypatch, size, keys=(), **how):
    async def run():
        async with recorded_app(monkeypatch, size, **how) as ui:
            for key in keys:
                await ui.pilot.press(key)
            await settled(ui.app, ui.pilot)
            return text_of(ui.app)

    return asyncio.run(run())


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("layout", ["overview", "pipeline", "book", "latency"])
def test_a_layout_looks_as_it_should(monkeypatch, size, layout):
    compare(f"{layout}-{size[0]}x{size[1]}", shown(monkeypatch, size, layout=layout))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_ascii_is_nothing_but_ascii(monkeypatch, size):
    text = shown(monkeypatch, size, glyphs="ascii")
    assert text.isascii()
    compare(f"ascii-{size[0]}x{size[1]}", text)


@pytest.mark.parametrize("theme", ["velox-dark", "velox-light", "velox-16", "nord", "ansi-dark", "textual-light"])
def test_a_theme_changes_colours_and_nothing_else(monkeypatch, theme):
    async def run():
        async with recorded_app(monkeypatch, (120, 40), theme=theme) as ui:
            colours = {
                segment.style.color.name
                for strip in ui.app.screen._compositor.render_strips()
                for segment in strip
                if segment.style is not None and segment.style.color is not None
            }
            return text_of(ui.app), colours

    text, colours = asyncio.run(run())
    assert text == (GOLDENS / "overview-120x40.txt").read_text(encoding="utf-8")
    assert len(colours) >= 5


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_without_colour_everything_is_still_said(monkeypatch, size):
    monkeypatch.setenv("NO_COLOR", "1")

    async def run():
        async with recorded_app(monkeypatch, size) as ui:
            for strip in ui.app.screen._compositor.render_strips():
                for segment in strip.apply_filter(ui.app._filters[-1], ui.app.screen.background_colors[1]):
                    if segment.style is not None and segment.style.color is not None and segment.style.color.triplet:
                        red, green, blue = segment.style.color.triplet
                        assert red == green == blue
            return text_of(ui.app)

    text = asyncio.run(run())
    assert text == (GOLDENS / f"overview-{size[0]}x{size[1]}.txt").read_text(encoding="utf-8")


def test_help_looks_as_it_should(monkeypatch):
    compare("help-120x40", shown(monkeypatch, (120, 60), ["question_mark"]))


def test_the_question_before_leaving_looks_as_it_should(monkeypatch):
    compare("leave-80x24", shown(monkeypatch, (80, 24), ["q"]))


def test_the_heat_map_takes_the_ladders_place(monkeypatch):
    compare("heat-80x24", shown(monkeypatch, (80, 24), ["h"]))
