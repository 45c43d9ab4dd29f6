"""JSON as it is scanned, against Python's own reader."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.text_feeds import damaged
from velox_engine.feeds.decimal_text import Bytes
from velox_engine.feeds.json_scan import name_words, read_name, read_uuid, skip_space, skip_value
from velox_engine.jit import compiled


@compiled
def _skip(text: Bytes) -> int:
    return skip_value(text, 0)


@compiled
def _end(text: Bytes, at: int) -> int:
    return skip_space(text, at)


@compiled
def _name(text: Bytes) -> tuple[int, int, int]:
    return read_name(text, 0)


@compiled
def _uuid(text: Bytes) -> tuple[int, int, int]:
    return read_uuid(text, 0)


def line(text: bytes) -> Bytes:
    return np.frombuffer(text + b"\n", np.uint8)


def is_json(text: bytes) -> bool:
    """Whether the whole line is one value, as the scanner has it."""
    behind = int(_skip(line(text)))
    return behind >= 0 and int(_end(line(text), behind)) == len(text)


def _refuse(name: str) -> Any:
    raise ValueError(name)


def python_takes(text: bytes) -> bool:
    try:
        json.loads(text.decode("latin-1"), parse_constant=_refuse)
    except ValueError:
        return False
    return True


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(value=VALUES, ascii_only=st.booleans(), spaced=st.booleans())
def test_what_python_writes_is_json(value: Any, ascii_only: bool, spaced: bool) -> None:
    separators = (" ,\t", " : ") if spaced else (",", ":")
    text = json.dumps(value, ensure_ascii=ascii_only, separators=separators).encode("utf-8", "surrogatepass")
    assert is_json(text)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_json_is_taken_just_where_python_takes_it(data: st.DataObject) -> None:
    text = data.draw(damaged(json.dumps(data.draw(VALUES)).encode()))
    # the scanner takes lines: a newline is no space to it
    if b"\n" not in text:
        assert is_json(text) == python_takes(text), text


NO_JSON = [
    *(b"", b"[1,]", b"{,}", b'{"a":1,}', b'{"a"}', b"{1:2}", b"01", b"1.", b".5", b"+1", b"tru", b"nul", b'"', b"-"),
    *(b'"\\x"', b'"\\u12g4"', b"[1 2]", b'{"a" 1}', b"[}", b"NaN", b"1e", b'"\x01"', b"{} {}", b'{"a":1 "b":2}'),
    b"[" * 64 + b"]" * 64,
]


@pytest.mark.parametrize("text", NO_JSON)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    assert not is_json(text)


def test_values_may_be_62_deep() -> None:
    assert is_json(b"[" * 62 + b"]" * 62)
    assert is_json(b'{"a":' * 61 + b"[]" + b"}" * 61)


@settings(max_examples=100, deadline=None)
@given(names=st.lists(st.text("abcdefghij_klmnop", min_size=1, max_size=16), min_size=2, max_size=2, unique=True))
def test_names_of_up_to_16_characters_are_told_apart(names: list[str]) -> None:
    words = [tuple(_name(line(f'"{name}" : 1'.encode()))) for name in names]
    assert [word[:2] for word in words] == [name_words(name) for name in names]
    assert words[0][:2] != words[1][:2]
    assert [word[2] for word in words] == [len(name) + 5 for name in names]


def test_longer_names_and_names_with_escapes_are_no_known_name() -> None:
    assert tuple(_name(line(b'"abcdefghijklmnopq":1'))) == (0, 0, 20)
    assert tuple(_name(line(b'"pr\\u0069ce":1'))) == (0, 0, 13)
    assert _name(line(b'"price" 1'))[2] < 0
    assert _name(line(b"price"))[2] < 0
    with pytest.raises(ValueError, match="1 to 16"):
        name_words("a" * 17)


@settings(deadline=None)
@given(number=st.integers(0, 2**128 - 1), upper=st.booleans())
def test_a_uuid_is_two_words(number: int, upper: bool) -> None:
    digits = f"{number:032x}"
    text = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    high, low, behind = _uuid(line((text.upper() if upper else text).encode()))
    assert ((high % 2**64) << 64 | low % 2**64, behind) == (number, 36)


NO_UUID = [
    "d8dc857e",
    "d8dc857edb15458c9b4dc3e0591cdf43",
    "d8dc857e-db15-458c-9b4d-c3e0591cdf4",
    "d8dc857e-db15-458c-9b4d-c3e0591cdfxx",
    "g8dc857e-db15-458c-9b4d-c3e0591cdf43",
]


@pytest.mark.parametrize("text", ["", *NO_UUID])
def test_what_is_no_uuid_is_refused(text: str) -> None:
    assert _uuid(line(text.encode()))[2] < 0
