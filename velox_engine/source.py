"""The source of a run, as the configuration names it: made up, or a recorded file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from velox_engine.config import Config
from velox_engine.errors import ConfigError
from velox_engine.feeds.base import Feed
from velox_engine.feeds.decoder import STAGING_SIZE, Decoder
from velox_engine.feeds.opening import open_feed, split_source
from velox_engine.feeds.pacing import Pacing
from velox_engine.feeds.staging import Staging, make_staging
from velox_engine.feeds.synthetic import SYNTHETIC_INSTRUMENT, UNIFORM_INSTRUMENT
from velox_engine.lockfree.clock import Clock
from velox_engine.records import Instrument

_MOST_SYMBOLS_SHOWN = 16_384
"""Symbols of a recorded file that telemetry has room for: files learn symbols on the way. Books take any number."""


@dataclass(slots=True)
class Source:
    """What a run is fed from. ``feed`` and ``decoder`` are ``None`` for a synthetic source.

    ``instruments`` is the feed's own table, which may grow. ``by_time``: at the recorded pace.
    """

    instruments: list[Instrument]
    staging: Staging
    feed: Feed | None = None
    decoder: Decoder | None = None
    by_time: bool = False
    telemetry_symbols: int = 1

    @property
    def recorded(self) -> bool:
        """Whether it is a recorded file."""
        return self.feed is not None

    def describe(self, config: Config) -> dict[str, Any]:
        """Say what it was, for the report."""
        if self.feed is None:
            return {"kind": "synthetic", "model": config.source.model, "live_orders": config.source.live_orders}
        oddities = self.feed.oddities
        return {
            "kind": "recorded",
            "path": str(self.feed.path),
            "format": self.feed.format,
            "seed_source": self.feed.seed_source,
            "time_base": {
                "zero": self.feed.time_base.zero,
                "date": self.feed.time_base.date,
                "zone": self.feed.time_base.zone,
            },
            "symbols": len(self.instruments),
            "passes": self.decoder.passes if self.decoder else 0,
            "gaps": oddities.gaps,
            "time_back": oddities.time_back,
            "skipped": dict(oddities.skipped),
            "cut_off": oddities.cut_off,
        }


def open_source(config: Config, clock: Clock) -> Source:
    """Open what the configuration names.

    Raises `FeedError` when a file cannot be read, and `ConfigError` when it does not go with the other settings.
    """
    source = config.source
    if source.kind == "synthetic":
        instrument = UNIFORM_INSTRUMENT if source.model == "uniform" else SYNTHETIC_INSTRUMENT
        return Source([instrument], make_staging(1, 1))
    path, name = split_source(source.kind)
    symbols = None if source.symbols == "all" else source.symbols
    seed: str | Literal[False] | None = {"auto": None, "none": False}.get(source.seed_book, source.seed_book)

    def open_again() -> Feed:
        return open_feed(path, name, symbols, seed)

    feed = open_again()
    if config.book.kind == "bucketed" and not feed.priced:
        feed.close()
        raise ConfigError(
            f"got 'bucketed' for a feed of format {feed.format}, whose executions and deletions carry no price and "
            "side of their own",
            key="book.kind",
            value="bucketed",
            allowed='"exact"',
        )
    at_rate = "pipeline.ingress_rate_hz" in config.given
    fast = source.speed == "max"
    pacing = Pacing(1.0 if fast else float(source.speed), source.max_gap_secs * 1e9, clock.ns_per_tick)
    staging = make_staging(STAGING_SIZE, len(feed.instruments))
    decoder = Decoder(feed, staging, pacing, open_again if source.loop else None)
    return Source(
        feed.instruments,
        staging,
        feed,
        decoder,
        by_time=not at_rate and not fast,
        telemetry_symbols=max(len(feed.instruments), _MOST_SYMBOLS_SHOWN),
    )
