"""What stands in front of a DBN file's records: versions 1 to 3 of Databento's metadata.

Source: https://databento.com/docs/standards-and-conventions/databento-binary-encoding. All numbers are little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import date
from typing import Final

SCHEMAS: Final = {
    0: "mbo",
    1: "mbp-1",
    2: "mbp-10",
    3: "tbbo",
    4: "trades",
    5: "ohlcv-1s",
    6: "ohlcv-1m",
    7: "ohlcv-1h",
    8: "ohlcv-1d",
    9: "definition",
    10: "statistics",
    11: "status",
    12: "imbalance",
    13: "ohlcv-eod",
    14: "cmbp-1",
    15: "cbbo-1s",
    16: "cbbo-1m",
    17: "tcbbo",
    18: "bbo-1s",
    19: "bbo-1m",
}
NO_SCHEMA: Final = 0xFFFF
"""The schema of a live stream, which may hold records of several."""

INSTRUMENT_ID: Final = 0
"""The symbology type (``stype``) whose symbols are instrument ids in digits."""

PREFIX: Final = 8
"""``DBN``, the version, and the length of what follows."""

_FIXED: Final = 100
_DAY_NS: Final = 86_400 * 10**9
_EPOCH: Final = date(1970, 1, 1).toordinal()


class MetadataError(Exception):
    """The metadata is not what it should be; ``at`` is relative to its first byte."""

    def __init__(self, at: int, found: str, expected: str) -> None:
        super().__init__(f"found {found}, expected {expected}")
        self.at = at


@dataclass(frozen=True, slots=True)
class Metadata:
    """The part of the metadata that matters for reading.

    ``names`` maps an instrument id to the symbols that it stood for: pairs of a time (ns, UTC) from which on, and the
    symbol; in ascending order, the first one from any time on.
    """

    version: int
    dataset: str
    schema: int
    ts_out: bool
    names: dict[int, list[tuple[int, str]]]


class _Reader:
    def __init__(self, data: bytes, at: int, width: int) -> None:
        self.data = data
        self.at = at
        self.width = width

    def number(self, what: str) -> int:
        if self.at + 4 > len(self.data):
            raise MetadataError(self.at, f"the end of the metadata in {what}", "4 bytes")
        value: int = struct.unpack_from("<I", self.data, self.at)[0]
        self.at += 4
        return value

    def count(self, what: str, least: int) -> int:
        """A count of things that take at least ``least`` bytes each."""
        at = self.at
        value = self.number(what)
        room = (len(self.data) - self.at) // least
        if value > room:
            raise MetadataError(at, f"{value} {what}", f"at most {room}, which is what the metadata has room for")
        return value

    def symbol(self, what: str) -> str:
        if self.at + self.width > len(self.data):
            raise MetadataError(self.at, f"the end of the metadata in {what}", f"{self.width} bytes")
        text = fixed_string(self.data[self.at : self.at + self.width])
        if text is None:
            raise MetadataError(self.at, f"{what} that is no text", "UTF-8")
        self.at += self.width
        return text

    def day(self) -> int:
        at = self.at
        value = self.number("a mapping's date")
        try:
            day = date(value // 10000, value // 100 % 100, value % 100)
        except ValueError:
            raise MetadataError(at, f"date {value}", "YYYYMMDD") from None
        return (day.toordinal() - _EPOCH) * _DAY_NS


def fixed_string(data: bytes) -> str | None:
    """A string of fixed width, padded with zero bytes; ``None`` if it is no UTF-8."""
    try:
        return data.partition(b"\x00")[0].decode()
    except UnicodeDecodeError:
        return None


def read_metadata(version: int, data: bytes) -> Metadata:
    """Read the metadata behind the prefix; raises `MetadataError`."""
    if len(data) < _FIXED + 4:
        raise MetadataError(0, f"metadata of {len(data)} bytes", f"at least {_FIXED + 4}")
    dataset = fixed_string(data[:16]) or ""
    schema = struct.unpack_from("<H", data, 16)[0]
    # version 1 has a record count in front of these
    at = 50 if version == 1 else 42
    stype_in, stype_out, ts_out = data[at], data[at + 1], data[at + 2]
    width = 22 if version == 1 else struct.unpack_from("<H", data, at + 3)[0]
    if not 1 <= width <= 1024:
        raise MetadataError(at + 3, f"symbols of {width} bytes", "1 to 1024")
    if ts_out > 1:
        raise MetadataError(at + 2, f"ts_out {ts_out}", "0 or 1")
    reader = _Reader(data, _FIXED, width)
    definition = reader.number("the schema definition's length")
    if definition:
        raise MetadataError(_FIXED, f"a schema definition of {definition} bytes", "none")
    for what in ("symbols", "partial symbols", "symbols not found"):
        for _ in range(reader.count(what, width)):
            reader.symbol(what)
    return Metadata(version, dataset, schema, ts_out == 1, _names(reader, stype_in, stype_out))


def _names(reader: _Reader, stype_in: int, stype_out: int) -> dict[int, list[tuple[int, str]]]:
    """What each instrument id is called and since when, from whichever side of the mappings has the ids."""
    intervals: dict[int, list[tuple[int, str]]] = {}
    for _ in range(reader.count("mappings", reader.width + 4)):
        asked = reader.symbol("a mapping's symbol")
        for _ in range(reader.count("intervals of a mapping", 8 + reader.width)):
            start, _end = reader.day(), reader.day()
            at = reader.at
            became = reader.symbol("an interval's symbol")
            if stype_out == INSTRUMENT_ID:
                number, name = became, asked
            elif stype_in == INSTRUMENT_ID:
                number, name = asked, became
            else:
                continue
            if not number:
                continue  # the venue had no such instrument in this interval
            if not (number.isascii() and number.isdigit() and int(number) < 2**32):
                raise MetadataError(at, f"instrument id {number!r}", "a whole number of 32 bits")
            intervals.setdefault(int(number), []).append((start, name))
    return {number: _in_turn(found) for number, found in intervals.items()}


def _in_turn(found: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Intervals in order of time, neighbours of one name made one; the first holds from any time on."""
    turns: list[tuple[int, str]] = []
    for start, name in sorted(found):
        if not turns or turns[-1][1] != name:
            turns.append((start, name))
    return [(-(2**63), turns[0][1]), *turns[1:]]
