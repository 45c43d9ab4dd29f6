"""Changing settings in the text of a configuration file: comments, order and everything else stay as they are.

tomlkit keeps what it parses, with two exceptions that its own text shows: `is_kept` tells them. What was edited is read
again before it is used, so a setting can never come out as something else than was asked for.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, Final

from velox_engine.config_rules import Bindings, Value, quoted, toml_value
from velox_engine.config_table import KEYS, checked
from velox_engine.errors import ConfigError

_BOM: Final = "\ufeff"


def is_kept(text: str) -> bool:
    """Say whether tomlkit writes a text as it was; it puts tables in another order where they are interleaved."""
    import tomlkit

    return tomlkit.dumps(tomlkit.parse(text.removeprefix(_BOM))) == text.removeprefix(_BOM)


def edited(text: str, changes: Mapping[str, Value]) -> str:
    """Return a file's text with the values of these keys (``section.key``) changed or added.

    Raises `ConfigError` for a value that its key does not allow, and where it cannot be done to this text.
    """
    import tomlkit

    mark, body = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    changes = {key: checked(key, value) for key, value in changes.items()}
    document = tomlkit.parse(body)
    for key, value in changes.items():
        row = KEYS[key]
        tables = _tables(document, row.section)
        if isinstance(row.rule, Bindings):
            _set_bindings(document, tables, row.section, row.name, str(value))
        else:
            _set(document, tables, row.section, row.name, toml_value(value))
    written = document.as_string()
    if "\r\n" in body and "\n" not in body.replace("\r\n", ""):
        written = written.replace("\r\n", "\n").replace("\n", "\r\n")
    _assert_same(body, written, changes)
    return mark + written


def _tables(body: Any, name: str) -> list[Any]:
    """Return a table wherever it stands in a body of tomlkit's; TOML lets others stand between its parts."""
    from tomlkit.items import InlineTable, Table

    return [
        item for key, item in body.body if key is not None and key.key == name and isinstance(item, Table | InlineTable)
    ]


def _set(document: Any, tables: list[Any], section: str, name: str, toml: str) -> None:
    import tomlkit
    from tomlkit.items import Table

    value = tomlkit.value(toml)
    for table in tables:
        if name in table.value:
            before = table.value.item(name)
            room = len(before.as_string().rpartition("\n")[2]) + len(before.trivia.comment_ws)
            table.value[name] = value
            after = table.value.item(name)
            if after.trivia.comment:  # comments stay in their column where there is room
                after.trivia.comment_ws = " " * max(room - len(after.as_string()), 1)
            return
    # a part that has no header of its own, because only tables below it have, comes last
    ordered = sorted(tables, key=lambda table: isinstance(table, Table) and table.is_super_table())
    _add(ordered[0] if ordered else _new_section(document, section, tomlkit.table()), name, value)


def _new_section(document: Any, section: str, table: Any) -> Any:
    import tomlkit

    if document.body and not document.as_string().endswith("\n\n"):
        document.add(tomlkit.nl())
    document.append(section, table)
    return table


def _add(table: Any, name: str, value: Any, *, apart: bool = False) -> None:
    """Add a value behind the last one: the comments that follow belong to the next section."""
    import tomlkit

    body, following = table.value, []
    while body.body and body.body[-1][0] is None:
        following.append(body.body.pop()[1])
    if apart:
        body.append(None, tomlkit.nl())
    table.append(name, value)
    for item in reversed(following):
        body.append(None, item)


def _set_bindings(document: Any, tables: list[Any], section: str, name: str, text: str) -> None:
    """Change a table of bindings, or the text, where there is one; else write a table of its own, for people."""
    import tomlkit
    from tomlkit.items import InlineTable

    wanted = dict(word.split("=", 1) for word in text.split())
    inner = [each for table in tables for each in _tables(table.value, name)]
    for table in inner:
        for act in [key.key for key, _ in table.value.body if key is not None]:
            if act not in wanted:
                table.remove(act)
            elif table[act] != wanted[act]:
                _set(document, [table], section, act, quoted(wanted[act]))
    held = {act for table in inner for act in table}
    new = {act: tomlkit.value(quoted(keys)) for act, keys in wanted.items() if act not in held}
    if inner:
        for act, value in new.items():
            _add(inner[0], act, value)
    elif any(name in table.value or isinstance(table, InlineTable) for table in tables):
        _set(document, tables, section, name, toml_value(text))
    elif new:
        own = tomlkit.table()
        for act, value in new.items():
            own.append(act, value)
        if tables:
            _add(tables[-1], name, own, apart=True)
        else:
            _new_section(document, section, tomlkit.table(is_super_table=True)).append(name, own)


def _assert_same(before: str, after: str, changes: Mapping[str, Value]) -> None:
    """Raise `ConfigError` unless both texts mean the same but for the changes."""
    problem = "cannot be changed here without changing something else: edit the file by hand"
    key = next(iter(changes), None)
    try:
        old, new = tomllib.loads(before), tomllib.loads(after)
        for full, value in changes.items():
            section, _, name = full.partition(".")
            written = new.get(section, {}).pop(name, KEYS[full].default)
            old.get(section, {}).pop(name, None)
            if checked(full, written) != value:
                raise ConfigError(problem, key=full, value=value)
    except (tomllib.TOMLDecodeError, AttributeError):
        raise ConfigError(problem, key=key) from None
    if _without_empty(old) != _without_empty(new):
        raise ConfigError(problem, key=key)


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value != {}}
