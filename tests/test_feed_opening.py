"""The way in: formats found by name and content, refusals, symbols, and what every format holds to."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.encoders import dbn, itch
from tests.recorded import recorded
from velox_engine.books.exact import ExactBook
from velox_engine.errors import FeedError
from velox_engine.feeds.base import Feed
from velox_engine.feeds.journal_writer import JournalWriter
from velox_engine.feeds.opening import FORMATS, feed_class, find_format, open_feed, split_source
from velox_engine.records import TRANSACTION, Flags, Instrument

ITCH = itch.framed(itch.directory(1, "AAPL"), itch.add(1, 5, 1, "B", 10, "AAPL", 100), itch.directory(2, "MSFT"))
DBN = dbn.metadata(3, "mbo", [("ESH4", [(20240101, 20240102, "1")])]) + dbn.mbo("A", "B", 1, 5, 5)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_each_format_has_a_class_that_states_its_rules(name: str) -> None:
    found = feed_class(name)
    assert issubclass(found, Feed)
    assert found.format == name
    for word in ("decimals", "tick", "pace", "make"):
        assert word in found.rules


@pytest.mark.parametrize("format_, bytes_", [("itch", ITCH), ("dbn", DBN)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress, zstandard.compress])
def test_a_binary_format_is_found_by_its_content_alone(tmp_path: Path, format_: str, bytes_: bytes, pack: type) -> None:
    path = tmp_path / "a_file"
    path.write_bytes(pack(bytes_))
    feed = open_feed(str(path))
    assert feed.format == format_
    assert feed.path == path
    assert sum(map(len, feed)) == 1


def test_a_journal_is_found_by_its_content_alone(tmp_path: Path) -> None:
    path = tmp_path / "a_file"
    JournalWriter(path, [Instrument("A")], "").close()
    assert find_format(path) == "journal"


def test_a_format_that_is_given_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "a_file"
    path.write_bytes(ITCH)
    with pytest.raises(FeedError, match="magic"):
        open_feed(path, "dbn")
    with pytest.raises(FeedError, match="format 'pcap', expected one of binance, coinbase"):
        open_feed(path, "pcap")


def test_a_damaged_file_is_still_of_the_format_that_its_name_says(tmp_path: Path) -> None:
    path = tmp_path / "01302020.NASDAQ_ITCH50"
    path.write_bytes(b"\x00\x00" + ITCH)
    with pytest.raises(FeedError, match="length 0"):
        list(open_feed(path))


def test_what_is_none_of_ours_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for bytes_ in (b"\x00", b"hello, world\n", b"\xff" * 100, b"{}\n", b"PK\x03\x04" + bytes(60)):
        path.write_bytes(bytes_)
        with pytest.raises(FeedError) as caught:
            open_feed(path)
        assert caught.value.byte == 0
        assert "expected one of" in caught.value.problem
        assert "\n" not in str(caught.value)
    path.write_bytes(b"")
    with pytest.raises(FeedError, match="empty"):
        open_feed(path)
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(FeedError, match="empty"):
        open_feed(path)
    with pytest.raises(FeedError, match="directory"):
        open_feed(tmp_path)
    with pytest.raises(FeedError, match="No such file"):
        open_feed(tmp_path / "absent")


def test_a_pipe_needs_its_format_said(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.write(descriptor, b"1234567890123456")
        with pytest.raises(FeedError, match="no regular file"):
            open_feed(path)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("symbols", [["MSFT", "AAPL"], "AAPL, MSFT", ("AAPL", "MSFT"), None])
def test_symbols_are_names_or_a_text_of_names(tmp_path: Path, symbols: object) -> None:
    path = tmp_path / "file.itch50"
    path.write_bytes(ITCH)
    feed = open_feed(path, symbols=symbols)  # type: ignore[arg-type]
    list(feed)
    assert [instrument.symbol for instrument in feed.instruments] == ["AAPL", "MSFT"]
    feed = open_feed(path, symbols="MSFT")
    assert list(feed) == []
    assert feed.unseen == []
    feed = open_feed(path, symbols="XXXX")
    assert list(feed) == []
    assert feed.unseen == ["XXXX"]


def test_a_source_may_end_with_its_format(tmp_path: Path) -> None:
    assert split_source("a/b.bin:itch") == (Path("a/b.bin"), "itch")
    assert split_source("a/b.bin") == (Path("a/b.bin"), None)
    assert split_source("C:data") == (Path("C:data"), None)
    assert split_source(":itch") == (Path(":itch"), None)
    own = tmp_path / "x:itch"
    own.write_bytes(ITCH)
    assert split_source(str(own)) == (own, None)


@settings(max_examples=150, deadline=None)
@given(
    bytes_=st.binary(max_size=300), name=st.sampled_from(["x", "x.csv", "x.jsonl.gz", "x_ITCH50", "x.dbn", "x.json"])
)
def test_random_bytes_give_nothing_but_a_feed_error(
    tmp_path_factory: pytest.TempPathFactory, bytes_: bytes, name: str
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(bytes_)
    with suppress(FeedError):
        for batch in open_feed(path):
            assert batch.dtype == TRANSACTION


RECORDED = {
    ("itch", "AAPL_2020-01-30_first7000.itch50.bin"): "itch",
    ("dbn", "esh4-glbx-mdp3-20231225.mbo.dbn.zst"): "dbn",
    ("dbn", "tiny_XNAS.ITCH.mbp-10.v3.dbn.zst"): "dbn",
    ("lobster", "AMZN_2012-06-21_34200000_57600000_message_1.csv.gz"): "lobster",
    ("coinbase_l3", "btcusd_2018-07-13_messages_first20001.jsonl.xz"): "coinbase",
    ("binance", "binance_spot_btcusdt_20240808.gz"): "binance",
    ("binance", "binance_usdm_btcusdt_20240808.gz"): "binance",
    ("tardis_csv", "binance_incremental_book_L2_2024-08-08_BTCUSDT.csv.gz"): "tardis",
    ("tardis_csv", "binance_trades_2024-08-08_BTCUSDT.csv.gz"): "tardis",
}


@pytest.mark.parametrize("parts", sorted(RECORDED))
def test_recorded_files_are_found_and_keep_the_promises_of_a_feed(parts: tuple[str, str]) -> None:
    path = recorded(*parts)
    assert find_format(path) == RECORDED[parts]
    feed = open_feed(path, batch_size=1000)
    symbols: list[Instrument] = []
    seeding = feed.seed_source is not None
    for number, batch in enumerate(feed):
        assert batch.dtype == TRANSACTION
        assert 0 < len(batch) <= 1000
        assert not batch["sequence"].any()
        assert feed.instruments[: len(symbols)] == symbols
        symbols = list(feed.instruments)
        assert int(batch["symbol"].max()) < len(symbols)
        snapshot = (batch["flags"] & int(Flags.SNAPSHOT)) > 0
        # the seed stands in batches of its own
        assert not seeding or snapshot.all() or not snapshot.any()
        seeding = seeding and bool(snapshot.all())
        if number > 20:
            break
    feed.close()


@pytest.mark.parametrize(
    "parts", [("kraken_l2", "kraken_ws_book1000_2021-04-17_5pairsA.txt.gz"), ("pitch", "pitch_example_data.txt.gz")]
)
def test_recorded_files_of_other_kinds_are_refused(parts: tuple[str, str]) -> None:
    with pytest.raises(FeedError, match="expected one of"):
        open_feed(recorded(*parts))


def test_a_journal_of_a_recorded_file_gives_the_same_content_and_book(tmp_path: Path) -> None:
    source = recorded("itch", "AAPL_2020-01-30_first7000.itch50.bin")
    feed = open_feed(source)
    path = tmp_path / "run.journal"
    whole, sequence = [], 0
    with JournalWriter(
        path, feed.instruments, str(source), time_base=feed.time_base, priced=feed.priced, windowed=feed.windowed
    ) as writer:
        for batch in feed:
            whole.append(batch.copy())
            batch["sequence"] = np.arange(sequence, sequence + len(batch))
            sequence += len(batch)
            sizes = [16] * (len(batch) // 16) + ([len(batch) % 16] if len(batch) % 16 else [])
            writer.write(batch, sizes)
    again = open_feed(path)
    assert (again.priced, again.windowed, again.time_base.date) == (False, False, "2020-01-30")
    replayed = np.concatenate(list(again))
    assert (replayed == np.concatenate(whole)).all()
    books = [ExactBook(each.instruments) for each in (feed, again)]
    books[0].apply(np.concatenate(whole))
    books[1].apply(replayed)
    assert books[0].best("AAPL") == books[1].best("AAPL") == (3_210_000, 10, 3_211_000, 176)
