"""Numbers as the screen writes them: of a fixed width, with their unit, so that nothing jitters."""

from __future__ import annotations

import math
from typing import Final

_STEPS: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
UNKNOWN: Final = "–"


def short(number: float) -> str:
    """Write a count in at most five characters with three significant digits: ``1.02M``, ``99.9k``, ``812``."""
    if math.isnan(number):
        return UNKNOWN
    if math.isinf(number):
        return "max"
    sign, number = ("-" if number < 0 else ""), abs(number)
    for scale, unit in _STEPS:
        if number >= scale * 0.9995:
            return sign + _three(number / scale) + unit
    return sign + (f"{number:.0f}" if number >= 99.95 or number == int(number) else f"{number:.1f}")


def _three(number: float) -> str:
    return f"{number:.2f}" if number < 9.995 else f"{number:.1f}" if number < 99.95 else f"{number:.0f}"


def rate(per_second: float, width: int = 7) -> str:
    """Write a rate, right-aligned: ``99.9k/s``; ``max`` where it is infinite."""
    text = short(per_second)
    return (text if text in ("max", UNKNOWN) else f"{text}/s").rjust(width)


def latency(ns: float, micro: str = "µ", width: int = 6) -> str:
    """Write a time of ns with its unit, right-aligned: ``812ns``, ``4.10µs``, ``1.23ms``, ``2.00s``."""
    if math.isnan(ns):
        return UNKNOWN.rjust(width)
    for scale, unit in ((1e9, "s"), (1e6, "ms"), (1e3, f"{micro}s")):
        if ns >= scale * 0.9995:
            return f"{_three(ns / scale)}{unit}".rjust(width)
    return f"{ns:.0f}ns".rjust(width)


def percent(share: float, width: int = 4) -> str:
    """Write a share as whole percent, right-aligned; a share above 0 is never written as 0."""
    if math.isnan(share):
        return UNKNOWN.rjust(width)
    text = "<1%" if 0 < share < 0.005 else f"{100 * share:.0f}%"
    return text.rjust(width)


def clock(seconds: float) -> str:
    """Write a duration as ``00:12:41``, with days in front where there are any."""
    whole = int(seconds)
    days, rest = divmod(whole, 86_400)
    text = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days}d {text}" if days else text


def span(seconds: float) -> str:
    """Write a time window: ``10 s``, ``5 min``."""
    if seconds >= 120:
        return f"{seconds / 60:g} min"
    return f"{seconds:g} s"


def scaled(units: int, decimals: int) -> str:
    """Write an integer count of units with its decimals, exactly: ``scaled(990800, 4)`` is ``99.0800``."""
    if decimals <= 0:
        return str(units)
    sign, digits = ("-" if units < 0 else ""), str(abs(units)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"


def nice_above(number: float) -> float:
    """Return the least of 1, 1.5, 2, 3, 5, 7.5 × 10^n that is not below ``number``; 1 for anything below 1."""
    if not number > 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(number))
    return next((step * power for step in (1, 1.5, 2, 3, 5, 7.5) if step * power >= number), 10 * power)
