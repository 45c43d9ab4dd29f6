"""Reading a TOML file into plain values that know their line.

tomlkit keeps a file's order and comments but tells no line of a value. So the file is read a second time, each value
is replaced by a marker of its own that is as many lines high, and the text that comes out is searched for the markers.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from velox_engine.errors import ConfigError

MAX_BYTES: Final = 1 << 16  # a file with every setting has 5 KiB; tomlkit needs some 10 s for a MiB of keys
_HEADER: Final = re.compile(r"""\s*\[+\s*["']?([^"'\s.\]]+)""")
_PLACE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class Entry(NamedTuple):
    """One thing that a file says: ``section`` is ``None`` where a value stands before the first section.

    ``key`` is ``None`` where a section holds no values of its own: an empty one, or a list of tables. ``header`` is
    the line of the section's header.
    """

    section: str | None
    key: str | None
    value: object
    line: int | None
    header: int | None


def read_file(path: Path) -> list[Entry]:
    """Read a configuration file's entries, in the file's order.

    Raises `ConfigError` for a file that cannot be read, is too large, is no UTF-8 or no TOML, with the line where
    there is one. A byte order mark is accepted, as editors add it unasked.
    """
    return read_entries(read_content(path), path)


def read_entries(content: bytes, path: Path) -> list[Entry]:
    """Read the entries of what `read_content` read from a file."""
    text = _decoded(content, path)
    document = _parsed(text, path)
    return list(_entries(document.unwrap(), text, _lines(text)))


def read_content(path: Path) -> bytes:
    """Read a file's bytes, once: it may be a pipe."""
    try:
        if path.is_dir():
            raise ConfigError("is a directory", source=path, allowed="a TOML file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", source=path) from None
    except ValueError:  # what Python makes of a NUL in a path
        raise ConfigError("is no file name", source=repr(str(path))) from None
    if len(content) > MAX_BYTES:
        raise ConfigError("is larger than 64 KiB", source=path, allowed="a TOML file of at most 64 KiB")
    return content


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte {error.start} is 0x{content[error.start]:02x}, which is not UTF-8"
        raise ConfigError(found, source=path, line=line, allowed="a TOML file in UTF-8") from None


def _parsed(text: str, path: Path) -> Any:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        # the standard library is the stricter judge: tomlkit lets some doubled tables through, and its errors about
        # doubled keys name no line or a wrong one
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        told = str(error)
        place = _PLACE.search(told)
        line = int(place[1]) if place and place[1] else text.rstrip("\n").count("\n") + 1
        raise ConfigError(f"broken TOML: {_PLACE.sub('', told)}", source=path, line=line) from None
    except (RecursionError, ValueError):
        pass  # nested too deeply, or a number of thousands of digits: tomlkit refuses both and names the line
    try:
        return tomlkit.parse(text)
    except (TOMLKitError, ValueError, RecursionError) as error:
        told = re.sub(r" at line \d+ col \d+$", "", str(error))
        raise ConfigError(f"broken TOML: {told}", source=path, line=getattr(error, "line", None)) from None


def _lines(text: str) -> dict[tuple[str | int, ...], int]:
    """Find the line of every value, by its path."""
    import tomlkit

    stem = "@velox"
    while stem in text:
        stem += "@"
    paths: list[tuple[str | int, ...]] = []

    def mark(table: Any, path: tuple[str | int, ...]) -> None:
        for key in range(len(table)) if isinstance(table, list) else list(table):
            item = table[key]
            empty = isinstance(item, tomlkit.items.InlineTable) and not item
            if isinstance(item, dict | tomlkit.items.AoT) and not empty:
                mark(item, (*path, key))
                continue
            # tomlkit hands out bare booleans
            height = 0 if isinstance(item, bool) else item.as_string().count("\n")
            table[key] = tomlkit.string(f"{stem}{len(paths)}:" + "\n" * height, multiline=height > 0)
            paths.append((*path, key))

    document = tomlkit.parse(text)
    mark(document, ())
    marker = re.compile(re.escape(stem) + r"(\d+):")
    rendered = enumerate(document.as_string().split("\n"), 1)
    return {paths[int(found[1])]: number for number, line in rendered for found in marker.finditer(line)}


def _entries(document: dict[str, Any], text: str, lines: dict[tuple[str | int, ...], int]) -> Iterator[Entry]:
    first: dict[tuple[str | int, ...], int] = {}
    for path, line in lines.items():
        for depth in (1, 2):
            first[path[:depth]] = min(line, first.get(path[:depth], line))
    headers = _headers(text)

    def header(name: str) -> int | None:
        """Find the last header above the section's first value; an inline table has none and stands at that value."""
        value = first.get((name,))
        above = [line for line in headers.get(name, ()) if value is None or line <= value]
        return above[-1] if above else value

    for name, table in document.items():
        if isinstance(table, dict) and table:
            for key, value in table.items():
                yield Entry(name, key, value, first.get((name, key), header(name)), header(name))
        elif isinstance(table, dict) or (isinstance(table, list) and any(isinstance(each, dict) for each in table)):
            yield Entry(name, None, table, header(name), header(name))
        else:
            yield Entry(None, name, table, first.get((name,)), None)


def _headers(text: str) -> dict[str, list[int]]:
    """Find the lines of each section's headers; one inside a text of several lines is taken for one, harmlessly."""
    found: dict[str, list[int]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if header := _HEADER.match(line):
            found.setdefault(header[1], []).append(number)
    return found
