"""Raw Binance captures, spot or USD-M futures: ``local_ns SPACE json`` lines of one symbol's websocket streams.

The streams are those of https://developers.binance.com/docs; how the book follows them is told in `binance_sync`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from velox_engine.errors import FeedError
from velox_engine.feeds.base import DEFAULT_BATCH_SIZE, Seed, TimeBase
from velox_engine.feeds.binance_fields import (
    BAD_BOOLEAN,
    FIELDS,
    NO_STREAM,
    NO_TIME,
    NOT_JSON,
    TIME_TOO_LARGE,
)
from velox_engine.feeds.binance_levels import (
    BAD_LEVELS,
    BOOK_ID,
    CLEAR_FIRST,
    DUE_NS,
    ENTRY,
    EVENT_NS,
    FIRST_ID,
    GAP_BEFORE,
    LAST_ID,
    LEVEL_FLAGS,
    META_WORDS,
    NEGATIVE_SIZE,
    NEXT,
    PREVIOUS_ID,
    STAGED,
    SYNCED,
    WAITS,
    empty_staging,
)
from velox_engine.feeds.binance_lines import (
    DIFF,
    GROW_STAGING,
    NEXT_STAGED,
    OLD_DIFF,
    OTHER_STREAM,
    SNAPSHOT,
    decode,
)
from velox_engine.feeds.binance_survey import survey
from velox_engine.feeds.binance_sync import Message, State, Synchroniser
from velox_engine.feeds.decimal_text import NOT_A_NUMBER, TOO_PRECISE
from velox_engine.feeds.line_window import AT, FAULT_AT, FAULT_VALUE, GAPS, STOP, quoted
from velox_engine.feeds.many_symbols import DECIMALS_RULE, ManySymbolsFeed
from velox_engine.feeds.text import FAULTS, FULL, LEFT_OVER, MISSING
from velox_engine.records import Flags, Transactions

_LINE: Final = re.compile(rb"\d{15,19} \{")
_STREAM_OF_SYMBOL: Final = re.compile(rb'"stream"\s*:\s*"([^"@!\n]{1,64})@')
_NAMED_STREAMS: Final = frozenset(
    b"aggTrade avgPrice compositeIndex contractInfo forceOrder indexPrice kline markPrice miniTicker ticker".split()
)

_EXPECTED: Final = {
    NOT_A_NUMBER: "a number",
    NO_STREAM: "the name of a stream",
    BAD_BOOLEAN: "true or false",
    TIME_TOO_LARGE: "milliseconds that fit 64 bits in ns",
    BAD_LEVELS: "a list of [price, size]",
    NEGATIVE_SIZE: "a size that is not negative",
}


class BinanceFeed(ManySymbolsFeed):
    """A raw capture of one symbol: its diffs, its REST snapshots and its trades."""

    format: ClassVar[str] = "binance"
    rules: ClassVar[str] = (
        DECIMALS_RULE.format(sizes="as many as the longest fraction as it is written")
        + "; event times are T, else E, in ms UTC, of a spot snapshot, which has none, its receive time; "
        "the receive time at the front of each line paces a replay, and is never corrected; "
        "a snapshot is CLEAR and LEVEL (flag 2), a diff one LEVEL a level, a trade TRADE with the aggressor's side; "
        "bookTicker, other streams, other symbols and empty diffs make no record, "
        "nor do diffs that the snapshot holds and snapshots of a book that is in step; "
        "diffs before the snapshot are kept back and due with it; "
        "a gap leaves the book stale until the next snapshot, and so do 10 s or 65,536 levels without a snapshot; "
        "one symbol a file, because a snapshot does not name its own"
    )
    skip_names = (
        "other symbols",
        "bookTicker",
        "depthUpdate (empty)",
        "snapshot (not needed)",
        "no stream",
        "depthUpdate (before the snapshot)",
    )
    least_size_decimals = 0

    def __init__(
        self,
        path: str | Path,
        *,
        symbols: Iterable[str] | None = None,
        seed: Seed = None,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        super().__init__(Path(path), symbols=symbols, batch_size=batch_size)
        with self._closed_if_refused():
            self._open(seed)

    def _open(self, seed: Seed) -> None:
        self._without_seed(seed)
        self.time_base = TimeBase("unix", paced_by="receive time (the number at the front of the line)")
        self._fields = np.zeros(len(FIELDS), np.int64)
        self._staging = empty_staging(4096, np.zeros(META_WORDS, np.int64))
        self._staging.meta[ENTRY] = -1
        self._sync = Synchroniser()
        window = self._window
        if not window.fill(self.first_bytes):
            raise FeedError(self.path, "found an empty file, expected lines of a raw Binance capture")
        self._learn_decimals(self._add_first_symbol())

    @classmethod
    def matches(cls, name: str, head: bytes) -> bool:
        """Whether the first line is a number and an object, and there are streams or a snapshot in the head."""
        return _LINE.match(head) is not None and (b'"stream"' in head or b'"lastUpdateId"' in head)

    @property
    def synced(self) -> bool:
        """Whether the book is in step with the messages, so far as they were read."""
        return self._sync.state is State.SYNCED

    def _add_first_symbol(self) -> list[str]:
        """Find the symbol that is read: the first one, or the first that was asked for."""
        window = self._window
        text = window.text[window.cursor[AT] : window.cursor[STOP]].tobytes()
        names = dict.fromkeys(found[1] for found in _STREAM_OF_SYMBOL.finditer(text))
        if not names:
            expected = 'lines like \'local_ns {"stream":"btcusdt@depth","data":{…}}\''
            raise FeedError(self.path, f"found no stream of a symbol in the first 8 MiB, expected {expected}", line=1)
        for name in names:
            if self.wanted is None or self._symbol_of(name) in self.wanted:
                return self._add_symbol(name, 0, -1)
        return []

    def _symbol_of(self, name: bytes) -> str:
        return name.decode("ascii", "backslashreplace").upper()

    def _add_symbol(self, name: bytes, instrument: int, decimals: int) -> list[str]:
        self._check_name(name)
        meta = self._staging.meta
        symbol = self._symbol_of(name)
        if meta[ENTRY] >= 0 and (self.wanted is None or symbol in self.wanted):
            problem = f"found the symbol {symbol} besides another one, expected one symbol (ask for one of them)"
            raise FeedError(self.path, problem, line=self._line_of_name())
        added = super()._add_symbol(name, instrument, decimals)
        if added:
            meta[ENTRY] = self._symbols.count - 1
        return added

    def _survey(self) -> int:
        window = self._window
        return int(survey(window.text, window.cursor, self._symbols.table, self._staging, self._fields))

    def _decode(self, out: Transactions) -> int:
        window = self._window
        table, skipped = self._symbols.table, self._skipped
        return int(decode(window.text, window.cursor, out, table, self._staging, skipped, self._fields))

    def _answer(self, status: int) -> None:
        meta = self._staging.meta
        if status == GROW_STAGING:
            self._staging = empty_staging(2 * len(self._staging.price), meta)
        elif status == OTHER_STREAM:
            self._count_stream()
        elif status == NEXT_STAGED:
            self._stage_next()
        elif status in (DIFF, SNAPSHOT):
            message = self._taken(status == SNAPSHOT)
            if meta[SYNCED]:
                self._sync.book_id = int(meta[BOOK_ID])
            if message.snapshot:
                self._sync.take_snapshot(message)
            else:
                self._sync.take_diff(message)
            self._stage_next()
        else:
            super()._answer(status)

    def _rest(self, out: Transactions, damaged: bool) -> bool:
        """Write the diffs that wait for a snapshot in vain; the line that is damaged stays what it is."""
        meta = self._staging.meta
        if self._sync.state is State.HOLDING:
            self._sync.release(int(meta[DUE_NS]))
            self._stage_next()
        while (status := self._decode(out)) == NEXT_STAGED:
            self._stage_next()
        return status == FULL

    def _taken(self, is_snapshot: bool) -> Message:
        """The staged message, out of the staging area."""
        staging = self._staging
        meta = staging.meta
        count = int(meta[STAGED])
        meta[STAGED] = 0
        return Message(
            first=int(meta[FIRST_ID]),
            last=int(meta[LAST_ID]),
            previous=int(meta[PREVIOUS_ID]),
            event_ns=int(meta[EVENT_NS]),
            due_ns=int(meta[DUE_NS]),
            price=staging.price[:count].copy(),
            size=staging.size[:count].copy(),
            side=staging.side[:count].copy(),
            snapshot=is_snapshot,
        )

    def _stage_next(self) -> None:
        """Stage the next message that is to be written, or let the decoder go on where there is none."""
        staging, sync = self._staging, self._sync
        meta = staging.meta
        meta[STAGED] = meta[NEXT] = 0
        if not sync.ready:
            meta[SYNCED] = sync.state is State.SYNCED
            meta[BOOK_ID] = sync.book_id
            return
        message = sync.ready.popleft()
        count = len(message.price)
        if count > len(staging.price):
            self._staging = staging = empty_staging(count, meta)
        staging.price[:count], staging.size[:count], staging.side[:count] = message.price, message.size, message.side
        meta[STAGED] = count
        meta[EVENT_NS], meta[DUE_NS] = message.event_ns, message.due_ns
        meta[LEVEL_FLAGS] = int(Flags.SNAPSHOT) if message.snapshot else 0
        meta[CLEAR_FIRST] = message.snapshot
        if message.snapshot:
            meta[GAP_BEFORE] = 0
        elif message.after_gap:
            meta[GAP_BEFORE] = 1
        meta[WAITS] = 1

    def _count_stream(self) -> None:
        """Count a stream that makes no record by the kind in its name, ``btcusdt@aggTrade``."""
        window = self._window
        first = int(window.cursor[FAULT_AT])
        name = window.text[first : first + 200].tobytes().partition(b'"')[0]
        kind = name.partition(b"@")[2].partition(b"@")[0]
        told = kind.decode() if kind in _NAMED_STREAMS else f"unknown {quoted(kind or name)}"
        self.oddities.skipped[told] += 1

    def _count_oddities(self) -> None:
        self._window.cursor[GAPS] = self._sync.gaps
        self._skipped[OLD_DIFF] = self._sync.old
        super()._count_oddities()

    def _fault_words(self, code: int, at: int, field: int) -> str:
        window = self._window
        if code == MISSING:
            line = window.excerpt(at, ends=b"\n")
            return f"found no {FIELDS[field]}, expected it in {line}"
        found = window.excerpt(at, ends=b",]}\n")
        if code == NO_TIME:
            return f"found {found}, expected the receive time in ns, a space and a message"
        if code == NOT_JSON:
            return f"found {found} at column {at - int(window.cursor[AT]) + 1}, expected JSON"
        if code == LEFT_OVER:
            return f"found {found} behind the message, expected the end of the line"
        if code == TOO_PRECISE:
            decimals = int(window.cursor[FAULT_VALUE])
            return f"found {found} in {FIELDS[field]}, expected at most {decimals} decimals, the rule for this symbol"
        return f"found {found} in {FIELDS[field]}, expected {_EXPECTED.get(code) or FAULTS[code]}"
