"""Recorded files through the whole pipeline: the same books as `ExactBook` gives directly, and nothing lost."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.command import ROOT, environment
from tests.encoders import itch, lobster
from tests.recorded import recorded
from tests.running import assert_accounted_for, configured, ran
from velox_engine import Engine, ExactBook, FeedError, open_feed
from velox_engine.errors import ConfigError
from velox_engine.snapshot import State
from velox_tui.ending import exit_code

RECORDED = {
    "lobster level 50": (
        ("lobster", "AAPL_2012-06-21_34200000_37800000_message_50.csv.gz"),
        ("lobster", "AAPL_2012-06-21_34200000_57600000_orderbook_10.first999.csv.gz"),
    ),
    "lobster level 1": (("lobster", "AMZN_2012-06-21_34200000_57600000_message_1.csv.gz"), None),
    "itch": (("itch", "AAPL_2020-01-30_first7000.itch50.bin"), None),
    "dbn mbo": (("dbn", "esh4-glbx-mdp3-20231225.mbo.dbn.zst"), None),
    "dbn mbp-1": (("dbn", "esu4-glbx-mdp3_2024-07-01T23-58_2024-07-02T00-02.mbp-1.dbn.zst"), None),
    "dbn trades": (("dbn", "esu4-glbx-mdp3_2024-07-01T23-58_2024-07-02T00-02.trades.dbn.zst"), None),
    "coinbase": (("coinbase_l3", "btcusd_2018-07-13_messages_first20001.jsonl.xz"), None),
    "binance spot": (("binance", "binance_spot_btcusdt_20240808.gz"), None),
    "binance futures": (("binance", "binance_usdm_btcusdt_20240808.gz"), None),
    "tardis": (("tardis_csv", "binance_incremental_book_L2_2024-08-08_BTCUSDT.csv.gz"), None),
}


def books_of(feed):
    """Apply a feed to an `ExactBook`; give what the report says of each symbol, and how many records there were."""
    book = ExactBook(feed.instruments, windowed=feed.windowed)
    records = 0
    for batch in feed:
        book.apply(batch)
        records += len(batch)
    found = {}
    for index, instrument in enumerate(feed.instruments):
        bid, bid_size, ask, ask_size = book.best(index)
        bid_levels, bid_orders, ask_levels, ask_orders = book.totals(index)
        found[instrument.symbol] = {
            "state": book.state(index),
            "best_bid": bid if bid_size else None,
            "best_ask": ask if ask_size else None,
            "best_bid_size": bid_size,
            "best_ask_size": ask_size,
            "bid_levels": bid_levels,
            "ask_levels": ask_levels,
            "orders": bid_orders + ask_orders,
            "price_decimals": instrument.price_decimals,
            "size_decimals": instrument.size_decimals,
        }
    return found, records, book.outcomes


def replayed(path, **settings):
    return ran(source__kind=str(path), source__speed="max", **settings)


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_file_gives_the_same_books_through_the_pipeline(name):
    parts, seed_parts = RECORDED[name]
    path = recorded(*parts)
    seed = recorded(*seed_parts) if seed_parts else None
    books, records, outcomes = books_of(open_feed(path, seed=seed))
    report = replayed(path, source__seed_book=str(seed) if seed else "auto")
    assert_accounted_for(report)
    assert report["reason"] == "end of file"
    assert report["output"]["transactions"] == records
    assert report["books"] == books
    assert report["orderbook"]["outcomes"] == {key: getattr(outcomes, key) for key in report["orderbook"]["outcomes"]}
    assert exit_code_of(report) == 0


def exit_code_of(report):
    class Told:
        pass

    told = Told()
    told.__dict__.update(report)
    return exit_code(told, None)


# ---- the same on a sample of our own


STEM = "VLX_2024-05-06_34200000_57600000"
START_NS = 34_200 * 10**9


def lobster_events(count):
    """Orders that come and go around 10.00, and a few executions."""
    choose = np.random.default_rng(5)
    live, events = [], []
    for number in range(count):
        time = START_NS + number * 1_000_000
        if live and choose.random() < 0.45:
            order = live.pop(int(choose.integers(len(live))))
            kind = 3 if choose.random() < 0.8 else 4
            events.append(lobster.Event(time, kind, order.order_id, order.size, order.price, order.direction))
        else:
            direction = 1 if choose.random() < 0.5 else -1
            price = 100_000 - direction * 100 * int(choose.integers(1, 50))
            order = lobster.Event(time, 1, number + 1, int(choose.integers(1, 500)), price, direction)
            live.append(order)
            events.append(order)
    return events


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / f"{STEM}_message_5.csv"
    path.write_bytes(lobster.message_file(lobster_events(3_000)))
    return path


def test_our_own_sample_gives_the_same_books_through_the_pipeline(sample):
    books, records, _ = books_of(open_feed(sample))
    report = replayed(sample)
    assert_accounted_for(report)
    assert records == report["output"]["transactions"] == 3_000
    assert report["books"] == books
    assert report["books"]["VLX"]["state"] == "windowed"
    assert report["source"]["format"] == "lobster"


def test_what_was_written_to_a_journal_replays_to_the_same_checksum(sample, tmp_path):
    journal = tmp_path / "out.velox"
    first = replayed(sample, pipeline__sink=str(journal))
    assert first["sink"] == {"written": 3_000, "lost": 0}
    second = replayed(journal)
    assert second["source"]["format"] == "journal"
    assert second["checksum"] == first["checksum"]
    assert second["books"] == first["books"]


def test_a_journal_keeps_whole_bundles_in_order(sample, tmp_path):
    journal = tmp_path / "out.velox"
    first = replayed(sample, pipeline__sink=str(journal), bundle__max_size=7)
    sequences = np.concatenate([batch["sequence"] for batch in open_feed(journal)])
    assert sequences.tolist() in (list(range(3_000)), [0] * 3_000)
    assert first["bundle"]["flushed"] == first["output"]["bundles"]


def test_a_journal_is_never_written_over(sample, tmp_path):
    journal = tmp_path / "out.velox"
    journal.write_bytes(b"precious")
    with pytest.raises(ConfigError, match=r"pipeline\.sink: .*holds something already"):
        Engine(configured(source__kind=str(sample), pipeline__sink=str(journal))).start()
    assert journal.read_bytes() == b"precious"


def test_a_sink_that_fails_is_counted_and_the_flow_goes_on(sample, tmp_path, monkeypatch):
    from velox_engine.feeds.journal_writer import JournalWriter

    def broken(self, records, sizes):
        self.lost += len(records)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JournalWriter, "write", broken)
    report = replayed(sample, pipeline__sink=str(tmp_path / "out.velox"))
    assert_accounted_for(report)
    assert report["output"]["transactions"] == 3_000
    assert report["sink"] == {"written": 0, "lost": 3_000}
    assert any("No space left" in warning for warning in report["warnings"])
    assert exit_code_of(report) == 1


def test_the_seed_is_outside_count_and_latency_and_inside_the_proof(sample):
    book = sample.with_name(f"{STEM}_orderbook_5.csv")
    first = lobster_events(1)[0]
    side = [(first.price, first.size + 300)]
    bids, asks = (side, [(150_000, 40)]) if first.direction == 1 else ([(50_000, 40)], side)
    book.write_text(lobster.orderbook(bids, asks, 5) + "\n")
    report = replayed(sample, pipeline__count=100)
    assert report["reason"] == "count reached"
    assert report["ingress"]["seeded"] == 2
    assert report["ingress"]["generated"] == 102
    assert report["output"]["transactions"] == 102
    assert report["latency_ns"]["end_to_end"]["count"] == 100
    assert_accounted_for(report)


def test_a_replay_keeps_the_recorded_pace_times_speed(sample):
    report = ran(source__kind=str(sample), source__speed=10.0)
    # 3,000 records, a millisecond apart, ten times as fast: never before they are due
    assert report["duration_s"] >= 0.29
    assert_accounted_for(report)


def test_a_duration_that_ends_a_replay_is_the_reason_though_the_file_was_read_to_its_end_before(sample):
    report = ran(source__kind=str(sample), pipeline__run_duration_secs=0.3)
    assert report["reason"] == "duration reached"
    assert 0 < report["output"]["transactions"] < 3_000  # of 3,000, a millisecond apart
    assert_accounted_for(report)


def test_a_rate_takes_the_place_of_the_recorded_times(sample):
    report = ran(source__kind=str(sample), pipeline__ingress_rate_hz=1_000_000)
    assert report["duration_s"] < 2.0
    assert report["output"]["transactions"] == 3_000
    assert_accounted_for(report)


def test_a_loop_begins_anew_with_empty_books(sample):
    once = replayed(sample)
    engine = Engine(configured(source__kind=str(sample), source__speed="max", source__loop=True))
    with engine:
        while engine.snapshot().generated < 20_000:
            assert engine.state is State.RUNNING
    report = engine.report().as_dict()
    assert_accounted_for(report)
    assert report["source"]["passes"] >= 6
    assert report["orderbook"]["errors"]["duplicate"] == 0
    assert once["orderbook"]["errors"]["duplicate"] == 0


def itch_day(symbols=("AAPL", "MSFT", "VLX")):
    messages = []
    for locate, symbol in enumerate(symbols, 1):
        messages.append(itch.directory(locate, symbol, locate))
    for number in range(600):
        locate = number % len(symbols) + 1
        messages.append(itch.add(locate, 1_000 + number, number + 1, "B", 10 + number, symbols[locate - 1], 10_000))
    return itch.framed(*messages)


@pytest.fixture
def itch_sample(tmp_path):
    path = tmp_path / "day.itch50.bin"
    path.write_bytes(itch_day())
    return path


def test_symbols_that_are_learned_on_the_way_have_books(itch_sample):
    report = replayed(itch_sample)
    assert sorted(report["books"]) == ["AAPL", "MSFT", "VLX"]
    assert {book["orders"] for book in report["books"].values()} == {200}
    assert_accounted_for(report)


def test_only_the_symbols_asked_for_are_replayed(itch_sample):
    report = replayed(itch_sample, source__symbols="AAPL,VLX")
    assert sorted(report["books"]) == ["AAPL", "VLX"]
    assert report["output"]["transactions"] == 400


def test_the_bucketed_book_refuses_a_feed_without_prices_of_its_own(itch_sample):
    with pytest.raises(ConfigError, match="executions and deletions carry no price and side"):
        Engine(configured(source__kind=str(itch_sample), book__kind="bucketed")).start()


def test_a_priced_feed_runs_with_the_bucketed_book(sample):
    report = replayed(sample, book__kind="bucketed")
    assert_accounted_for(report)
    assert report["output"]["transactions"] == 3_000


def test_a_file_damaged_in_the_middle_is_drained_to_there_and_reported(itch_sample):
    whole = itch_sample.read_bytes()
    itch_sample.write_bytes(whole[: len(whole) // 2])
    report = replayed(itch_sample)
    assert report["conserved"]
    assert report["output"]["transactions"] > 100
    assert "found the end of the file" in report["reason"]
    assert report["problems"] == [report["reason"]]
    assert exit_code_of(report) == 1


def test_a_file_of_which_nothing_can_be_read_starts_nothing(tmp_path):
    path = tmp_path / "day.itch50.bin"
    path.write_bytes(itch_day()[:1])
    with pytest.raises(FeedError):
        Engine(configured(source__kind=f"{path}:itch")).start()


@pytest.mark.parametrize("content", [b"", b"root:x:0:0\n", None], ids=["empty", "another kind", "absent"])
def test_wrong_files_are_one_line_and_exit_code_2(tmp_path, content):
    path = tmp_path / "day"
    if content is not None:
        path.write_bytes(content)
    command = [sys.executable, "-m", "velox_tui", "--no-ui", "--source", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path), cwd=ROOT, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert str(path) in done.stderr


def test_the_command_replays_a_file_and_writes_a_journal(sample, tmp_path):
    journal, report = tmp_path / "out.velox", tmp_path / "r.json"
    words = ["--no-ui", "--source", str(sample), "--set", "source.speed=max", "--sink", str(journal)]
    command = [sys.executable, "-m", "velox_tui", *words, "--report", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path), cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(report.read_text())
    assert told["conserved"]
    assert told["sink"]["written"] == 3_000
    command = [sys.executable, "-m", "velox_tui", "feed", str(journal), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path), cwd=ROOT, check=True)
    assert json.loads(done.stdout)["format"] == "journal"


def test_the_rate_shown_is_the_recorded_pace_until_another_is_asked_for(sample):
    engine = Engine(configured(source__kind=str(sample), source__speed=0.01))
    with engine:
        assert np.isnan(engine.snapshot().rate_per_s)
        engine.set_rate(1_000_000)
        assert engine.snapshot().rate_per_s == 1_000_000
        assert engine.wait(60) is State.DRAINED
    assert_accounted_for(engine.report().as_dict())
