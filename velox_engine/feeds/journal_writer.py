"""Writing a journal: what left the pipeline, in a file that can be replayed."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from velox_engine.feeds.base import TimeBase
from velox_engine.feeds.journal_format import (
    HEAD_BYTES,
    MAGIC,
    MAX_BUNDLE,
    PREFIX,
    SIZE_DTYPE,
    VERSION,
    Kind,
    data_payload_bytes,
    instruments_as_json,
    pack_head,
    text_payload,
)
from velox_engine.records import TRANSACTION, Instrument, Transactions

BLOCK_RECORDS: Final = 4096
_MAX_BLOCK_BUNDLES: Final = 65536


class JournalWriter:
    """A journal that is being written; one thread uses it at a time.

    Blocks hold whole bundles and reach the operating system when they are full, with the first `write` that comes
    ``flush_secs`` after the last block, and on `flush` and `close`. They reach the disk when the operating system
    writes them, and all of them before `close` returns (fsync of the file and of its folder). So a crash of the process
    loses at most the block that was being filled; a crash of the machine what it had not written. Either way the file
    is read up to its last whole block.

    A block that cannot be written (the disk is full) is taken off the end of the file again and its records are counted
    as ``lost``; later blocks are tried anew, so that the journal goes on when there is room. A reader notices the gap
    by the sequence numbers.

    Args:
        path: a file that does not exist or is empty; ``overwrite`` allows any.
        instruments: the run's table. It may grow: what is new is written in front of the first block that may name it.
        source: where the flow came from, in words or as a path.
        time_base, priced, windowed, seed_source: as of the feed, see `Feed`.
        clock: (ticks at time 0, ns per tick) turns ``due_ticks`` into ns; ``None`` where it holds ns already.
        name: the run's name.

    Raises `FileExistsError` for a file with something in it, `OSError` when it cannot be made.

    Attributes:
        written: records in whole blocks in the file.
        lost: records of blocks that could not be written.
        pending: records of the block that is being filled.
    """

    def __init__(
        self,
        path: str | Path,
        instruments: Sequence[Instrument],
        source: str,
        *,
        time_base: TimeBase | None = None,
        priced: bool = True,
        windowed: bool = False,
        seed_source: str | None = None,
        clock: tuple[int, float] | None = None,
        name: str = "",
        overwrite: bool = False,
        block_records: int = BLOCK_RECORDS,
        flush_secs: float = 1.0,
    ) -> None:
        if block_records < 1:
            raise ValueError(f"block_records: got {block_records}, allowed are whole numbers from 1")
        self.path = Path(path)
        self.instruments = instruments
        self.written = 0
        self.lost = 0
        self.pending = 0
        self._clock = clock
        self._block_records = block_records
        self._flush_secs = flush_secs
        self._buffer, self._records = _room(block_records)
        self._sizes: list[NDArray[np.int64]] = []
        self._bundles = 0
        self._bundles_written = 0
        self._blocks = 0
        self._named = 0
        self._good = 0
        self._torn = False
        self._last_block = time.monotonic()
        self._file = self._open(overwrite)
        head = {
            "source": source,
            "name": name,
            "created_ns": time.time_ns(),
            "time_base": asdict(time_base or TimeBase("unix")),
            "priced": priced,
            "windowed": windowed,
            "seed_source": seed_source,
        }
        try:
            self._put(memoryview(PREFIX.pack(MAGIC, VERSION, 0)))
            self._text(Kind.HEADER, head)
            self._name_instruments()
        except OSError:
            self._file.close()
            raise

    def _open(self, overwrite: bool) -> Any:
        if not overwrite and self.path.is_file() and self.path.stat().st_size > 0:
            raise FileExistsError(errno.EEXIST, "holds something already", str(self.path))
        return self.path.open("wb", buffering=0)

    def write(self, records: Transactions, bundle_sizes: ArrayLike) -> None:
        """Append records, shape (n,), and how they are bundled: sizes that add up to n, each at most 65,535.

        Raises `ValueError` for sizes that do not fit the records, and the `OSError` of the first block that could not
        be written, after all others were tried; ``lost`` says how many records that cost.
        """
        sizes = np.asarray(bundle_sizes, np.int64).reshape(-1)
        if records.dtype != TRANSACTION:
            raise TypeError(f"got an array of {records.dtype}, expected TRANSACTION")
        if int(sizes.sum()) != len(records) or (len(sizes) and (sizes.min() < 0 or sizes.max() > MAX_BUNDLE)):
            raise ValueError(f"bundle_sizes: got {sizes.tolist()[:8]}… for {len(records)} records")
        ends = np.cumsum(sizes)
        fault: OSError | None = None
        first = start = 0
        while first < len(sizes):
            room = self._block_records - self.pending
            fit = int(np.searchsorted(ends, start + room, side="right"))
            fit = min(fit, first + _MAX_BLOCK_BUNDLES - self._bundles)
            if fit <= first and self._bundles == 0:
                self._widen(int(sizes[first]))
                continue
            if fit > first:
                stop = int(ends[fit - 1])
                self._take(records[start:stop], sizes[first:fit])
                first, start = fit, stop
            if first < len(sizes) or self.pending == self._block_records:
                fault = self._try_block() or fault
        if self._bundles and time.monotonic() - self._last_block >= self._flush_secs:
            fault = self._try_block() or fault
        if fault is not None:
            raise fault

    def flush(self) -> None:
        """Give what is pending to the operating system, as a block; raises `OSError` where that fails."""
        if self._bundles:
            fault = self._try_block()
            if fault is not None:
                raise fault

    def close(self) -> None:
        """Write what is pending and the end, and wait until all of it is on the disk; safe to call twice."""
        if self._file.closed:
            return
        try:
            self.flush()
        finally:
            try:
                self._name_instruments()
                totals = {"records": self.written, "bundles": self._bundles_written, "lost": self.lost}
                self._text(Kind.END, totals)
                self._sync()
            finally:
                self._file.close()

    def discard(self) -> None:
        """Close the file and remove it, where it holds no records."""
        self._file.close()
        if self.written == 0 and self.path.is_file():
            self.path.unlink()

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _widen(self, size: int) -> None:
        """Make room for a bundle larger than a block."""
        self._block_records = max(self._block_records, size)
        self._buffer, self._records = _room(self._block_records)

    def _take(self, records: Transactions, sizes: NDArray[np.int64]) -> None:
        mine = self._records[self.pending : self.pending + len(records)]
        # as words: numpy would copy records field by field
        mine.view(np.int64)[:] = np.ascontiguousarray(records).view(np.int64)
        if self._clock is not None:
            zero, ns_per_tick = self._clock
            # a run of a day is 2^48 ticks: a float counts them without loss, and the ns come out right to one
            mine["due_ticks"] = np.rint((mine["due_ticks"] - zero) * ns_per_tick).astype(np.int64)
        self.pending += len(records)
        self._sizes.append(sizes)
        self._bundles += len(sizes)

    def _try_block(self) -> OSError | None:
        """Write the block that is pending; give back what went wrong, its records then lost."""
        count, bundles = self.pending, self._bundles
        end = HEAD_BYTES + data_payload_bytes(count, bundles)
        at = HEAD_BYTES + TRANSACTION.itemsize * count
        sizes = np.concatenate(self._sizes).astype(SIZE_DTYPE).view(np.uint8)
        self._buffer[at : at + len(sizes)] = sizes
        self._buffer[at + len(sizes) : end] = 0
        self.pending, self._bundles, self._sizes = 0, 0, []
        self._last_block = time.monotonic()
        try:
            self._name_instruments()
            payload = self._buffer[HEAD_BYTES:end].view(np.uint64)
            head = pack_head(Kind.DATA, payload, count, bundles, self._blocks)
            self._buffer[:HEAD_BYTES] = np.frombuffer(head, np.uint8)
            self._put(self._buffer[:end].data)
            self._blocks += 1
        except OSError as error:
            self.lost += count
            return error
        self.written += count
        self._bundles_written += bundles
        return None

    def _name_instruments(self) -> None:
        """Write the instruments that are new since the last time."""
        new = list(self.instruments[self._named :])
        if new:
            self._text(Kind.INSTRUMENTS, instruments_as_json(new))
            self._named += len(new)

    def _text(self, kind: Kind, value: Any) -> None:
        """Write a block of JSON."""
        payload, length = text_payload(value)
        self._put(memoryview(pack_head(kind, payload, length, 0, self._blocks) + payload.tobytes()))
        self._blocks += 1

    def _put(self, data: memoryview) -> None:
        """Append all of it, or none."""
        if self._torn:
            raise OSError(errno.EIO, "a block is cut off at its end and cannot be taken back", str(self.path))
        rest = data
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._take_back()
            raise
        self._good += len(data)

    def _take_back(self) -> None:
        try:
            self._file.seek(self._good)
            self._file.truncate()
        except OSError:  # a pipe
            self._torn = True

    def _sync(self) -> None:
        try:
            os.fsync(self._file.fileno())
            folder = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTSUP):  # a pipe or device has nothing to wait for
                return
            raise
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _room(records: int) -> tuple[NDArray[np.uint8], Transactions]:
    """A buffer for a block of so many records, and the place of the records in it."""
    buffer = np.zeros(HEAD_BYTES + data_payload_bytes(records, _MAX_BLOCK_BUNDLES), np.uint8)
    return buffer, buffer[HEAD_BYTES : HEAD_BYTES + TRANSACTION.itemsize * records].view(TRANSACTION)
