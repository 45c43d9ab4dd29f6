"""Reading the telemetry region: blocks under their sequence locks, put together as a `Snapshot`. Imports no numba."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from velox_engine.lockfree.histogram_view import Histogram
from velox_engine.records import Rejection
from velox_engine.snapshot import (
    BookState,
    BookSummary,
    Conservation,
    DepthSnapshot,
    Doing,
    Event,
    RingSnapshot,
    Snapshot,
    StageSnapshot,
    State,
    Trade,
    WorkerSnapshot,
)
from velox_engine.telemetry import layout as at
from velox_engine.telemetry.layout import Block
from velox_engine.telemetry.region import Readable, blocks_of, words_text

T = TypeVar("T")

_TRIES: Final = 16
_NS: Final = 1e-9
_CURSORS: Final = (at.CURSOR_INGRESS, at.CURSOR_ORDERBOOK, at.CURSOR_BUNDLE, at.CURSOR_OUTPUT)
RING_NAMES: Final = ("ingress", "bundle", "output")
"""The rings as the report names them: what ingress fills, what the order book fills, what bundle fills."""
SEVERITIES: Final = ("info", "warning", "error")


def as_hex(word: int) -> str:
    """Write a content hash."""
    return f"{int(word) % 2**64:016x}"


class TelemetryReader:
    """Reads one region, of this process or another. One thread at a time; make one reader for each thread.

    A block that is being written is tried again a bounded number of times; then the last good copy is returned and the
    snapshot's ``stale`` names it. A block that was not written since the last look is not copied again. Reading touches
    nothing of the engine's own memory.
    """

    def __init__(self, region: Readable) -> None:
        self._region = region
        words = region.copy(0, at.HEADER_LENGTH)
        self._good: dict[tuple[Block, int], tuple[int, NDArray[np.int64]]] = {}
        self._stale: list[str] = []
        self._texts: dict[Block, tuple[int, Any]] = {}
        self._decoded: dict[tuple[Block, int], tuple[NDArray[np.int64], Any]] = {}
        self._low: dict[str, int] = {}
        self._told: list[Event] = []
        self.ns_per_tick = float(words[at.HEADER_NS_PER_TICK : at.HEADER_NS_PER_TICK + 1].view(np.float64)[0])
        self.zero_ticks = int(words[at.HEADER_ZERO_TICKS])
        self.zero_unix_ns = int(words[at.HEADER_ZERO_UNIX_NS])
        self.zero_monotonic_ns = int(words[at.HEADER_ZERO_MONOTONIC_NS])
        self.created_unix_ns = int(words[at.HEADER_CREATED_UNIX_NS])
        self.pid = int(words[at.HEADER_PID])
        self.pid_started = int(words[at.HEADER_PID_STARTED])
        name = words[at.HEADER_NAME : at.HEADER_NAME + at.HEADER_NAME_WORDS].view(np.uint8).tobytes()
        self.name = name.rstrip(b"\0").decode(errors="replace")

    def block(self, kind: Block, index: int = 0) -> NDArray[np.int64]:
        """Return a whole copy of a block's payload, read-only; the last good one if none can be had now.

        It is the same array again while the block is not written.
        """
        place, region = self._region.places[kind, index], self._region
        lock = place.at
        known = self._good.get((kind, index))
        for attempt in range(_TRIES):
            before = region.word(lock)
            if known is not None and known[0] == before:
                return known[1]  # nothing was written since: most blocks stay as they are from look to look
            if before & 1 == 0:
                copy = region.copy(lock + 1, at.GUARD_WORDS - 1 + place.length)
                # a writer on a weakly ordered processor is caught by the checksum, which Python has no fence for
                if region.word(lock) == before and int(copy[0]) == at.checksum_of(copy[1:], before):
                    copy.flags.writeable = False
                    self._good[kind, index] = before, copy[1:]
                    return copy[1:]
            if attempt > 2:
                time.sleep(0)  # the writer may have been put aside in the middle: give it a chance
        self._stale.append(f"{kind.name.lower()} {index}")
        return known[1] if known is not None else np.zeros(place.length, np.int64)

    def _once(self, kind: Block, index: int, decode: Callable[[NDArray[np.int64]], T]) -> T:
        """Return what a block means; it is worked out anew only when the block was written."""
        block = self.block(kind, index)
        known = self._decoded.get((kind, index))
        if known is None or known[0] is not block:
            known = self._decoded[kind, index] = block, decode(block)
        meaning: T = known[1]
        return meaning

    def _json(self, kind: Block, default: Any) -> Any:
        lock = self._region.word(self._region.at(kind))
        known = self._texts.get(kind)
        if known is None or known[0] != lock:
            try:
                known = (lock, json.loads(words_text(self.block(kind)) or json.dumps(default)))
            except ValueError:
                known = (lock, default)
            self._texts[kind] = known
        return known[1]

    def _passed(self) -> tuple[dict[int, int], Conservation, int]:
        """Read the cursors twice, against the stream and along it, and judge them; also return when that was, unix ns.

        The time belongs to the counts: what is read after them takes its time, and a rate would be wrong by it.
        """
        cursors, word_at = self._region.at(Block.CURSORS) + at.GUARD_WORDS, self._region.word
        early = [word_at(cursors + word) for word in _CURSORS]  # upstream first: a difference is at most what is inside
        bundles_out, flushed = word_at(cursors + at.CURSOR_BUNDLES_OUT), word_at(cursors + at.CURSOR_FLUSHED)
        # downstream first: it never exceeds upstream
        late = {word: word_at(cursors + word) for word in reversed(_CURSORS)}
        generated = word_at(cursors + at.CURSOR_GENERATED)
        now = time.time_ns()
        problems = []
        for up, down in zip(range(3), range(1, 4), strict=True):
            if late[_CURSORS[down]] > late[_CURSORS[up]]:
                problems.append(f"{at.STAGE_NAMES[down]} has passed more than {at.STAGE_NAMES[up]}")
            room = self._room(up)
            if room and early[up] - early[down] > room:
                problems.append(
                    f"{early[up] - early[down]} lie between {at.STAGE_NAMES[up]} and {at.STAGE_NAMES[down]}, "
                    f"where {room} have room"
                )
        if bundles_out > flushed:
            problems.append("output has passed more bundles than were flushed")
        counts = {**late, at.CURSOR_GENERATED: generated, at.CURSOR_FLUSHED: flushed}
        counts[at.CURSOR_BUNDLES_OUT] = bundles_out
        return counts, Conservation(not problems, tuple(problems)), now

    def _room(self, stage: int) -> int:
        """Return the most transactions that may lie between a stage and the next; 0 when it is not known yet."""
        config = self._json(Block.CONFIG, {})
        try:
            buffers, bundle, batch = config["buffers"], config["bundle"], config["pipeline"]["batch"]
            rings = (buffers["ingress_ring_size"], buffers["bundle_ring_size"])
            # a stage counts a batch before it publishes it: one batch beside what the ring holds
            return int(
                rings[stage] + batch if stage < 2 else (buffers["output_ring_size"] + 2) * bundle["max_size"] + batch
            )
        except (KeyError, TypeError):
            return 0

    def _monotone(self, name: str, value: int) -> int:
        """Never let a count of this reader go back: a cursor and a block are read at different moments."""
        value = max(value, self._low.get(name, 0))
        self._low[name] = value
        return value

    def read(self) -> Snapshot:
        """Take a snapshot. Blocks are read output first and ingress last, so that counts never grow downstream."""
        self._stale = []
        passed, conservation, now = self._passed()
        images = {stage: self.block(Block.STAGE, stage) for stage in (at.OUTPUT, at.BUNDLE, at.ORDERBOOK, at.INGRESS)}
        control = self.block(Block.CONTROL)
        stages = tuple(
            self._stage(stage, images[stage], passed[_CURSORS[stage]]) for stage in range(len(at.STAGE_NAMES))
        )
        problems = list(conservation.problems)
        problems += [f"{stage.name} met a sequence number out of place" for stage in stages if stage.disorder]
        common = set.intersection(*(set(stage.checkpoints) for stage in stages))
        if common:
            last = max(common)
            if len({stage.checkpoints[last] for stage in stages}) != 1:
                problems.append(f"content hashes differ at sequence {last}")
        ingress, bundle = images[at.INGRESS], images[at.BUNDLE]
        started = int(control[at.CONTROL_STARTED_UNIX_NS])
        alive_until = int(control[at.CONTROL_UNIX_NS])
        config = self._json(Block.CONFIG, {})
        names = config.get("book_outcomes", [])
        outcomes = images[at.ORDERBOOK][at.ORDERBOOK_ERRORS : at.ORDERBOOK_ERRORS + at.BOOK_OUTCOMES]
        rejected = ingress[at.INGRESS_REJECTED : at.INGRESS_REJECTED + at.REJECTIONS]
        stalled = int(control[at.CONTROL_STALLED])
        return Snapshot(
            name=self.name,
            pid=self.pid,
            state=State(int(control[at.CONTROL_STATE])),
            state_since_unix_ns=int(control[at.CONTROL_STATE_SINCE_UNIX_NS]),
            taken_unix_ns=now,
            uptime_s=max(alive_until - started, 0) * _NS if started else 0.0,
            paused_s=int(control[at.CONTROL_PAUSED_NS]) * _NS,
            rate_per_s=float(control[at.CONTROL_RATE : at.CONTROL_RATE + 1].view(np.float64)[0]) or math.inf,
            seed=int(control[at.CONTROL_SEED]),
            drain_deadline_unix_ns=int(control[at.CONTROL_DRAIN_DEADLINE_UNIX_NS]),
            source_ended=bool(control[at.CONTROL_SOURCE_ENDED]),
            generated=passed[at.CURSOR_GENERATED],
            dropped=int(ingress[at.INGRESS_DROPPED]),
            rejected={reason.name.lower(): int(rejected[reason]) for reason in Rejection},
            seeded=int(ingress[at.INGRESS_SEEDED]),
            lag_abandoned_s=self._seconds(ingress[at.INGRESS_LAG_ABANDONED_TICKS]),
            stages=stages,
            rings=self._rings(images),
            workers=tuple(self._worker(index) for index in blocks_of(self._region, Block.WORKER)),
            stalled_workers=tuple(index for index in range(64) if stalled >> index & 1),
            flushed=passed[at.CURSOR_FLUSHED],
            by_size=int(bundle[at.BUNDLE_BY_SIZE]),
            by_timeout=int(bundle[at.BUNDLE_BY_TIMEOUT]),
            by_drain=int(bundle[at.BUNDLE_BY_DRAIN]),
            open_bundle=int(bundle[at.BUNDLE_OPEN]),
            bundle_sizes=bundle[at.BUNDLE_SIZES : at.BUNDLE_SIZES + 257].copy(),
            bundles_out=passed[at.CURSOR_BUNDLES_OUT],
            sink_written=int(control[at.CONTROL_SINK_WRITTEN]),
            sink_lost=int(control[at.CONTROL_SINK_LOST]),
            book_outcomes={name: int(outcomes[row]) for row, name in enumerate(names)},
            trades_seen=int(images[at.ORDERBOOK][at.ORDERBOOK_TRADES]),
            hiccup=self._once(Block.HICCUP, 0, Histogram.from_words),
            depths=tuple(self._depths()),
            trades=self._once(Block.TRADES, 0, _trades),
            conservation=Conservation(not problems, tuple(problems)),
            warnings=tuple(self._json(Block.WARNINGS, [])),
            stale=tuple(self._stale),
            config=config,
        )

    def _seconds(self, ticks: Any) -> float:
        return int(ticks) * self.ns_per_tick * _NS

    def _stage(self, stage: int, image: NDArray[np.int64], passed: int) -> StageSnapshot:
        words = image[: at.STAGE_OWN].tolist()
        return StageSnapshot(
            name=at.STAGE_NAMES[stage],
            processed=self._monotone(at.STAGE_NAMES[stage], passed),
            steps=words[at.STAGE_STEPS],
            starved=words[at.STAGE_STARVED],
            held=words[at.STAGE_HELD],
            doing=Doing(words[at.STAGE_DOING]),
            disorder=words[at.STAGE_DISORDER],
            content=as_hex(words[at.STAGE_CONTENT]),
            checkpoints=_checkpoints(image),
            first_ticks=words[at.STAGE_FIRST_TICKS],
            last_ticks=words[at.STAGE_LAST_TICKS],
            latency=Histogram.from_words(image[at.STAGE_LATENCY : at.STAGE_LATENCY + at.HISTOGRAM_LENGTH]),
            service=Histogram.from_words(image[at.STAGE_SERVICE : at.STAGE_SERVICE + at.HISTOGRAM_LENGTH]),
            published_ticks=words[at.STAGE_PUBLISHED_TICKS],
            stale=f"stage {stage}" in self._stale,
        )

    def _rings(self, images: dict[int, NDArray[np.int64]]) -> tuple[RingSnapshot, ...]:
        readers = (at.ORDERBOOK, at.BUNDLE, at.OUTPUT)
        return tuple(
            RingSnapshot(
                name,
                int(images[reader][at.STAGE_RING_WAITING]),
                int(images[reader][at.STAGE_RING_HIGH_WATER]),
                int(images[reader][at.STAGE_RING_CAPACITY]),
            )
            for name, reader in zip(RING_NAMES, readers, strict=True)
        )

    def _worker(self, index: int) -> WorkerSnapshot:
        image = self.block(Block.WORKER, index)
        core = int(image[at.WORKER_CORE])
        mask = int(image[at.WORKER_STAGES])
        # by the monotonic clock, which all processes share: the wall clock may be set at any time
        now_ticks = self.zero_ticks + (time.monotonic_ns() - self.zero_monotonic_ns) / self.ns_per_tick
        beat = int(image[at.WORKER_HEARTBEAT_TICKS])
        return WorkerSnapshot(
            index=index,
            core=core if core >= 0 else None,
            thread_id=int(image[at.WORKER_THREAD_ID]),
            stages=tuple(name for stage, name in enumerate(at.STAGE_NAMES) if mask >> stage & 1),
            started_s=self._seconds(int(image[at.WORKER_STARTED_TICKS]) - self.zero_ticks),
            busy_s=self._seconds(image[at.WORKER_BUSY_TICKS]),
            starved_s=self._seconds(image[at.WORKER_STARVED_TICKS]),
            held_s=self._seconds(image[at.WORKER_HELD_TICKS]),
            slept_s=self._seconds(image[at.WORKER_SLEPT_TICKS]),
            sleeps=int(image[at.WORKER_SLEEPS]),
            yields=int(image[at.WORKER_YIELDS]),
            grows=int(image[at.WORKER_GROWS]),
            grow_s=self._seconds(image[at.WORKER_GROW_TICKS]),
            heartbeat_age_s=max((now_ticks - beat) * self.ns_per_tick * _NS, 0.0) if beat else 0.0,
        )

    def _depths(self) -> Iterator[DepthSnapshot]:
        for slot in range(at.DEPTH_SLOTS):
            depth = self._once(Block.DEPTH, slot, _depth)
            if depth is not None:
                yield depth

    def book_table(self) -> NDArray[np.int64]:
        """Return a row for every symbol's book, by symbol index, with the fields of `BookSummary`; int64."""
        block = self.block(Block.BOOKS)
        return block[at.BOOKS_FIRST :].reshape(-1, at.BOOK_WORDS)[: int(block[at.BOOKS_COUNT])]

    def books(self) -> list[BookSummary]:
        """Return the state and the best of every symbol's book, by symbol index (published twice a second)."""
        return [BookSummary(BookState(int(row[0])), *(int(word) for word in row[1:])) for row in self.book_table()]

    def samples(self) -> dict[str, NDArray[np.int64]]:
        """Return the one-second samples of the last 15 minutes, oldest first, one array a field (`SAMPLE_FIELDS`)."""
        block = self.block(Block.SAMPLES)
        count = int(block[at.SAMPLES_COUNT])
        rows = block[at.SAMPLES_FIRST :].reshape(at.SAMPLES_KEPT, at.SAMPLE_WORDS)
        kept = rows[np.arange(max(count - at.SAMPLES_KEPT, 0), count) % at.SAMPLES_KEPT]
        return {name: kept[:, column] for column, name in enumerate(at.SAMPLE_FIELDS)}

    def throughput(self) -> float:
        """Return the transactions that left a second, between the last two samples; before there are two, 0."""
        samples = self.samples()
        times, out = samples["unix_ns"][-2:], samples["output"][-2:]
        if len(times) < 2 or times[1] <= times[0]:
            return 0.0
        return (int(out[1]) - int(out[0])) * 1e9 / (int(times[1]) - int(times[0]))

    def silent_s(self) -> float:
        """Return how long ago the supervisor last wrote, or the region was made; while all is well some 0.1 s."""
        written = int(self.block(Block.CONTROL)[at.CONTROL_UNIX_NS]) or self.created_unix_ns
        return max(time.time_ns() - written, 0) * _NS

    def events(self) -> list[Event]:
        """Return the last events, oldest first."""
        return list(self._once(Block.EVENTS, 0, self._events_in))

    def _events_in(self, block: NDArray[np.int64]) -> list[Event]:
        """Work out the events that were not there before; what has been told does not change."""
        count = int(block[at.EVENTS_COUNT])
        rows = block[at.EVENTS_FIRST :].reshape(at.EVENTS_KEPT, at.EVENT_WORDS)
        known = {event.number: event for event in self._told}
        kept = range(max(count - at.EVENTS_KEPT, 0), count)
        self._told = [known.get(number) or _event(rows[number % at.EVENTS_KEPT], number) for number in kept]
        return self._told

    def events_after(self, number: int) -> tuple[list[Event], int]:
        """Return the events behind the one of this number (-1: all), and how many of them are no longer kept."""
        new = [event for event in self.events() if event.number > number]
        return new, new[0].number - number - 1 if new else 0

    def instruments(self) -> list[dict[str, Any]]:
        """Return the instrument table: symbol, price_decimals, size_decimals and tick, by symbol index."""
        block = self.block(Block.INSTRUMENTS)
        rows = block[at.INSTRUMENTS_FIRST :].reshape(-1, at.INSTRUMENT_WORDS)[: int(block[at.INSTRUMENTS_COUNT])]
        return [
            {
                "symbol": words_text(row[at.INSTRUMENT_NAME - 1 :]),
                "price_decimals": int(row[0]),
                "size_decimals": int(row[1]),
                "tick": int(row[2]),
            }
            for row in rows
        ]


def _depth(block: NDArray[np.int64]) -> DepthSnapshot | None:
    if block[at.DEPTH_TICKS] == 0 or block[at.DEPTH_SYMBOL] < 0:
        return None
    sides = block[at.DEPTH_SIDE :].reshape(2, at.DEPTH_LEVELS, at.DEPTH_LEVEL_WORDS)
    return DepthSnapshot(
        symbol=int(block[at.DEPTH_SYMBOL]),
        state=BookState(int(block[at.DEPTH_STATE])),
        sequence=int(block[at.DEPTH_SEQUENCE]),
        ticks=int(block[at.DEPTH_TICKS]),
        approximate=bool(block[at.DEPTH_APPROXIMATE]),
        bids=sides[0, : int(block[at.DEPTH_BIDS])].copy(),
        asks=sides[1, : int(block[at.DEPTH_ASKS])].copy(),
    )


def _trades(block: NDArray[np.int64]) -> tuple[Trade, ...]:
    count = int(block[at.TRADES_COUNT])
    rows = block[at.TRADES_FIRST :].reshape(at.TRADES_KEPT, at.TRADE_WORDS)[:, :7].tolist()
    return tuple(Trade(*rows[trade % at.TRADES_KEPT]) for trade in range(max(count - at.TRADES_KEPT, 0), count))


def _event(row: NDArray[np.int64], number: int) -> Event:
    try:
        values = json.loads(words_text(row[at.EVENT_VALUES - 1 :]))
    except ValueError:
        values = {}
    text = words_text(row[at.EVENT_TEXT - 1 : at.EVENT_VALUES - 1])
    severity = SEVERITIES[int(row[1])]
    return Event(int(row[0]), severity, text, values if isinstance(values, dict) else {}, number)


def _checkpoints(image: NDArray[np.int64]) -> dict[int, str]:
    pairs = image[at.STAGE_CHECKPOINTS : at.STAGE_CHECKPOINTS + 2 * at.CHECKPOINTS].reshape(-1, 2).tolist()
    return {sequence: as_hex(content) for sequence, content in pairs if sequence}
