"""What a reader makes of a telemetry region."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.telemetry_regions import cursors, opened, written
from velox_engine.assembly import write_instruments
from velox_engine.lockfree.histogram import histogram_record
from velox_engine.records import Instrument
from velox_engine.snapshot import BookState, Doing, State
from velox_engine.telemetry import layout
from velox_engine.telemetry.chronicle import Chronicle
from velox_engine.telemetry.layout import Block
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.telemetry.region import (
    text_words,
)
from velox_engine.telemetry.writer import publish

ROOT = Path(__file__).parent.parent
WITHOUT_NUMBA = """
import sys
from pathlib import Path
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.telemetry.region import map_region
snapshot = TelemetryReader(map_region(Path(sys.argv[1]))).read()
print(snapshot.state.word, snapshot.name, "numba" in sys.modules)
"""
pytestmark = pytest.mark.usefixtures("region_folder")


def test_a_new_region_is_an_engine_that_starts_and_has_done_nothing():
    snapshot = TelemetryReader(opened(workers=2)).read()
    assert (snapshot.state, snapshot.uptime_s, snapshot.generated, snapshot.inside) == (State.STARTING, 0.0, 0, 0)
    assert [stage.name for stage in snapshot.stages] == ["ingress", "orderbook", "bundle", "output"]
    assert [ring.name for ring in snapshot.rings] == ["ingress", "bundle", "output"]
    assert [worker.index for worker in snapshot.workers] == [0, 1]
    assert snapshot.conservation.holds
    assert (snapshot.stale, snapshot.warnings, snapshot.trades, snapshot.config) == ((), (), (), {})


def test_a_stage_is_shown_as_it_published():
    made = opened()
    image = np.zeros(layout.STAGE_LENGTH, np.int64)
    image[layout.STAGE_STEPS], image[layout.STAGE_STARVED], image[layout.STAGE_HELD] = 3, 4, 5
    image[layout.STAGE_DOING] = int(Doing.HELD_BACK)
    image[layout.STAGE_CONTENT] = -1
    image[layout.STAGE_CHECKPOINTS : layout.STAGE_CHECKPOINTS + 4] = [2**20, 7, 2**21, 8]
    image[layout.STAGE_RING_WAITING : layout.STAGE_RING_WAITING + 3] = [1, 2, 64]
    histogram_record(image, layout.STAGE_LATENCY, 1_000, 3)
    histogram_record(image, layout.STAGE_SERVICE, 20, 1)
    publish(made.words, made.at(Block.STAGE, layout.ORDERBOOK), image)
    snapshot = TelemetryReader(made).read()
    stage, ring = snapshot.orderbook, snapshot.rings[0]
    assert (stage.steps, stage.starved, stage.held, stage.doing) == (3, 4, 5, Doing.HELD_BACK)
    assert stage.content == "f" * 16
    assert stage.checkpoints == {2**20: f"{7:016x}", 2**21: f"{8:016x}"}
    assert (stage.latency.count, stage.latency.largest, stage.service.largest) == (3, 1_000, 20)
    assert (ring.waiting, ring.high_water, ring.capacity) == (1, 2, 64)


def configured(made):
    config = {
        "buffers": {"ingress_ring_size": 64, "bundle_ring_size": 32, "output_ring_size": 4},
        "bundle": {"max_size": 8},
        "pipeline": {"batch": 16},
        "book_outcomes": ["applied", "overflow"],
    }
    publish(made.words, made.at(Block.CONFIG), text_words(json.dumps(config), layout.CONFIG_LENGTH))
    return config


@pytest.mark.parametrize(
    ("passed", "bundles", "problems"),
    [
        ((0, 0, 0, 0), (0, 0), 0),
        ((100, 100, 100, 100), (9, 9), 0),
        ((100 + 80, 100, 100 - 48, 100 - 48), (9, 9), 0),
        ((180, 100, 100, 100), (9, 9), 0),
        ((181, 100, 100, 100), (9, 9), 1),
        ((148, 148, 100, 100), (9, 9), 0),
        ((149, 149, 100, 100), (9, 9), 1),
        ((164, 164, 164, 100), (9, 9), 0),
        ((165, 165, 165, 100), (9, 9), 1),
        ((99, 100, 100, 100), (9, 9), 1),
        ((100, 100, 99, 100), (9, 9), 1),
        ((100, 100, 100, 100), (9, 10), 1),
        ((99, 100, 101, 102), (9, 10), 4),
    ],
)
def test_a_look_at_a_running_engine_judges_by_what_fits_between_the_stages(passed, bundles, problems):
    made = opened()
    configured(made)
    cursors(made, *passed, flushed=bundles[0], bundles=bundles[1])
    snapshot = TelemetryReader(made).read()
    assert len(snapshot.conservation.problems) == problems, snapshot.conservation.problems
    assert snapshot.conservation.holds == (problems == 0)
    assert [stage.processed for stage in snapshot.stages] == list(passed)


def test_without_a_configuration_only_the_order_of_counts_is_judged():
    made = opened()
    cursors(made, 10**9, 5, 5, 5)
    assert TelemetryReader(made).read().conservation.holds
    cursors(made, 5, 6, 5, 5)
    assert not TelemetryReader(made).read().conservation.holds


def test_a_hash_that_differs_at_the_last_common_sequence_is_a_problem():
    made = opened()
    for stage in range(4):
        last = 2**20 if stage == layout.OUTPUT else 2**21
        written(made, Block.STAGE, stage, STAGE_CHECKPOINTS=[2**20, 7, last, 7 + stage if last > 2**20 else 7])
    assert TelemetryReader(made).read().conservation.holds  # at 2^21 output has nothing to compare with yet
    written(made, Block.STAGE, layout.OUTPUT, STAGE_CHECKPOINTS=[2**20, 7, 2**21, 9])
    problems = TelemetryReader(made).read().conservation.problems
    assert problems == (f"content hashes differ at sequence {2**21}",)


def test_a_sequence_number_out_of_place_is_a_problem():
    made = opened()
    written(made, Block.STAGE, layout.BUNDLE, STAGE_DISORDER=1)
    assert TelemetryReader(made).read().conservation.problems == ("bundle met a sequence number out of place",)


def test_counts_never_go_back_for_one_reader():
    made = opened()
    reader = TelemetryReader(made)
    cursors(made, 10, 10, 10, 10)
    reader.read()
    cursors(made, 9, 8, 7, 6)
    assert [stage.processed for stage in reader.read().stages] == [10] * 4


def test_a_worker_is_shown_with_its_stages_and_times():
    made = opened()
    written(
        made,
        Block.WORKER,
        WORKER_CORE=-1,
        WORKER_STAGES=0b1010,
        WORKER_BUSY_TICKS=2 * 10**9,
        WORKER_STARVED_TICKS=10**9,
        WORKER_HELD_TICKS=3 * 10**9,
        WORKER_GROWS=1,
    )
    (worker,) = TelemetryReader(made).read().workers
    assert (worker.core, worker.stages) == (None, ("orderbook", "output"))
    assert (worker.busy_s, worker.starved_s, worker.held_s, worker.grows) == (2.0, 1.0, 3.0, 1)
    assert worker.heartbeat_age_s == 0.0


def test_the_age_of_a_heartbeat_does_not_follow_the_wall_clock(monkeypatch):
    made = opened()
    ticks = int(made.words[layout.HEADER_ZERO_TICKS]) + 1
    written(made, Block.WORKER, WORKER_HEARTBEAT_TICKS=ticks)
    real = time.time_ns
    for step in (0, 3_600 * 10**9, -3_600 * 10**9):
        monkeypatch.setattr(time, "time_ns", lambda step=step: real() + step)
        (worker,) = TelemetryReader(made).read().workers
        assert 0 <= worker.heartbeat_age_s < 600


def test_books_depth_trades_and_instruments_are_shown_by_symbol():
    made = opened(symbols=2)
    write_instruments(made, [Instrument("AMZN", 4, 0, 100), Instrument("Ü" * 60, 2, 8, 1), Instrument("NO ROOM")])
    written(made, Block.BOOKS, BOOKS_COUNT=2, BOOKS_FIRST=[3, 10, 1, 11, 2, 5, 6, 7, *range(8)])
    trades = np.zeros(layout.TRADES_LENGTH, np.int64)
    trades[layout.TRADES_COUNT] = layout.TRADES_KEPT + 2
    rows = trades[layout.TRADES_FIRST :].reshape(layout.TRADES_KEPT, layout.TRADE_WORDS)
    for trade in range(layout.TRADES_KEPT + 2):
        rows[trade % layout.TRADES_KEPT, :7] = [trade, 1, 0, 100, 5, 1, 4]
    publish(made.words, made.at(Block.TRADES), trades)
    levels = np.zeros((2, layout.DEPTH_LEVELS, 3), np.int64)
    levels[0, :2], levels[1, :1] = [[10, 1, 2], [9, 3, 4]], [[11, 5, 6]]
    shown = {"DEPTH_STATE": 2, "DEPTH_BIDS": 2, "DEPTH_ASKS": 1, "DEPTH_APPROXIMATE": 1, "DEPTH_SIDE": levels.ravel()}
    written(made, Block.DEPTH, 3, DEPTH_SYMBOL=1, DEPTH_TICKS=5, **shown)
    written(made, Block.DEPTH, 4, DEPTH_SYMBOL=-1, DEPTH_TICKS=5)
    reader = TelemetryReader(made)
    snapshot = reader.read()
    names = [row["symbol"] for row in reader.instruments()]
    assert names == ["AMZN", "Ü" * 48]
    assert reader.instruments()[0] == {"symbol": "AMZN", "price_decimals": 4, "size_decimals": 0, "tick": 100}
    first, second = reader.books()
    assert (first.state, first.best_bid, first.best_ask_size, first.orders) == (BookState.STALE, 10, 2, 7)
    assert second.state is BookState.SYNCED
    assert [trade.sequence for trade in snapshot.trades] == list(range(2, layout.TRADES_KEPT + 2))
    (depth,) = snapshot.depths
    assert (depth.symbol, depth.state, depth.approximate) == (1, BookState.CROSSED, True)
    assert (depth.bids.tolist(), depth.asks.tolist()) == ([[10, 1, 2], [9, 3, 4]], [[11, 5, 6]])


def test_a_reader_in_another_process_needs_no_numba():
    made = opened("watched")
    Chronicle(made).set_state(State.RUNNING)
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMBA, str(made.path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (run.stdout, run.stderr) == ("running watched False\n", "")
