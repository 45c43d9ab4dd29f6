"""What a recorded file holds: the whole feed read once, through an exact book."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from velox_engine.books.exact import ExactBook
from velox_engine.errors import FeedError
from velox_engine.feeds.base import Feed, TimeBase
from velox_engine.records import Action, Flags, Side, Transactions

SCHEMA: Final = 1
"""The version of `FeedSummary.as_json`; it grows when a field changes its meaning."""

_SECOND: Final = 10**9


@dataclass(frozen=True, slots=True)
class Event:
    """One record, for people: decimal text where the record counts units; ``None`` where the field says nothing."""

    time: str
    event_ns: int
    action: str
    symbol: str
    side: str | None
    price: str | None
    size: str
    order_id: int


@dataclass(slots=True)
class SymbolSummary:
    """One instrument: how many records it had, and its book at the end; a price is ``None`` for an empty side."""

    symbol: str
    price_decimals: int
    size_decimals: int
    tick: int
    records: int = 0
    state: str = ""
    best_bid: str | None = None
    best_bid_size: str | None = None
    best_ask: str | None = None
    best_ask_size: str | None = None
    bid_levels: int = 0
    ask_levels: int = 0
    orders: int = 0


@dataclass(slots=True)
class FeedSummary:
    """What a feed holds.

    ``records`` and ``actions`` count the flow; the seed stands beside it as ``seeded``. ``first_ns`` and ``last_ns``
    are the least and greatest pacing time of the flow, and ``span_ns`` what lies between. ``skipped`` are messages that
    make no record, by kind. ``odd`` counts what is odd, by name; 0 is left out. ``fault`` is what ended the reading
    before the file's end, ``cut_off`` that a journal ends without its end.
    """

    file: str
    format: str
    rules: str
    time_base: TimeBase
    seed_source: str | None
    windowed: bool = False
    priced: bool = True
    records: int = 0
    seeded: int = 0
    actions: dict[str, int] = field(default_factory=dict)
    first_ns: int | None = None
    last_ns: int | None = None
    span_ns: int = 0
    first: Event | None = None
    last: Event | None = None
    skipped: dict[str, int] = field(default_factory=dict)
    odd: dict[str, int] = field(default_factory=dict)
    cut_off: str | None = None
    fault: str | None = None
    unseen: list[str] = field(default_factory=list)
    symbols: list[SymbolSummary] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The summary as plain values."""
        return {"schema": SCHEMA, **asdict(self)}


def summarize(feed: Feed) -> FeedSummary:
    """Read a feed to its end, or to what is wrong with it, and say what it holds."""
    return _Reading(feed).read()


class _Reading:
    """One pass over a feed."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.book = ExactBook(feed.instruments, windowed=feed.windowed)
        self.actions: Counter[int] = Counter()
        self.by_symbol = np.zeros(0, np.int64)
        self.seeding = feed.seed_source is not None
        self.summary = FeedSummary(str(feed.path), feed.format, feed.rules, feed.time_base, feed.seed_source)

    def read(self) -> FeedSummary:
        feed, summary = self.feed, self.summary
        try:
            for batch in feed:
                self._take(batch)
        except FeedError as error:
            summary.fault = str(error)
        finally:
            feed.close()
        summary.time_base, summary.seed_source = feed.time_base, feed.seed_source
        summary.windowed, summary.priced = feed.windowed, feed.priced
        summary.actions = {Action(action).name: self.actions[action] for action in sorted(self.actions)}
        if summary.first_ns is not None and summary.last_ns is not None:
            summary.span_ns = summary.last_ns - summary.first_ns
        summary.skipped = dict(sorted(feed.oddities.skipped.items()))
        summary.cut_off = feed.oddities.cut_off
        summary.unseen = feed.unseen
        summary.symbols = [self._symbol(index) for index in range(len(feed.instruments))]
        summary.odd = self._odd()
        return summary

    def _take(self, batch: Transactions) -> None:
        summary = self.summary
        self.book.apply(batch)
        self.seeding = self.seeding and bool(batch["flags"][0] & int(Flags.SNAPSHOT))
        if self.seeding:
            summary.seeded += len(batch)
            return
        counts = np.bincount(batch["action"])
        for action in np.flatnonzero(counts).tolist():
            self.actions[action] += int(counts[action])
        by_symbol = np.bincount(batch["symbol"], minlength=len(self.feed.instruments))
        by_symbol[: len(self.by_symbol)] += self.by_symbol
        self.by_symbol = by_symbol
        least, most = int(batch["due_ticks"].min()), int(batch["due_ticks"].max())
        summary.first_ns = least if summary.first_ns is None else min(summary.first_ns, least)
        summary.last_ns = most if summary.last_ns is None else max(summary.last_ns, most)
        summary.first = summary.first or self._event(batch[0])
        summary.last = self._event(batch[-1])
        summary.records += len(batch)

    def _event(self, record: Any) -> Event:
        instrument = self.feed.instruments[int(record["symbol"])]
        action, side = Action(int(record["action"])), Side(int(record["side"]))
        # a price without a side is what was paid, or 0 where the record has none
        priced = action not in (Action.CLEAR, Action.STATUS) and (side != Side.NONE or int(record["price"]) != 0)
        return Event(
            time=event_time(int(record["event_ns"]), self.feed.time_base),
            event_ns=int(record["event_ns"]),
            action=action.name,
            symbol=instrument.symbol,
            side=side.name if side != Side.NONE else None,
            price=decimal(int(record["price"]), instrument.price_decimals) if priced else None,
            size=decimal(int(record["size"]), instrument.size_decimals if action != Action.STATUS else 0),
            order_id=int(record["order_id"]),
        )

    def _symbol(self, index: int) -> SymbolSummary:
        instrument = self.feed.instruments[index]
        bid, bid_size, ask, ask_size = self.book.best(index)
        bid_levels, bid_orders, ask_levels, ask_orders = self.book.totals(index)
        prices, sizes = instrument.price_decimals, instrument.size_decimals
        return SymbolSummary(
            symbol=instrument.symbol,
            price_decimals=prices,
            size_decimals=sizes,
            tick=instrument.tick,
            records=int(self.by_symbol[index]) if index < len(self.by_symbol) else 0,
            state=self.book.state(index),
            best_bid=decimal(bid, prices) if bid_levels else None,
            best_bid_size=decimal(bid_size, sizes) if bid_levels else None,
            best_ask=decimal(ask, prices) if ask_levels else None,
            best_ask_size=decimal(ask_size, sizes) if ask_levels else None,
            bid_levels=bid_levels,
            ask_levels=ask_levels,
            orders=bid_orders + ask_orders,
        )

    def _odd(self) -> dict[str, int]:
        outcomes, oddities = self.book.outcomes, self.feed.oddities
        counts = {
            "unknown references": outcomes.unknown,
            "fills of unknown orders": outcomes.unknown_fill,
            "taken from the seed": outcomes.from_seed,
            "duplicate orders": outcomes.duplicate,
            "negative remainders": outcomes.negative_remainder,
            "quantity overflows": outcomes.overflow,
            "invalid records": outcomes.invalid,
            "crossed moments": outcomes.crossed,
            "gaps": oddities.gaps,
            "time going back": oddities.time_back,
            "stale books at the end": sum(symbol.state == "stale" for symbol in self.summary.symbols),
        }
        return {name: count for name, count in counts.items() if count}


def decimal(value: int, decimals: int) -> str:
    """Write an integer count of units as a decimal number, without zeros at its end."""
    digits = f"{abs(value):0{decimals + 1}d}"
    whole, rest = digits[: len(digits) - decimals], digits[len(digits) - decimals :].rstrip("0")
    return f"{'-' if value < 0 else ''}{whole}{'.' if rest else ''}{rest}"


def event_time(ns: int, base: TimeBase) -> str:
    """Write a time of a feed: with its date where the time base has one, to the nanosecond."""
    if base.zero == "unix":
        try:
            moment = datetime.fromtimestamp(ns // _SECOND, UTC)
        except (OverflowError, ValueError, OSError):
            return f"{ns} ns"
        return f"{moment:%Y-%m-%d %H:%M:%S}.{ns % _SECOND:09d} UTC"
    seconds, rest = divmod(ns, _SECOND)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:09d}"
    return " ".join(part for part in (base.date, clock, base.zone) if part)
