"""Damage done to bytes at random, but the same for the same seed: what a fuzzer feeds to whatever reads them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

MOST_BYTES = 16 * 1024
"""The longest input that is made: what a reader does wrong it does wrong in little room, and short inputs are fast."""

_BORDERS = [0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 1000, 4096, 65535, 65536, 2**20]
_BORDERS += [
    sign * (2**power + off) for power in (15, 31, 32, 53, 62, 63, 64) for off in (-1, 0, 1) for sign in (1, -1)
]

_TEXT = [str(number).encode() for number in _BORDERS]
_TEXT += b"- . , \" ' { } [ ] : \\ # = + e E / | \r \n \r\n \t \x00 \x1b \x7f \x80 \xff \xef\xbb\xbf".split(b" ")
_TEXT += (
    b"0.0 -0 -0.0 1e9 1e-9 1e400 -1e400 1E18 1e-18 nan inf -inf NaN Infinity null true false \\u0000 \\ud800".split()
)
_TEXT += [b"9" * 18, b"9" * 19, b"9" * 20, b"9" * 400, b"0" * 30, b"0." + b"0" * 19 + b"1", b"1" + b"0" * 5000]
_TEXT += [b"[" * 40, b"[" * 70, b"[" * 5000, b'{"a":' * 70, b'{"a":' * 2000, b'"' + b"A" * 70 + b'"', "é€𝄞".encode()]

TOKENS = _TEXT
"""What texts are read wrong for."""

Mutate = Callable[[random.Random, bytearray], None]


def _at(choose: random.Random, data: bytearray) -> int:
    return choose.randrange(len(data) + 1)


def _flip(choose: random.Random, data: bytearray) -> None:
    if data:
        data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)


def _byte(choose: random.Random, data: bytearray) -> None:
    if data:
        data[choose.randrange(len(data))] = choose.choice((0, 1, 0x7F, 0x80, 0xFF, choose.randrange(256)))


def _number(choose: random.Random, data: bytearray) -> None:
    """Write a border number as a field of 1 to 8 bytes, of either byte order: lengths and counts among them."""
    width = choose.choice((1, 2, 4, 8))
    if len(data) >= width:
        value = choose.choice(_BORDERS) if choose.random() < 0.7 else len(data) + choose.randint(-9, 9)
        at = choose.randrange(len(data) - width + 1)
        data[at : at + width] = (value % 256**width).to_bytes(width, choose.choice(("big", "little")))


def _nudge(choose: random.Random, data: bytearray) -> None:
    """Add or take a little from a field."""
    width = choose.choice((1, 2, 4, 8))
    if len(data) >= width:
        at, order = choose.randrange(len(data) - width + 1), choose.choice(("big", "little"))
        value = int.from_bytes(data[at : at + width], order) + choose.randint(-8, 8)
        data[at : at + width] = (value % 256**width).to_bytes(width, order)


def _cut(choose: random.Random, data: bytearray) -> None:
    del data[_at(choose, data) :]


def _remove(choose: random.Random, data: bytearray) -> None:
    at = _at(choose, data)
    del data[at : at + choose.choice((1, 2, 4, 8, choose.randint(1, 200)))]


def _repeat(choose: random.Random, data: bytearray) -> None:
    at = _at(choose, data)
    piece = data[at : at + choose.randint(1, 200)]
    data[at:at] = piece * choose.choice((1, 1, 2, 30))


def _move(choose: random.Random, data: bytearray) -> None:
    at = _at(choose, data)
    piece = data[at : at + choose.randint(1, 100)]
    del data[at : at + len(piece)]
    at = _at(choose, data)
    data[at:at] = piece


def _noise(choose: random.Random, data: bytearray) -> None:
    at = _at(choose, data)
    data[at : at + choose.choice((0, 4))] = choose.randbytes(choose.randint(1, 16))


def _token(choose: random.Random, data: bytearray) -> None:
    """Put something in that texts are read wrong for, often in the place of a word."""
    at = _at(choose, data)
    stop = at
    if choose.random() < 0.7:
        while stop < len(data) and data[stop] not in b',:"[]{}\n =' and stop < at + 60:
            stop += 1
    data[at:stop] = choose.choice(_TEXT)


def _swap_lines(choose: random.Random, data: bytearray) -> None:
    lines = data.split(b"\n")
    one, other = choose.randrange(len(lines)), choose.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    data[:] = b"\n".join(lines)


_ANY: list[Mutate] = [_flip, _byte, _number, _nudge, _cut, _remove, _repeat, _move, _noise]
_OF_TEXT: list[Mutate] = [_token, _token, _token, _token, _swap_lines, _remove, _repeat]


def mutated(choose: random.Random, corpus: Sequence[bytes], *, text: bool, most: int = MOST_BYTES) -> bytes:
    """One of the corpus, damaged in one to eight places, now and then spliced with another one."""
    data = bytearray(choose.choice(corpus))
    if choose.random() < 0.1:
        other = choose.choice(corpus)
        at, from_ = _at(choose, data), choose.randrange(len(other) + 1)
        data[at:] = other[from_:]
    kinds = _ANY + _OF_TEXT if text else _ANY
    for _ in range(choose.choice((1, 1, 1, 2, 2, 3, 4, 8))):
        choose.choice(kinds)(choose, data)
        del data[most:]
    return bytes(data)
