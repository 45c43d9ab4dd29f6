"""The journal: what is written is what is read, cut anywhere, damaged anywhere, on a full disk."""

from __future__ import annotations

import errno
import io
import json
import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from velox_engine.errors import FeedError
from velox_engine.feeds.base import TimeBase
from velox_engine.feeds.journal import JournalFeed
from velox_engine.feeds.journal_writer import JournalWriter
from velox_engine.feeds.opening import open_feed
from velox_engine.feeds.xxh64 import xxh64
from velox_engine.records import TRANSACTION, Flags, Instrument, Transactions

CONTENT = ("order_id", "price", "size", "event_ns", "due_ticks", "new_order_id", "symbol", "action", "side", "flags")
NAMES = [Instrument("A", 4, 0, 100), Instrument("B", 2, 8, 0), Instrument("Ç", 9, 0, 1)]
BASE = TimeBase("midnight", "2020-01-30", "America/New_York", "whatever paced it")


def some(count: int, seed: int = 1, *, first: int = 0) -> Transactions:
    """Records of random content, their sequence numbers from ``first`` on."""
    records = np.random.default_rng(seed).integers(0, 256, 64 * count, np.uint8).view(TRANSACTION)
    records["sequence"] = np.arange(first, first + count)
    records["symbol"] %= len(NAMES)
    records["flags"] &= 1
    return records


def in_bundles(count: int, seed: int = 1, most: int = 16) -> list[int]:
    sizes, rng = [], np.random.default_rng(seed)
    while sum(sizes) < count:
        sizes.append(min(int(rng.integers(0, most + 1)), count - sum(sizes)))
    return sizes


def write(path: Path, records: Transactions, sizes: Sequence[int] | None = None, **options: Any) -> None:
    options = {"time_base": BASE, "overwrite": True} | options
    with JournalWriter(path, options.pop("instruments", NAMES), "a source", **options) as writer:
        writer.write(records, in_bundles(len(records)) if sizes is None else sizes)


def read(path: Path, **options: Any) -> tuple[Transactions, FeedError | None, JournalFeed]:
    """All records, the fault that ended them, and the feed."""
    feed = JournalFeed(path, **options)
    batches: list[Transactions] = []
    fault = None
    try:
        for batch in feed:
            assert 0 < len(batch) <= feed.batch_size
            batches.append(batch)
    except FeedError as error:
        fault = error
    return np.concatenate([np.zeros(0, TRANSACTION), *batches]), fault, feed


def same(one: Transactions, other: Transactions, fields: Sequence[str] = CONTENT) -> bool:
    return len(one) == len(other) and all((one[field] == other[field]).all() for field in fields)


@pytest.mark.parametrize("count", [0, 1, 4096, 20_000])
def test_what_is_written_is_what_is_read(tmp_path: Path, count: int) -> None:
    path = tmp_path / "run.journal"
    records = some(count)
    write(path, records, priced=False, windowed=True, name="demo")
    found, fault, feed = read(path)
    assert fault is None
    assert same(found, records)
    assert (found["sequence"] == 0).all()
    assert feed.instruments == NAMES
    assert feed.time_base == TimeBase("midnight", "2020-01-30", "America/New_York", "due time of the recorded run")
    assert (feed.priced, feed.windowed, feed.seed_source) == (False, True, None)
    assert (feed.source, feed.name) == ("a source", "demo")
    assert feed.oddities.cut_off is None
    assert feed.oddities.gaps == 0


def test_bundles_come_back_and_blocks_hold_whole_ones(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    records, sizes = some(30_000), in_bundles(30_000, most=300)
    write(path, records, sizes)
    blocks = list(JournalFeed(path).blocks())
    assert len(blocks) >= 30_000 // 4096
    assert [size for _, part in blocks for size in part.tolist()] == sizes
    assert all(len(part) == sum(found) for part, found in blocks)
    assert same(np.concatenate([part for part, _ in blocks]), records)


@settings(max_examples=60, deadline=None)
@given(
    writes=st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=8),
    block=st.integers(1, 12),
    batch_size=st.integers(1, 20),
)
def test_any_writes_in_blocks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, writes: list[list[int]], block: int, batch_size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.journal"
    whole = some(sum(map(sum, writes)))
    at = 0
    with JournalWriter(path, NAMES, "", overwrite=True, block_records=block, flush_secs=1e9) as writer:
        for sizes in writes:
            writer.write(whole[at : at + sum(sizes)], sizes)
            at += sum(sizes)
            assert writer.written + writer.pending == at
    assert (writer.written, writer.pending, writer.lost) == (len(whole), 0, 0)
    found, fault, _ = read(path, batch_size=batch_size)
    assert fault is None
    assert same(found, whole)
    sizes_found = [size for _, part in JournalFeed(path).blocks() for size in part.tolist()]
    assert sizes_found == [size for sizes in writes for size in sizes]


def test_a_table_that_grows_is_written_in_front_of_what_needs_it(tmp_path: Path) -> None:
    path, table = tmp_path / "run.journal", NAMES[:1]
    records = some(3 * 5000)
    records["symbol"] = np.repeat([0, 1, 2], 5000)
    with JournalWriter(path, table, "") as writer:
        for turn in range(3):
            writer.write(records[5000 * turn : 5000 * (turn + 1)], [100] * 50)
            table.extend(NAMES[turn + 1 : turn + 2])
    feed = JournalFeed(path)
    assert feed.instruments == NAMES[:1]
    found = np.concatenate(list(feed))
    assert same(found, records)
    assert feed.instruments == NAMES


def test_due_times_become_ns(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    records = some(4)
    records["due_ticks"] = [5_000_000_000, 5_000_000_003, 5_000_000_003 + 3 * 10**9, 5_000_000_002 + 3 * 10**14]
    write(path, records, clock=(5_000_000_000, 1 / 3))
    assert read(path)[0]["due_ticks"].tolist() == [0, 1, 1_000_000_001, 100_000_000_000_001]
    assert records["due_ticks"][0] == 5_000_000_000


def test_symbols_that_are_not_wanted_are_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    records = some(1000)
    write(path, records)
    found, _, feed = read(path, symbols=["Ç", "B", "X"])
    wanted = records[records["symbol"] > 0].copy()
    wanted["symbol"] -= 1
    assert same(found, wanted)
    assert feed.instruments == NAMES[1:]
    assert feed.oddities.skipped["other symbols"] == 1000 - len(wanted)
    assert feed.unseen == ["X"]


@pytest.mark.parametrize("seeded", [0, 3, 5000, 6000])
def test_the_seed_of_then_is_the_seed_of_now_in_batches_of_its_own(tmp_path: Path, seeded: int) -> None:
    path = tmp_path / "run.journal"
    records = some(6000)
    records["flags"][:seeded] |= int(Flags.SNAPSHOT)
    records["flags"][5500:] |= int(Flags.SNAPSHOT)  # a snapshot inside the flow is no seed
    write(path, records, seed_source="book.csv")
    feed = JournalFeed(path, batch_size=1000)
    assert feed.seed_source == "book.csv"
    batches = list(feed)
    ends = np.cumsum([len(batch) for batch in batches]).tolist()
    assert seeded in [0, *ends]
    assert same(np.concatenate(batches), records)


def borders(path: Path) -> list[int]:
    """Where the file's blocks begin and end, by their heads alone."""
    bytes_, at = path.read_bytes(), [16]
    while at[-1] < len(bytes_):
        at.append(at[-1] + 40 + struct.unpack_from("<I", bytes_, at[-1] + 8)[0])
    return at


def test_the_layout_is_the_one_that_is_described(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    records = some(3)
    write(path, records, [2, 0, 1])
    bytes_ = path.read_bytes()
    assert bytes_[:16] == b"VELOXJNL" + struct.pack("<II", 1, 0)
    kinds = []
    for number, (start, end) in enumerate(pairwise(borders(path))):
        marker, kind, size, count, bundles, mine, content = struct.unpack_from("<4sIIIIIQ", bytes_, start)
        payload = bytes_[start + 40 : end]
        assert (marker, size, mine) == (b"VXBK", len(payload), number)
        assert size % 32 == 0
        assert content == xxh64(np.frombuffer(payload, np.uint64))
        assert struct.unpack_from("<Q", bytes_, start + 32)[0] == xxh64(
            np.frombuffer(bytes_[start : start + 32], np.uint64)
        )
        kinds.append(kind)
        if kind == 3:
            assert (count, bundles) == (3, 3)
            assert payload[: 3 * 64] == records.tobytes()
            assert payload[3 * 64 : 3 * 64 + 6] == struct.pack("<3H", 2, 0, 1)
        else:
            assert json.loads(payload[:count])
    assert kinds == [1, 2, 3, 4]


def test_the_checksum_is_xxh64() -> None:
    # from the reference implementation, xxHash 0.8
    assert xxh64(np.frombuffer(bytes(range(32)), np.uint64)) == 0xCBF59C5116FF32B4
    assert xxh64(np.frombuffer(bytes(i * 7 % 256 for i in range(96)), np.uint64)) == 0x0C1298BEDCD0A493


def test_a_file_cut_off_anywhere_is_read_up_to_its_last_whole_block(tmp_path: Path) -> None:
    path, cut = tmp_path / "run.journal", tmp_path / "cut.journal"
    records = some(60)
    with JournalWriter(path, NAMES, "", block_records=10) as writer:
        writer.write(records, [5] * 12)
    bytes_, ends = path.read_bytes(), borders(path)
    near = {end + step for end in ends for step in (-1, 0, 1)}
    for length in sorted(near | set(range(8, len(bytes_), 7)))[:-2]:
        cut.write_bytes(bytes_[:length])
        found, fault, feed = read(cut)
        assert fault is None
        blocks = max(sum(end <= length for end in ends[1:]) - 2, 0)  # behind the header and the instruments
        assert same(found, records[: 10 * blocks])
        assert feed.oddities.cut_off is not None
        assert f"byte {length}" in feed.oddities.cut_off
    for length in range(1, 8):
        cut.write_bytes(bytes_[:length])
        with pytest.raises(FeedError, match="magic"):
            JournalFeed(cut)


def test_a_changed_byte_anywhere_is_found_after_every_block_before_it(tmp_path: Path) -> None:
    path, bad = tmp_path / "run.journal", tmp_path / "bad.journal"
    records = some(30)
    with JournalWriter(path, NAMES, "", block_records=10) as writer:
        writer.write(records, [10] * 3)
    bytes_, ends = path.read_bytes(), borders(path)
    for at in range(0, len(bytes_), 3):
        changed = bytearray(bytes_)
        changed[at] ^= 0x10
        bad.write_bytes(changed)
        before = max(sum(end <= at for end in ends) - 3, 0)
        try:
            found, fault, _ = read(bad)
        except FeedError as error:
            found, fault = records[:0], error
        assert fault is not None
        assert fault.byte == (0 if at < 8 else 8 if at < 16 else max(end for end in ends if end <= at))
        assert "found" in fault.problem
        assert "expected" in fault.problem
        assert same(found, records[: 10 * before])


def test_blocks_missing_doubled_or_behind_the_end_are_found(tmp_path: Path) -> None:
    path, bad = tmp_path / "run.journal", tmp_path / "bad.journal"
    with JournalWriter(path, NAMES, "", block_records=10) as writer:
        writer.write(some(50), [10] * 5)
    bytes_, at = path.read_bytes(), borders(path)
    changes = {
        "block 4": bytes_[: at[3]] + bytes_[at[4] :],
        "block 3": bytes_[: at[4]] + bytes_[at[3] :],
        "behind the end": bytes_ + b"\x00",
        "a first block of kind 2": bytes_[:16] + bytes_[at[1] :],
    }
    for words, changed in changes.items():
        bad.write_bytes(changed)
        with pytest.raises(FeedError, match=words if "first" not in words else "block 1"):
            list(JournalFeed(bad))


def test_a_journal_that_is_still_written_can_be_read_so_far(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    records = some(10)
    with JournalWriter(path, NAMES, "", flush_secs=0) as writer:
        writer.write(records[:5], [5])
        found, fault, feed = read(path)
        assert fault is None
        assert same(found, records[:5])
        assert feed.oddities.cut_off is not None
        writer.write(records[5:], [5])
    assert same(read(path)[0], records)


def test_compressed_journals_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    records = some(10_000)
    write(path, records)
    packed = tmp_path / "run.journal.zst"
    packed.write_bytes(zstandard.compress(path.read_bytes()))
    feed = open_feed(packed)
    assert isinstance(feed, JournalFeed)
    assert same(np.concatenate(list(feed)), records)


class FullDisk(io.FileIO):
    """A file on a disk with room for some bytes."""

    room = 10**9

    def write(self, data: Any) -> int:
        data = memoryview(data).cast("B")
        if self.tell() >= self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data[: self.room - self.tell()])


def test_a_full_disk_costs_blocks_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    records = some(60)
    writer = JournalWriter(path, NAMES, "", block_records=10, flush_secs=1e9)
    writer._file.close()
    disk = writer._file = FullDisk(path, "r+b")
    disk.seek(0, io.SEEK_END)
    writer.write(records[:10], [10])
    disk.room = disk.tell() + 300  # less than half a block
    with pytest.raises(OSError, match="No space"):
        writer.write(records[10:35], [5] * 5)
    assert (writer.written, writer.lost, writer.pending) == (10, 20, 5)
    disk.room = 10**9
    writer.write(records[35:], [5] * 5)
    writer.close()
    assert (writer.written, writer.lost) == (40, 20)
    found, fault, feed = read(path)
    assert fault is None
    assert same(found, np.concatenate([records[:10], records[30:]]), CONTENT[:-1])
    assert feed.oddities.gaps == 1
    assert feed.oddities.skipped["records lost when it was written"] == 20
    flagged = found[(found["flags"] & int(Flags.GAP)) > 0]
    assert sorted(flagged["symbol"].tolist()) == sorted(set(records["symbol"][30:].tolist()))
    first = [int(np.flatnonzero(found["symbol"][10:] == symbol)[0]) + 10 for symbol in flagged["symbol"]]
    assert (found["flags"][first] & int(Flags.GAP)).all()


def test_a_file_with_something_in_it_is_not_overwritten_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        JournalWriter(path, NAMES, "")
    assert path.read_bytes() == b"precious"
    path.write_bytes(b"")
    JournalWriter(path, NAMES, "").close()
    write(path, some(1))
    with pytest.raises(OSError, match="directory"):
        JournalWriter(tmp_path, NAMES, "")


def test_wrong_use_is_named(tmp_path: Path) -> None:
    with JournalWriter(tmp_path / "run.journal", NAMES, "") as writer:
        with pytest.raises(ValueError, match="bundle_sizes"):
            writer.write(some(3), [1, 1])
        with pytest.raises(ValueError, match="bundle_sizes"):
            writer.write(some(3), [4, -1])
        with pytest.raises(TypeError, match="TRANSACTION"):
            writer.write(np.zeros(3), [3])
    writer.close()
    write(tmp_path / "bad.journal", some(10), instruments=NAMES[:1])
    _, fault, _ = read(tmp_path / "bad.journal")
    assert fault is not None
    assert "symbol index" in fault.problem
    with pytest.raises(FeedError, match="takes no seed"):
        JournalFeed(tmp_path / "run.journal", seed="x")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(FeedError, match="empty"):
        JournalFeed(tmp_path / "empty")
    (tmp_path / "next").write_bytes(b"VELOXJNL\x02\x00\x00\x00\x00\x00\x00\x00")
    with pytest.raises(FeedError, match="version 2"):
        JournalFeed(tmp_path / "next")


def test_time_that_goes_back_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    records = some(6)
    records["due_ticks"] = [1, 5, 4, 9, 8, 8]
    with JournalWriter(path, NAMES, "", block_records=2) as writer:
        writer.write(records, [2, 2, 2])
    assert read(path)[2].oddities.time_back == 2


@settings(max_examples=100, deadline=None)
@given(head=st.sampled_from([b"", b"VELOXJNL", b"VELOXJNL\x01" + bytes(7)]), bytes_=st.binary(max_size=300))
def test_random_bytes_give_nothing_but_a_feed_error(
    tmp_path_factory: pytest.TempPathFactory, head: bytes, bytes_: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "random.journal"
    path.write_bytes(head + bytes_)
    try:
        found, fault, feed = read(path)
    except FeedError:
        return
    assert len(found) == 0
    assert fault is not None or feed.oddities.cut_off is not None
