"""What it is seen and reached through: colours, signs and locale of the terminal."""

from __future__ import annotations

from typing import Final

from velox_engine.config import Config
from velox_tui.doctor.findings import Finding, Verdict
from velox_tui.doctor.system import System
from velox_tui.signs import ASCII, choose, locale_name

_TRUE_COLOURS: Final = ("truecolor", "24bit")


def check_colours(system: System, config: Config) -> Finding:
    """Look how many colours the terminal has."""
    del config
    term = system.environ.get("TERM", "")
    values = {"term": term, "colorterm": system.environ.get("COLORTERM")}
    if not system.terminal:
        told = "standard error is no terminal: the dashboard needs one, --no-ui does not"
        return Finding("colours", Verdict.UNCHECKED, told, values=values)
    if term in ("", "dumb"):
        told = f"TERM is {term or 'not set'}: there is no dashboard, runs are as with --no-ui"
        return Finding("colours", Verdict.HURTS, told, "export TERM=xterm-256color", values)
    if system.environ.get("NO_COLOR"):
        return Finding("colours", Verdict.OK, "NO_COLOR is set: no colours, as wanted", values=values)
    if system.environ.get("COLORTERM", "").lower() in _TRUE_COLOURS or term.endswith("-direct"):
        return Finding("colours", Verdict.OK, f"all colours ({term})", values=values)
    if "256color" in term:
        told = f"256 colours ({term}): shades of the heat map fall together"
        return Finding("colours", Verdict.BETTER, told, "export COLORTERM=truecolor, if the terminal has it", values)
    told = f"16 colours at most ({term})"
    mend = "export TERM=xterm-256color, if the terminal has it; or velox-tui --set ui.theme=ansi-dark"
    return Finding("colours", Verdict.BETTER, told, mend, values)


def check_glyphs(system: System, config: Config) -> Finding:
    """Look which signs graphs are drawn with."""
    signs = choose(config.ui.glyphs, system.environ, system.encoding)
    values = {"glyphs": signs.name, "asked": config.ui.glyphs}
    if signs is not ASCII:
        return Finding("glyphs", Verdict.OK, f"graphs are drawn with {signs.name} signs", values=values)
    if config.ui.glyphs == "ascii":
        return Finding("glyphs", Verdict.OK, "graphs are drawn with ASCII, as configured", values=values)
    told = f"graphs are drawn with ASCII: standard error is {system.encoding or 'no text'}, "
    told += f"the locale is {locale_name(system.environ)}"
    return Finding("glyphs", Verdict.BETTER, told, "export LANG=C.UTF-8, or velox-tui --set ui.glyphs=braille", values)


def check_locale(system: System, config: Config) -> Finding:
    """Look whether the locale is there."""
    del config
    name = locale_name(system.environ)
    values = {"locale": name}
    if system.locale_problem is not None:
        told = f"the locale {name} {system.locale_problem}"
        return Finding("locale", Verdict.BETTER, told, "export LC_ALL=C.UTF-8", values)
    return Finding("locale", Verdict.OK, name, values=values)


CHECKS: Final = (check_colours, check_glyphs, check_locale)
