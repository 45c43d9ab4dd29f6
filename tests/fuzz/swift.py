"""The compiled decoders, damaged and run in compiled code: a hundred thousand inputs a second and more.

An input of these targets is a number. It stands for ``EACH`` damaged windows, made and decoded one after the other with
everything that the decoder touches in front of guards, from a state that is put back each time (see `decoders`). What
comes out is checked for what holds of every feed; messages, names and books are what the slower targets try.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fuzz.decoders import DecoderTarget
from tests.fuzz.mutation import TOKENS
from velox_engine.feeds import binance_lines, coinbase_lines, dbn_kernel, itch_kernel, lobster, tardis_rows
from velox_engine.feeds.binance_levels import NEXT, STAGED, WAITS
from velox_engine.feeds.kernel_feed import KernelFeed, Stop
from velox_engine.feeds.line_window import AT, COUNT, FAULT_AT, LINE, STOP
from velox_engine.feeds.text import FAULT, FULL, MORE
from velox_engine.jit import compiled, inner
from velox_engine.records import TRANSACTION, Action, Side

EACH = 500
"""Windows that one input stands for."""
_MOST = 8 * 1024
_ROWS = 64
_LINES_BEHIND = 6
_ADD, _STATUS, _NO_SIDE = int(Action.ADD), int(Action.STATUS), int(Side.NONE)
_FULL, _MORE = int(Stop.FULL), int(Stop.MORE)

# what a driver says of a window
HELD, BAD_ROWS, BAD_PLACE, BAD_RECORD, ENDLESS = 0, 1, 2, 3, 4
WORDS = {
    BAD_ROWS: "more records than there is room for, or fewer than none",
    BAD_PLACE: "a place outside the window, or before where it was",
    BAD_RECORD: "a record that no feed makes",
    ENDLESS: "it does not come to an end",
}


@inner
def _next(state: Any) -> int:
    """xorshift64*, kept to 62 bits that are not negative."""
    word = state[0]
    word ^= word >> np.uint64(12)
    word ^= word << np.uint64(25)
    word ^= word >> np.uint64(27)
    state[0] = word
    return np.int64((word * np.uint64(0x2545F4914F6CDD1D)) >> np.uint64(2))


@inner
def _below(state: Any, most: int) -> int:
    return _next(state) % most if most > 0 else 0


@inner
def _insert(data: Any, length: int, at: int, gone: int, source: Any, first: int, count: int) -> int:
    """Put ``count`` bytes of ``source`` in the place of ``gone`` bytes; return the new length."""
    gone = min(gone, length - at)
    count = min(count, len(data) - (length - gone))
    if count > gone:
        for i in range(length - 1, at + gone - 1, -1):
            data[i + count - gone] = data[i]
    elif count < gone:
        for i in range(at + gone, length):
            data[i + count - gone] = data[i]
    for i in range(count):
        data[at + i] = source[first + i]
    return length + count - gone


@inner
def _damage(data: Any, length: int, state: Any, piece: Any, tokens: Any, borders: Any, text: bool) -> int:
    """Damage one place; return the new length. What is done is what `mutation` does."""
    kind = _below(state, 14 if text else 9)
    at = _below(state, length + 1)
    if kind == 0 and length:
        data[min(at, length - 1)] ^= np.uint8(1 << _below(state, 8))
    elif kind == 1 and length:
        choice = _below(state, 6)
        value = (0, 1, 127, 128, 255, _below(state, 256))[choice]
        data[min(at, length - 1)] = value
    elif kind == 2 or kind == 3:
        width = 1 << _below(state, 4)
        if length >= width:
            at = _below(state, length - width + 1)
            big = _below(state, 2)
            if kind == 2:
                value = np.uint64(borders[_below(state, len(borders))])
                if _below(state, 10) >= 7:
                    value = np.uint64(length + _below(state, 19) - 9)
            else:
                value = np.uint64(0)
                for i in range(width):
                    value = value << np.uint64(8) | np.uint64(data[at + i if big else at + width - 1 - i])
                value += np.uint64(_below(state, 17)) - np.uint64(8)
            for i in range(width):
                byte = np.uint8(value >> np.uint64(8 * i) & np.uint64(255))
                data[at + width - 1 - i if big else at + i] = byte
    elif kind == 4:
        return at if _below(state, 4) == 0 else length
    elif kind == 5:
        return _insert(data, length, at, 1 + _below(state, (1, 2, 4, 8, 200)[_below(state, 5)]), piece, 0, 0)
    elif kind == 6 or kind == 7:
        count = min(1 + _below(state, 200), length - at)
        for i in range(count):
            piece[i] = data[at + i]
        if kind == 7:  # moved
            length = _insert(data, length, at, count, piece, 0, 0)
            at = _below(state, length + 1)
        times = 1 if kind == 7 or _below(state, 4) else 8
        for _ in range(times):
            length = _insert(data, length, at, 0, piece, 0, count)
    elif kind == 8:
        count = 1 + _below(state, 16)
        for i in range(count):
            piece[i] = _below(state, 256)
        return _insert(data, length, at, count if _below(state, 2) else 0, piece, 0, count)
    elif kind > 8:
        stop = at
        while stop < length and stop < at + 60 and _below(state, 40):
            byte = data[stop]
            if byte == 44 or byte == 58 or byte == 34 or byte == 10 or byte == 125 or byte == 93:
                break
            stop += 1
        word = _below(state, len(tokens) // 64)
        return _insert(data, length, at, stop - at, tokens, 64 * word + 1, np.int64(tokens[64 * word]))
    return length


@inner
def _made(data: Any, bodies: Any, starts: Any, state: Any, piece: Any, tokens: Any, borders: Any, text: bool) -> int:
    """Make a window of one of the bodies, damaged in one to eight places; return its length."""
    body = _below(state, len(starts) - 1)
    length = min(starts[body + 1] - starts[body], len(data) - 1)
    for i in range(length):
        data[i] = bodies[starts[body] + i]
    if _below(state, 10) == 0:
        other = _below(state, len(starts) - 1)
        first = starts[other] + _below(state, starts[other + 1] - starts[other] + 1)
        at = _below(state, length + 1)
        length = _insert(data, length, at, length - at, bodies, first, starts[other + 1] - first)
    for _ in range((1, 1, 1, 2, 2, 3, 4, 8)[_below(state, 8)]):
        length = min(_damage(data, length, state, piece, tokens, borders, text), len(data) - 1)
    if text:
        data[length] = 10
        length += 1
    return length


@inner
def _put_back(live: Any, saved: Any) -> None:
    for which in range(len(live)):
        one, other = live[which], saved[which]
        for i in range(len(one)):
            one[i] = other[i]


@inner
def _is_record(words: Any, row: int, symbols: int) -> bool:
    tail = np.uint64(words[8 * row + 7])
    action = np.int64(tail >> np.uint64(32) & np.uint64(255))
    side = np.int64(tail >> np.uint64(40) & np.uint64(255))
    symbol = np.int64(tail & np.uint64(0xFFFFFFFF))
    return symbol < symbols and _ADD <= action <= _STATUS and side <= _NO_SIDE and words[8 * row + 3] >= 0


def message_driver(decode: Any, width: int, learning: tuple[int, ...]) -> Any:
    """Make the loop over windows for a decoder of messages.

    ``width``: bytes that a message's first byte counts; 1 where its first two bytes are its length, big-endian.
    """
    learned, named = learning

    @compiled
    def drive(seed, count, memory, words, arguments, live, saved, making, symbols, where):  # type: ignore[no-untyped-def]
        data, bodies, starts, random_state, piece, tokens, borders = making
        random_state[0] = seed
        for number in range(count):
            where[0] = number
            length = _made(data, bodies, starts, random_state, piece, tokens, borders, False)
            _put_back(live, saved)
            text = memory[len(memory) - length :]
            for i in range(length):
                text[i] = data[i]
            at = np.int64(0)
            for turn in range(2 * _MOST):
                before = at
                at, row, reason = decode(text, at, length, words, 0, arguments)
                if row < 0 or row > len(words) // 8:
                    return BAD_ROWS
                if at < before or at > length:
                    return BAD_PLACE
                where[1] += row
                for i in range(row):
                    if not _is_record(words, i, symbols):
                        return BAD_RECORD
                if reason == _FULL:
                    if row == 0:
                        return ENDLESS
                elif reason in (learned, named):
                    size = width * np.int64(text[at])
                    if width == 1:
                        size = 2 + 256 * np.int64(text[at]) + np.int64(text[at + 1])
                    at += max(size, 1)
                    if at > length:
                        break
                else:
                    break
                if turn == 2 * _MOST - 1:
                    return ENDLESS
        return HELD

    return drive


def line_driver(call: Any, answer: Any) -> Any:
    """Make the loop over windows for a decoder of lines."""

    @compiled
    def drive(seed, count, memory, cursor, out, words, arguments, live, saved, making, symbols, where):  # type: ignore[no-untyped-def]
        data, bodies, starts, random_state, piece, tokens, borders = making
        random_state[0] = seed
        for number in range(count):
            where[0] = number
            length = _made(data, bodies, starts, random_state, piece, tokens, borders, True)
            _put_back(live, saved)
            text = memory[len(memory) - length :]
            for i in range(length):
                text[i] = data[i]
            cursor[AT] = cursor[COUNT] = cursor[LINE] = 0
            cursor[STOP] = length
            behind = 0
            for turn in range(2 * _MOST):
                before = cursor[AT]
                status = call(text, cursor, out, arguments)
                if cursor[COUNT] < 0 or cursor[COUNT] > len(out):
                    return BAD_ROWS
                if cursor[AT] < before or cursor[AT] > length:
                    return BAD_PLACE
                for i in range(cursor[COUNT]):
                    if not _is_record(words, i, symbols):
                        return BAD_RECORD
                if status in (FULL, MORE):
                    where[1] += cursor[COUNT]
                if status == MORE:
                    break
                if status == FULL:
                    cursor[COUNT] = 0
                elif status == FAULT or not answer(status, arguments):
                    if status == FAULT and (cursor[FAULT_AT] < 0 or cursor[FAULT_AT] > length):
                        return BAD_PLACE
                    behind += 1
                    if behind == _LINES_BEHIND:
                        break
                    at = cursor[AT]
                    while text[at] != 10:
                        at += 1
                    cursor[AT] = at + 1
                if turn == 2 * _MOST - 1:
                    return ENDLESS
        return HELD

    return drive


@inner
def _call_lobster(text: Any, cursor: Any, out: Any, given: Any) -> Any:
    return lobster._decode(text, cursor, given[0], out, True)


@inner
def _call_tardis(text: Any, cursor: Any, out: Any, given: Any) -> Any:
    return tardis_rows.decode(text, cursor, out, given[0], given[1], given[2], given[3], given[4])


@inner
def _call_coinbase(text: Any, cursor: Any, out: Any, given: Any) -> Any:
    return coinbase_lines.decode(text, cursor, out, given[0], given[1], given[2], given[3])


@inner
def _call_binance(text: Any, cursor: Any, out: Any, given: Any) -> Any:
    return binance_lines.decode(text, cursor, out, given[0], given[1], given[2], given[3])


@inner
def _answer_nothing(status: int, given: Any) -> bool:
    return False


@inner
def _answer_coinbase(status: int, given: Any) -> bool:
    return status == coinbase_lines.OTHER_TYPE


@inner
def _answer_binance(status: int, given: Any) -> bool:
    """Take a staged message as the feed does, but let none out again."""
    if status == binance_lines.OTHER_STREAM:
        return True
    if status == binance_lines.DIFF or status == binance_lines.SNAPSHOT or status == binance_lines.NEXT_STAGED:
        meta = given[1].meta
        meta[STAGED] = meta[NEXT] = meta[WAITS] = 0
        return True
    return False


_MESSAGES: dict[str, Callable[[], Any]] = {
    "itch": lambda: message_driver(itch_kernel.decode, 1, (itch_kernel.LEARN, itch_kernel.LEARN)),
    "dbn": lambda: message_driver(dbn_kernel.decode, 4, (dbn_kernel.LEARN, dbn_kernel.NAME)),
}
_LINES: dict[str, tuple[Callable[[], Any], Callable[[Any], tuple[Any, ...]]]] = {
    "lobster": (lambda: line_driver(_call_lobster, _answer_nothing), lambda feed: (feed._skipped,)),
    "tardis": (
        lambda: line_driver(_call_tardis, _answer_nothing),
        lambda feed: (feed._symbols.table, feed._exchange, feed._skipped, feed._held, feed._state),
    ),
    "coinbase": (
        lambda: line_driver(_call_coinbase, _answer_coinbase),
        lambda feed: (feed._symbols.table, feed._orders, feed._skipped, feed._fields),
    ),
    "binance": (
        lambda: line_driver(_call_binance, _answer_binance),
        lambda feed: (feed._symbols.table, feed._staging, feed._skipped, feed._fields),
    ),
}


class SwiftTarget:
    """One format's decoder; an input is 8 bytes, which stand for ``EACH`` windows."""

    each = EACH

    def __init__(self, name: str) -> None:
        self._name = name
        self._slow = DecoderTarget(name)
        self._drive = _MESSAGES[name]() if name in _MESSAGES else _LINES[name][0]()
        bodies = self._slow.corpus
        tokens = np.zeros((len(TOKENS), 64), np.uint8)
        for row, token in zip(tokens, TOKENS, strict=True):
            row[0] = min(len(token), 63)
            row[1 : 1 + row[0]] = list(token[:63])
        borders = np.array([sign * (2**power + off) % 2**64 for power in (0, 2, 3, 7, 8, 15, 16, 20, 31, 32, 53, 62, 63)
                            for off in (-1, 0, 1) for sign in (1, -1)], np.uint64)  # fmt: skip
        self._making = (
            np.zeros(_MOST, np.uint8),
            np.frombuffer(b"".join(bodies), np.uint8).copy(),
            np.cumsum([0, *map(len, bodies)], dtype=np.int64),
            np.zeros(1, np.uint64),
            np.zeros(256, np.uint8),
            tokens.reshape(-1),
            borders,
        )
        self.where = np.zeros(2, np.int64)
        """The window of an input that is decoded, and how many records came of all windows so far."""

    def close(self) -> None:
        """Let go of what it holds."""

    def make(self, choose: random.Random) -> bytes:
        """An input."""
        return choose.randbytes(8)

    def run(self, data: bytes, count: int = EACH) -> str:
        """Decode the windows that the input stands for."""
        number = int.from_bytes(data, "little")
        reader = self._slow._readers[number % len(self._slow._readers)]
        feed: Any = reader.feed
        memory = reader._input.tail(reader._input.most)
        out = reader._output.tail(_ROWS, TRANSACTION)
        live = tuple(own.view(np.uint8).reshape(-1) for own, _ in reader._states)
        saved = tuple(before.view(np.uint8).reshape(-1) for _, before in reader._states)
        seed, symbols = np.uint64(number | 1), len(feed.instruments)
        common = (live, saved, self._making, symbols, self.where)
        if isinstance(feed, KernelFeed):
            found = self._drive(seed, count, memory, out.view(np.int64), feed._state, *common)  # type: ignore[attr-defined]
        else:
            given = _LINES[self._name][1](feed)
            found = self._drive(seed, count, memory, feed._window.cursor, out, out.view(np.int64), given, *common)
        assert found == HELD, f"window {self.where[0]} of this input: {WORDS[found]}"
        return "held"
