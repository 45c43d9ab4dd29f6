"""Members of a Coinbase message, compiled: where they are in the line, and what their values mean."""

from __future__ import annotations

from typing import Final

import numpy as np

from velox_engine.feeds.decimal_text import OK, Bytes, read_whole
from velox_engine.feeds.json_scan import (
    CLOSE_OBJECT,
    OPEN_OBJECT,
    QUOTE,
    name_words,
    next_member,
    read_name,
    read_uuid,
    skip_space,
    skip_string,
    skip_value,
)
from velox_engine.feeds.line_window import Counts
from velox_engine.jit import inner
from velox_engine.records import Side

FIELDS: Final = (
    "type",
    "product_id",
    "sequence",
    "time",
    "side",
    "price",
    "size",
    "order_id",
    "remaining_size",
    "maker_order_id",
    "trade_id",
    "new_size",
    "new_price",
)
"""The members that count; ``fields`` holds where their values begin, 0 for none, in this order."""
TYPE, PRODUCT, SEQUENCE, TIME, SIDE, PRICE, SIZE, ORDER, REMAINING, MAKER, TRADE, NEW_SIZE, NEW_PRICE = range(13)

_N_TYPE: Final = name_words("type")[0]
_N_PRODUCT: Final = name_words("product_id")
_N_SEQUENCE: Final = name_words("sequence")[0]
_N_TIME: Final = name_words("time")[0]
_N_SIDE: Final = name_words("side")[0]
_N_PRICE: Final = name_words("price")[0]
_N_SIZE: Final = name_words("size")[0]
_N_ORDER: Final = name_words("order_id")[0]
_N_REMAINING: Final = name_words("remaining_size")
_N_MAKER: Final = name_words("maker_order_id")
_N_TRADE: Final = name_words("trade_id")[0]
_N_NEW_SIZE: Final = name_words("new_size")[0]
_N_NEW_PRICE: Final = name_words("new_price")

_BUY: Final = name_words("buy")[0]
_SELL: Final = name_words("sell")[0]
_BID: Final = int(Side.BID)
_ASK: Final = int(Side.ASK)

_DAYS_BEFORE: Final = np.array([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365], np.int64)


@inner
def _field_of(high: int, low: int) -> int:
    """Which of `FIELDS` a member's name is, -1 for none."""
    if low == 0:
        if high == _N_TYPE:
            return TYPE
        if high == _N_SEQUENCE:
            return SEQUENCE
        if high == _N_TIME:
            return TIME
        if high == _N_SIDE:
            return SIDE
        if high == _N_PRICE:
            return PRICE
        if high == _N_SIZE:
            return SIZE
        if high == _N_ORDER:
            return ORDER
        if high == _N_TRADE:
            return TRADE
        if high == _N_NEW_SIZE:
            return NEW_SIZE
        return -1
    if high == _N_PRODUCT[0] and low == _N_PRODUCT[1]:
        return PRODUCT
    if high == _N_REMAINING[0] and low == _N_REMAINING[1]:
        return REMAINING
    if high == _N_MAKER[0] and low == _N_MAKER[1]:
        return MAKER
    if high == _N_NEW_PRICE[0] and low == _N_NEW_PRICE[1]:
        return NEW_PRICE
    return -1


@inner
def scan(text: Bytes, at: int, fields: Counts) -> int:
    """Where the values of the line's object begin, into ``fields``; the place behind it, below 0 for no JSON."""
    for i in range(len(FIELDS)):
        fields[i] = 0
    at = skip_space(text, at)
    if text[at] != OPEN_OBJECT:
        return ~at
    at = skip_space(text, at + 1)
    if text[at] == CLOSE_OBJECT:
        return at + 1
    while True:
        high, low, at = read_name(text, at)
        if at < 0:
            return at
        field = _field_of(high, low)
        if field >= 0:
            fields[field] = at
        at = skip_string(text, at) if text[at] == QUOTE else skip_value(text, at)
        if at < 0:
            return at
        at = next_member(text, at)
        if at < 0:
            return at
        if text[at] == CLOSE_OBJECT:
            return at + 1


@inner
def short_text(text: Bytes, at: int) -> tuple[int, int]:
    """A short string as `name_words` has it, 0 for one that is longer than 8 bytes or none; and its length."""
    if text[at] != QUOTE:
        return 0, 0
    at += 1
    first = at
    word = 0
    while text[at] != QUOTE:
        word = word << 8 | int(text[at])
        at += 1
    return word if at - first <= 8 else 0, at - first


@inner
def read_id(text: Bytes, at: int) -> tuple[int, int, bool]:
    """An order's id as two words, the first of which is what the record has; a number is that number and 0."""
    if text[at] != QUOTE:
        return 0, 0, False
    value, behind, status = read_whole(text, at + 1)
    if status == OK and value >= 0 and text[behind] == QUOTE:
        return value, 0, True
    high, low, behind = read_uuid(text, at + 1)
    return high, low, behind >= 0 and text[behind] == QUOTE


@inner
def _two_digits(text: Bytes, at: int) -> int:
    tens = text[at] - 48
    if tens < 0 or tens > 9:
        return -1
    ones = text[at + 1] - 48
    return -1 if ones < 0 or ones > 9 else tens * 10 + ones


@inner
def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01, for 1970 to 2261; -1 for a date that does not exist."""
    if year < 1970 or year > 2261 or month < 1 or month > 12 or day < 1:
        return -1
    leap = 1 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 0
    length = _DAYS_BEFORE[month + 1] - _DAYS_BEFORE[month]
    if month == 2:
        length += leap
    if day > length:
        return -1
    before = year - 1
    days = 365 * (year - 1970) + (before // 4 - before // 100 + before // 400 - 477)
    return days + _DAYS_BEFORE[month] + (leap if month > 2 else 0) + day - 1


@inner
def read_time(text: Bytes, at: int) -> int:
    """ISO 8601 in UTC, ``"2018-07-13T20:47:11.025000Z"``, as ns from the epoch; -1 for anything else."""
    if text[at] != QUOTE:
        return -1
    at += 1
    century = _two_digits(text, at)
    if century < 0:
        return -1
    of_century = _two_digits(text, at + 2)
    if of_century < 0 or text[at + 4] != 45:
        return -1
    month = _two_digits(text, at + 5)
    if month < 0 or text[at + 7] != 45:
        return -1
    day = _two_digits(text, at + 8)
    if day < 0 or text[at + 10] != 84:
        return -1
    hour = _two_digits(text, at + 11)
    if hour < 0 or text[at + 13] != 58:
        return -1
    minute = _two_digits(text, at + 14)
    if minute < 0 or text[at + 16] != 58:
        return -1
    second = _two_digits(text, at + 17)
    if second < 0:
        return -1
    days = _days(century * 100 + of_century, month, day)
    if days < 0 or hour > 23 or minute > 59 or second > 60:
        return -1
    at += 19
    fraction = 0
    places = 0
    if text[at] == 46:
        at += 1
        first = at
        while 48 <= text[at] <= 57:
            if places < 9:
                fraction = fraction * 10 + (text[at] - 48)
                places += 1
            at += 1
        if at == first:
            return -1
    if text[at] != 90 or text[at + 1] != QUOTE:
        return -1
    while places < 9:
        fraction *= 10
        places += 1
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000_000 + fraction


@inner
def read_side(text: Bytes, at: int) -> int:
    """The side in words, -1 for none."""
    word, _ = short_text(text, at)
    return _BID if word == _BUY else _ASK if word == _SELL else -1
