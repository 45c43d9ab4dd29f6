"""Databento's DBN, versions 1 to 3: market by order, the best one or ten levels, or trades alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Final

from velox_engine.errors import FeedError
from velox_engine.feeds import dbn_kernel as kernel
from velox_engine.feeds import dbn_state as states
from velox_engine.feeds.base import DEFAULT_BATCH_SIZE, Seed, TimeBase
from velox_engine.feeds.bits import Words
from velox_engine.feeds.dbn_metadata import (
    NO_SCHEMA,
    PREFIX,
    SCHEMAS,
    Metadata,
    MetadataError,
    fixed_string,
    read_metadata,
)
from velox_engine.feeds.dbn_window import WINDOW_WORDS
from velox_engine.feeds.kernel_feed import KernelFeed
from velox_engine.records import Instrument

_PRICE_DECIMALS: Final = 9
_VERSIONS: Final = (1, 2, 3)
_DECODED: Final = ("mbo", "mbp-1", "mbp-10", "trades")
_MAX_METADATA: Final = 256 * 1024 * 1024
_EARLIEST, _LATEST = -(2**63), 2**63 - 1


class DbnFeed(KernelFeed):
    """A DBN file of one of the schemas mbo, mbp-1, mbp-10 and trades, or a live stream's mixture of them.

    ``metadata`` is what stands in front of the records.
    """

    format: ClassVar[str] = "dbn"
    rules: ClassVar[str] = (
        "prices have 9 decimals and sizes are whole; the tick is not known, since it stands in other files; "
        "times are ts_event, ns since the Unix epoch, and ts_recv paces a replay (where one of them is undefined, the "
        "other one is taken); records keep the file's order; "
        "symbols come from the metadata and from symbol mappings on the way, an id without one is its own name, and "
        "a name that several ids or publishers share is followed by @id or :publisher; "
        "mbo: A is ADD, C CANCEL, M MODIFY, R CLEAR, T TRADE (side of the aggressor), F FILL (side of the order); an A "
        "with flag 64 (a venue that shows its best level) is that side's only LEVEL; "
        "mbp: T is TRADE, R CLEAR, and each record makes the book hold the levels that it shows: LEVEL for each one "
        "that is new, changed or gone; "
        "flag 128 is LAST, 32 SNAPSHOT, and the first one with 4 GAP; a record that changes nothing but ends its event "
        "is a STATUS; adds, changes and trades without a price, adds and changes without a side, other actions and "
        "other record types make no record"
    )
    rows_at_once = states.ROWS_AT_ONCE

    def __init__(
        self,
        path: str | Path,
        *,
        symbols: Iterable[str] | None = None,
        seed: Seed = None,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        super().__init__(Path(path), symbols=symbols, seed=seed, batch_size=batch_size)
        self.time_base = TimeBase("unix", None, "UTC", "receive time (ts_recv)")
        try:
            self.metadata = self._read_metadata()
        except FeedError:
            self.close()
            raise
        self.windowed = SCHEMAS.get(self.metadata.schema) in ("mbp-1", "mbp-10")
        mapping_bytes = 80 if self.metadata.version == 1 else 176
        self._state = states.new_state(ts_out=self.metadata.ts_out, mapping_bytes=mapping_bytes)
        self._compile(kernel.decode, self._state)
        self._slots: dict[int, int] = {}
        self._names = dict(self.metadata.names)
        self._ids_by_name: defaultdict[str, set[int]] = defaultdict(set)
        for number, turns in self._names.items():
            for _, name in turns:
                self._ids_by_name[name].add(number)
        self._indices: dict[tuple[int, str], int] = {}
        self._publishers: dict[tuple[int, str], int] = {}
        self._by_publisher: dict[tuple[int, str, int], int] = {}
        for number, turns in self._names.items():
            for _, name in turns:
                self._index(number, name)

    @classmethod
    def matches(cls, name: str, head: bytes) -> bool:
        """Whether the file begins with DBN's magic."""
        return head.startswith(b"DBN")

    def _read_metadata(self) -> Metadata:
        window = self._window
        if not window.need(PREFIX):
            raise self._fault("the end of the file in the prefix", f"{PREFIX} bytes")
        prefix = window.data[:PREFIX].tobytes()
        if prefix[:3] != b"DBN":
            raise self._fault(f"{prefix[:3]!r}", "the magic b'DBN'")
        if prefix[3] not in _VERSIONS:
            raise self._fault(f"DBN version {prefix[3]}", "1, 2 or 3", ahead=3)
        length = int.from_bytes(prefix[4:], "little")
        if length > _MAX_METADATA:
            raise self._fault(f"metadata of {length} bytes", f"at most {_MAX_METADATA}", ahead=4)
        if not window.need(PREFIX + length):
            have = window.end - window.start - PREFIX
            raise self._fault(f"the end of the file after {have} bytes of metadata", f"{length}", ahead=PREFIX)
        start = window.start + PREFIX
        try:
            metadata = read_metadata(prefix[3], window.data[start : start + length].tobytes())
        except MetadataError as error:
            raise FeedError(self.path, str(error), byte=PREFIX + error.at) from None
        schema = SCHEMAS.get(metadata.schema, f"number {metadata.schema}")
        if metadata.schema != NO_SCHEMA and schema not in _DECODED:
            raise self._fault(f"schema {schema}", ", ".join(_DECODED), ahead=PREFIX + 16)
        window.start = start + length
        return metadata

    def _decode(self, words: Words, row: int) -> tuple[int, int]:
        window = self._window
        window.start, row, reason = kernel.decode(window.data, window.start, window.end, words, row, self._state)
        return row, reason

    def _resolve(self, reason: int) -> None:
        data, start = self._window.data, self._window.start
        if reason == kernel.LEARN:
            self._learn()
            return
        if reason == kernel.NAME:
            self._take_mapping()
            return
        length, kind = 4 * int(data[start]), int(data[start + 1]) if self._window.end - start > 1 else -1
        if reason == kernel.NO_LENGTH:
            raise self._fault("a record of length 0", "a length in words of 4 bytes, from 4 on")
        if reason == kernel.SHORT:
            raise self._fault(f"a record of {length} bytes", f"at least {states.HEAD_BYTES}")
        if reason == kernel.WRONG_LENGTH:
            raise self._fault(f"a record of type {kind} with {length} bytes", f"{self._state.lengths[kind]}")
        if reason == kernel.BAD_SIDE:
            ahead = 39 if kind == states.MBO else 29
            raise self._fault(f"side {chr(data[start + ahead])!r}", "A, B or N", ahead=ahead)
        if reason == kernel.BAD_TIME:
            raise self._fault("a time that is undefined or beyond 2^63 - 1 ns", "ns since 1970", ahead=8)
        before = self._kind_name(int(self._state.counters[states.BOOKS]) - 1)
        raise self._fault(f"a record of {self._kind_name(kind)}", f"{before} as before, one book cannot follow both")

    @staticmethod
    def _kind_name(kind: int) -> str:
        return {states.MBO: "mbo", states.MBP_1: "mbp-1", states.MBP_10: "mbp-10"}[kind]

    def _learn(self) -> None:
        """Give the instrument of the record at the window's start a slot, or its slot the name of this time."""
        data, start = self._window.data, self._window.start
        publisher = int.from_bytes(data[start + 2 : start + 4].tobytes(), "little")
        number = int.from_bytes(data[start + 4 : start + 8].tobytes(), "little")
        key = (publisher << 32 | number) + 1
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = len(self._slots)
            if len(self._slots) > len(self._state.owners):
                self._state = states.larger(self._state, slot)
            self._state.owners[slot] = key
            states.enter(self._state.keys, self._state.slots, key, slot)
        state, now = self._state, int(self._state.counters[states.PACING])
        turns = self._names.get(number, [(_EARLIEST, str(number))])
        turn = max(at for at, (since, _) in enumerate(turns) if since <= now)
        state.since[slot] = turns[turn][0]
        state.until[slot] = turns[turn + 1][0] - 1 if turn + 1 < len(turns) else _LATEST
        state.symbols[slot] = self._index(number, turns[turn][1], publisher)
        state.windows[slot * WINDOW_WORDS : (slot + 1) * WINDOW_WORDS] = 0
        state.bad[slot] = 0

    def _index(self, number: int, name: str, publisher: int | None = None) -> int:
        """The instrument of an id under this name, -1 if it is not wanted; it is made when it is met first.

        The first publisher that is met takes the instrument which the metadata promised; each further one gets its
        own, since the same instrument has a book of its own at each venue.
        """
        taken = self._publishers.get((number, name))
        if publisher is not None and taken is None:
            taken = self._publishers[number, name] = publisher
        further = publisher is not None and publisher != taken
        index = self._by_publisher.get((number, name, publisher or 0)) if further else self._indices.get((number, name))
        if index is None:
            symbol = name if len(self._ids_by_name[name] | {number}) == 1 else f"{name}@{number}"
            symbol = f"{symbol}:{publisher}" if further else symbol
            index = -1
            if self.wanted is None or name in self.wanted or symbol in self.wanted:
                index = len(self.instruments)
                self.instruments.append(Instrument(symbol, _PRICE_DECIMALS, 0, 0))
            if further and publisher is not None:
                self._by_publisher[number, name, publisher] = index
            else:
                self._indices[number, name] = index
        return index

    def _take_mapping(self) -> None:
        """Learn a name from a symbol mapping record: it holds for its id from here on."""
        window = self._window
        length = 4 * int(window.data[window.start])
        record = window.data[window.start : window.start + length].tobytes()
        # version 1: two symbols of 22 bytes; later: a symbology type in front of each, and 71 bytes
        at, width = (38, 22) if self.metadata.version == 1 else (89, 71)
        name = fixed_string(record[at : at + width])
        if name is None:
            raise self._fault("a symbol that is no text", "UTF-8", ahead=at)
        number = int.from_bytes(record[4:8], "little")
        if name:
            self._names[number] = [(_EARLIEST, name)]
            self._ids_by_name[name].add(number)
            for key, slot in self._slots.items():
                if (key - 1) & 0xFFFFFFFF == number:
                    self._state.since[slot], self._state.until[slot] = _LATEST, _EARLIEST
        self._state.skipped[states.MAPPING] += 1
        window.start += length

    def _rest(self, count: int) -> FeedError | None:
        if count == 0:
            return None
        length = 4 * int(self._window.data[self._window.start])
        return self._fault(f"the end of the file after {count} bytes of a record", f"{length}")

    def _note(self) -> None:
        state, skipped = self._state, self.oddities.skipped
        counters = state.counters
        self.oddities.time_back = int(counters[states.TIME_BACK])
        self.oddities.gaps = int(counters[states.GAPS])
        if counters[states.BOOKS]:
            self.windowed = bool(counters[states.BOOKS] - 1 != states.MBO)
        named = {"other symbols": states.OTHER_SYMBOLS, "no price": states.NO_PRICE, "no side": states.NO_SIDE}
        for name, counter in named.items():
            if counters[counter]:
                skipped[name] = int(counters[counter])
        for kind in state.skipped.nonzero()[0].tolist():
            name = states.OTHERS.get(kind, f"unknown type {kind}")
            skipped[name] = int(state.skipped[kind])
        for code in state.letters.nonzero()[0].tolist():
            skipped[f"action {chr(code)!r}"] = int(state.letters[code])
