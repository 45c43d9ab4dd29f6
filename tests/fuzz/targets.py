"""What is fuzzed, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.fuzz.decoders import DecoderTarget
from tests.fuzz.feeds import FeedTarget, StreamTarget
from tests.fuzz.region import RegionTarget
from tests.fuzz.running import Target
from tests.fuzz.sockets import ControlClientTarget, ControlTarget, HttpTarget
from tests.fuzz.swift import SwiftTarget
from tests.fuzz.texts import ConfigTarget, ValueTarget, WordsTarget

_COMPILED = ("lobster", "itch", "dbn", "coinbase", "binance", "tardis")

TARGETS: dict[str, Callable[[], Target]] = {
    **{
        name: partial(FeedTarget, name)
        for name in ("lobster", "itch", "dbn", "coinbase", "binance", "tardis", "journal")
    },
    **{f"{name}-decoder": partial(DecoderTarget, name) for name in _COMPILED},
    **{f"{name}-swift": partial(SwiftTarget, name) for name in _COMPILED},
    "lobster-book": partial(FeedTarget, "lobster", seeded=True),
    "coinbase-book": partial(FeedTarget, "coinbase", seeded=True),
    "stream": StreamTarget,
    "config": ConfigTarget,
    "value": ValueTarget,
    "environment": partial(WordsTarget, "environment"),
    "command-line": partial(WordsTarget, "command line"),
    "region": RegionTarget,
    "control": ControlTarget,
    "control-client": ControlClientTarget,
    "http": HttpTarget,
}


def each(name: str) -> int:
    """How many executions one input of a target is."""
    return int(getattr(getattr(TARGETS[name], "func", None), "each", 1))
