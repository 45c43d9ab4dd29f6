"""A snapshot: everything that shows or exports anything about a running engine is made from this immutable value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velox_engine.lockfree.histogram_view import Histogram

_AS_EXPECTED = frozenset({"applied", "passed", "from_seed", "seeded"})


class State(IntEnum):
    """The states of an engine (design §6)."""

    STARTING = 0
    RUNNING = 1
    PAUSED = 2
    DRAINING = 3
    DRAINED = 4
    STOPPED = 5
    FAILED = 6

    @property
    def word(self) -> str:
        """The state in lower case, as reports and messages write it."""
        return self.name.lower()


class Doing(IntEnum):
    """What a stage did in its last step before it published."""

    BUSY = 0
    WAITING = 1
    HELD_BACK = 2


class BookState(IntEnum):
    """How far a symbol's book can be trusted (design §4)."""

    SYNCED = 0
    WINDOWED = 1
    CROSSED = 2
    STALE = 3


@dataclass(frozen=True, slots=True)
class StageSnapshot:
    """One stage: what it passed and how.

    ``latency`` and ``service`` are in ns: from due time to this stage, and work a transaction. ``content`` is the hash
    of everything it passed when it last published (16 hex digits); ``checkpoints`` maps multiples of 2^20 to the hash
    at that sequence. ``disorder`` counts batches with a sequence number out of place.
    """

    name: str
    processed: int
    steps: int
    starved: int
    held: int
    doing: Doing
    disorder: int
    content: str
    checkpoints: dict[int, str]
    first_ticks: int
    last_ticks: int
    latency: Histogram
    service: Histogram
    published_ticks: int
    stale: bool


@dataclass(frozen=True, slots=True)
class RingSnapshot:
    """A ring between two stages: slots waiting now, most that ever waited, capacity. The output ring holds bundles."""

    name: str
    waiting: int
    high_water: int
    capacity: int


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """A worker: its ``core`` (``None`` unpinned), its stages, seconds busy, without input and held back."""

    index: int
    core: int | None
    thread_id: int
    stages: tuple[str, ...]
    started_s: float
    busy_s: float
    starved_s: float
    held_s: float
    slept_s: float
    sleeps: int
    yields: int
    grows: int
    grow_s: float
    heartbeat_age_s: float


@dataclass(frozen=True, slots=True)
class DepthSnapshot:
    """The book of one symbol: ``bids`` and ``asks`` int64, shape (n, 3): price, size, orders; best first."""

    symbol: int
    state: BookState
    sequence: int
    ticks: int
    approximate: bool
    bids: NDArray[np.int64]
    asks: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BookSummary:
    """The state and the best of one symbol's book; size 0 means an empty side."""

    state: BookState
    best_bid: int
    best_bid_size: int
    best_ask: int
    best_ask_size: int
    bid_levels: int
    ask_levels: int
    orders: int


@dataclass(frozen=True, slots=True)
class Trade:
    """A fill or a print."""

    sequence: int
    event_ns: int
    symbol: int
    price: int
    size: int
    side: int
    action: int


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: ``severity`` is info, warning or error.

    ``values`` are state, rate and counts at that moment and what else it is about. ``number`` counts an engine's events
    from 0; -1 where it is not one of an engine's.
    """

    unix_ns: int
    severity: str
    text: str
    values: Mapping[str, Any] = field(default_factory=dict, compare=False)
    number: int = -1


@dataclass(frozen=True, slots=True)
class Conservation:
    """Whether every transaction is accounted for, as far as one look can tell, and what speaks against it."""

    holds: bool
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at the engine. Counts never go back from one snapshot to the next of the same reader.

    ``rate_per_s`` is what is asked for: infinity is maximum rate, not-a-number the recorded pace.
    ``lag_abandoned_s`` is due time given up by rate changes. ``stale`` names blocks that could not be read whole; their
    last good copy is shown.
    """

    name: str
    pid: int
    state: State
    state_since_unix_ns: int
    taken_unix_ns: int
    uptime_s: float
    paused_s: float
    rate_per_s: float
    seed: int
    drain_deadline_unix_ns: int
    source_ended: bool
    generated: int
    dropped: int
    rejected: dict[str, int]
    seeded: int
    lag_abandoned_s: float
    stages: tuple[StageSnapshot, ...]
    rings: tuple[RingSnapshot, ...]
    workers: tuple[WorkerSnapshot, ...]
    stalled_workers: tuple[int, ...]
    flushed: int
    by_size: int
    by_timeout: int
    by_drain: int
    open_bundle: int
    bundle_sizes: NDArray[np.int64]
    bundles_out: int
    sink_written: int
    sink_lost: int
    book_outcomes: dict[str, int]
    trades_seen: int
    hiccup: Histogram
    depths: tuple[DepthSnapshot, ...]
    trades: tuple[Trade, ...]
    conservation: Conservation
    warnings: tuple[str, ...]
    stale: tuple[str, ...]
    config: dict[str, Any] = field(repr=False)

    @property
    def ingress(self) -> StageSnapshot:
        """The first stage."""
        return self.stages[0]

    @property
    def orderbook(self) -> StageSnapshot:
        """The second stage."""
        return self.stages[1]

    @property
    def bundle(self) -> StageSnapshot:
        """The third stage."""
        return self.stages[2]

    @property
    def output(self) -> StageSnapshot:
        """The last stage; its latency is end to end."""
        return self.stages[3]

    @property
    def book_errors(self) -> dict[str, int]:
        """The outcomes that tell of something odd in the flow, by name."""
        return {name: count for name, count in self.book_outcomes.items() if name not in _AS_EXPECTED}

    @property
    def inside(self) -> int:
        """Transactions between ingress and output."""
        return self.ingress.processed - self.output.processed
