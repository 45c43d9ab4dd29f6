"""A region of another process, read from its file: nothing in it, nor what happens to it, can harm the one who reads.

A file that is mapped ends whoever touches what somebody cut off (SIGBUS). Here each block is copied by the system
(``pread``), which answers with fewer bytes instead. On the processors that the engine runs on the system copies an
aligned word of 64 bits whole; that a block is whole is told by its lock and its checksum, as for mapped memory.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from velox_engine.errors import RegionError
from velox_engine.telemetry import layout
from velox_engine.telemetry.layout import Block
from velox_engine.telemetry.region import Place, is_own, open_file, read_directory

_WORD: Final = 8
_MOST_WORDS: Final = 1 << 24
"""Words of a block, and of all blocks together, that are believed (128 MiB): more than half a million symbols take."""
_MOST_WORKERS: Final = 64
_LENGTHS: Final = {
    Block.CONTROL: layout.CONTROL_LENGTH,
    Block.CURSORS: layout.CURSORS_LENGTH,
    Block.STAGE: layout.STAGE_LENGTH,
    Block.WORKER: layout.WORKER_LENGTH,
    Block.HICCUP: layout.HISTOGRAM_LENGTH,
    Block.DEPTH: layout.DEPTH_LENGTH,
    Block.TRADES: layout.TRADES_LENGTH,
    Block.SAMPLES: layout.SAMPLES_LENGTH,
    Block.EVENTS: layout.EVENTS_LENGTH,
    Block.CONFIG: layout.CONFIG_LENGTH,
    Block.WARNINGS: layout.WARNINGS_LENGTH,
}
_ROWS: Final = {
    Block.BOOKS: (layout.BOOKS_FIRST, layout.BOOK_WORDS),
    Block.INSTRUMENTS: (layout.INSTRUMENTS_FIRST, layout.INSTRUMENT_WORDS),
}
"""Blocks with a row for each symbol: words before the first row, words of a row."""
_INDICES: Final = {Block.STAGE: len(layout.STAGE_NAMES), Block.DEPTH: layout.DEPTH_SLOTS}


class RegionFile:
    """A region's file, open for reading; made by `open_region`. Any thread may read."""

    def __init__(self, path: Path, descriptor: int, length: int) -> None:
        self.path = path
        self.length = length
        self._descriptor = descriptor
        self.places: dict[tuple[Block, int], Place] = {}

    def at(self, kind: Block, index: int = 0) -> int:
        """Return the word where a block begins: its lock."""
        return self.places[kind, index].at

    def word(self, at: int) -> int:
        """Return a word as it stands now."""
        return int.from_bytes(self._bytes(at, 1), sys.byteorder, signed=True)

    def copy(self, first: int, count: int) -> NDArray[np.int64]:
        """Return a copy of words, not necessarily of one moment; it cannot be written to."""
        return np.frombuffer(self._bytes(first, count), np.int64)

    def _bytes(self, first: int, count: int) -> bytes:
        data = os.pread(self._descriptor, count * _WORD, first * _WORD)
        if len(data) != count * _WORD:
            raise RegionError(self.path, "has been cut off")
        return data

    def close(self) -> None:
        """Let go of the file; again is allowed."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def open_region(path: Path) -> RegionFile:
    """Open a region's file, which must be this user's alone, and check that its blocks are what this program reads.

    Raises `RegionError` when it cannot be opened, is damaged, not ready, or of another layout version.
    """
    try:
        region = RegionFile(path, open_file(path), 0)
        status = os.fstat(region._descriptor)
    except OSError as error:
        raise RegionError(path, f"cannot be opened: {error.strerror or error}") from None
    try:
        if not stat.S_ISREG(status.st_mode):
            raise RegionError(path, "is no file")
        if not is_own(status):
            raise RegionError(path, f"is not a file of this user alone (user {status.st_uid})")
        region.length = status.st_size // _WORD
        if region.length < layout.HEADER_LENGTH:
            raise RegionError(path, f"is no telemetry region: {status.st_size} bytes")
        region.places = read_directory(region.copy, region.length, path)
        _check(region)
    except RegionError:
        region.close()
        raise
    except (ValueError, OSError) as error:
        region.close()
        raise RegionError(path, str(error).removeprefix(f"{path} ")) from None
    return region


def _check(region: RegionFile) -> None:
    """Raise `ValueError` unless every block that a reader asks for is there, in its size."""
    kinds = [kind for kind in Block if kind is not Block.WORKER]
    wanted = {(kind, index) for kind in kinds for index in range(_INDICES.get(kind, 1))}
    missing = sorted(wanted - region.places.keys())
    if missing:
        name = f"{missing[0][0].name.lower()} {missing[0][1]}"
        raise ValueError(f"is damaged: it has no block {name} of a version that is known here")
    if sum(place.length for place in region.places.values()) > _MOST_WORDS:
        raise ValueError(f"is damaged: its blocks claim more than {_MOST_WORDS * _WORD >> 20} MiB")
    for (kind, index), place in region.places.items():
        if kind in _ROWS:
            first, row = _ROWS[kind]
            fits = place.length >= first and (place.length - first) % row == 0
        else:
            fits = place.length == _LENGTHS[kind]
        if not fits:
            raise ValueError(f"is damaged: its block {kind.name.lower()} {index} has {place.length} words")
        if (kind, index) not in wanted and not (kind is Block.WORKER and 0 <= index < _MOST_WORKERS):
            raise ValueError(f"is damaged: it has a block {kind.name.lower()} {index}")
    tick = region.copy(layout.HEADER_NS_PER_TICK, 1).view(np.float64)[0]
    if not 0 < tick < 1e9:
        raise ValueError(f"is damaged: a tick of its clock is {tick} ns")


assert set(_LENGTHS) | set(_ROWS) == set(Block)
