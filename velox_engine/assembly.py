"""Putting an engine together: memory, stages, rings, workers and the telemetry region, from a configuration."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from velox_engine.books.running import RunningBook, make_book
from velox_engine.config import ChaosSettings, Config
from velox_engine.errors import ConfigError
from velox_engine.feeds.journal_writer import JournalWriter
from velox_engine.feeds.random_stream import stream_key
from velox_engine.feeds.synthetic import GAP_STREAM, make_synthetic
from velox_engine.lockfree.clock import Clock
from velox_engine.lockfree.ring import CAPACITY, make_ring
from velox_engine.placement import Machine, Placement, plan, this_machine
from velox_engine.records import Instrument
from velox_engine.sinks import OUTLET_SIZE, FaultySink, Sink, SinkThread
from velox_engine.source import Source, open_source
from velox_engine.stages.bundle import make_bundler
from velox_engine.stages.common import Stage, make_stage
from velox_engine.stages.control import GAP, make_control
from velox_engine.stages.ingress import make_ingress
from velox_engine.stages.orderbook import make_orderbook
from velox_engine.stages.output import make_output
from velox_engine.stages.sinking import make_outlet
from velox_engine.stages.slots import make_slots, slots_needed
from velox_engine.stages.worker import Stages, Worker, make_worker
from velox_engine.telemetry import layout
from velox_engine.telemetry.layout import Block
from velox_engine.telemetry.region import Region, make_region, open_for_readers, text_words
from velox_engine.telemetry.writer import publish

_CURSORS: Final = (
    layout.CURSOR_INGRESS,
    layout.CURSOR_ORDERBOOK,
    layout.CURSOR_BUNDLE,
    layout.CURSOR_OUTPUT,
)
_LARGEST_SEED: Final = 2**63 - 1


@dataclass(slots=True)
class Assembly:
    """Everything that a run works on."""

    config: Config
    clock: Clock
    seed: int
    chaos_seed: int
    region: Region
    stages: Stages
    workers: tuple[Worker, ...]
    placement: Placement
    book: RunningBook
    source: Source
    sink: SinkThread | None
    warnings: list[str]

    def release(self) -> None:
        """Let go of everything outside memory, of an assembly that never ran or has ended; safe to call twice."""
        self.region.remove()
        if self.sink is not None:
            self.sink.abandon()
        if self.source.decoder is not None:
            self.source.decoder.stop(0.0)
        elif self.source.feed is not None:
            self.source.feed.close()


def gap_ticks(rate: float | str, clock: Clock) -> float:
    """Return the mean gap between arrivals at a rate a second, in ticks; 0 for maximum rate."""
    return 0.0 if rate == "max" or rate == float("inf") else 1e9 / float(rate) / clock.ns_per_tick


def pick_seed(config: Config) -> int:
    """Return the configured seed, or a random one where it is 0."""
    return config.source.seed or secrets.randbelow(_LARGEST_SEED) + 1


def assemble(config: Config, clock: Clock, machine: Machine | None = None, *, attach: bool = True) -> Assembly:
    """Make everything for a run of this configuration; nothing runs yet.

    ``attach``: telemetry lies in a file that other processes can find.

    Raises `ConfigError` where the machine cannot give what is asked for.
    """
    placement = plan(config, machine or this_machine())
    source = open_source(config, clock)
    windowed = source.feed is not None and source.feed.windowed
    book = make_book(config, len(source.instruments), windowed=windowed)
    sink = _open_sink(config, clock, source)
    region, problem = make_region(
        config.pipeline.name if attach else None, len(placement.workers), source.telemetry_symbols
    )
    try:
        return _assemble(config, clock, placement, source, sink, book, region, problem)
    except BaseException:
        region.remove()
        raise


def _open_sink(config: Config, clock: Clock, source: Source) -> Sink | None:
    """Open the journal that the configuration names; one that cannot be made is a `ConfigError`."""
    path = config.pipeline.sink
    if path == "none":
        return None
    feed = source.feed
    try:
        return JournalWriter(
            path,
            source.instruments,
            config.source.kind,
            time_base=feed.time_base if feed else None,
            windowed=feed.windowed if feed else False,
            priced=feed.priced if feed else True,
            seed_source=feed.seed_source if feed else None,
            clock=(clock.zero_ticks, clock.ns_per_tick),
            name=config.pipeline.name,
        )
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror or error}",
            key="pipeline.sink",
            value=path,
            allowed="a file that is not there yet, in a directory that can be written",
        ) from None


def _assemble(
    config: Config,
    clock: Clock,
    placement: Placement,
    source: Source,
    sink: Sink | None,
    book: RunningBook,
    region: Region,
    problem: str | None,
) -> Assembly:
    seed = pick_seed(config)
    chaos_seed = config.chaos.seed or secrets.randbelow(_LARGEST_SEED) + 1
    words, cursors = region.words, region.payload(Block.CURSORS)
    scale = clock.ns_per_tick

    def stage(number: int) -> Stage:
        return make_stage(
            words, cursors, _CURSORS[number], region.at(Block.STAGE, number), scale, loops=config.source.loop
        )

    buffers, pipeline = config.buffers, config.pipeline
    rings = (
        make_ring(buffers.ingress_ring_size),
        make_ring(buffers.bundle_ring_size),
        make_ring(buffers.output_ring_size),
    )
    control = make_control()
    fast = source.recorded and config.source.speed == "max" and "pipeline.ingress_rate_hz" not in config.given
    control.rates[GAP] = 0.0 if fast else gap_ticks(pipeline.ingress_rate_hz, clock)
    ingress = make_ingress(
        stage(layout.INGRESS),
        make_synthetic("uniform" if source.recorded else config.source.model, seed, config.source.live_orders),
        source.staging,
        recorded=source.recorded,
        by_time=source.by_time,
        gap_key=stream_key(seed, GAP_STREAM),
        batch=pipeline.batch,
        each=pipeline.stamp == "each",
        drop=pipeline.on_full == "drop",
        count=pipeline.count,
        duration_ticks=clock.to_ticks(pipeline.run_duration_secs * 1e9),
    )
    orderbook = make_orderbook(
        stage(layout.ORDERBOOK),
        batch=pipeline.batch,
        depth_block=region.at(Block.DEPTH, 0),
        depth_stride=region.at(Block.DEPTH, 1) - region.at(Block.DEPTH, 0),
        trades_block=region.at(Block.TRADES),
        books_block=region.at(Block.BOOKS),
        symbols=source.telemetry_symbols,
    )
    bundler = make_bundler(
        stage(layout.BUNDLE),
        batch=pipeline.batch,
        max_size=config.bundle.max_size,
        timeout_ticks=clock.to_ticks(config.bundle.timeout_ns),
        output_ring=buffers.output_ring_size,
    )
    outlet = make_outlet(sink is not None, OUTLET_SIZE)
    output = make_output(stage(layout.OUTPUT), bundler.descriptors, outlet, batch=pipeline.batch)
    for reader, ring in zip((orderbook.stage, bundler.stage, output.stage), rings, strict=True):
        reader.image[layout.STAGE_RING_CAPACITY] = int(ring.words[CAPACITY])
    slots = make_slots(
        slots_needed(
            buffers.ingress_ring_size, buffers.bundle_ring_size, buffers.output_ring_size, config.bundle.max_size
        )
    )
    workers = tuple(
        make_worker(
            words,
            index=index,
            stages=each.stages,
            core=each.core,
            block=region.at(Block.WORKER, index),
            spin=config.threads.idle == "spin",
            ns_per_tick=scale,
        )
        for index, each in enumerate(placement.workers)
    )
    _describe(region, clock, config, source.instruments, book)
    warnings = [*placement.warnings, *([problem] if problem else [])]
    stages = Stages(control, slots, ingress, orderbook, bundler, output, *rings)
    sinking = SinkThread(_faulty(sink, config.chaos, chaos_seed), outlet) if sink is not None else None
    return Assembly(
        config, clock, seed, chaos_seed, region, stages, workers, placement, book, source, sinking, warnings
    )


def _faulty(sink: Sink, chaos: ChaosSettings, seed: int) -> Sink:
    """Give a sink faults where chaos is on."""
    if not chaos.enabled:
        return sink
    return FaultySink(sink, seed, chaos.sink_errors, chaos.sink_delays, chaos.longest_ms * 1e-3)


def _describe(region: Region, clock: Clock, config: Config, instruments: list[Instrument], book: RunningBook) -> None:
    """Fill in what stays as it is during the run, and open the region for readers."""
    words = region.words
    words[layout.HEADER_NS_PER_TICK : layout.HEADER_NS_PER_TICK + 1].view(np.float64)[0] = clock.ns_per_tick
    words[layout.HEADER_ZERO_TICKS] = clock.zero_ticks
    words[layout.HEADER_ZERO_UNIX_NS] = clock.zero_unix_ns
    words[layout.HEADER_ZERO_MONOTONIC_NS] = clock.zero_monotonic_ns
    write_instruments(region, instruments)
    text = json.dumps({**config.as_dict(), "book_outcomes": list(book.outcomes)})
    publish(words, region.at(Block.CONFIG), text_words(text, layout.CONFIG_LENGTH))
    free = np.zeros(layout.DEPTH_LENGTH, np.int64)
    free[layout.DEPTH_SYMBOL] = -1
    for slot in range(layout.DEPTH_SLOTS):
        publish(words, region.at(Block.DEPTH, slot), free)
    open_for_readers(region)


def write_instruments(region: Region, instruments: list[Instrument]) -> None:
    """Publish the instrument table, as much of it as the block has room for."""
    payload = np.zeros(region.places[Block.INSTRUMENTS, 0].length, np.int64)
    rows = payload[layout.INSTRUMENTS_FIRST :].reshape(-1, layout.INSTRUMENT_WORDS)
    shown = instruments[: len(rows)]
    payload[layout.INSTRUMENTS_COUNT] = len(shown)
    for row, instrument in zip(rows, shown, strict=False):
        row[0], row[1], row[2] = instrument.price_decimals, instrument.size_decimals, instrument.tick
        row[layout.INSTRUMENT_NAME - 1 :] = text_words(
            instrument.symbol, layout.INSTRUMENT_WORDS - layout.INSTRUMENT_NAME + 1
        )
    publish(region.words, region.at(Block.INSTRUMENTS), payload)


def worker_arguments(assembly: Assembly, index: int) -> tuple[Any, ...]:
    """Return what `run_worker` is called with for one worker."""
    return assembly.workers[index], assembly.stages, assembly.book.state
