"""``velox-tui feed``: what a recorded file holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from velox_tui.options import Parser, UsageError
from velox_tui.streams import complain, put

if TYPE_CHECKING:
    from velox_engine.feeds.summary import Event, FeedSummary, SymbolSummary

_SHOWN: Final = 10  # books that are listed; --json has all


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code: 2 where nothing could be read, 1 where not all could."""
    parser = Parser(
        "velox-tui feed",
        "velox-tui feed FILE[:FORMAT] [options]",
        "Say what a recorded file holds: format, symbols, counts by action, time span, what is odd about it.",
    )
    parser.add_argument("file", metavar="FILE[:FORMAT]", nargs="?", help="the file; its format is found, or is FORMAT")
    parser.option("--symbols", metavar="A,B", help="read only these")
    parser.option("--seed-book", metavar="FILE|none", help="the book before the first message, or none")
    parser.option("--json", action="store_true", help="say it as JSON")
    asked = parser.read(arguments)
    if not asked.file:
        raise UsageError("expected a file: velox-tui feed FILE")

    from velox_engine.errors import FeedError
    from velox_engine.feeds.base import Seed
    from velox_engine.feeds.opening import open_feed, split_source
    from velox_engine.feeds.summary import summarize

    path, form = split_source(asked.file)
    seed: Seed = False if asked.seed_book == "none" else asked.seed_book
    try:
        feed = open_feed(path, form, asked.symbols, seed)
    except FeedError as error:
        complain(str(error))
        return 2
    summary = summarize(feed)
    if summary.fault is not None and not summary.records + summary.seeded:
        complain(summary.fault)
        return 2
    text = json.dumps(summary.as_json(), indent=2) + "\n" if asked.json else told(summary)
    wrote = put(text)
    if summary.fault is not None:
        complain(summary.fault)
        return 1
    return wrote


def told(summary: FeedSummary) -> str:
    """Write a summary for people, several lines."""
    base = summary.time_base
    rows = [
        ("format", summary.format),
        ("symbols", _symbols(summary)),
        ("records", f"{summary.records:,}{': ' if summary.records else ''}{_counts(summary.actions)}"),
    ]
    if summary.seed_source is not None:
        rows.append(("seed", f"{summary.seeded:,} records from {summary.seed_source}"))
    if summary.first is not None and summary.last is not None:
        rows += [
            ("span", f"{_duration(summary.span_ns)}, paced by {base.paced_by}"),
            ("first", _event(summary.first)),
            ("last", _event(summary.last)),
        ]
    if summary.skipped:
        rows.append(("skipped", _counts(summary.skipped)))
    rows.append(("odd", _odd(summary)))
    for symbol in summary.symbols[:_SHOWN]:
        rows.append(("book", _book(symbol)))
    if len(summary.symbols) > _SHOWN:
        rows.append(("", f"and {len(summary.symbols) - _SHOWN:,} more, with --json"))
    rules = summary.rules.split("; ")
    rows += [("rules", rules[0]), *(("", rule) for rule in rules[1:])]
    return f"{summary.file}\n" + "".join(f"  {name:8} {text}\n" for name, text in rows)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _symbols(summary: FeedSummary) -> str:
    names = [f"{symbol.symbol} ({symbol.records:,})" for symbol in summary.symbols[:_SHOWN]]
    more = len(summary.symbols) - len(names)
    text = ", ".join(names) + (f" and {more:,} more" if more else "") or "none"
    return text + (f"; not met: {', '.join(summary.unseen)}" if summary.unseen else "")


def _event(event: Event) -> str:
    parts = [event.time, event.action, event.symbol, (event.side or "").lower()]
    if event.action not in ("CLEAR", "STATUS"):
        if event.price is not None:
            parts.append(f"{event.size} x {event.price}")
        elif event.size != "0":
            parts.append(event.size)
    if event.order_id:
        parts.append(f"order {event.order_id}")
    return " ".join(part for part in parts if part)


def _duration(ns: int) -> str:
    seconds, rest = divmod(ns, 10**9)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest // 10**6:03d}"


def _odd(summary: FeedSummary) -> str:
    parts = [_counts(summary.odd)] if summary.odd else []
    parts += [summary.cut_off] if summary.cut_off else []
    parts += ["a damaged place ended the reading"] if summary.fault else []
    return "; ".join(parts) or "nothing"


def _book(symbol: SymbolSummary) -> str:
    if not symbol.bid_levels + symbol.ask_levels:
        return f"{symbol.symbol} {symbol.state}, empty"
    bid = f"{symbol.best_bid} x {symbol.best_bid_size}" if symbol.best_bid is not None else "none"
    ask = f"{symbol.best_ask} x {symbol.best_ask_size}" if symbol.best_ask is not None else "none"
    levels = f"{symbol.bid_levels:,} bid and {symbol.ask_levels:,} ask levels"
    return f"{symbol.symbol} {symbol.state}, best {bid} / {ask}, {levels}, {symbol.orders:,} orders"
