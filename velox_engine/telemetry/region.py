"""The telemetry region as memory: where its file lies, how it is made, mapped and removed. Imports no numba.

The file lies in memory (``/dev/shm``; elsewhere in the user's runtime directory) in a directory of the user's own
(0700; ``VELOX_RUN_DIR`` names another one); the file is 0600 and is opened without following links. Where no file can
be made the region is anonymous: the engine runs, but cannot be attached.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np
import platformdirs
from numpy.typing import NDArray

from velox_engine.telemetry.layout import (
    BOOK_WORDS,
    BOOKS_FIRST,
    CONFIG_LENGTH,
    CONTROL_LENGTH,
    CURSORS_LENGTH,
    DEPTH_LENGTH,
    DEPTH_SLOTS,
    ENTRY_INDEX,
    ENTRY_KIND,
    ENTRY_LENGTH,
    ENTRY_LENGTH_WORDS,
    ENTRY_OFFSET,
    ENTRY_VERSION,
    EVENTS_LENGTH,
    GUARD_WORDS,
    HEADER_BLOCKS,
    HEADER_CREATED_UNIX_NS,
    HEADER_DIRECTORY,
    HEADER_LENGTH,
    HEADER_MAGIC,
    HEADER_NAME,
    HEADER_NAME_WORDS,
    HEADER_PID,
    HEADER_PID_STARTED,
    HEADER_VERSION,
    HEADER_WORDS,
    HISTOGRAM_LENGTH,
    INSTRUMENT_WORDS,
    INSTRUMENTS_FIRST,
    LAYOUT_VERSION,
    LINE_WORDS,
    MAGIC,
    SAMPLES_LENGTH,
    STAGE_LENGTH,
    STAGE_NAMES,
    TRADES_LENGTH,
    WARNINGS_LENGTH,
    WORKER_LENGTH,
    Block,
)

_MEMORY: Final = Path("/dev/shm")
_PROC: Final = Path("/proc/self")
RUN_VARIABLE: Final = "VELOX_RUN_DIR"
SUFFIX: Final = ".telemetry"
"""How the names of regions' files end: ``NAME-PID.telemetry``, with a number behind the pid where two are alike."""
_BLOCK_VERSION: Final = 1
_MOST_BLOCKS: Final = 4096


class Place(NamedTuple):
    """Where a block lies: the word where it begins (its lock), and how many words of payload it has."""

    at: int
    length: int


def process_start(pid: int) -> int:
    """Return when a process started, as the system counts it: with the pid it names a process for good; 0 if gone.

    On Linux these are clock ticks since boot, which no change of the wall clock moves, elsewhere ms since the epoch. A
    process that has ended and only waits for its parent to ask about it is gone.
    """
    if pid <= 0:
        return 0
    if _PROC.is_dir():
        try:
            after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            return 0 if after_name[0] in (b"Z", b"X") else int(after_name[19]) + 1  # the first process may start at 0
        except (OSError, IndexError, ValueError):
            return 0
    import psutil

    try:
        process = psutil.Process(pid)
        return 0 if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time() * 1000)
    except (psutil.Error, OverflowError):
        return 0


def region_directory() -> Path:
    """Return the directory of this user's regions; it need not exist. ``VELOX_RUN_DIR`` names another one."""
    if named := os.environ.get(RUN_VARIABLE):
        return Path(named).absolute()
    if _MEMORY.is_dir():
        return _MEMORY / f"velox-{os.getuid()}"
    return Path(platformdirs.user_runtime_dir("velox-tui"))


def plan(workers: int, symbols: int) -> list[tuple[Block, int, int]]:
    """List the blocks of a region as (kind, index, words of payload)."""
    return [
        (Block.CONTROL, 0, CONTROL_LENGTH),
        (Block.CURSORS, 0, CURSORS_LENGTH),
        *((Block.STAGE, stage, STAGE_LENGTH) for stage in range(len(STAGE_NAMES))),
        *((Block.WORKER, worker, WORKER_LENGTH) for worker in range(workers)),
        (Block.HICCUP, 0, HISTOGRAM_LENGTH),
        *((Block.DEPTH, slot, DEPTH_LENGTH) for slot in range(DEPTH_SLOTS)),
        (Block.TRADES, 0, TRADES_LENGTH),
        (Block.BOOKS, 0, BOOKS_FIRST + symbols * BOOK_WORDS),
        (Block.INSTRUMENTS, 0, INSTRUMENTS_FIRST + symbols * INSTRUMENT_WORDS),
        (Block.SAMPLES, 0, SAMPLES_LENGTH),
        (Block.EVENTS, 0, EVENTS_LENGTH),
        (Block.CONFIG, 0, CONFIG_LENGTH),
        (Block.WARNINGS, 0, WARNINGS_LENGTH),
    ]


def _to_line(word: int) -> int:
    return -(-word // LINE_WORDS) * LINE_WORDS


class Readable(Protocol):
    """What a reader needs of a region, mapped or read from its file."""

    places: dict[tuple[Block, int], Place]

    def at(self, kind: Block, index: int = 0) -> int:
        """Return the word where a block begins: its lock."""

    def word(self, at: int) -> int:
        """Return a word as it stands now."""

    def copy(self, first: int, count: int) -> NDArray[np.int64]:
        """Return a copy of words, not necessarily of one moment."""


@dataclass(slots=True)
class Region:
    """A mapped region: ``words`` int64 (writable for its maker only), the ``path`` of its file, its ``places``."""

    words: NDArray[np.int64]
    path: Path | None
    places: dict[tuple[Block, int], Place]

    def at(self, kind: Block, index: int = 0) -> int:
        """Return the word where a block begins: its lock."""
        return self.places[kind, index].at

    def word(self, at: int) -> int:
        """Return a word as it stands now."""
        return int(self.words[at])

    def copy(self, first: int, count: int) -> NDArray[np.int64]:
        """Return a copy of words, not necessarily of one moment."""
        return self.words[first : first + count].copy()

    def payload(self, kind: Block, index: int = 0) -> NDArray[np.int64]:
        """Return a block's payload, as it stands in the region."""
        place = self.places[kind, index]
        return self.words[place.at + GUARD_WORDS : place.at + GUARD_WORDS + place.length]

    def remove(self) -> None:
        """Take the region's file away; those who have it mapped can still read it."""
        if self.path is not None:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()


def is_own(status: os.stat_result) -> bool:
    """Say whether a file or directory belongs to this user and lets no other in."""
    return status.st_uid == os.getuid() and not status.st_mode & 0o077


def check_directory(directory: Path) -> None:
    """Raise `PermissionError` unless it is a directory of this user alone: nothing else in there can be trusted."""
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or not is_own(status):
        raise PermissionError(f"{directory} is not a directory of this user alone")


def _map_file(name: str, size: int) -> tuple[mmap.mmap, Path]:
    directory = region_directory()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_directory(directory)
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:48]
    path = directory / f"{safe}-{os.getpid()}{SUFFIX}"
    for attempt in range(1, 1000):  # two engines of one name in one process
        try:
            opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            break
        except FileExistsError:
            path = directory / f"{safe}-{os.getpid()}.{attempt}{SUFFIX}"
    else:
        raise FileExistsError(str(path))
    try:
        # reserve the memory now: a full /dev/shm must be an error here, not a SIGBUS in a stage
        os.posix_fallocate(opened, 0, size) if hasattr(os, "posix_fallocate") else os.ftruncate(opened, size)
        return mmap.mmap(opened, size), path
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(opened)


def _lay_out(blocks: list[tuple[Block, int, int]]) -> tuple[int, dict[tuple[Block, int], Place], int]:
    """Return the word where the directory begins, every block's place, and how many words all of it takes."""
    directory = _to_line(HEADER_LENGTH)
    word = _to_line(directory + len(blocks) * ENTRY_LENGTH_WORDS)
    places: dict[tuple[Block, int], Place] = {}
    for kind, index, length in blocks:
        places[kind, index] = Place(word, length)
        word = _to_line(word + GUARD_WORDS + length)
    return directory, places, word


def region_bytes(workers: int, symbols: int) -> int:
    """Return the size of a region's file."""
    return _lay_out(plan(workers, symbols))[2] * 8


def make_region(name: str | None, workers: int, symbols: int) -> tuple[Region, str | None]:
    """Make a region for an engine of this name; also say why it is anonymous, or ``None`` when that is as it should be.

    Without a name it has no file.

    The magic number is written last, by `open_for_readers`.
    """
    blocks = plan(workers, symbols)
    directory, places, word = _lay_out(blocks)
    problem: str | None = None
    path: Path | None = None
    memory: mmap.mmap | None = None
    if name is not None:
        try:
            memory, path = _map_file(name, word * 8)
        except OSError as error:
            problem = f"nobody can attach: no telemetry file could be made ({error})"
    if memory is None:
        memory = mmap.mmap(-1, word * 8)
    words = np.frombuffer(memory, np.int64)
    words[:] = 0  # also maps every page
    words[HEADER_VERSION] = LAYOUT_VERSION
    words[HEADER_WORDS] = word
    words[HEADER_PID] = os.getpid()
    words[HEADER_PID_STARTED] = process_start(os.getpid())
    words[HEADER_CREATED_UNIX_NS] = time.time_ns()
    words[HEADER_DIRECTORY] = directory
    words[HEADER_BLOCKS] = len(blocks)
    encoded = (name or "").encode()[: HEADER_NAME_WORDS * 8]
    words[HEADER_NAME : HEADER_NAME + HEADER_NAME_WORDS].view(np.uint8)[: len(encoded)] = list(encoded)
    for row, (kind, index, length) in enumerate(blocks):
        entry = words[directory + row * ENTRY_LENGTH_WORDS :]
        entry[ENTRY_KIND], entry[ENTRY_INDEX], entry[ENTRY_VERSION] = kind, index, _BLOCK_VERSION
        entry[ENTRY_OFFSET], entry[ENTRY_LENGTH] = places[kind, index].at, length
    return Region(words, path, places), problem


def open_for_readers(region: Region) -> None:
    """Write the magic number: from now on the region can be attached."""
    region.words[HEADER_MAGIC] = MAGIC


def open_file(path: Path) -> int:
    """Open a region's file for reading; a link is not followed, and a pipe that somebody put there not waited for."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)


def map_region(path: Path) -> Region:
    """Map a region's file for reading only.

    Raises `OSError` when it cannot be opened, and `ValueError` when it is no region or of another layout version. Who
    cuts the file off ends whoever has it mapped (SIGBUS); `region_file` reads without that danger.
    """
    opened = open_file(path)
    try:
        size = os.fstat(opened).st_size
        if size < HEADER_LENGTH * 8:
            raise ValueError(f"{path} is no telemetry region: {size} bytes")
        words = np.frombuffer(mmap.mmap(opened, size, prot=mmap.PROT_READ), np.int64)
    finally:
        os.close(opened)
    places = read_directory(lambda first, count: words[first : first + count], len(words), path)
    return Region(words, path, places)


def read_directory(
    copy: Callable[[int, int], NDArray[np.int64]], length: int, path: Path
) -> dict[tuple[Block, int], Place]:
    """Read where the blocks of a region of ``length`` words lie; ``copy(first, count)`` reads words.

    Kinds and versions of blocks that this program does not know are left out. Raises `ValueError`.
    """
    header = copy(0, HEADER_LENGTH)
    if header[HEADER_MAGIC] != MAGIC:
        raise ValueError(f"{path} is no telemetry region, or is not ready yet")
    if header[HEADER_VERSION] != LAYOUT_VERSION:
        raise ValueError(
            f"{path} has telemetry layout {header[HEADER_VERSION]}, this program reads layout {LAYOUT_VERSION}"
        )
    first, count = int(header[HEADER_DIRECTORY]), int(header[HEADER_BLOCKS])
    if not 0 < first < length or not 0 <= count <= min((length - first) // ENTRY_LENGTH_WORDS, _MOST_BLOCKS):
        raise ValueError(f"{path} is damaged: its block directory lies outside")
    known = {int(kind) for kind in Block}
    places: dict[tuple[Block, int], Place] = {}
    for row, entry in enumerate(copy(first, count * ENTRY_LENGTH_WORDS).reshape(count, ENTRY_LENGTH_WORDS)):
        at, words = int(entry[ENTRY_OFFSET]), int(entry[ENTRY_LENGTH])
        if at < 0 or words < 0 or at + GUARD_WORDS + words > length:
            raise ValueError(f"{path} is damaged: block {row} lies outside")
        if int(entry[ENTRY_KIND]) in known and int(entry[ENTRY_VERSION]) == _BLOCK_VERSION:
            places[Block(int(entry[ENTRY_KIND])), int(entry[ENTRY_INDEX])] = Place(at, words)
    return places


def region_files() -> Iterator[Path]:
    """Yield the files of this user's regions, of living and of dead engines."""
    directory = region_directory()
    if directory.is_dir():
        yield from sorted(path for path in directory.iterdir() if path.suffix == SUFFIX)


def text_words(text: str, words: int) -> NDArray[np.int64]:
    """Encode text for a CONFIG, WARNINGS or name field: length in bytes, then the bytes, cut to fit ``words``."""
    encoded = text.encode()[: (words - 1) * 8]
    packed = np.zeros(words, np.int64)
    packed[0] = len(encoded)
    packed[1:].view(np.uint8)[: len(encoded)] = np.frombuffer(encoded, np.uint8)
    return packed


def words_text(words: NDArray[np.int64]) -> str:
    """Decode what `text_words` made."""
    length = min(max(int(words[0]), 0), (len(words) - 1) * 8)
    return words[1:].view(np.uint8)[:length].tobytes().decode(errors="replace")


def blocks_of(region: Readable, kind: Block) -> Sequence[int]:
    """Return the indices of the region's blocks of one kind."""
    return sorted(index for each, index in region.places if each == kind)
