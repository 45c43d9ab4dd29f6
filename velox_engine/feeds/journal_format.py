"""The Velox journal on disk, version 1: what its writer and its reader share. All numbers are little-endian.

A file is a prefix and blocks. The prefix, 16 bytes: the magic ``VELOXJNL``, the version (u32), zero (u32).

A block is a head of 40 bytes and a payload, which zero bytes fill up to a multiple of 32:

====== ======= =====================================================================
offset field   meaning
====== ======= =====================================================================
0      marker  u32, the letters ``VXBK``
4      kind    u32, see `Kind`
8      bytes   u32, the payload's length
12     count   u32, records of the payload (data), or bytes of text before the zeros
16     bundles u32, bundles of the payload (data), else 0
20     number  u32, 0, 1, 2 … (mod 2^32): no block is missing, none is there twice
24     content u64, XXH64 of the payload
32     check   u64, XXH64 of the 32 bytes before it
====== ======= =====================================================================

The first block is a ``HEADER`` (text, JSON: source, time base, and so on); ``INSTRUMENTS`` (JSON: a list) stand before
the first record that names them and may come again later; ``DATA`` holds whole bundles: ``TRANSACTION`` records as they
are in memory, with the pacing time in ns in ``due_ticks``, then the bundles' sizes, u16 each. ``END`` (JSON: totals) is
the last block; a file without it was cut off.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from velox_engine.feeds.xxh64 import STRIPE, xxh64
from velox_engine.records import TRANSACTION, Instrument

MAGIC: Final = b"VELOXJNL"
VERSION: Final = 1
PREFIX: Final = struct.Struct("<8sII")
HEAD: Final = struct.Struct("<4sIIIIIQ")
CHECK: Final = struct.Struct("<Q")
HEAD_BYTES: Final = HEAD.size + CHECK.size
MARKER: Final = b"VXBK"
MAX_PAYLOAD: Final = 64 * 1024 * 1024
SIZE_DTYPE: Final = np.dtype("<u2")
MAX_BUNDLE: Final = 2**16 - 1


class Kind(IntEnum):
    """What a block holds."""

    HEADER = 1
    INSTRUMENTS = 2
    DATA = 3
    END = 4


@dataclass(frozen=True, slots=True)
class Head:
    """A block's head."""

    kind: int
    payload_bytes: int
    count: int
    bundles: int
    number: int
    content: int


def checksum(payload: NDArray[np.uint64]) -> int:
    """The checksum of a payload, as words."""
    return int(xxh64(payload)) if len(payload) else 0


def pack_head(kind: Kind, payload: NDArray[np.uint64], count: int, bundles: int, number: int) -> bytes:
    """The head of a block with this payload, 40 bytes."""
    head = HEAD.pack(MARKER, kind, payload.nbytes, count, bundles, number % 2**32, checksum(payload))
    return head + CHECK.pack(checksum(np.frombuffer(head, np.uint64)))


def unpack_head(head: bytes) -> Head | None:
    """What a block's head says, ``None`` if it is damaged."""
    marker, *fields = HEAD.unpack_from(head)
    if marker != MARKER or CHECK.unpack_from(head, HEAD.size)[0] != checksum(
        np.frombuffer(head[: HEAD.size], np.uint64)
    ):
        return None
    return Head(*fields)


def padded(length: int) -> int:
    """The length of a payload that holds so many bytes."""
    return -(-length // STRIPE) * STRIPE


def data_payload_bytes(count: int, bundles: int) -> int:
    """The length of the payload of a data block."""
    return padded(TRANSACTION.itemsize * count + SIZE_DTYPE.itemsize * bundles)


def text_payload(value: Any) -> tuple[NDArray[np.uint64], int]:
    """A value as JSON in a payload, and how long it is without the padding."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return np.frombuffer(text.ljust(padded(len(text)), b"\x00"), np.uint64), len(text)


def instruments_as_json(instruments: list[Instrument]) -> list[dict[str, str | int]]:
    """Instruments as they stand in a block."""
    return [
        {
            "symbol": instrument.symbol,
            "price_decimals": instrument.price_decimals,
            "size_decimals": instrument.size_decimals,
            "tick": instrument.tick,
        }
        for instrument in instruments
    ]
