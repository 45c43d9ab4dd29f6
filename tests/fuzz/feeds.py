"""Recorded files: whatever one holds, its feed gives records or a `FeedError`, the same ones however it is read."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import zstandard

from tests.fuzz import corpus
from tests.fuzz.guarded import GuardedMemory
from tests.fuzz.mutation import MOST_BYTES, mutated
from tests.plain_book import PlainBook
from velox_engine.books.exact import ExactBook
from velox_engine.errors import FeedError
from velox_engine.feeds import coinbase_book, journal, kernel_feed, lobster_seed, text
from velox_engine.feeds.base import Feed
from velox_engine.feeds.journal_format import CHECK, HEAD, HEAD_BYTES, PREFIX, checksum
from velox_engine.feeds.line_window import STOP, LineWindow
from velox_engine.feeds.opening import FORMATS, feed_class, open_feed
from velox_engine.feeds.stream import ByteStream, Window
from velox_engine.records import TRANSACTION, Action, Side, Transactions

PACKERS: list[Callable[[bytes], bytes]] = [
    lambda data: gzip.compress(data, 1, mtime=0),
    lambda data: lzma.compress(data, preset=0),
    lambda data: bz2.compress(data, 1),
    lambda data: zstandard.ZstdCompressor(level=1, write_checksum=True).compress(data),
]
_MEMORY = 12 << 20


class Reading(NamedTuple):
    """All that a feed told: its records and everything beside them."""

    records: Transactions
    told: dict[str, Any]
    book_instruments: list[Any]


class _GuardedWindow(Window):
    """A window whose bytes end at a guard; with a small capacity messages are cut at many places."""

    def __init__(self, stream: ByteStream, memory: GuardedMemory, capacity: int) -> None:
        super().__init__(stream, capacity)
        self._memory, self._own = memory, self.data

    def more(self) -> bool:
        self.data = self._own
        try:
            return super().more()
        finally:
            self._own = self.data
            self.data = self._memory.tail(self.end)
            self.data[:] = self._own[: self.end]


class _GuardedLines(LineWindow):
    """Whole lines, the last of which ends at a guard."""

    def __init__(self, stream: ByteStream, size: int, *limit: int, memory: GuardedMemory) -> None:
        super().__init__(stream, size, *limit)
        self._memory, self._own = memory, self.text

    def fill(self, *given: int) -> bool:
        self.text = self._own
        try:
            return super().fill(*given)
        finally:
            self._own, stop = self.text, int(self.cursor[STOP])
            self.text = self._memory.tail(stop)
            self.text[:] = self._own[:stop]


class Guards:
    """Puts what the compiled decoders read and write in front of pages that nobody may touch."""

    def __init__(self) -> None:
        self._read, self._written, self._book = (GuardedMemory(_MEMORY) for _ in range(3))
        self.capacity = 1 << 20
        self._numpy = SimpleNamespace(**{**vars(np), "empty": self._empty})
        self._plain_whole_text = coinbase_book._whole_text

    def _empty(self, shape: Any, dtype: Any = float) -> Any:
        return self._written.tail(shape, dtype) if dtype == TRANSACTION else np.empty(shape, dtype)

    def _whole_text(self, path: Path) -> Any:
        own = self._plain_whole_text(path)
        guarded = self._book.tail(len(own))
        guarded[:] = own
        return guarded

    @contextmanager
    def set(self) -> Iterator[None]:
        """Read in this way meanwhile."""

        def window(stream: ByteStream) -> Window:
            return _GuardedWindow(stream, self._read, self.capacity)

        def lines(stream: ByteStream, size: int, *limit: int) -> LineWindow:
            small = size == text.WINDOW_BYTES  # those that learn from the first bytes need them all
            size = min(size, self.capacity) if small else size
            return _GuardedLines(stream, size, *limit, memory=self._read)

        with (
            mock.patch.object(kernel_feed, "Window", window),
            mock.patch.object(journal, "Window", window),
            mock.patch.object(text, "LineWindow", lines),
            # a window of its own: the message file's stays open meanwhile
            mock.patch.object(lobster_seed, "LineWindow", partial(_GuardedLines, memory=self._book)),
            mock.patch.object(kernel_feed, "np", self._numpy),
            mock.patch.object(text, "np", self._numpy),
            mock.patch.object(coinbase_book, "_whole_text", self._whole_text),
        ):
            yield


class FeedTarget:
    """One format. ``seeded``: what is fuzzed is the file with the book before the first message."""

    def __init__(self, name: str, *, seeded: bool = False) -> None:
        self.format = name
        self.seeded = seeded
        self.text = name not in ("itch", "dbn", "journal")
        files: list[bytes] = getattr(corpus, f"{name}_files")()
        self.corpus = getattr(corpus, f"{name}_books")() if seeded else files
        self._folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        stem = corpus.LOBSTER_NAME if name == "lobster" else "recorded"
        self.path = Path(self._folder.name, stem)
        self.seed = Path(self._folder.name, stem.replace("message", "orderbook") + ".seed") if seeded else None
        if seeded:
            self.path.write_bytes(files[2])
        self._guards = Guards()

    def close(self) -> None:
        """Let go of what it holds."""
        self._folder.cleanup()

    def make(self, choose: random.Random) -> bytes:
        """An input; of a journal most have right checksums, or nothing behind them would ever be read."""
        data = mutated(choose, self.corpus, text=self.text)
        return signed(data) if self.format == "journal" and choose.random() < 0.8 else data

    def run(self, data: bytes) -> str:
        """Read it in two ways; return what became of it. What is wrong is an `AssertionError` or any other error."""
        choose = random.Random(zlib.crc32(data))
        symbols = _SYMBOLS[self.format] if choose.random() < (0.9 if self.format == "binance" else 0.1) else None
        with self._guards.set():
            self._guards.capacity = 1 << 20
            first = self._read(data, 4096, symbols)
            self._check(first)
            if choose.random() < 0.4:
                return self._word(first)
            self._guards.capacity = choose.choice((16, 64, 500, 1 << 20))
            packed = choose.choice(PACKERS)(data) if choose.random() < 0.3 else data
            again = self._read(packed, choose.choice((1, 2, 3, 7, 100)), symbols)
        assert again.told == first.told, f"read in another way:\n{again.told}\n{first.told}"
        assert np.array_equal(again.records, first.records), "read in another way, other records come"
        if choose.random() < 0.1:
            self._recognise(data)
        if len(first.records) and choose.random() < 0.2:
            keep_book(first)
        return self._word(first)

    @staticmethod
    def _word(reading: Reading) -> str:
        return "refused" if reading.told["refused"] else "damaged" if reading.told["fault"] else "read"

    def _read(self, data: bytes, batch_size: int, symbols: str | None) -> Reading:
        target = self.seed or self.path
        target.write_bytes(data)
        batches, fault, refused = [np.zeros(0, TRANSACTION)], None, None
        feed: Feed | None = None
        try:
            feed = open_feed(self.path, self.format, symbols, self.seed, batch_size=batch_size)
        except FeedError as error:
            refused = error
        if feed is not None:
            try:
                for batch in feed:
                    assert 0 < len(batch) <= batch_size
                    batches.append(batch.copy())
            except FeedError as error:
                fault = error
        for error in (refused, fault):
            if error is not None:
                check_message(error)
        told = {"refused": str(refused or ""), "fault": str(fault or "")}
        if feed is not None:
            odd = feed.oddities
            told |= {"skipped": +odd.skipped, "gaps": odd.gaps, "back": odd.time_back, "cut": odd.cut_off}
            told |= {"instruments": list(feed.instruments), "base": feed.time_base, "seed": str(feed.seed_source)}
        return Reading(np.concatenate(batches), told, feed.instruments if feed is not None else [])

    def _check(self, reading: Reading) -> None:
        """What holds of every feed's records."""
        records = reading.records
        assert not records["sequence"].any()
        assert not len(records) or int(records["symbol"].max()) < len(reading.book_instruments)
        if self.format != "journal":  # it gives back what was written, whatever that is
            assert np.all((records["action"] >= Action.ADD) & (records["action"] <= Action.STATUS))
            assert np.all(records["side"] <= Side.NONE)
            assert np.all(records["size"] >= 0)
            assert len({instrument.symbol for instrument in reading.book_instruments}) == len(reading.book_instruments)

    def _recognise(self, data: bytes) -> None:
        """Asking what format it is raises nothing, whatever it is."""
        for name in FORMATS:
            assert feed_class(name).matches("recorded", data) in (True, False)


class _Row:
    def __init__(self, record: np.void) -> None:
        for name in record.dtype.names or ():
            setattr(self, name, int(record[name]))


def keep_book(reading: Reading, most: int = 150) -> None:
    """Apply records to the exact book and to its plain twin: the same counts, levels and queues."""
    records = reading.records[:most]
    symbols = len(reading.book_instruments)
    if symbols > 50:
        return
    book = ExactBook(reading.book_instruments, orders=1)
    done = book.apply(records)
    assert done.records == len(records)
    twins = [PlainBook() for _ in range(symbols)]
    for record in records:
        twins[record["symbol"]].apply(_Row(record))  # type: ignore[arg-type]  # it has what a record has
    for index, twin in enumerate(twins):
        depth = book.depth(index, 1000)
        for side in (0, 1):
            assert depth[side].tolist() == twin.depth(side), f"side {side} of symbol {index}"
            assert book.orders(index, side).tolist() == twin.orders(side), f"queues of side {side} of symbol {index}"
        assert book.state(index) == twin.state


def check_message(error: Exception) -> None:
    """A message is one line that a terminal can show, and of a length that people read."""
    words = str(error)
    assert words.isprintable(), f"a message that is not printable: {words!r}"
    assert len(words) < 1000, f"a message of {len(words)} characters: {words[:200]}"


def signed(data: bytes) -> bytes:
    """A journal with the lengths, numbers and checksums put right as far as its blocks can be told apart."""
    out = bytearray(data)
    at, number = PREFIX.size, 0
    while at + HEAD_BYTES <= len(out):
        marker, kind, size, count, bundles, _, _ = HEAD.unpack_from(out, at)
        room = len(out) - at - HEAD_BYTES
        size = size if size <= room and size % 32 == 0 else room // 32 * 32
        payload = np.frombuffer(bytes(out[at + HEAD_BYTES : at + HEAD_BYTES + size]), np.uint64)
        struct.pack_into("<4sIIIIIQ", out, at, marker, kind, size, count, bundles, number, checksum(payload))
        CHECK.pack_into(out, at + HEAD.size, checksum(np.frombuffer(bytes(out[at : at + HEAD.size]), np.uint64)))
        at, number = at + HEAD_BYTES + size, number + 1
    return bytes(out)


class StreamTarget:
    """Compressed bytes: a damaged one gives what came before the damage, in memory that does not grow with it."""

    text = False

    def __init__(self) -> None:
        rng = random.Random("stream")
        plain = [b"", b"x", bytes(5000), rng.randbytes(700), b"a line of text\n" * 300, bytes(3_000_000)]
        self.corpus: Sequence[bytes] = [pack(each) for pack in PACKERS for each in plain]
        self.corpus = [each for each in self.corpus if len(each) < MOST_BYTES]
        self.corpus += [PACKERS[0](b"one") + bytes(64) + PACKERS[0](b"two"), PACKERS[3](b"one") + PACKERS[3](b"two")]
        self._folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self.path = Path(self._folder.name, "stream")

    def close(self) -> None:
        """Let go of what it holds."""
        self._folder.cleanup()

    def make(self, choose: random.Random) -> bytes:
        """An input."""
        return mutated(choose, self.corpus, text=False)

    def run(self, data: bytes) -> str:
        """Read it in large and in small pieces."""
        self.path.write_bytes(data)
        whole, problem = self._read(1 << 16)
        small = self._read(random.Random(zlib.crc32(data)).choice((1000, 4096, 60_000)))
        assert (whole, problem) == small, f"read in other pieces: {problem} {small[1]}"
        return "damaged" if problem else "read"

    def _read(self, room: int) -> tuple[int, str]:
        buffer, count, sum_ = np.empty(room, np.uint8), 0, 0
        try:
            with ByteStream(self.path) as stream:
                while came := stream.read_into(buffer):
                    count += came
                    sum_ = zlib.crc32(buffer[:came], sum_)
                    assert count < 1 << 28
        except FeedError as error:
            problem, place = str(error), error.byte
            check_message(error)
        else:
            problem, place = "", count
        assert place == count
        return sum_, problem


_SYMBOLS = {
    "lobster": "AMZN", "itch": "AAPL,LATE", "dbn": "ESZ3,NQZ3", "coinbase": "BTC-USD", "binance": "BTCUSDT",
    "tardis": "BTCUSDT", "journal": "A",
}  # fmt: skip
