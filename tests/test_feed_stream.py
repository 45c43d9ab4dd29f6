"""The bytes of a file: every compression, several members, damaged places, constant memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from velox_engine.errors import FeedError
from velox_engine.feeds.stream import ByteStream

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "bzip2": bz2.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}
packed = pytest.mark.parametrize("name", sorted(PACKERS))


def content(count: int, seed: int = 7) -> bytes:
    """Bytes that compress by about a half and do not repeat."""
    return np.random.default_rng(seed).integers(0, 16, count, dtype=np.uint8).tobytes()


def read_all(path: Path, room: int = 10_000) -> tuple[bytes, FeedError | None, ByteStream]:
    buffer, parts = np.zeros(room, np.uint8), []
    with ByteStream(path) as stream:
        try:
            while count := stream.read_into(buffer):
                parts.append(buffer[:count].tobytes())
        except FeedError as error:
            return b"".join(parts), error, stream
    return b"".join(parts), None, stream


@packed
def test_a_compressed_file_reads_as_its_content_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    whole = content(1_000_000)
    path = tmp_path / "file.of.no.known.name"
    path.write_bytes(PACKERS[name](whole))
    got, error, stream = read_all(path)
    assert (got, error, stream.compression, stream.offset) == (whole, None, name, len(whole))


def test_a_plain_file_reads_as_it_is(tmp_path: Path) -> None:
    whole = content(700_001)
    path = tmp_path / "plain.gz"
    path.write_bytes(whole)
    got, error, stream = read_all(path)
    assert (got, error, stream.compression) == (whole, None, None)


@packed
def test_members_one_after_the_other_are_one_file(tmp_path: Path, name: str) -> None:
    parts = [content(count, seed) for seed, count in enumerate((1, 5_000, 0, 300_000, 17))]
    path = tmp_path / "many"
    path.write_bytes(b"".join(PACKERS[name](part) for part in parts))
    got, error, _ = read_all(path)
    assert error is None
    assert got == b"".join(parts)


@pytest.mark.parametrize("name", ["gzip", "xz"])
def test_zero_bytes_after_a_member_are_padding(tmp_path: Path, name: str) -> None:
    path = tmp_path / "padded"
    path.write_bytes(PACKERS[name](b"one") + bytes(8192) + PACKERS[name](b"two") + bytes(512))
    assert read_all(path)[:2] == (b"onetwo", None)


def test_a_skippable_zstd_frame_gives_nothing(tmp_path: Path) -> None:
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"aside"
    path = tmp_path / "skippable"
    path.write_bytes(skippable + PACKERS["zstd"](b"one") + skippable + PACKERS["zstd"](b"two"))
    assert read_all(path)[:2] == (b"onetwo", None)


@packed
@pytest.mark.parametrize("keep", [0.999, 0.5, 0.01])
def test_a_cut_stream_gives_what_is_there_then_says_so(tmp_path: Path, name: str, keep: float) -> None:
    whole = content(400_000)
    bytes_ = PACKERS[name](whole)
    path = tmp_path / "cut"
    path.write_bytes(bytes_[: int(len(bytes_) * keep)])
    got, error, stream = read_all(path)
    assert error is not None
    assert whole.startswith(got)
    assert error.byte == len(got) == stream.offset
    assert name in error.problem
    assert error.file == path


@packed
def test_a_damaged_stream_gives_what_came_before_the_damage(tmp_path: Path, name: str) -> None:
    whole = content(3_000_000)
    damaged = bytearray(PACKERS[name](whole))
    middle = len(damaged) // 2
    damaged[middle : middle + 64] = b"\xff" * 64
    path = tmp_path / "damaged"
    path.write_bytes(damaged)
    got, error, _ = read_all(path)
    assert error is not None
    assert error.byte == len(got)
    # a checksum stands at the end of a member (a block in bzip2), so what came just before the damage was noticed may
    # be wrong; what stands well before the damage is right
    assert whole[:500_000] == got[:500_000]


@packed
def test_other_bytes_after_a_member_are_an_error_after_its_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / "tail"
    path.write_bytes(PACKERS[name](b"content") + b"and something else entirely")
    got, error, _ = read_all(path)
    assert got == b"content"
    assert error is not None
    assert error.byte == 7


@packed
def test_looking_at_the_head_takes_nothing(tmp_path: Path, name: str) -> None:
    whole = content(300_000)
    path = tmp_path / "peeked"
    path.write_bytes(PACKERS[name](whole))
    buffer = np.zeros(len(whole) + 1, np.uint8)
    with ByteStream(path) as stream:
        assert stream.peek(10) == whole[:10]
        assert stream.peek(100_000) == whole[:100_000]
        assert stream.offset == 0
        assert stream.read_into(buffer) == len(whole)
        assert buffer[:-1].tobytes() == whole
        assert stream.peek() == b""


def test_the_head_before_a_damage_can_be_seen(tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(gzip.compress(b"ab") + b"\x1f\x8b\x08 not a member")
    buffer = np.zeros(8, np.uint8)
    with ByteStream(path) as stream:
        assert stream.peek() == b"ab"
        assert stream.read_into(buffer) == 2
        with pytest.raises(FeedError):
            stream.read_into(buffer)
        with pytest.raises(FeedError):
            stream.peek()


def test_reading_fills_from_the_start_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "plain"
    path.write_bytes(b"abcdef")
    buffer = np.full(8, ord("."), np.uint8)
    with ByteStream(path) as stream:
        assert stream.read_into(buffer, 5) == 3
        assert buffer.tobytes() == b".....abc"
        assert stream.read_into(buffer, 8) == 0
        assert stream.read_into(buffer) == 3
        assert stream.read_into(buffer) == 0
        assert stream.offset == 6


def test_a_pipe_reads_like_a_file(tmp_path: Path) -> None:
    path, whole = tmp_path / "pipe", gzip.compress(content(50_000))
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            pipe.write(whole[:3])
            pipe.write(whole[3:])

    writer = threading.Thread(target=write)
    writer.start()
    got, error, _ = read_all(path)
    writer.join(10)
    assert (got, error) == (content(50_000), None)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="directory"):
        ByteStream(tmp_path)
    with pytest.raises(FeedError, match="No such file"):
        ByteStream(tmp_path / "absent")


@packed
def test_a_file_that_grows_a_thousandfold_takes_little_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / "zeros"
    path.write_bytes(PACKERS[name](bytes(64_000_000)))
    buffer, total = np.zeros(100_000, np.uint8), 0
    tracemalloc.start()
    try:
        with ByteStream(path) as stream:
            while count := stream.read_into(buffer):
                total += count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 64_000_000
    assert peak < 20_000_000


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(sorted(PACKERS)),
    whole=st.binary(max_size=300),
    at=st.integers(0, 400),
    flip=st.integers(0, 255),
    cut=st.integers(0, 400),
)
def test_a_changed_byte_or_a_cut_gives_nothing_but_a_feed_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, whole: bytes, at: int, flip: int, cut: int
) -> None:
    bytes_ = bytearray(PACKERS[name](whole))
    bytes_[at % len(bytes_)] ^= flip
    path = tmp_path_factory.getbasetemp() / f"changed-{os.getpid()}"
    path.write_bytes(bytes_[: len(bytes_) - cut % len(bytes_)])
    read_all(path, room=7)
