"""The bytes of a recorded file, decompressed on the way, in constant memory.

The compression is known by the first bytes, never by the name. Several members, frames or streams one after the other
are one file, as their own tools have it. A damaged stream gives every byte that came out before the damage, then a
`FeedError`; so does a file that ends inside a compressed stream.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import zstandard
from numpy.typing import NDArray

from velox_engine.errors import FeedError

HEAD_BYTES: Final = 64 * 1024
"""How much of a file its format is recognised by."""

_READ: Final = 256 * 1024
_PIECE: Final = 256 * 1024  # most bytes asked of a decompressor at once
_FEED: Final = 4 * 1024  # bytes given to a decompressor at once: what a damaged place can take with it
_XZ_MEMORY: Final = 256 * 1024 * 1024  # `xz -9` needs 65 MiB; a header may ask for 4 GiB
_DAMAGE: Final = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, ValueError)


class _Decoder(Protocol):
    """What `bz2` and `lzma` offer, and the others are brought to: one member or frame of a compressed stream."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflater:
    """zlib's gzip decoder; it hands back the input that it had no room for, so that has to be kept."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)
        self.needs_input = not self._inflate.unconsumed_tail and len(piece) < max_length
        return piece


class _ZstdFrame:
    """One zstandard frame. Its decoder knows no limit, so it is fed so little at once that little can come out.

    Three bytes can stand for a block of 128 KiB (RFC 8878 §3.1.1.2), so the portion follows what the last one became.
    """

    _LEAST: Final = 64

    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._left = b""
        self._portion = self._LEAST

    @property
    def eof(self) -> bool:
        return self._frame.eof

    @property
    def needs_input(self) -> bool:
        return not self._left

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data + self._left

    def decompress(self, data: bytes, max_length: int) -> bytes:
        data = self._left + data
        piece = self._frame.decompress(data[: self._portion])
        self._left = data[self._portion :]
        if len(piece) > max_length:
            self._portion = max(self._portion // 4, self._LEAST)
        elif len(piece) < max_length // 8:
            self._portion = min(self._portion * 2, _FEED)
        return piece


def _xz_stream() -> _Decoder:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


# name, magic, maker of a decoder, whether zero bytes may follow a member (gzip's tape padding, xz's stream padding)
_Compression = tuple[str, Callable[[], _Decoder], bool]
_GZIP: Final[_Compression] = ("gzip", _Inflater, True)
_XZ: Final[_Compression] = ("xz", _xz_stream, True)
_BZIP2: Final[_Compression] = ("bzip2", bz2.BZ2Decompressor, False)
_ZSTD: Final[_Compression] = ("zstd", _ZstdFrame, False)


def _compression(head: bytes) -> _Compression | None:
    if head.startswith(b"\x1f\x8b\x08"):
        return _GZIP
    if head.startswith(b"\xfd7zXZ\x00"):
        return _XZ
    if head.startswith(b"BZh") and head[4:10] in (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"):
        return _BZIP2
    # a frame, or a skippable frame (any of sixteen magics) in front of one
    if head.startswith(b"\x28\xb5\x2f\xfd") or (head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50):
        return _ZSTD
    return None


class ByteStream:
    """A file's decompressed bytes, read once from front to end.

    Attributes:
        path: the file.
        compression: ``"gzip"``, ``"xz"``, ``"zstd"``, ``"bzip2"``, or ``None`` for a plain file.
        offset: decompressed bytes given out by `read_into` so far.

    Raises `FeedError` when the file cannot be opened or is a directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        if path.is_dir():
            raise FeedError(path, "found a directory, expected a recorded file")
        try:
            self._file = path.open("rb", buffering=0)
            first = self._read_fully(16)
        except OSError as error:
            raise FeedError(path, f"cannot be read: {error.strerror or error}") from None
        found = _compression(first)
        self.compression = found[0] if found else None
        self._pieces = self._plain(b"") if found is None else self._decompressed(first, found)
        self._ready = memoryview(first if found is None else b"")
        self._come = len(self._ready)  # decompressed bytes that came so far, given out or not
        self._fault: FeedError | None = None
        self._ended = False

    def peek(self, count: int = HEAD_BYTES) -> bytes:
        """The next ``count`` bytes, fewer only at the end or before a damage, without taking them.

        Raises the damage's `FeedError` when not one byte comes before it.
        """
        parts = [bytes(self._ready)]
        have = len(parts[0])
        while have < count and self._advance():
            parts.append(bytes(self._ready))
            have += len(parts[-1])
        whole = b"".join(parts)
        self._ready = memoryview(whole)
        if not whole and self._fault is not None:
            raise self._fault
        return whole[:count]

    def read_into(self, buffer: NDArray[np.uint8], start: int = 0) -> int:
        """Fill ``buffer[start:]`` and say how many bytes came; fewer than it holds only at the end, 0 after it.

        A damaged stream fills what it can; the next call raises its `FeedError`, with the offset in the decompressed
        bytes.
        """
        target = memoryview(buffer)  # type: ignore[arg-type]  # numpy's arrays are buffers; its stubs say so from 3.12 on
        at, end = start, len(buffer)
        while at < end:
            if not self._ready:
                if self.compression is None and end - at >= _READ and not self._ended and self._fault is None:
                    at += self._straight(target[at:end])
                    continue
                if not self._advance():
                    break
            taken = self._ready[: end - at]
            target[at : at + len(taken)] = taken
            self._ready = self._ready[len(taken) :]
            at += len(taken)
        if at == start < end and self._fault is not None:
            raise self._fault
        self.offset += at - start
        return at - start

    def close(self) -> None:
        """Let go of the file; safe to call twice. What was read ahead can still be taken."""
        self._file.close()
        self._ended = True

    def __enter__(self) -> ByteStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _advance(self) -> bool:
        """Get another piece, or note the damage or the end; the bytes before it are still to be given out."""
        if self._ended or self._fault is not None:
            return False
        try:
            self._ready = memoryview(next(self._pieces))
            self._come += len(self._ready)
        except StopIteration:
            self._ended = True
            return False
        except _DAMAGE as error:
            self._fault = self._unreadable(error)
            return False
        return True

    def _straight(self, target: memoryview) -> int:
        """Read a plain file to where it is wanted; copying it there would cost more than most decoders do."""
        try:
            came = self._file.readinto(target) or 0
        except (OSError, ValueError) as error:  # the latter when another thread has closed it
            self._fault = self._unreadable(error)
            return 0
        self._come += came
        self._ended = came == 0
        return came

    def _unreadable(self, error: Exception) -> FeedError:
        kind = f"a damaged {self.compression} stream" if self.compression else "a file that cannot be read"
        return FeedError(self.path, f"found {kind} ({error}), expected more", byte=self._come)

    def _read_fully(self, count: int) -> bytes:
        """Up to ``count`` bytes of the file; a pipe may give them a few at a time."""
        parts: list[bytes] = []
        missing = count
        while missing and (part := self._file.read(missing)):
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _plain(self, first: bytes) -> Iterator[bytes]:
        if first:
            yield first
        while piece := self._file.read(_READ):
            yield piece

    def _fed(self, first: bytes) -> Iterator[bytes]:
        for piece in self._plain(first):
            for at in range(0, len(piece), _FEED):
                yield piece[at : at + _FEED]

    def _decompressed(self, first: bytes, compression: _Compression) -> Iterator[bytes]:
        name, new_decoder, padded = compression
        decoder: _Decoder | None = None
        for fed in self._fed(first):
            data = fed
            while True:
                if decoder is None:
                    data = data.lstrip(b"\x00") if padded else data
                    if not data:
                        break
                    decoder = new_decoder()
                piece = decoder.decompress(data, _PIECE)
                if piece:
                    yield piece
                if decoder.eof:
                    data, decoder = decoder.unused_data, None
                elif decoder.needs_input:
                    break
                else:
                    data = b""
        if decoder is not None:
            raise EOFError(f"the file ends inside a {name} stream")


class Window:
    """A reusable buffer over a stream: ``data[start:end]`` came from the file and is not decoded yet.

    The decoder moves ``start`` on; `more` moves the rest to the front and reads behind it, so that a message which
    was cut by the end of the buffer becomes whole. The memory stays what it was, unless one message needs more.
    """

    def __init__(self, stream: ByteStream, capacity: int = 1024 * 1024) -> None:
        self.stream = stream
        self.data = np.empty(capacity, np.uint8)
        self.start = 0
        self.end = 0

    @property
    def offset(self) -> int:
        """Where ``data[start]`` stands in the file's decompressed bytes."""
        return self.stream.offset - (self.end - self.start)

    def more(self) -> bool:
        """Read more behind what is there; ``False`` at the end of the file. Raises `FeedError` at a damage."""
        rest = self.end - self.start
        if rest == len(self.data):
            self.data = np.concatenate([self.data, np.empty_like(self.data)])
        elif self.start:
            self.data[:rest] = self.data[self.start : self.end]
        self.start, self.end = 0, rest
        came = self.stream.read_into(self.data, rest)
        self.end += came
        return came > 0

    def need(self, count: int) -> bool:
        """Have at least ``count`` bytes from ``start`` on; ``False`` where the file ends before."""
        while self.end - self.start < count:
            if not self.more():
                return False
        return True
