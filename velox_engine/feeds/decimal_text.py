"""Numbers in text, read exactly: decimal text becomes an integer count of a stated unit, without a float on the way.

Every reader takes the text and where it begins, and gives back the value, where it stopped and how it went. None looks
for an end: the text of a feed is cut at line ends, and a newline ends every number.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from velox_engine.jit import inner

Bytes = NDArray[np.uint8]

OK: Final = 0
NOT_A_NUMBER: Final = 1
TOO_PRECISE: Final = 2
"""More decimals than asked for, and not zeros: it would have to be rounded."""
TOO_LARGE: Final = 3
"""Beyond 64 bits in the unit asked for."""

MAX_DECIMALS: Final = 18
"""10^18 units still fit 64 bits."""

_LAST_SAFE: Final = 922_337_203_685_477_580  # one more digit than this, above 7, leaves int64
_MOST_SECONDS: Final = 922_337_203  # so many, and one digit more, are still below 2^63 ns


@inner
def read_whole(text: Bytes, at: int) -> tuple[int, int, int]:
    """A whole number with an optional minus sign: value, where it stopped, status."""
    negative = text[at] == 45
    if negative:
        at += 1
    value = 0
    first = at
    while True:
        digit = text[at] - 48
        if digit < 0 or digit > 9:
            break
        if value >= _LAST_SAFE and (value > _LAST_SAFE or digit > 7):
            return value, at, TOO_LARGE
        value = value * 10 + digit
        at += 1
    if at == first:
        return 0, at, NOT_A_NUMBER
    return -value if negative else value, at, OK


@inner
def _scaled(value: int, places: int) -> tuple[int, int]:
    """``value`` × 10^``places``, and whether it fits; what does not divide is too precise, never rounded."""
    if value == 0:
        return 0, OK
    while places > 0:
        if value > _LAST_SAFE:
            return 0, TOO_LARGE
        value *= 10
        places -= 1
    while places < 0:
        if value % 10 != 0:
            return 0, TOO_PRECISE
        value //= 10
        places += 1
    return value, OK


@inner
def _read_with_exponent(text: Bytes, at: int, decimals: int) -> tuple[int, int, int]:
    """A number like ``1.5e-7``, as programs write very small and very large ones; rare, so its speed is no concern."""
    negative = text[at] == 45
    if negative:
        at += 1
    value = 0
    places = 0
    point = False
    while True:
        digit = text[at] - 48
        if digit == -2:
            point = True
        elif digit < 0 or digit > 9:
            break
        else:
            if value >= _LAST_SAFE and (value > _LAST_SAFE or digit > 7):
                return 0, at, TOO_LARGE
            value = value * 10 + digit
            places += point
        at += 1
    at += 1
    if text[at] == 43:
        at += 1
    exponent, at, status = read_whole(text, at)
    if status != OK or exponent > 400 or exponent < -400:
        return 0, at, NOT_A_NUMBER if status == NOT_A_NUMBER else TOO_LARGE
    value, status = _scaled(value, decimals - places + exponent)
    return -value if negative else value, at, status


@inner
def read_decimal(text: Bytes, at: int, decimals: int) -> tuple[int, int, int]:
    """Decimal text as a count of 10^-``decimals`` (0 to 18): value, where it stopped, status."""
    first = at
    negative = text[at] == 45
    if negative:
        at += 1
    value = 0
    begin = at
    while True:
        digit = text[at] - 48
        if digit < 0 or digit > 9:
            break
        if value >= _LAST_SAFE and (value > _LAST_SAFE or digit > 7):
            return 0, at, TOO_LARGE
        value = value * 10 + digit
        at += 1
    if at == begin:
        return 0, at, NOT_A_NUMBER
    places = 0
    precise = False
    if text[at] == 46:
        at += 1
        begin = at
        while True:
            digit = text[at] - 48
            if digit < 0 or digit > 9:
                break
            if places < decimals:
                if value >= _LAST_SAFE and (value > _LAST_SAFE or digit > 7):
                    return 0, at, TOO_LARGE
                value = value * 10 + digit
                places += 1
            elif digit != 0:
                precise = True
            at += 1
        if at == begin:
            return 0, at, NOT_A_NUMBER
    if text[at] == 101 or text[at] == 69:
        return _read_with_exponent(text, first, decimals)
    if precise:
        return 0, at, TOO_PRECISE
    while places < decimals:
        if value > _LAST_SAFE:
            return 0, at, TOO_LARGE
        value *= 10
        places += 1
    return -value if negative else value, at, OK


@inner
def number_shape(text: Bytes, at: int) -> tuple[int, int, int]:
    """What a number asks for: digits before the point, decimals as written, decimals without trailing zeros.

    The first is -1 where there is no number. Zeros at the front do not count; an exponent moves the point.
    """
    if text[at] == 45:
        at += 1
    first = at
    whole = 0
    while 48 <= text[at] <= 57:
        if whole > 0 or text[at] != 48:
            whole += 1
        at += 1
    if at == first:
        return -1, 0, 0
    written = 0
    needed = 0
    if text[at] == 46:
        at += 1
        while 48 <= text[at] <= 57:
            written += 1
            if text[at] != 48:
                needed = written
            at += 1
    if text[at] == 101 or text[at] == 69:
        at += 1
        if text[at] == 43:
            at += 1
        exponent, at, status = read_whole(text, at)
        if status != OK or exponent > 400 or exponent < -400:
            return -1, 0, 0
        needed = max(needed - exponent, 0)
        return max(whole + exponent, 0), needed, needed
    return whole, written, needed


@inner
def read_seconds(text: Bytes, at: int) -> tuple[int, int, int]:
    """Seconds with a fraction as ns: value, where it stopped, status. Digits beyond the ninth are cut off.

    They are no time: programs that held it in a float wrote them.
    """
    value = 0
    first = at
    while True:
        digit = text[at] - 48
        if digit < 0 or digit > 9:
            break
        if value >= _MOST_SECONDS:
            return 0, at, TOO_LARGE
        value = value * 10 + digit
        at += 1
    if at == first:
        return 0, at, NOT_A_NUMBER
    places = 0
    if text[at] == 46:
        at += 1
        first = at
        while True:
            digit = text[at] - 48
            if digit < 0 or digit > 9:
                break
            if places < 9:
                value = value * 10 + digit
                places += 1
            at += 1
        if at == first:
            return 0, at, NOT_A_NUMBER
    while places < 9:
        value *= 10
        places += 1
    return value, at, OK
