"""``velox-tui ctl``: steer an engine from a script; it returns when the command has taken effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from velox_tui.options import Parser, UsageError
from velox_tui.streams import put

_VERBS: Final = ("pause", "resume", "drain", "stop", "rate", "max")
_USAGE: Final = """\
velox-tui ctl pause|resume|drain|stop [ENGINE]
       velox-tui ctl rate N|max [ENGINE]
       velox-tui ctl max [ENGINE]"""
_ABOUT: Final = """\
ENGINE is a name or a pid; with one engine running it may be left out.

exit codes:
  0  it has taken effect
  1  the engine refused it, could not do it, or did not answer
  2  wrong use, no such engine, or more than one
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    what = "Steer an engine of this machine: wait until the command has taken effect, and tell it by the exit code."
    parser = Parser("velox-tui ctl", _USAGE, what, _ABOUT)
    parser.add_argument("words", metavar="COMMAND [VALUE] [ENGINE]", nargs="*", help="what to do, and to whom")
    parser.option("--timeout", metavar="SECS", help="give up after so long; default: what the engine takes")
    parser.option("--now", action="store_true", help="stop: leave behind what is inside, instead of draining first")
    asked = parser.read(arguments)
    do, more, engine = _order(list(asked.words))
    if asked.now:
        if do != "stop":
            raise UsageError(f"--now: goes with stop only, not with {do}")
        more["drain"] = False
    timeout = _seconds(asked.timeout)

    from velox_engine.steering.client import ControlClient
    from velox_tui.finding import the_one, who

    found = the_one(engine, living=True)
    with ControlClient(found.control, who(found)) as client:
        state = str(client.ask(do, timeout, **more).get("state"))
    rate = more.get("per_second")
    told = state if rate is None else f"{state}, rate {rate if rate == 'max' else f'{rate:,.10g}/s'}"
    return put(f"{who(found)}: {told}\n")


def _order(words: list[str]) -> tuple[str, dict[str, Any], str | None]:
    """Read the words: what to do, with what, and to whom."""
    if not words:
        raise UsageError(f"expected a command; allowed is one of {', '.join(_VERBS)}")
    do, *rest = words
    if do not in _VERBS:
        raise UsageError(f"got {do}; allowed is one of {', '.join(_VERBS)}")
    more: dict[str, Any] = {}
    if do == "max":
        do, rest = "rate", ["max", *rest]
    if do == "rate":
        if not rest:
            raise UsageError('rate: expected a number of transactions a second, or "max"')
        more["per_second"] = _rate(rest.pop(0))
    if len(rest) > 1:
        raise UsageError(f"unexpected argument {rest[1]}")
    return do, more, rest[0] if rest else None


def _rate(text: str) -> Any:
    from velox_engine.config import Origin, checked, read_text

    key = "pipeline.ingress_rate_hz"
    return checked(key, read_text(key, text, Origin("rate")).value, source="rate")


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 1e6:
        raise UsageError(f"--timeout: got {text}; allowed is a number of seconds above 0, up to 1,000,000")
    return seconds
