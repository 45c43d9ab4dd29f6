"""What a setting may be: one small rule a kind of value, each with its check and its range in words.

A rule takes a Python value as TOML gives it and returns it in the type that the setting has. `RefusedError` carries
what is wrong beyond the bare range; who asked adds where the value came from.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral, Real
from typing import ClassVar, Final

Value = bool | int | float | str
"""What a setting holds: a TOML boolean, whole number, number or text."""

INT64_MAX: Final = 2**63 - 1
_SHOWN: Final = 60  # characters of a wrong value that an error repeats; a line stays a line
_SHORT_NUMBER: Final = re.compile(r"[+-]?(\.\d+|\d+\.)([eE][+-]?\d+)?")  # .5 and 5. are numbers to people, not to TOML


class RefusedError(Exception):
    """The value is not allowed; the text says why, where the range alone does not."""


def plain(number: int | float) -> str:
    """Write a number as TOML has it, whole ones without a point, from five digits on with underscores."""
    if isinstance(number, float) and number.is_integer() and abs(number) < 1e15:
        number = int(number)
    if isinstance(number, float):
        short, long = repr(number), f"{number:.9f}".rstrip("0")
        return long if "e-" in short and float(long) == number else short
    return f"{number:_}" if abs(number) >= 10_000 else str(number)


def printable(text: str) -> str:
    """Escape what cannot be printed or would break a line, as TOML does."""

    def escape(c: str) -> str:
        return f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}"

    return "".join(c if c.isprintable() else escape(c) for c in text)


def quoted(text: str) -> str:
    """Write text as a TOML basic string."""
    return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def toml_value(value: Value) -> str:
    """Write a setting's value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return quoted(value) if isinstance(value, str) else plain(value)


def shown(value: object) -> str:
    """Write any value for an error: on one line, never long."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return "a list of tables"
    if isinstance(value, bool | str):
        text = toml_value(value)
    else:
        try:
            text = " ".join(str(value).split())
        except ValueError:  # Python refuses to write whole numbers of thousands of digits
            text = "a number of thousands of digits"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def named(name: str) -> str:
    """Write a key's name for an error as it is, or as text where it would break the line."""
    return name if name.isprintable() and len(name) <= _SHOWN else shown(name)


def from_toml(text: str) -> object:
    """Read one value in TOML's syntax; a bare word is text."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    text = text.strip()
    if _SHORT_NUMBER.fullmatch(text):
        return float(text)
    try:
        return tomlkit.value(text).unwrap()
    except (TOMLKitError, ValueError, RecursionError):
        return text


@dataclass(frozen=True, slots=True)
class Rule(ABC):
    """What a setting may be."""

    @property
    @abstractmethod
    def range(self) -> str:
        """What is allowed, in few words: ``1 to 256 transactions``."""

    @property
    def allowed(self) -> str:
        """What is allowed, in words that follow "allowed is"."""
        return self.range

    @abstractmethod
    def check(self, value: object) -> Value:
        """Return the value in the setting's type, or raise `RefusedError`."""

    def from_text(self, text: str) -> object:
        """Read what an option or an environment variable says; the result still wants `check`."""
        return from_toml(text)


def _number(value: object) -> int | float:
    """Give a real number as int or float, or raise `RefusedError`: a bool is no number, nor are NaN and infinity."""
    if isinstance(value, bool):
        raise RefusedError
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        with suppress(OverflowError):
            number = float(value)
            if math.isfinite(number):
                return number
    raise RefusedError


@dataclass(frozen=True, slots=True)
class Numeric(Rule):
    """A number from ``low`` to ``high``, both allowed, or one of ``words``."""

    low: float
    high: float
    unit: str = ""
    words: tuple[str, ...] = ()

    kind: ClassVar = "a number"

    @property
    def range(self) -> str:
        """Both ends, the unit and the words."""
        high = "2^63 - 1" if self.high == INT64_MAX else plain(self.high)
        text = f"{plain(self.low)} to {high} {self.unit}".rstrip()
        return text + "".join(f' or "{word}"' for word in self.words)

    @property
    def allowed(self) -> str:
        """The range as a sentence has it."""
        return f"{self.kind} from {self.range}"

    def check(self, value: object) -> Value:
        """Return the number or the word."""
        if isinstance(value, str) and value in self.words:
            return str(value)
        return self._checked(_number(value))

    @abstractmethod
    def _checked(self, number: int | float) -> Value: ...


@dataclass(frozen=True, slots=True)
class Number(Numeric):
    """A number, whole or not; held as a float."""

    def _checked(self, number: int | float) -> float:
        if not self.low <= number <= self.high:
            raise RefusedError
        return float(number) + 0.0  # -0.0 becomes 0.0


@dataclass(frozen=True, slots=True)
class Whole(Numeric):
    """A whole number. One with a point or an exponent is refused even if nothing stands behind the point."""

    kind: ClassVar = "a whole number"

    def _checked(self, number: int | float) -> int:
        if isinstance(number, float):
            hint = f", write {int(number)}" if number.is_integer() and self.low <= number <= self.high else ""
            raise RefusedError(f"which is not written as a whole number{hint}")
        if not self.low <= number <= self.high:
            raise RefusedError
        return number


@dataclass(frozen=True, slots=True)
class PowerOfTwo(Whole):
    """A whole number that is a power of two, so that a ring's index is a mask."""

    kind: ClassVar = "a power of two"

    def _checked(self, number: int | float) -> int:
        if isinstance(number, int) and not (self.low <= number <= self.high and number & (number - 1) == 0):
            # `low` and `high` are powers of two themselves, so that the neighbours of what lies between do too
            inside = min(max(number, int(self.low)), int(self.high))
            below = 1 << (inside.bit_length() - 1)
            near = plain(below) if below == inside else f"{plain(below)} and {plain(below * 2)}"
            raise RefusedError(f"the nearest {'is' if below == inside else 'are'} {near}")
        return Whole._checked(self, number)  # super() does not work in a class with slots: it was made twice


@dataclass(frozen=True, slots=True)
class Words(Rule):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def range(self) -> str:
        """The words."""
        return " or ".join(f'"{word}"' for word in self.words)

    def check(self, value: object) -> str:
        """Return the word."""
        if isinstance(value, str) and value in self.words:
            return str(value)
        raise RefusedError


@dataclass(frozen=True, slots=True)
class Flag(Rule):
    """True or false."""

    @property
    def range(self) -> str:
        """The two words."""
        return "true or false"

    def check(self, value: object) -> bool:
        """Return the boolean."""
        if isinstance(value, bool):
            return value
        raise RefusedError


@dataclass(frozen=True, slots=True)
class Text(Rule):
    """Text that matches ``pattern`` as a whole and holds no control characters."""

    pattern: str
    described: str

    @property
    def range(self) -> str:
        """The pattern in words."""
        return self.described

    def check(self, value: object) -> str:
        """Return the text."""
        if not isinstance(value, str):
            raise RefusedError
        if any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in value):
            raise RefusedError("which holds control characters or bytes that are not UTF-8")
        if not re.fullmatch(self.pattern, value):
            raise RefusedError
        return str(value)

    def from_text(self, text: str) -> object:
        """Take the text as it stands, so that a name of digits stays a name; a TOML string loses its quotes."""
        if len(text) > 1 and text[0] in "\"'":
            return from_toml(text)
        return text


_NAME: Final = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Bindings(Rule):
    """Names and what each is bound to: a TOML table of texts, or text ``name=keys name=keys``; held as that text."""

    @property
    def range(self) -> str:
        """Both ways of writing it."""
        return 'a table such as {pause = "p,space"}, or "pause=p,space drain=d"'

    def check(self, value: object) -> str:
        """Return the text, its names in order."""
        if isinstance(value, str):
            pairs = dict(self._pair(word) for word in value.split())
        elif isinstance(value, dict):
            pairs = {str(name): each for name, each in value.items()}
        else:
            raise RefusedError
        for name, keys in pairs.items():
            if not _NAME.fullmatch(name):
                raise RefusedError(f"in which {shown(name)} is no action")
            if not isinstance(keys, str) or not keys or any(c.isspace() or not c.isprintable() for c in keys):
                raise RefusedError(f'in which {name} is bound to {shown(keys)}, not to keys such as "p" or "p,space"')
        return " ".join(f"{name}={keys}" for name, keys in sorted(pairs.items()))

    def _pair(self, word: str) -> tuple[str, str]:
        name, equals, keys = word.partition("=")
        if not equals:
            raise RefusedError(f"in which {shown(word)} is not name=keys")
        return name, keys

    def from_text(self, text: str) -> object:
        """Take text as it stands, unless it is a TOML table or string."""
        return from_toml(text) if text.strip()[:1] in ("{", '"', "'") else text
