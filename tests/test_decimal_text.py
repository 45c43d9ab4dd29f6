"""Numbers in text against Python's own exact ones."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from velox_engine.feeds.decimal_text import (
    NOT_A_NUMBER,
    OK,
    TOO_LARGE,
    TOO_PRECISE,
    Bytes,
    number_shape,
    read_decimal,
    read_seconds,
    read_whole,
)
from velox_engine.jit import compiled

MOST = 2**63 - 1


@compiled
def _decimal(text: Bytes, decimals: int) -> tuple[int, int, int]:
    return read_decimal(text, 0, decimals)


@compiled
def _whole(text: Bytes) -> tuple[int, int, int]:
    return read_whole(text, 0)


@compiled
def _seconds(text: Bytes) -> tuple[int, int, int]:
    return read_seconds(text, 0)


@compiled
def _shape(text: Bytes) -> tuple[int, int, int]:
    return number_shape(text, 0)


def line(text: str) -> Bytes:
    return np.frombuffer(text.encode() + b"\n", np.uint8)


def exact(text: str, decimals: int) -> tuple[int, int]:
    """Value and status as they must be; how large and how fine are both looked at, what is too large counts first."""
    scaled = Fraction(Decimal(text)) * 10**decimals
    if abs(scaled) >= MOST + 1:
        return 0, TOO_LARGE
    if scaled.denominator != 1:
        return 0, TOO_PRECISE
    return int(scaled), OK


NUMBERS = st.builds(
    lambda sign, whole, fraction: f"{sign}{whole}" + (f".{fraction}" if fraction else ""),
    st.sampled_from(["", "-"]),
    st.one_of(st.integers(0, 10**6), st.integers(0, 10**20)),
    st.text("0123456789", max_size=24),
)


@settings(max_examples=400, deadline=None)
@given(text=NUMBERS, decimals=st.integers(0, 18))
def test_decimals_are_exact_or_refused(text: str, decimals: int) -> None:
    value, behind, status = _decimal(line(text), decimals)
    wanted, wanted_status = exact(text, decimals)
    if wanted_status == OK:
        assert (value, status, behind) == (wanted, OK, len(text))
    else:
        # beyond 64 bits before the digits that are too fine are seen, or the other way round: both are refused
        assert status in (TOO_LARGE, TOO_PRECISE)
        assert status == wanted_status or TOO_PRECISE in (status, wanted_status)


@settings(max_examples=200, deadline=None)
@given(text=NUMBERS, exponent=st.integers(-30, 30), mark=st.sampled_from(["e", "E"]), decimals=st.integers(0, 18))
def test_exponents_are_exact_or_refused(text: str, exponent: int, mark: str, decimals: int) -> None:
    whole = f"{text}{mark}{exponent}"
    value, behind, status = _decimal(line(whole), decimals)
    wanted, wanted_status = exact(whole, decimals)
    if status == OK:
        assert (value, behind, wanted_status) == (wanted, len(whole), OK)
    else:
        # a mantissa of more than 18 digits is too large by itself
        assert wanted_status != OK or len(text.replace(".", "").strip("-").lstrip("0")) > 18


@settings(max_examples=200, deadline=None)
@given(value=st.one_of(st.integers(-MOST, MOST), st.integers(-(10**21), 10**21)))
def test_whole_numbers_are_exact_or_too_large(value: int) -> None:
    text = str(value)
    if abs(value) <= MOST:
        assert _whole(line(text)) == (value, len(text), OK)
    else:
        assert _whole(line(text))[2] == TOO_LARGE


@pytest.mark.parametrize("text", ["", "-", ".5", "5.", "+1", "x", " 1", "--1", "1.e5", "e5", "1e", "1e-", "1e+x"])
def test_what_is_no_number_is_refused(text: str) -> None:
    assert _decimal(line(text), 4)[2] == NOT_A_NUMBER


@pytest.mark.parametrize("text, behind", [("12a", 2), ("1.5.2", 3), ("7,8", 1), ("1 2", 1)])
def test_a_number_ends_where_its_digits_end(text: str, behind: int) -> None:
    assert _decimal(line(text), 4)[1:] == (behind, OK)


@settings(max_examples=200, deadline=None)
@given(whole=st.integers(0, 9_223_372_029), fraction=st.text("0123456789", max_size=14))
def test_seconds_are_nanoseconds(whole: int, fraction: str) -> None:
    text = f"{whole}.{fraction}" if fraction else f"{whole}"
    expected = whole * 10**9 + int(fraction[:9].ljust(9, "0"))
    assert _seconds(line(text)) == (expected, len(text), OK)


@pytest.mark.parametrize(
    "text, status", [("", NOT_A_NUMBER), ("-1", NOT_A_NUMBER), ("1.", NOT_A_NUMBER), ("9223372030", TOO_LARGE)]
)
def test_what_is_no_time_is_refused(text: str, status: int) -> None:
    assert _seconds(line(text))[2] == status


@pytest.mark.parametrize(
    "text, shape",
    [
        ("0", (0, 0, 0)),
        ("120", (3, 0, 0)),
        ("-61837.63000000", (5, 8, 2)),
        ("61800.20", (5, 2, 1)),
        ("0.00000000", (0, 8, 0)),
        ("007.50", (1, 2, 1)),
        ("1.5e-7", (0, 8, 8)),
        ("12e3", (5, 0, 0)),
        ("1.25E1", (2, 1, 1)),
        ("", (-1, 0, 0)),
        ("x", (-1, 0, 0)),
        ("1e999", (-1, 0, 0)),
    ],
)
def test_shape_tells_digits_before_and_behind_the_point(text: str, shape: tuple[int, int, int]) -> None:
    assert _shape(line(text)) == shape
