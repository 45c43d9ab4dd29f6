"""``--hlog``: interval histograms of the latencies, in the log format 1.3 of HdrHistogram.

End to end latency is untagged, which is what the format's tools read by default; from due time to the stages before it
there are the tags ``due_to_ingress``, ``due_to_orderbook`` and ``due_to_bundle``. Times are ns, and the column with the
largest value is in ms, as the format has it. An interval that could not be written becomes part of the next one.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from velox_engine.config import MetricsSettings
from velox_engine.errors import ConfigError
from velox_engine.exporters.hdr import encoded
from velox_engine.exporters.watch import Watch, Watched
from velox_engine.lockfree.histogram_view import Histogram
from velox_engine.snapshot import Snapshot
from velox_engine.threads import name_thread

_MS: Final = 1e-6
_TAGS: Final = ("", "due_to_ingress", "due_to_orderbook", "due_to_bundle")


def head(started_unix_s: float) -> str:
    """Return the lines that a log begins with."""
    when = datetime.fromtimestamp(started_unix_s, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
    return (
        "#[Latencies of a Velox engine, ns: end to end without a tag, from due time to the stages by tag]\n"
        "#[Histogram log format version 1.3]\n"
        f"#[StartTime: {started_unix_s:.3f} (seconds since epoch), {when}]\n"
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    )


def interval(tag: str, start_s: float, length_s: float, histogram: Histogram) -> str:
    """Return a line: times in seconds since the log's start, the largest value in ms."""
    values = f"{start_s:.3f},{length_s:.3f},{histogram.largest * _MS:.3f},{encoded(histogram)}\n"
    return f"Tag={tag},{values}" if tag else values


class LogFile:
    """A file that lines are added to whole or not at all. One thread at a time.

    Raises `ConfigError` where it cannot be written; what it held is gone.
    """

    def __init__(self, path: str, first: str) -> None:
        self._length = 0
        try:
            # not to wait for the reader of a pipe
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK
            self._descriptor = os.open(path, flags, 0o666)
            self._is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
            try:
                self.add(first)
            except OSError:
                os.close(self._descriptor)
                raise
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise ConfigError(f"{path} cannot be written: {why}", key="metrics.hlog", value=path) from None

    def add(self, text: str) -> None:
        """Add lines; of those that do not fit, nothing stays. Raises `OSError`."""
        data = text.encode()
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError:
            if written and self._is_file:
                os.ftruncate(self._descriptor, self._length)
                os.lseek(self._descriptor, self._length, os.SEEK_SET)
            raise
        self._length += written

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


class LatencyLog:
    """The service: a thread that adds the histograms of an interval at its end, and of the rest when the run ends."""

    name = "latency log"

    def __init__(self, settings: MetricsSettings, tell: Callable[[str, str], None]) -> None:
        self._path, self._every_s, self._tell = settings.hlog, settings.hlog_interval_secs, tell
        self._watch = Watch()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vx-hlog", daemon=True)
        self._file: LogFile | None = None
        self._zero_s = self._begun_s = 0.0
        self._before = [Histogram.empty() for _ in _TAGS]
        self._failing = False

    def prepare(self) -> None:
        """Open the file and write its head; raises `ConfigError` where that is not possible."""
        self._zero_s = self._begun_s = time.monotonic()
        self._file = LogFile(self._path, head(time.time()))

    def start(self, engine: Watched) -> None:
        """Begin the first interval."""
        self._watch.begin(engine)
        self._begun_s = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Write the last interval and close the file."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._file is not None:
            self._file.close()

    def _run(self) -> None:
        name_thread("vx-hlog")
        due = self._begun_s
        while not self._ended.is_set():
            due = max(due + self._every_s, time.monotonic())
            self._ended.wait(max(due - time.monotonic(), 0.0))
            self._write()

    def _write(self) -> None:
        """Add what came since the interval before; where that fails, say so once and try again with the next."""
        snapshot, now = self._watch.snapshot(), time.monotonic()
        if snapshot is None or self._file is None:
            return
        latest = _latencies(snapshot)
        try:
            self._file.add("".join(self._lines(latest, now)))
        except OSError as error:
            if not self._failing:
                self._failing = True
                why = error.strerror or str(error)
                self._tell("warning", f"{self.name}: {self._path} cannot be written: {why}; it is tried again")
            return
        if self._failing:
            self._failing = False
            self._tell("info", f"{self.name}: {self._path} is written again")
        self._before, self._begun_s = latest, now

    def _lines(self, latest: list[Histogram], now: float) -> Iterator[str]:
        start, length = self._begun_s - self._zero_s, now - self._begun_s
        for tag, after, before in zip(_TAGS, latest, self._before, strict=True):
            yield interval(tag, start, length, after.since(before))


def _latencies(snapshot: Snapshot) -> list[Histogram]:
    """Return the latencies in the order of the tags."""
    return [stage.latency for stage in (snapshot.output, snapshot.ingress, snapshot.orderbook, snapshot.bundle)]
