"""A histogram in the compressed V2 encoding of G. Tene's HdrHistogram, which its readers in all languages know.

Ours has 32 steps an octave; the encoding's layout with two significant digits has 128. Each of our buckets is entered
at its middle, which is what percentiles are told as everywhere else: counts are exact, values as exact as ours.

Layout (HdrHistogram's AbstractHistogram and its EncodableHistogram): a big-endian header of cookie, length, normalizing
offset, significant digits, least and greatest trackable value, and a ratio as a double; then the counts from index 0 to
the last that is not zero as ZigZag LEB128 numbers, where a negative one stands for so many zeros.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from velox_engine.lockfree.histogram_view import BUCKETS, FLOORS, LIMIT, Histogram

_DIGITS: Final = 2
_HALF_BITS: Final = 7  # 2 × 10^2 values need 256 steps; the lower half of every octave but the first is not used
_HALF: Final = 1 << _HALF_BITS
# V2, the word size of counts that is fixed for it
_COOKIE: Final = 0x1C849303 | 0x10
_COMPRESSED_COOKIE: Final = 0x1C849304 | 0x10
_HEADER: Final = struct.Struct(">iiiiqqd")
_ENVELOPE: Final = struct.Struct(">ii")


def _place(value: int) -> int:
    """Return the index of a value's count."""
    octave = max(value.bit_length() - _HALF_BITS - 1, 0)
    return (octave << _HALF_BITS) + (value >> octave)


_PLACES: Final[NDArray[np.int64]] = np.array(
    [_place((int(FLOORS[bucket]) + int(FLOORS[bucket + 1]) - 1) // 2) for bucket in range(BUCKETS)], np.int64
)


def _zigzag(number: int) -> bytes:
    """Write a number in 7 bits a byte, low ones first; of nine bytes the last has 8 bits."""
    left = (number << 1) ^ (number >> 63)
    written = bytearray()
    while left > 0x7F and len(written) < 8:
        written.append(left & 0x7F | 0x80)
        left >>= 7
    written.append(left)
    return bytes(written)


def encoded(histogram: Histogram) -> str:
    """Return a histogram compressed and in base64, as a histogram log holds it."""
    held = np.flatnonzero(histogram.buckets)
    counts = bytearray()
    behind = 0  # the index behind the last count that was written
    for bucket in held.tolist():
        place = int(_PLACES[bucket])
        if place > behind:
            counts += _zigzag(behind - place)
        counts += _zigzag(int(histogram.buckets[bucket]))
        behind = place + 1
    header = _HEADER.pack(_COOKIE, len(counts), 0, _DIGITS, 1, LIMIT - 1, 1.0)
    packed = zlib.compress(header + bytes(counts))
    return base64.b64encode(_ENVELOPE.pack(_COMPRESSED_COOKIE, len(packed)) + packed).decode()
