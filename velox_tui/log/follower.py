"""Follows the events of an engine and hands each on as a record, in order and none twice."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from velox_engine.errors import EngineError
from velox_engine.snapshot import State
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.threads import name_thread
from velox_tui.log.formats import make_record

if TYPE_CHECKING:
    from velox_engine.engine import Engine

_LOOK_S: Final = 0.1

Take = Callable[[logging.LogRecord], object]


class Follower:
    """Looks ten times a second; `stop` looks once more. ``samples``: one-second samples become records as well.

    256 events are kept by the engine: should more come between two looks, a record says how many were missed.
    """

    def __init__(self, engine: Engine, take: Take, *, samples: bool) -> None:
        self._engine, self._take, self._samples = engine, take, samples
        self._number = -1
        self._sampled_ns = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vx-log", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Hand on what is left, and end."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        name_thread("vx-log")
        try:
            reader = self._engine.reader()
            while not self._ended.wait(_LOOK_S):
                self._look(reader)
            self._look(reader)
        except EngineError:
            return  # it ended before there was anything to read

    def _look(self, reader: TelemetryReader) -> None:
        events, missed = reader.events_after(self._number)
        records = [make_record(each.severity, each.text, "engine", each.values, each.unix_ns) for each in events]
        if missed:
            text = f"{missed:,} events were missed: more came at once than are kept"
            records.insert(0, make_record("warning", text, "log", {"missed": missed}, events[0].unix_ns))
        self._number = events[-1].number if events else self._number
        if self._samples:
            records = sorted([*records, *self._new_samples(reader)], key=lambda record: record.created)
        for record in records:
            self._take(record)

    def _new_samples(self, reader: TelemetryReader) -> Iterator[logging.LogRecord]:
        samples = reader.samples()
        for row, unix_ns in enumerate(samples["unix_ns"].tolist()):
            if unix_ns > self._sampled_ns:
                self._sampled_ns = unix_ns
                values: dict[str, Any] = {name: int(column[row]) for name, column in samples.items()}
                del values["unix_ns"]
                values["state"] = State(values["state"]).word
                yield make_record("debug", "sample", "engine", values, unix_ns)
