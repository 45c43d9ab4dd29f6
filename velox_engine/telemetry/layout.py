"""Where everything lies in the telemetry region. Used by the writers (compiled) and by readers (no numba).

The region is an array of ``int64`` words: a header, a directory of blocks, and the blocks. A guarded block is

===== ==============================================================
word  field
===== ==============================================================
0     sequence lock: odd while the block is being written
1     checksum of the payload and of the lock's even value (`checksum_of`)
2 …   payload
===== ==============================================================

Each block has one writer and begins on a line of its own. ``CURSORS`` alone is not guarded: each of its words is
written whole by one stage, on a line of its own, after every step.

A payload's words are named below by constants: ``STAGE_…`` for the blocks of the four stages, and so on. What a stage
counts, it counts in a private array of the same shape (its *image*), which it copies into the region at most every
10 ms, when it falls idle and when it stops.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from velox_engine.lockfree import histogram_view

MAGIC: Final = int.from_bytes(b"VELOXTM\x00", "little")
LAYOUT_VERSION: Final = 1
GUARD_WORDS: Final = 2
HISTOGRAM_LENGTH: Final = histogram_view.LENGTH
LINE_WORDS: Final = 16


class Block(IntEnum):
    """The kinds of blocks; the numbers are part of the layout."""

    CONTROL = 1
    CURSORS = 2
    STAGE = 3
    WORKER = 4
    HICCUP = 5
    DEPTH = 6
    TRADES = 7
    BOOKS = 8
    INSTRUMENTS = 9
    SAMPLES = 10
    EVENTS = 11
    CONFIG = 12
    WARNINGS = 13


# ---- header, unguarded: written before the magic number, which is written last
HEADER_MAGIC: Final = 0
HEADER_VERSION: Final = 1
HEADER_WORDS: Final = 2  # words in the whole region
HEADER_PID: Final = 3
HEADER_PID_STARTED: Final = 4  # when the process started, as the system counts it (`process_start`)
HEADER_CREATED_UNIX_NS: Final = 5
HEADER_NS_PER_TICK: Final = 6  # float64
HEADER_ZERO_TICKS: Final = 7
HEADER_ZERO_UNIX_NS: Final = 8
HEADER_ZERO_MONOTONIC_NS: Final = 9
HEADER_DIRECTORY: Final = 10  # word where the directory begins
HEADER_BLOCKS: Final = 11  # entries in the directory
HEADER_NAME: Final = 16  # UTF-8, padded with zeros
HEADER_NAME_WORDS: Final = 8
HEADER_LENGTH: Final = 32

# ---- a directory entry
ENTRY_KIND: Final = 0
ENTRY_INDEX: Final = 1  # among blocks of this kind
ENTRY_OFFSET: Final = 2  # word where the block begins
ENTRY_LENGTH: Final = 3  # words of payload
ENTRY_VERSION: Final = 4  # of this kind's payload
ENTRY_LENGTH_WORDS: Final = 8

# ---- CONTROL: written by the supervisor
CONTROL_STATE: Final = 0  # `State` of snapshot.py
CONTROL_STATE_SINCE_UNIX_NS: Final = 1
CONTROL_STARTED_UNIX_NS: Final = 2  # when it began to run; 0 before
CONTROL_RATE: Final = 3  # float64: asked for, per second; infinity for maximum rate
CONTROL_UNIX_NS: Final = 4  # when the supervisor last wrote this
CONTROL_PAUSED_NS: Final = 5  # in all, the running pause included
CONTROL_SEED: Final = 6
CONTROL_DRAIN_DEADLINE_UNIX_NS: Final = 7  # 0 when not draining
CONTROL_EVENTS: Final = 8  # events so far
CONTROL_STALLED: Final = 9  # bit mask of workers without a heartbeat for a second
CONTROL_SOURCE_ENDED: Final = 10
CONTROL_SINK_WRITTEN: Final = 11
CONTROL_SINK_LOST: Final = 12
CONTROL_LENGTH: Final = 16

# ---- CURSORS: how many transactions each stage has passed, stored after every step; one line each
CURSOR_INGRESS: Final = 0
CURSOR_ORDERBOOK: Final = LINE_WORDS
CURSOR_BUNDLE: Final = 2 * LINE_WORDS  # transactions taken into bundles
CURSOR_OUTPUT: Final = 3 * LINE_WORDS
CURSOR_GENERATED: Final = 4 * LINE_WORDS
CURSOR_FLUSHED: Final = 5 * LINE_WORDS  # bundles
CURSOR_BUNDLES_OUT: Final = 6 * LINE_WORDS
CURSORS_LENGTH: Final = 7 * LINE_WORDS

# ---- STAGE: one block a stage
INGRESS, ORDERBOOK, BUNDLE, OUTPUT = range(4)
STAGE_NAMES: Final = ("ingress", "orderbook", "bundle", "output")

STAGE_PROCESSED: Final = 0  # transactions passed (ingress: accepted)
STAGE_STEPS: Final = 1  # steps that did work
STAGE_STARVED: Final = 2  # steps that found nothing to read
STAGE_HELD: Final = 3  # steps that found no room in the next ring
STAGE_DOING: Final = 4  # the last step: 0 busy, 1 waiting for input, 2 held back
STAGE_DISORDER: Final = 5  # batches in which a sequence number was not the expected one
STAGE_CONTENT: Final = 6  # content hash of everything passed
STAGE_FIRST_TICKS: Final = 7  # when it first did work; 0 before
STAGE_LAST_TICKS: Final = 8  # when it last did work
STAGE_RING_WAITING: Final = 9  # slots waiting in the ring that it reads, when it published
STAGE_RING_HIGH_WATER: Final = 10  # most it ever found waiting
STAGE_RING_CAPACITY: Final = 11
STAGE_PUBLISHED_TICKS: Final = 12
STAGE_CHECKPOINTS: Final = 16  # the last 8 pairs (sequence, content hash) at multiples of 2^20
CHECKPOINTS: Final = 8
CHECKPOINT_EVERY: Final = 1 << 20
STAGE_OWN: Final = 32

INGRESS_GENERATED: Final = STAGE_OWN + 0
INGRESS_DROPPED: Final = STAGE_OWN + 1  # the ring was full
INGRESS_SEEDED: Final = STAGE_OWN + 2
INGRESS_LAG_ABANDONED_TICKS: Final = STAGE_OWN + 3
INGRESS_PAUSED_TICKS: Final = STAGE_OWN + 4
INGRESS_REJECTED: Final = STAGE_OWN + 8  # by `Rejection`
REJECTIONS: Final = 5

ORDERBOOK_ERRORS: Final = STAGE_OWN + 0  # by the book's own table of outcomes
BOOK_OUTCOMES: Final = 16
ORDERBOOK_TRADES: Final = STAGE_OWN + 16  # fills and prints seen

BUNDLE_BY_SIZE: Final = STAGE_OWN + 0
BUNDLE_BY_TIMEOUT: Final = STAGE_OWN + 1
BUNDLE_BY_DRAIN: Final = STAGE_OWN + 2
BUNDLE_OPEN: Final = STAGE_OWN + 3  # transactions in the open bundle
BUNDLE_SIZES: Final = STAGE_OWN + 8  # flushed bundles by size, 0 … 256

OUTPUT_BUNDLES: Final = STAGE_OWN + 0

STAGE_LATENCY: Final = 304  # histogram, ns: from due time to this stage
STAGE_SERVICE: Final = STAGE_LATENCY + HISTOGRAM_LENGTH  # histogram, ns: work a transaction
STAGE_LENGTH: Final = STAGE_SERVICE + HISTOGRAM_LENGTH

# ---- WORKER: one block a worker
WORKER_CORE: Final = 0  # -1 unpinned
WORKER_THREAD_ID: Final = 1
WORKER_STAGES: Final = 2  # bit mask
WORKER_HEARTBEAT_TICKS: Final = 3
WORKER_STARTED_TICKS: Final = 4
WORKER_BUSY_TICKS: Final = 5
WORKER_STARVED_TICKS: Final = 6
WORKER_HELD_TICKS: Final = 7
WORKER_SLEEPS: Final = 8
WORKER_YIELDS: Final = 9
WORKER_SLEPT_TICKS: Final = 10
WORKER_LOOPS: Final = 11
WORKER_GROWS: Final = 12
WORKER_GROW_TICKS: Final = 13
WORKER_LENGTH: Final = 16

# ---- DEPTH: one block a slot
DEPTH_SLOTS: Final = 8
DEPTH_LEVELS: Final = 200
DEPTH_SYMBOL: Final = 0  # -1: nobody has leased the slot
DEPTH_SEQUENCE: Final = 1  # transactions applied to the books when it was taken
DEPTH_TICKS: Final = 2
DEPTH_STATE: Final = 3
DEPTH_BIDS: Final = 4  # levels that follow, best first
DEPTH_ASKS: Final = 5
DEPTH_APPROXIMATE: Final = 6  # 1: prices stand for a bucket
DEPTH_SIDE: Final = 16  # bids: price, size, orders a level; asks behind them
DEPTH_LEVEL_WORDS: Final = 3
DEPTH_LENGTH: Final = DEPTH_SIDE + 2 * DEPTH_LEVELS * DEPTH_LEVEL_WORDS

# ---- TRADES
TRADES_COUNT: Final = 0  # ever
TRADES_FIRST: Final = 8
TRADES_KEPT: Final = 64
TRADE_WORDS: Final = 8  # sequence, event_ns, symbol, price, size, side, action, -
TRADES_LENGTH: Final = TRADES_FIRST + TRADES_KEPT * TRADE_WORDS

# ---- BOOKS: state of each symbol's book
BOOKS_COUNT: Final = 0
BOOKS_FIRST: Final = 8
BOOK_WORDS: Final = 8  # state, best bid, its size, best ask, its size, bid levels, ask levels, orders

# ---- INSTRUMENTS
INSTRUMENTS_COUNT: Final = 0
INSTRUMENTS_FIRST: Final = 8
INSTRUMENT_WORDS: Final = 16  # price decimals, size decimals, tick, name length, name (96 bytes)
INSTRUMENT_NAME: Final = 4

# ---- SAMPLES: one a second, 15 minutes of them
SAMPLES_COUNT: Final = 0  # ever
SAMPLES_FIRST: Final = 8
SAMPLES_KEPT: Final = 900
SAMPLE_WORDS: Final = 32
SAMPLE_FIELDS: Final = (
    "unix_ns",
    "generated",
    "ingress",
    "orderbook",
    "bundle",
    "output",
    "bundles",
    "dropped",
    "rejected",
    "by_size",
    "by_timeout",
    "by_drain",
    "ring_orderbook",
    "ring_bundle",
    "ring_output",
    "p50_ns",
    "p90_ns",
    "p99_ns",
    "p999_ns",
    "max_ns",
    "hiccup_p99_ns",
    "hiccup_max_ns",
    "busy_permille_0",
    "busy_permille_1",
    "busy_permille_2",
    "busy_permille_3",
    "state",
)
SAMPLES_LENGTH: Final = SAMPLES_FIRST + SAMPLES_KEPT * SAMPLE_WORDS

# ---- EVENTS
EVENTS_COUNT: Final = 0  # ever
EVENTS_FIRST: Final = 8
EVENTS_KEPT: Final = 256
EVENT_WORDS: Final = 96  # unix_ns, severity, text length, text (480 bytes), length of values, values (256 bytes)
EVENT_TEXT: Final = 3
EVENT_VALUES: Final = 64  # JSON: state, rate and counts at that moment, and what else the event is about
EVENT_TEXT_BYTES: Final = (EVENT_VALUES - 1 - EVENT_TEXT) * 8
EVENT_VALUES_BYTES: Final = (EVENT_WORDS - EVENT_VALUES) * 8
EVENTS_LENGTH: Final = EVENTS_FIRST + EVENTS_KEPT * EVENT_WORDS

# ---- CONFIG, WARNINGS: JSON as UTF-8: length in bytes, then the bytes
TEXT_BYTES: Final = 0
TEXT_FIRST: Final = 1
CONFIG_LENGTH: Final = 2048
WARNINGS_LENGTH: Final = 1024

WEIGHT_STEP: Final = 0x9E3779B97F4A7C15
_HALF: Final = np.uint64(32)


def checksum_of(payload: NDArray[np.int64], lock: int) -> int:
    """Return a block's checksum: the sum of its words × odd weights, plus the even lock value, mod 2^64, as int64.

    A word's high half is mixed into its low one before: else words that differ in their top bit alone could change
    places unseen, since the weights differ by even numbers. The weights make two words that changed places differ, the
    lock two writings of one content.
    """
    words = payload.view(np.uint64)
    total = int(np.dot(words ^ (words >> _HALF), _weights(len(payload)))) + lock
    return (total + 2**63) % 2**64 - 2**63


@lru_cache(64)
def _weights(words: int) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        return np.arange(words, dtype=np.uint64) * np.uint64(2 * WEIGHT_STEP % 2**64) + np.uint64(1)
