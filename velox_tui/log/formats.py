"""How a record is written: a line of JSON, or a line for people; for the system's journal without what it adds itself.

A record is the standard library's, with ``values``, ``unix_ns`` and ``part`` (who told it: the engine, the screen, a
library) as further attributes. Engine's name and process id are the same for all and belong to the format.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from velox_engine.config_rules import printable

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
# syslog(3); sd-daemon(3): how a line tells the journal its priority
_PRIORITIES: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
_PLAIN: Final = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:+-,%")


def make_record(severity: str, text: str, part: str, values: Mapping[str, Any], unix_ns: int) -> logging.LogRecord:
    """Make a record of something that happened at a time."""
    record = logging.LogRecord("velox", LEVELS[severity], "", 0, text, None, None)
    record.created = unix_ns / 1e9
    record.__dict__.update(values=values, part=part, unix_ns=unix_ns)
    return record


def level_word(record: logging.LogRecord) -> str:
    """Return a record's level as we call it; libraries have others between and above."""
    return next((word for word, level in reversed(LEVELS.items()) if record.levelno >= level), "debug")


def when(record: logging.LogRecord) -> str:
    """Return a record's time as RFC 3339 has it, UTC, µs."""
    ns = int(getattr(record, "unix_ns", record.created * 1e9))
    moment = datetime.fromtimestamp(ns // 10**9, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ns // 1000 % 10**6:06d}Z"


def read_by_journal(descriptor: int, environ: Mapping[str, str]) -> bool:
    """Say whether the system's journal reads a descriptor: systemd names device and inode in ``JOURNAL_STREAM``."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class Format(logging.Formatter):
    """Writes records as ``"json"`` or ``"text"``; ``journal`` leaves the time out and puts the priority before."""

    def __init__(self, form: str, name: str, *, journal: bool = False) -> None:
        super().__init__()
        self._form, self._name, self._journal = form, name, journal
        self._pid = os.getpid()

    def format(self, record: logging.LogRecord) -> str:
        """Write a record in one line, whatever it holds."""
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        line = self._json(record, text) if self._form == "json" else self._text(record, text)
        if self._journal:
            priority = _PRIORITIES[LEVELS[level_word(record)]]
            return f"<{priority}>{line}"
        return line

    def _json(self, record: logging.LogRecord, text: str) -> str:
        fields: dict[str, Any] = {} if self._journal else {"time": when(record)}
        fields |= {"level": level_word(record), "engine": self._name, "pid": self._pid}
        fields |= {"from": getattr(record, "part", record.name), "text": text}
        for key, value in getattr(record, "values", {}).items():
            fields.setdefault(key, value)
        return json.dumps(fields, separators=(",", ":"), default=str)

    def _text(self, record: logging.LogRecord, text: str) -> str:
        head = "" if self._journal else f"{when(record)} "
        level = f"{level_word(record):7} " if not self._journal else ""
        values = " ".join(f"{key}={_plain(value)}" for key, value in getattr(record, "values", {}).items())
        return f"{head}{level}{self._name} {printable(text)}" + (f"  {values}" if values else "")


def _plain(value: Any) -> str:
    """Write a value so that a blank ends it: words as they are, anything else as JSON."""
    text = str(value)
    if isinstance(value, float):
        return f"{value:.10g}"
    return text if text and set(text) <= _PLAIN else json.dumps(value, default=str)
