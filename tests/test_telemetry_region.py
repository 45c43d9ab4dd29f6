"""The telemetry region: its file, its directory of blocks, and what a reader makes of it, whole, torn or damaged."""

import json
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velox_engine.assembly import write_instruments
from velox_engine.lockfree.histogram import histogram_record
from velox_engine.records import Instrument
from velox_engine.snapshot import BookState, Doing, State
from velox_engine.telemetry import layout, region
from velox_engine.telemetry.chronicle import Chronicle
from velox_engine.telemetry.layout import GUARD_WORDS, LINE_WORDS, Block, checksum_of
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.telemetry.region import (
    make_region,
    map_region,
    open_for_readers,
    process_start,
    region_files,
    text_words,
    words_text,
)
from velox_engine.telemetry.writer import publish

ROOT = Path(__file__).parent.parent
INT64 = st.integers(-(2**63), 2**63 - 1)
WITHOUT_NUMBA = """
import sys
from pathlib import Path
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.telemetry.region import map_region
snapshot = TelemetryReader(map_region(Path(sys.argv[1]))).read()
print(snapshot.state.word, snapshot.name, "numba" in sys.modules)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where this test's regions lie."""
    path = tmp_path / "regions"
    monkeypatch.setattr(region, "region_directory", lambda: path)
    return path


def opened(name="velox", workers=1, symbols=2):
    """Make a region that readers can attach."""
    made, problem = make_region(name, workers, symbols)
    assert problem is None
    return ready(made)


def ready(made):
    """Open a region for readers, with a clock of one tick a nanosecond."""
    made.words[layout.HEADER_NS_PER_TICK : layout.HEADER_NS_PER_TICK + 1].view(np.float64)[0] = 1.0
    made.words[layout.HEADER_ZERO_UNIX_NS] = time.time_ns()
    made.words[layout.HEADER_ZERO_MONOTONIC_NS] = time.monotonic_ns()
    open_for_readers(made)
    return made


# ---- the file


def test_the_file_is_the_users_alone(folder):
    made = opened()
    assert made.path.parent == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert made.path.stat().st_size == len(made.words) * 8 == made.words[layout.HEADER_WORDS] * 8
    assert list(region_files()) == [made.path]


def test_a_region_is_removed_once_and_stays_readable_for_who_has_it():
    made = opened()
    mapped = map_region(made.path)
    made.remove()
    made.remove()
    assert list(region_files()) == []
    assert TelemetryReader(mapped).read().name == "velox"


@pytest.mark.parametrize("name", ["../../etc/passwd", "a b/c", "", ".", "x" * 500, "Börse ⚙", "a\nb"])
def test_any_name_makes_a_file_in_the_directory(folder, name):
    made = opened(name)
    assert made.path.parent == folder
    assert made.path.exists()
    shown = TelemetryReader(map_region(made.path)).name
    assert shown == name.encode()[:64].decode(errors="replace")


def test_engines_of_one_name_have_files_of_their_own():
    paths = {opened("twin").path for _ in range(3)}
    assert len(paths) == 3
    assert set(region_files()) == paths


def test_other_files_are_no_regions(folder):
    opened()
    (folder / "notes.txt").write_text("x")
    assert len(list(region_files())) == 1


def test_before_the_first_engine_there_are_no_regions(folder):
    assert not folder.exists()
    assert list(region_files()) == []


def anonymous():
    made, problem = make_region("velox", 1, 1)
    assert made.path is None
    assert problem.startswith("nobody can attach")
    made.remove()
    assert TelemetryReader(ready(made)).read().state is State.STARTING
    return problem


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_directory_that_others_may_enter_is_not_used(folder, mode):
    folder.mkdir()
    folder.chmod(mode)
    assert "not a directory of this user alone" in anonymous()


def test_a_directory_of_another_user_is_not_used(folder, monkeypatch):
    folder.mkdir(mode=0o700)
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    assert "not a directory of this user alone" in anonymous()


def test_a_link_is_not_followed_to_a_directory(folder, tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "real")
    assert "not a directory of this user alone" in anonymous()


def test_a_place_where_no_directory_can_be_made_leaves_the_region_anonymous(folder):
    folder.write_text("a file")
    anonymous()


def test_full_memory_is_noticed_at_once_and_leaves_no_file(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    assert "No space left" in anonymous()
    assert list(folder.iterdir()) == []


def test_a_process_is_named_by_its_pid_and_start():
    words = opened().words
    assert words[layout.HEADER_PID] == os.getpid()
    assert words[layout.HEADER_PID_STARTED] == process_start(os.getpid()) > 0
    assert process_start(2**22 + 5) == 0


# ---- the directory of blocks


@pytest.mark.parametrize(("workers", "symbols"), [(1, 1), (4, 1), (2, 5_000)])
def test_blocks_lie_on_lines_of_their_own_and_do_not_overlap(workers, symbols):
    made = opened(workers=workers, symbols=symbols)
    spans = sorted((place.at, place.at + GUARD_WORDS + place.length) for place in made.places.values())
    assert all(begin % LINE_WORDS == 0 for begin, _ in spans)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
    assert spans[-1][1] <= len(made.words)
    assert spans[0][0] >= made.words[layout.HEADER_DIRECTORY] + len(spans) * layout.ENTRY_LENGTH_WORDS
    assert made.words.ctypes.data % 4096 == 0
    counts = {kind: sum(each == kind for each, _ in made.places) for kind in Block}
    expected = {kind: {Block.STAGE: 4, Block.WORKER: workers, Block.DEPTH: 8}.get(kind, 1) for kind in Block}
    assert counts == expected


def test_whoever_maps_the_file_finds_the_same_blocks_and_cannot_write():
    made = opened(workers=3, symbols=7)
    mapped = map_region(made.path)
    assert mapped.places == made.places
    made.words[5_000] = 77
    assert mapped.words[5_000] == 77
    with pytest.raises(ValueError, match="read-only"):
        mapped.words[0] = 1


def changed(**words):
    """Make a region's file with some header words, or words of its first directory entry, changed."""
    made = opened()
    first = int(made.words[layout.HEADER_DIRECTORY])
    for name, value in words.items():
        at = getattr(layout, name)
        made.words[first + at if name.startswith("ENTRY") else at] = value
    return made.path


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"HEADER_MAGIC": 0}, "not ready"),
        ({"HEADER_MAGIC": 1}, "no telemetry region"),
        ({"HEADER_VERSION": 2}, "layout 2, this program reads layout 1"),
        ({"HEADER_VERSION": 0}, "layout 0"),
        ({"HEADER_DIRECTORY": 0}, "damaged"),
        ({"HEADER_DIRECTORY": -1}, "damaged"),
        ({"HEADER_DIRECTORY": 2**40}, "damaged"),
        ({"HEADER_BLOCKS": -1}, "damaged"),
        ({"HEADER_BLOCKS": 2**40}, "damaged"),
        ({"ENTRY_OFFSET": -1}, "block 0 lies outside"),
        ({"ENTRY_OFFSET": 2**40}, "block 0 lies outside"),
        ({"ENTRY_LENGTH": -1}, "block 0 lies outside"),
        ({"ENTRY_LENGTH": 2**62}, "block 0 lies outside"),
    ],
)
def test_a_damaged_region_is_refused_with_its_reason(words, told):
    path = changed(**words)
    with pytest.raises(ValueError, match=told) as caught:
        map_region(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"short", bytes(255), bytes(256), bytes(8_192), b"x" * 8_192, bytes(8_195)])
def test_a_file_that_is_no_region_is_refused(tmp_path, data):
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(ValueError):
        map_region(path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_region_that_was_cut_off_is_refused(keep):
    path = opened().path
    os.truncate(path, int(path.stat().st_size * keep) // 8 * 8)
    with pytest.raises(ValueError, match="outside"):
        map_region(path)


def test_a_link_and_a_directory_and_nothing_at_all_are_refused(tmp_path):
    (tmp_path / "link").symlink_to(opened().path)
    for path in (tmp_path / "link", tmp_path, tmp_path / "missing"):
        with pytest.raises(OSError):
            map_region(path)


def test_a_watcher_survives_blocks_that_it_does_not_know():
    path = changed(ENTRY_KIND=9_999)
    mapped = map_region(path)
    assert (Block.CONTROL, 0) not in mapped.places
    assert len(mapped.places) == len(opened().places) - 1


# ---- a guarded block


@given(st.lists(st.lists(INT64, min_size=3, max_size=3), min_size=1, max_size=5))
def test_what_is_published_is_what_readers_check(payloads):
    words = np.full(3 + GUARD_WORDS + 2, 77, np.int64)
    words[1] = 0
    for turn, payload in enumerate(payloads, 1):
        publish(words, 1, np.array(payload, np.int64))
        assert words[1] == 2 * turn
        assert words[3:6].tolist() == payload
        assert words[2] == checksum_of(words[3:6], 2 * turn)
        assert (words[0], words[6]) == (77, 77)


@given(st.lists(INT64, min_size=2, max_size=20), st.data())
def test_a_checksum_notices_a_word_that_changed_or_changed_places_and_an_older_copy(payload, data):
    words = np.array(payload, np.int64)
    right = checksum_of(words, 8)
    assert checksum_of(words, 10) != right
    at, other = data.draw(st.lists(st.integers(0, len(words) - 1), min_size=2, max_size=2, unique=True))
    flipped = words.copy()
    flipped[at] ^= 1 << data.draw(st.integers(0, 62))
    assert checksum_of(flipped, 8) != right
    swapped = words.copy()
    swapped[[at, other]] = swapped[[other, at]]
    assert (checksum_of(swapped, 8) == right) == (words[at] == words[other])


def written(made, kind, index=0, **values):
    """Publish a block with some words set, the rest as they stand."""
    payload = made.payload(kind, index).copy()
    for name, value in values.items():
        at = getattr(layout, name)
        payload[at : at + np.size(value)] = value
    publish(made.words, made.at(kind, index), payload)


def test_a_reader_gets_a_copy_of_its_own():
    made = opened()
    written(made, Block.CONTROL, CONTROL_SEED=5)
    reader = TelemetryReader(made)
    copy = reader.block(Block.CONTROL)
    written(made, Block.CONTROL, CONTROL_SEED=6)
    assert copy[layout.CONTROL_SEED] == 5
    assert reader.read().seed == 6


def spoil(made, kind, how):
    """Leave a block as a writer would that stopped in the middle, or as a weakly ordered processor may show it."""
    at = made.at(kind)
    if how == "being written":
        made.words[at] += 1
    elif how == "torn":
        made.words[at + GUARD_WORDS] += 1
    else:
        made.words[at + 1] ^= 1


@pytest.mark.parametrize("how", ["being written", "torn", "checksum"])
def test_a_block_that_cannot_be_had_whole_is_shown_as_it_last_was_and_named(how):
    made = opened()
    written(made, Block.CONTROL, CONTROL_STATE=int(State.RUNNING), CONTROL_SEED=5)
    reader = TelemetryReader(made)
    assert (reader.read().seed, reader.read().stale) == (5, ())
    written(made, Block.CONTROL, CONTROL_SEED=6)
    spoil(made, Block.CONTROL, how)
    spoiled = reader.read()
    assert (spoiled.seed, spoiled.state, spoiled.stale) == (5, State.RUNNING, ("control 0",))
    late = TelemetryReader(made).read()
    assert (late.seed, late.stale) == (0, ("control 0",))
    publish(made.words, made.at(Block.CONTROL), made.payload(Block.CONTROL).copy())
    assert reader.read().stale == (("control 0",) if how == "being written" else ())


def test_the_first_writing_of_a_block_is_not_taken_half_for_an_empty_block():
    made = ready(opened())
    place = made.places[Block.STAGE, 0]
    # on a weakly ordered processor words of the payload may be seen before the odd lock is
    made.words[place.at + layout.GUARD_WORDS] = 5
    reader = TelemetryReader(made)
    assert reader.block(Block.STAGE, 0).tolist() == [0] * place.length
    assert reader.read().stale == ("stage 0",)


def test_a_stage_whose_block_is_stale_says_so():
    made = opened()
    written(made, Block.STAGE, layout.BUNDLE, STAGE_STEPS=3)
    made.words[made.at(Block.STAGE, layout.BUNDLE)] += 1
    snapshot = TelemetryReader(made).read()
    assert [stage.stale for stage in snapshot.stages] == [False, False, True, False]
    assert snapshot.stale == ("stage 2",)


# ---- what a reader makes of it


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


def cursors(made, *passed, generated=None, flushed=0, bundles=0):
    words = made.payload(Block.CURSORS)
    for at, count in zip(
        (layout.CURSOR_INGRESS, layout.CURSOR_ORDERBOOK, layout.CURSOR_BUNDLE, layout.CURSOR_OUTPUT),
        passed,
        strict=True,
    ):
        words[at] = count
    words[layout.CURSOR_GENERATED] = passed[0] if generated is None else generated
    words[layout.CURSOR_FLUSHED], words[layout.CURSOR_BUNDLES_OUT] = flushed, bundles


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


# ---- the supervisor's side


def test_the_last_events_are_kept_in_order_and_warnings_once():
    made = opened()
    chronicle, reader = Chronicle(made), TelemetryReader(made)
    for number in range(layout.EVENTS_KEPT + 20):
        chronicle.event("info", f"event {number}")
    events = reader.events()
    assert [event.text for event in events] == [f"event {number}" for number in range(20, layout.EVENTS_KEPT + 20)]
    chronicle.event("warning", "hot ☀")
    chronicle.event("error", "down")
    chronicle.event("warning", "hot ☀")
    chronicle.event_once("warning", "hot ☀")
    chronicle.write_control()
    assert [(event.severity, event.text) for event in reader.events()[-3:]] == [
        ("warning", "hot ☀"),
        ("error", "down"),
        ("warning", "hot ☀"),
    ]
    assert reader.read().warnings == ("hot ☀", "down")


def test_a_long_text_is_cut_and_many_warnings_stay_readable():
    made = opened()
    chronicle, reader = Chronicle(made), TelemetryReader(made)
    chronicle.event("info", "é" * 500)
    told = reader.events()[0].text
    assert told == "é" * (len(told) - 1) + "…"
    assert layout.EVENT_TEXT_BYTES - 4 <= len(told.encode()) <= layout.EVENT_TEXT_BYTES
    for number in range(100):
        chronicle.event("warning", f"{number} {'long ' * 60}")
    warnings = reader.read().warnings
    assert len(warnings) > 0
    assert warnings[-1].startswith("99 ")
    assert len(chronicle.warnings) == 100
    chronicle.event("error", "\U0001d6d1" * 10_000)
    assert reader.read().warnings[-1].startswith("\U0001d6d1" * 400)


@pytest.mark.parametrize("text", ["", "plain", "ünïcode ☀ 𝛑", "a" * 24, "b" * 25])
def test_text_is_packed_and_unpacked_and_cut_where_it_does_not_fit(text):
    packed = text_words(text, 4)
    assert packed.shape == (4,)
    assert words_text(packed) == text.encode()[:24].decode(errors="replace")


@pytest.mark.parametrize("length", [-1, -(2**63), 25, 2**62])
def test_a_damaged_length_of_text_reads_no_further_than_the_text(length):
    packed = text_words("abc", 4)
    packed[0] = length
    assert len(words_text(packed)) in (0, 24)


def test_15_minutes_of_samples_are_kept_oldest_first():
    made = opened()
    chronicle, reader = Chronicle(made), TelemetryReader(made)
    assert {len(column) for column in reader.samples().values()} == {0}
    for second in range(layout.SAMPLES_KEPT + 3):
        cursors(made, second, second, second, second, flushed=second, bundles=second)
        chronicle.sample(reader.read())
    samples = reader.samples()
    assert list(samples) == list(layout.SAMPLE_FIELDS)
    expected = list(range(3, layout.SAMPLES_KEPT + 3))
    for name in ("generated", "ingress", "orderbook", "bundle", "output", "bundles"):
        assert samples[name].tolist() == expected
    assert (np.diff(samples["unix_ns"]) >= 0).all()


def test_a_sample_holds_the_latency_of_its_own_second():
    made = opened()
    chronicle, reader = Chronicle(made), TelemetryReader(made)
    image = np.zeros(layout.STAGE_LENGTH, np.int64)
    for latency in (1_000, 50_000):
        histogram_record(image, layout.STAGE_LATENCY, latency, 10)
        publish(made.words, made.at(Block.STAGE, layout.OUTPUT), image)
        chronicle.sample(reader.read())
    chronicle.sample(reader.read())
    p50 = reader.samples()["p50_ns"].tolist()
    assert p50[0] == pytest.approx(1_000, rel=0.03)
    assert p50[1] == pytest.approx(50_000, rel=0.03)
    assert p50[2] == 0


def test_states_and_rates_are_told():
    made = opened()
    chronicle, reader = Chronicle(made), TelemetryReader(made)
    for state in State:
        chronicle.set_state(state)
        assert reader.read().state is state
    for rate in (1.5, 1e9, float("inf")):
        chronicle.set_rate(rate)
        chronicle.write_control()
        assert reader.read().rate_per_s == rate


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
