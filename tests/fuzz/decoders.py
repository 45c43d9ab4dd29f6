"""The compiled decoders alone, thousands of inputs a second: no file, no opening, a state that is put back each time.

What `FeedTarget` does a few hundred times a second, from the file to the book, is done here for the part that indexes
raw memory: the decoder is run over damaged bytes in the middle of a recording, with everything that it touches (input,
records, tables, counters) in front of a guard of its own.
"""

from __future__ import annotations

import random
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.fuzz import corpus
from tests.fuzz.feeds import check_message
from tests.fuzz.guarded import GuardedMemory
from tests.fuzz.mutation import mutated
from velox_engine.errors import FeedError
from velox_engine.feeds import dbn_kernel, itch_kernel
from velox_engine.feeds.binance import BinanceFeed
from velox_engine.feeds.binance_lines import DIFF, GROW_STAGING, NEXT_STAGED, SNAPSHOT
from velox_engine.feeds.binance_sync import Synchroniser
from velox_engine.feeds.coinbase_lines import GROW_ORDERS
from velox_engine.feeds.dbn import DbnFeed
from velox_engine.feeds.itch import ItchFeed
from velox_engine.feeds.kernel_feed import KernelFeed, Stop
from velox_engine.feeds.line_window import AT, COUNT, FAULT_AT, LINE, STOP, SURVEY_AT
from velox_engine.feeds.many_symbols import ManySymbolsFeed
from velox_engine.feeds.opening import open_feed
from velox_engine.feeds.symbol_table import NEW_SYMBOL
from velox_engine.feeds.text import FAULT, FULL, MORE, TextFeed
from velox_engine.records import TRANSACTION, Action, Side, Transactions

_MOST = 8 * 1024
_MOST_INPUT = _MOST + 16
_MOST_ROWS = 64
_READ_ONLY = 1 << 18
"""Tables of so many bytes and more are only read by the decoders (stock locates), and need not be put back."""
_REFUSED = {
    ItchFeed: (itch_kernel.WRONG_LENGTH, itch_kernel.BAD_SIDE, itch_kernel.TOO_LARGE),
    DbnFeed: (
        dbn_kernel.NO_LENGTH, dbn_kernel.SHORT, dbn_kernel.WRONG_LENGTH, dbn_kernel.BAD_SIDE, dbn_kernel.BAD_TIME,
        dbn_kernel.MIXED,
    ),
}  # fmt: skip
"""Reasons that become an error without changing the feed."""
_STAGING = (DIFF, SNAPSHOT, NEXT_STAGED)
_LEARNING = (NEW_SYMBOL, GROW_ORDERS, GROW_STAGING)
_LINES_BEHIND = 6
"""So many lines that are refused are left behind, then it is enough."""
_SYMBOLS = {"binance": "BTCUSDT", "lobster": None}


class _Reader:
    """A feed that has read its recording, whose decoder reads other bytes from there on, again and again."""

    def __init__(self, name: str, data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, corpus.LOBSTER_NAME if name == "lobster" else "recorded")
            path.write_bytes(data)
            self.feed: Any = open_feed(path, name, _SYMBOLS.get(name), None, batch_size=_MOST_ROWS)
            try:
                for _ in self.feed:
                    pass
            except FeedError:
                pass
        self._input, self._output = GuardedMemory(_MOST_INPUT), GuardedMemory(_MOST_ROWS * TRANSACTION.itemsize)
        self._guards: list[GuardedMemory] = []
        self._states: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self._guard_state()

    def _guard_state(self) -> None:
        """Give each array that the decoder is handed a guard, and remember what is in it."""
        owners = [
            self.feed,
            *(getattr(self.feed, name) for name in ("_window", "_symbols") if hasattr(self.feed, name)),
        ]
        for owner in owners:
            for name, value in list(vars(owner).items()):
                if name in ("text", "data"):
                    continue
                if isinstance(value, np.ndarray) and value.ndim == 1 and value.size:
                    setattr(owner, name, self._guarded(value))
                elif isinstance(value, tuple) and hasattr(value, "_fields"):
                    parts = [self._guarded(part) if isinstance(part, np.ndarray) else part for part in value]
                    setattr(owner, name, type(value)(*parts))

    def _guarded(self, array: NDArray[Any]) -> NDArray[Any]:
        memory = GuardedMemory(max(array.nbytes, 1))
        own = memory.tail(array.size, array.dtype).reshape(array.shape)
        own[...] = array
        self._guards.append(memory)
        if array.nbytes < _READ_ONLY:
            self._states.append((own, own.copy()))
        return own

    def read(self, data: bytes, rows: int, survey: bool) -> str:
        """Decode until it needs something else; return what that was in a word."""
        for array, before in self._states:
            array[...] = before
        text = self._input.tail(len(data))
        text[:] = np.frombuffer(data, np.uint8)
        out = self._output.tail(rows, TRANSACTION)
        if isinstance(self.feed, KernelFeed):
            return self._read_messages(self.feed, text, out)
        return self._read_lines(self.feed, text, out, survey)

    def _read_messages(self, feed: KernelFeed, text: NDArray[np.uint8], out: Transactions) -> str:
        window = feed._window
        window.data, window.start, window.end = text, 0, len(text)
        words = out.view(np.int64)
        width = 4 if isinstance(feed, DbnFeed) else 1
        word = "read"
        while True:
            before = window.start
            row, reason = feed._decode(words, 0)
            assert 0 <= row <= len(out)
            assert before <= window.start <= window.end
            self._check(out[:row])
            if reason == Stop.FULL:
                assert row, "no room for a message in an empty batch"
            elif reason == Stop.MORE:
                return word
            elif reason in _REFUSED[type(feed)]:
                try:
                    feed._resolve(reason)
                except FeedError as error:
                    check_message(error)
                    return "refused"
                raise AssertionError(f"reason {reason} raised nothing")
            else:  # a name to be learned would change the feed: go on behind the message
                word, at = "read in part", window.start
                length = width * int(text[at]) if width == 4 else 2 + 256 * int(text[at]) + int(text[at + 1])
                window.start = at + max(length, 1)
                if window.start > window.end:
                    return word

    def _read_lines(self, feed: TextFeed, text: NDArray[np.uint8], out: Transactions, survey: bool) -> str:
        window = feed._window
        window.text, cursor = text, window.cursor
        cursor[AT] = cursor[COUNT] = cursor[LINE] = cursor[SURVEY_AT] = 0
        cursor[STOP] = len(text)
        if survey and isinstance(feed, ManySymbolsFeed):
            feed._survey()
            assert 0 <= cursor[SURVEY_AT] <= len(text)
        if isinstance(feed, BinanceFeed):
            feed._sync = Synchroniser()
        word, behind = "read", 0
        for _ in range(_MOST):
            before = int(cursor[AT])
            status = feed._decode(out)
            assert before <= cursor[AT] <= len(text)
            assert 0 <= cursor[COUNT] <= len(out)
            self._check(out[: cursor[COUNT]])
            if status == MORE:
                assert cursor[AT] == len(text)
                return word
            if status == FULL:
                assert cursor[COUNT] == len(out)
                cursor[COUNT] = 0
                continue
            if isinstance(feed, BinanceFeed) and status in _STAGING:
                feed._answer(status)
                continue
            if status == FAULT:
                assert 0 <= cursor[FAULT_AT] <= len(text)
                check_message(feed._fault())
                word = "refused"
            elif status not in _LEARNING:  # something to be counted, of a line that is done
                continue
            elif word == "read":  # what is to be learned would change the feed
                word = "read in part"
            # go on behind the line, as no feed does: what follows is decoded from a state that is as good as any
            behind += 1
            if behind == _LINES_BEHIND:
                return word
            at = int(cursor[AT])
            cursor[AT] = at + text[at:].tobytes().index(b"\n") + 1
        raise AssertionError("does not come to an end")

    def _check(self, records: Transactions) -> None:
        if not len(records):
            return
        assert int(records["symbol"].max()) < len(self.feed.instruments)
        assert int(records["action"].min()) >= Action.ADD
        assert int(records["action"].max()) <= Action.STATUS
        assert int(records["side"].max()) <= Side.NONE
        assert int(records["size"].min()) >= 0


class DecoderTarget:
    """One format's decoder. An input is a byte that says which recording it goes on from, and what it is to read."""

    def __init__(self, name: str) -> None:
        self.text = name not in ("itch", "dbn")
        files = [data for data in getattr(corpus, f"{name}_files")() if data]
        self._readers, self.corpus = [], []
        for data in files:
            try:
                reader = _Reader(name, data)
            except FeedError:
                continue  # one that is there to be refused
            self._readers.append(reader)
            body = data.split(b"\n", 1)[1] if name == "tardis" else _records(data) if name == "dbn" else data
            self.corpus.append(body[:_MOST])
        assert self._readers

    def close(self) -> None:
        """Let go of what it holds."""

    def make(self, choose: random.Random) -> bytes:
        """An input."""
        body = mutated(choose, self.corpus, text=self.text, most=_MOST)
        return bytes([choose.randrange(len(self._readers))]) + (body + b"\n" if self.text else body)

    def run(self, data: bytes) -> str:
        """Read it; what is wrong is an `AssertionError` or any other error."""
        chance = zlib.crc32(data)
        body = data[1:] if not self.text or data.endswith(b"\n") else data[1:] + b"\n"
        rows = _MOST_ROWS if not self.text or chance & 3 else 1 + (chance >> 2) % 5
        return self._readers[data[0] % len(self._readers)].read(body[:_MOST_INPUT], rows, chance & 64 == 0)


def _records(data: bytes) -> bytes:
    """What stands behind the metadata of a DBN file."""
    return data[8 + int.from_bytes(data[4:8], "little") :]
