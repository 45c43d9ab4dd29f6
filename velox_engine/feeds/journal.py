"""Reading a journal: Velox's own file of what left a pipeline, replayed with the same content."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from velox_engine.errors import FeedError
from velox_engine.feeds.base import DEFAULT_BATCH_SIZE, Feed, Seed, TimeBase
from velox_engine.feeds.journal_format import (
    HEAD_BYTES,
    MAGIC,
    MAX_PAYLOAD,
    PREFIX,
    SIZE_DTYPE,
    VERSION,
    Head,
    Kind,
    checksum,
    data_payload_bytes,
    padded,
    unpack_head,
)
from velox_engine.feeds.stream import ByteStream, Window
from velox_engine.records import TRANSACTION, Flags, Instrument, Transactions


class _CutOffError(Exception):
    """The file ends where a block should go on, or begin."""


class JournalFeed(Feed):
    """A journal, version 1.

    ``source`` is where the flow came from when it was written, ``name`` the run's name. A file that ends before its
    END block is read up to its last whole block, and ``oddities.cut_off`` says where that is.
    """

    format: ClassVar[str] = "journal"
    rules: ClassVar[str] = (
        "decimals, tick and time base are those of the flow that was written; "
        "the time at which a transaction was due then paces a replay; the seed is the one of then; "
        "every record makes a record, with the same content; where the writer lost some, that is a gap, and each "
        "symbol's next record is flagged so"
    )

    def __init__(
        self,
        path: str | Path,
        *,
        symbols: Iterable[str] | None = None,
        seed: Seed = None,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        super().__init__(Path(path), symbols=symbols, batch_size=batch_size)
        if batch_size < 1:
            raise ValueError(f"batch_size: got {batch_size}, allowed are whole numbers from 1")
        self._without_seed(seed)
        self.source = self.name = ""
        self._window = Window(ByteStream(self.path))
        self._indices = np.zeros(0, np.int64)
        self._blocks = 0
        self._next_sequence = 0
        self._unflagged: set[int] = set()
        self._last_time = -(2**63)
        self._totals = [0, 0]
        self._read = False
        self._closed = False
        self._ahead: tuple[Head, NDArray[np.uint64]] | None = None
        try:
            self._begin()
        except FeedError:
            self.close()
            raise

    @classmethod
    def matches(cls, name: str, head: bytes) -> bool:
        """Whether the file begins with a journal's magic."""
        return head.startswith(MAGIC)

    def __iter__(self) -> Iterator[Transactions]:
        seeding = self.seed_source is not None
        for whole, _ in self.blocks():
            records = self._wanted(whole)
            # the seed has batches of its own
            seeded = _seeded(records) if seeding else 0
            seeding = seeding and seeded == len(records)
            for part in (records[:seeded], records[seeded:]):
                for at in range(0, len(part), self.batch_size):
                    yield part[at : at + self.batch_size]

    def blocks(self) -> Iterator[tuple[Transactions, NDArray[np.int64]]]:
        """Yield the data blocks as they were written: records of all symbols, and the sizes of their bundles.

        Raises `FeedError` at a damaged block, after every block before it. A feed is read once, as blocks or as
        batches.
        """
        if self._read:
            raise FeedError(self.path, "was read already, open it again for another pass")
        self._read = True
        try:
            while (block := self._next_data()) is not None:
                yield block
        except FeedError:
            if not self._closed:  # else by another thread, while this one was reading
                raise
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file; a block that is being read is the last one."""
        self._closed = True
        self._window.stream.close()

    def _begin(self) -> None:
        """Read the prefix, the header, and the instruments in front of the first record."""
        window = self._window
        if not window.need(1):
            raise FeedError(self.path, "found an empty file, expected a journal", byte=0)
        window.need(PREFIX.size)
        prefix = window.data[: min(window.end, PREFIX.size)].tobytes()
        if not prefix.startswith(MAGIC):
            raise self._fault(f"{prefix[: len(MAGIC)]!r}", f"the magic {MAGIC!r}")
        try:
            if len(prefix) < PREFIX.size:
                raise _CutOffError(f"inside its prefix, byte {len(prefix)}")
            _, version, zero = PREFIX.unpack(prefix)
            if version != VERSION or zero != 0:
                raise self._fault(f"journal version {version}", f"{VERSION}", ahead=len(MAGIC))
            window.start += PREFIX.size
            head, payload = self._next_block()
            if head.kind != Kind.HEADER:
                raise self._fault(f"a first block of kind {head.kind}", f"{Kind.HEADER} (header)")
            self._take_header(self._text(head, payload))
            head, payload = self._next_block()
            while head.kind == Kind.INSTRUMENTS:
                self._take_instruments(self._text(head, payload))
                head, payload = self._next_block()
            self._ahead = head, payload
        except _CutOffError as cut:
            self._cut_off(cut)

    def _next_data(self) -> tuple[Transactions, NDArray[np.int64]] | None:
        """The next data block, ``None`` at the end; what stands between them is taken on the way."""
        while self.oddities.cut_off is None and not self._closed:
            try:
                head, payload = self._ahead or self._next_block()
            except _CutOffError as cut:
                self._cut_off(cut)
                break
            self._ahead = None
            if head.kind == Kind.DATA:
                return self._take_data(head, payload)
            if head.kind == Kind.INSTRUMENTS:
                self._take_instruments(self._text(head, payload))
            elif head.kind == Kind.END:
                self._take_end(self._text(head, payload))
                break
            else:
                raise self._fault(f"a block of kind {head.kind} inside", "kind 2, 3 or 4", ahead=-self._length(head))
        return None

    def _cut_off(self, cut: _CutOffError) -> None:
        if not self._closed:
            self.oddities.cut_off = f"the file ends {cut}"

    def _next_block(self) -> tuple[Head, NDArray[np.uint64]]:
        """Read a block; its payload is a copy of its own. Raises `_CutOffError` and `FeedError`."""
        window = self._window
        if not window.need(HEAD_BYTES):
            inside = window.end - window.start
            where = (
                f"inside the head of block {self._blocks}" if inside else f"without its end after {self._blocks} blocks"
            )
            raise _CutOffError(f"{where}, byte {window.offset + inside}")
        head = unpack_head(window.data[window.start : window.start + HEAD_BYTES].tobytes())
        if head is None:
            raise self._fault(f"a damaged head of block {self._blocks}", "one whose checksum is right")
        if head.number != self._blocks % 2**32:
            raise self._fault(f"block {head.number}", f"block {self._blocks}")
        if head.payload_bytes > MAX_PAYLOAD or head.payload_bytes != self._due_bytes(head):
            raise self._fault(f"a payload of {head.payload_bytes} bytes for {head.count} items", "as many as they need")
        if not window.need(HEAD_BYTES + head.payload_bytes):
            raise _CutOffError(f"inside block {self._blocks}, byte {window.offset + window.end - window.start}")
        at = window.start + HEAD_BYTES
        payload = window.data[at : at + head.payload_bytes].copy().view(np.uint64)
        if checksum(payload) != head.content:
            raise self._fault(f"a damaged payload of block {self._blocks}", "one whose checksum is right")
        window.start = at + head.payload_bytes
        self._blocks += 1
        return head, payload

    @staticmethod
    def _due_bytes(head: Head) -> int:
        if head.kind == Kind.DATA:
            return data_payload_bytes(head.count, head.bundles)
        return padded(head.count)

    @staticmethod
    def _length(head: Head) -> int:
        return HEAD_BYTES + head.payload_bytes

    def _text(self, head: Head, payload: NDArray[np.uint64]) -> Any:
        try:
            return json.loads(payload.tobytes()[: head.count])
        except ValueError:
            raise self._fault(
                f"a block of kind {head.kind} that is no JSON", "JSON", ahead=-self._length(head)
            ) from None

    def _take_header(self, header: Any) -> None:
        try:
            base = header["time_base"]
            self.source, self.name = str(header["source"]), str(header["name"])
            self.time_base = TimeBase(base["zero"], base["date"], base["zone"], "due time of the recorded run")
            self.priced, self.windowed = bool(header["priced"]), bool(header["windowed"])
            self.seed_source = header["seed_source"]
        except (KeyError, TypeError):
            raise self._fault(f"a header {str(header)[:60]!r}", "source, time_base and the other fields") from None

    def _take_instruments(self, found: Any) -> None:
        try:
            new = [
                Instrument(str(i["symbol"]), int(i["price_decimals"]), int(i["size_decimals"]), int(i["tick"]))
                for i in found
            ]
        except (KeyError, TypeError, ValueError):
            raise self._fault(f"instruments {str(found)[:60]!r}", "a list of symbols with decimals and tick") from None
        indices = []
        for instrument in new:
            wanted = self.wanted is None or instrument.symbol in self.wanted
            indices.append(len(self.instruments) if wanted else -1)
            if wanted:
                self.instruments.append(instrument)
        self._indices = np.concatenate([self._indices, np.array(indices, np.int64)])

    def _take_data(self, head: Head, payload: NDArray[np.uint64]) -> tuple[Transactions, NDArray[np.int64]]:
        whole = TRANSACTION.itemsize * head.count
        records = payload[: whole // 8].view(TRANSACTION)
        sizes = (
            payload.view(np.uint8)[whole : whole + SIZE_DTYPE.itemsize * head.bundles].view(SIZE_DTYPE).astype(np.int64)
        )
        if int(sizes.sum()) != head.count:
            raise self._fault(f"bundles of {sizes.sum()} records", f"{head.count}", ahead=-self._length(head))
        if head.count:
            largest = int(records["symbol"].max())
            if largest >= len(self._indices):
                expected = f"below {len(self._indices)}, as many as are named"
                raise self._fault(f"symbol index {largest}", expected, ahead=-self._length(head))
            self._mark_gaps(records)
            self._count_time_back(records)
            records["sequence"] = 0
        self._totals[0] += head.count
        self._totals[1] += head.bundles
        return records, sizes

    def _mark_gaps(self, records: Transactions) -> None:
        """Count where sequence numbers jump forward, and flag each symbol's first record behind it."""
        sequence = records["sequence"].astype(np.int64)
        before = np.empty_like(sequence)
        before[1:] = sequence[:-1]
        before[0] = self._next_sequence - 1
        self._next_sequence = int(sequence[-1]) + 1
        borders = np.flatnonzero(sequence > before + 1).tolist()
        self.oddities.gaps += len(borders)
        parts = [0, *borders, len(records)]
        for turn, (start, stop) in enumerate(pairwise(parts)):
            if turn:
                self._unflagged = set(range(len(self._indices)))
            if self._unflagged and stop > start:
                met, first = np.unique(records["symbol"][start:stop], return_index=True)
                for symbol, at in zip(met.tolist(), first.tolist(), strict=True):
                    if symbol in self._unflagged:
                        self._unflagged.discard(symbol)
                        records["flags"][start + at] |= int(Flags.GAP)

    def _count_time_back(self, records: Transactions) -> None:
        times = records["due_ticks"]
        self.oddities.time_back += int(np.count_nonzero(times[1:] < times[:-1])) + int(times[0] < self._last_time)
        self._last_time = int(times[-1])

    def _take_end(self, totals: Any) -> None:
        window = self._window
        try:
            due, lost = [totals["records"], totals["bundles"]], int(totals["lost"])
        except (KeyError, TypeError, ValueError):
            raise self._fault(f"an end {str(totals)[:60]!r}", "totals") from None
        if due != self._totals:
            raise self._fault(f"{self._totals} records and bundles", f"{due}, as the end says")
        if lost:
            self.oddities.skipped["records lost when it was written"] = lost
        if window.need(1):
            raise self._fault("bytes behind the end", "the end of the file")

    def _wanted(self, records: Transactions) -> Transactions:
        """The records of the symbols that are wanted, with the indices of this feed's table."""
        if self.wanted is None:
            return records
        indices = self._indices[records["symbol"]]
        chosen = records[indices >= 0]
        chosen["symbol"] = indices[indices >= 0]
        others = len(records) - len(chosen)
        if others:
            self.oddities.skipped["other symbols"] += others
        return chosen

    def _fault(self, found: str, expected: str, *, ahead: int = 0) -> FeedError:
        return FeedError(self.path, f"found {found}, expected {expected}", byte=self._window.offset + ahead)


def _seeded(records: Transactions) -> int:
    """How many records at the front are from a snapshot or seed."""
    flow = np.flatnonzero(records["flags"] & int(Flags.SNAPSHOT) == 0)
    return int(flow[0]) if len(flow) else len(records)
