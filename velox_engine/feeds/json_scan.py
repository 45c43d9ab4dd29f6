"""JSON text (RFC 8259) read where it lies: each reader takes the text and a place, and gives the place behind.

A place below 0 means that the text is no JSON: its complement is where that was seen. Nothing looks for an end: a
newline ends every line, and is inside no value. Bytes above 127 are taken as they are, without a check of their UTF-8.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from velox_engine.feeds.decimal_text import NOT_A_NUMBER, OK, Bytes, read_decimal, read_whole
from velox_engine.jit import inner

QUOTE: Final = 34
COMMA: Final = 44
COLON: Final = 58
OPEN_LIST: Final = 91
CLOSE_LIST: Final = 93
OPEN_OBJECT: Final = 123
CLOSE_OBJECT: Final = 125
_BACKSLASH: Final = 92
_MOST_NESTED: Final = 62  # the kind of every open value is one bit of a word

_LITERALS: Final = np.frombuffer(b"truefalsenull", np.uint8)


def _nibbles() -> NDArray[np.int64]:
    table = np.full(256, -1, np.int64)
    for value, digit in enumerate(b"0123456789abcdef"):
        table[digit] = value
    for value, digit in enumerate(b"ABCDEF", 10):
        table[digit] = value
    return table


_NIBBLES: Final = _nibbles()
"""What a byte is worth as a hexadecimal digit, -1 for none."""


def name_words(name: str) -> tuple[int, int]:
    """A name of at most 16 ASCII characters as the two words that `read_name` makes of it."""
    if not 0 < len(name) <= 16 or not name.isascii():
        raise ValueError(f"name: got {name!r}, allowed are 1 to 16 ASCII characters")
    words = [0, 0]
    for index, byte in enumerate(name.encode()):
        words[index // 8] = words[index // 8] << 8 | byte
    return words[0], words[1]


@inner
def skip_space(text: Bytes, at: int) -> int:
    """Past spaces, tabs and carriage returns; a newline ends the line and stays."""
    while text[at] == 32 or text[at] == 9 or text[at] == 13:
        at += 1
    return at


@inner
def _skip_escape(text: Bytes, at: int) -> int:
    """Past what follows a backslash."""
    kind = text[at]
    if kind == 117:
        for digit in range(at + 1, at + 5):
            if _NIBBLES[text[digit]] < 0:
                return ~digit
        return at + 5
    if kind == 34 or kind == 92 or kind == 47 or kind == 98 or kind == 102 or kind == 110 or kind == 114 or kind == 116:
        return at + 1
    return ~at


@inner
def skip_string(text: Bytes, at: int) -> int:
    """Past a string; ``at`` is its opening quote."""
    at += 1
    while True:
        byte = text[at]
        if byte == QUOTE:
            return at + 1
        if byte == _BACKSLASH:
            at = _skip_escape(text, at + 1)
            if at < 0:
                return at
            continue
        if byte < 32:
            return ~at
        at += 1


@inner
def _skip_number(text: Bytes, at: int) -> int:
    """Past a number in JSON's grammar."""
    if text[at] == 45:
        at += 1
    if text[at] == 48:
        at += 1
    else:
        first = at
        while 48 <= text[at] <= 57:
            at += 1
        if at == first:
            return ~at
    if text[at] == 46:
        at += 1
        first = at
        while 48 <= text[at] <= 57:
            at += 1
        if at == first:
            return ~at
    if text[at] == 101 or text[at] == 69:
        at += 1
        if text[at] == 43 or text[at] == 45:
            at += 1
        first = at
        while 48 <= text[at] <= 57:
            at += 1
        if at == first:
            return ~at
    return at


@inner
def _skip_literal(text: Bytes, at: int, first: int, length: int) -> int:
    for i in range(length):
        if text[at + i] != _LITERALS[first + i]:
            return ~(at + i)
    return at + length


@inner
def skip_scalar(text: Bytes, at: int) -> int:
    """Past a string, number, ``true``, ``false`` or ``null``."""
    byte = text[at]
    if byte == QUOTE:
        return skip_string(text, at)
    if byte == 116:
        return _skip_literal(text, at, 0, 4)
    if byte == 102:
        return _skip_literal(text, at, 4, 5)
    if byte == 110:
        return _skip_literal(text, at, 9, 4)
    return _skip_number(text, at)


@inner
def skip_value(text: Bytes, at: int) -> int:
    """Past any value; nested at most 62 deep."""
    depth = 0
    objects = 0  # bit i: the value open at depth i is an object
    while True:
        at = skip_space(text, at)
        byte = text[at]
        if byte == OPEN_OBJECT or byte == OPEN_LIST:  # noqa: SIM109  # a tuple is slower
            is_object = byte == OPEN_OBJECT
            at = skip_space(text, at + 1)
            if text[at] == (CLOSE_OBJECT if is_object else CLOSE_LIST):
                at += 1
            else:
                if depth == _MOST_NESTED:
                    return ~at
                objects = objects << 1 | is_object
                depth += 1
                if is_object:
                    at = skip_name(text, at)
                    if at < 0:
                        return at
                continue
        else:
            at = skip_scalar(text, at)
            if at < 0:
                return at
        # a value is over: what comes is the next member, or the end of what it is in
        while True:
            if depth == 0:
                return at
            at = skip_space(text, at)
            byte = text[at]
            if byte == COMMA:
                at = skip_space(text, at + 1)
                if objects & 1:
                    at = skip_name(text, at)
                    if at < 0:
                        return at
                break
            if byte != (CLOSE_OBJECT if objects & 1 else CLOSE_LIST):
                return ~at
            at += 1
            depth -= 1
            objects >>= 1


@inner
def skip_name(text: Bytes, at: int) -> int:
    """Past a member's name and its colon, to the value."""
    if text[at] != QUOTE:
        return ~at
    at = skip_string(text, at)
    if at < 0:
        return at
    at = skip_space(text, at)
    if text[at] != COLON:
        return ~at
    return skip_space(text, at + 1)


@inner
def read_name(text: Bytes, at: int) -> tuple[int, int, int]:
    """A member's name as two words (see `name_words`), and the place of its value.

    Names of other lengths, or with escapes, give words that no `name_words` gives.
    """
    if text[at] != QUOTE:
        return 0, 0, ~at
    at += 1
    first = at
    high = 0
    low = 0
    while True:
        byte = int(text[at])
        if byte == QUOTE:
            break
        if byte < 32 or byte == _BACKSLASH:
            return 0, 0, skip_name(text, first - 1)
        if at - first < 8:
            high = high << 8 | byte
        else:
            low = low << 8 | byte
        at += 1
    if at - first > 16:
        low = 0
        high = 0
    at = skip_space(text, at + 1)
    if text[at] != COLON:
        return 0, 0, ~at
    return high, low, skip_space(text, at + 1)


@inner
def next_member(text: Bytes, at: int) -> int:
    """Past a comma to the next member's name, or the place of the closing brace, where there is none."""
    at = skip_space(text, at)
    if text[at] == COMMA:
        at = skip_space(text, at + 1)
        return at if text[at] == QUOTE else ~at
    return at if text[at] == CLOSE_OBJECT else ~at


@inner
def read_uuid(text: Bytes, at: int) -> tuple[int, int, int]:
    """A UUID in hexadecimal (8-4-4-4-12 digits): its two halves, big-endian, and the place behind (below 0: none)."""
    halves_high = 0
    halves_low = 0
    digits = 0
    while digits < 32:
        if (digits == 8 or digits == 12 or digits == 16 or digits == 20) and text[at] == 45:
            at += 1
        elif digits == 8 or digits == 12 or digits == 16 or digits == 20:
            return 0, 0, ~at
        nibble = int(_NIBBLES[text[at]])
        if nibble < 0:
            return 0, 0, ~at
        if digits < 16:
            halves_high = halves_high << 4 | nibble
        else:
            halves_low = halves_low << 4 | nibble
        digits += 1
        at += 1
    return halves_high, halves_low, at


@inner
def same_bytes(text: Bytes, at: int, wanted: Bytes, length: int) -> bool:
    """Whether the text goes on with these bytes."""
    for i in range(length):  # noqa: SIM110  # a generator does not compile
        if text[at + i] != wanted[i]:
            return False
    return True


@inner
def read_number(text: Bytes, at: int, decimals: int) -> tuple[int, int]:
    """A decimal number, in a string or not, whose end has been checked if it is not: value and status."""
    if text[at] != QUOTE:
        value, _, status = read_decimal(text, at, decimals)
        return value, status
    value, at, status = read_decimal(text, at + 1, decimals)
    return value, NOT_A_NUMBER if status == OK and text[at] != QUOTE else status


@inner
def read_integer(text: Bytes, at: int) -> tuple[int, int]:
    """A whole number, in a string or not: value and status."""
    if text[at] != QUOTE:
        value, at, status = read_whole(text, at)
        # JSON's own 1.0 and 1e3 are whole too, but nobody writes an id so
        fraction = text[at] == 46 or text[at] == 101 or text[at] == 69
        return value, NOT_A_NUMBER if status == OK and fraction else status
    value, at, status = read_whole(text, at + 1)
    return value, NOT_A_NUMBER if status == OK and text[at] != QUOTE else status
