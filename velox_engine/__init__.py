"""Velox's engine: a lock-free transaction pipeline. The public names; each is imported when it is first asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from velox_engine.books.exact import ExactBook
    from velox_engine.config import Config, load_config
    from velox_engine.engine import Engine
    from velox_engine.errors import (
        BundleError,
        ClockError,
        ConfigError,
        EngineError,
        FeedError,
        OrderBookError,
        TransactionError,
        VeloxError,
    )
    from velox_engine.feeds.opening import open_feed
    from velox_engine.records import TRANSACTION, Action, Bundle, Flags, Instrument, Side, Transaction
    from velox_engine.report import Report
    from velox_engine.snapshot import Snapshot, State

_HOMES = {
    "books.exact": ("ExactBook",),
    "config": ("Config", "load_config"),
    "engine": ("Engine",),
    "errors": (
        "BundleError",
        "ClockError",
        "ConfigError",
        "EngineError",
        "FeedError",
        "OrderBookError",
        "TransactionError",
        "VeloxError",
    ),
    "feeds.opening": ("open_feed",),
    "records": ("TRANSACTION", "Action", "Bundle", "Flags", "Instrument", "Side", "Transaction"),
    "report": ("Report",),
    "snapshot": ("Snapshot", "State"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "TRANSACTION",
    "Action",
    "Bundle",
    "BundleError",
    "ClockError",
    "Config",
    "ConfigError",
    "Engine",
    "EngineError",
    "ExactBook",
    "FeedError",
    "Flags",
    "Instrument",
    "OrderBookError",
    "Report",
    "Side",
    "Snapshot",
    "State",
    "Transaction",
    "TransactionError",
    "VeloxError",
    "load_config",
    "open_feed",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # numba costs half a second to import: whoever only reads a configuration does without it
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
