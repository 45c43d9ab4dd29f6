"""The window over a text file: whole lines, whatever the sizes; constant memory; and what a closed feed does."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.encoders.lobster import Event, message_file
from tests.text_feeds import drained
from velox_engine.errors import FeedError
from velox_engine.feeds.line_window import AT, LINE, STOP, LineWindow, quoted
from velox_engine.feeds.lobster import LobsterFeed
from velox_engine.feeds.stream import ByteStream


def windows(path: Path, size: int, piece: int, limit: int = 1 << 20) -> tuple[list[bytes], LineWindow]:
    """What the window held, fill by fill."""
    found = []
    with ByteStream(path) as stream:
        window = LineWindow(stream, size, limit)
        while window.fill(piece):
            cursor = window.cursor
            found.append(window.text[cursor[AT] : cursor[STOP]].tobytes())
            assert window.line() == found[-1].partition(b"\n")[0] + b"\n"
            cursor[LINE] += found[-1].count(b"\n")
            cursor[AT] = cursor[STOP]
    return found, window


@settings(max_examples=100, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=30),
    ended=st.booleans(),
    size=st.integers(1, 64),
    piece=st.integers(1, 64),
)
def test_every_fill_is_whole_lines_and_nothing_is_lost(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], ended: bool, size: int, piece: int
) -> None:
    content = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    path = tmp_path_factory.mktemp("window") / "text"
    path.write_bytes(content)
    found, window = windows(path, size, piece)
    whole = content if content.endswith(b"\n") or not content else content + b"\n"
    assert b"".join(found) == whole
    assert all(piece.endswith(b"\n") for piece in found)
    assert len(window.text) <= max(size + 1, 4 * max(map(len, lines), default=0) + 4)


def test_a_line_beyond_the_limit_is_refused_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"short\n" * 10 + b"x" * 5000 + b"\n")
    with pytest.raises(FeedError, match="line 11: found a line longer than 1024 bytes"):
        windows(path, 32, 32, 1024)
    assert sum(map(len, windows(path, 32, 32, 8192)[0])) == 5061


def test_a_file_of_many_windows_needs_no_more_memory_than_one(tmp_path: Path) -> None:
    events = [Event(index, 1, index + 1, 1, 1000, 1) for index in range(1000)]
    path = tmp_path / "AMZN_2012-06-21_34200000_57600000_message_1.csv.gz"
    path.write_bytes(gzip.compress(message_file(events) * 150, 1))
    feed = LobsterFeed(path, batch_size=1000)
    room = len(feed._window.text)
    count = 0
    for batch in feed:
        count += len(batch)
    assert (count, len(feed._window.text)) == (150_000, room)
    assert room < 2 << 20


def test_a_feed_that_is_closed_while_it_is_read_ends(tmp_path: Path) -> None:
    events = [Event(index, 1, index + 1, 1, 1000, 1) for index in range(1000)]
    path = tmp_path / "AMZN_2012-06-21_34200000_57600000_message_1.csv"
    path.write_bytes(message_file(events) * 150)
    feed = LobsterFeed(path, batch_size=1000)
    batches = iter(feed)
    next(batches)
    feed.close()
    feed.close()
    rest = sum(len(batch) for batch in batches)
    assert 0 < rest < 149_000


def test_batches_are_arrays_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "AMZN_2012-06-21_34200000_57600000_message_1.csv"
    path.write_bytes(message_file([Event(index, 1, index + 1, 1, 1000, 1) for index in range(10)]))
    batches = list(LobsterFeed(path, batch_size=3))
    assert [batch["order_id"].tolist() for batch in batches] == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10]]
    with pytest.raises(ValueError, match="batch_size"):
        LobsterFeed(path, batch_size=0)
    assert len(drained(LobsterFeed(path))[0]) == 10


@pytest.mark.parametrize(
    "piece, shown",
    [
        (b"abc", "'abc'"),
        (b"\x1b[2J\xff\x00", "'\\x1b[2J\\xff\\x00'"),
        (b"x" * 41, f"'{'x' * 40}…'"),
        (np.arange(3, dtype=np.uint8).tobytes(), "'\\x00\\x01\\x02'"),
    ],
)
def test_bytes_are_shown_so_that_a_terminal_obeys_none(piece: bytes, shown: str) -> None:
    assert quoted(piece) == shown
