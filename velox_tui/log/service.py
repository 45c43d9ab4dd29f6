"""The log as a service beside the engine: where it goes, and what goes into it."""

from __future__ import annotations

import logging
import os
import queue
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from velox_engine.config import Config
from velox_engine.errors import ConfigError
from velox_tui import __version__
from velox_tui.log.follower import Follower
from velox_tui.log.formats import LEVELS, Format, make_record, read_by_journal
from velox_tui.log.place import wanted_path
from velox_tui.log.target import LogFile, TakenError, free_names
from velox_tui.output import LineOutput

if TYPE_CHECKING:
    from velox_engine.engine import Engine

_STDERR: Final = 2

Tell = Callable[[str, str], None]


class LogService:
    """Writes what happens to the file that ``[log]`` names and, without a screen, to ``messages``.

    ``speaks`` says whether ``messages`` gets records; else whoever runs tells warnings there in its own words.
    """

    name = "log"

    def __init__(self, config: Config, tell: Tell, messages: LineOutput | None = None) -> None:
        self._config, self._settings, self._tell = config, config.log, tell
        self._messages = messages
        self._journal = messages is not None and read_by_journal(_STDERR, os.environ)
        self.speaks = messages is not None and self._wants_records()
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._entrance = _Entrance(self._queue)
        self._file: LogFile | None = None
        self._listener: QueueListener | None = None
        self._follower: Follower | None = None
        self._elsewhere: Path | None = None

    def _wants_records(self) -> bool:
        wanted = self._settings.stderr
        if wanted == "auto":
            return self._journal or bool({"log.format", "log.level"} & self._config.given)
        return wanted == "records"

    @property
    def path(self) -> Path | None:
        """The file that is written, ``None`` for none."""
        return None if self._file is None else Path(self._file.baseFilename)

    def prepare(self) -> None:
        """Open the file. One that cannot be written now is a warning; one that never can be is a `ConfigError`."""
        level, form = LEVELS[self._settings.level], self._settings.format
        handlers: list[logging.Handler] = []
        path = wanted_path(self._config, os.environ)
        if path is not None:
            self._file = self._opened(path)
            self._file.setFormatter(Format("json" if form == "auto" else form, self._config.pipeline.name))
            handlers.append(self._file)
        if self.speaks and self._messages is not None:
            spoken = _Spoken(self._messages)
            form = "text" if form == "auto" else form
            spoken.setFormatter(Format(form, self._config.pipeline.name, journal=self._journal))
            handlers.append(spoken)
        for handler in handlers:
            handler.setLevel(level)
        if self._messages is not None and not self.speaks:
            handlers.append(_OfLibraries(self._messages))
        if handlers:
            self._listener = QueueListener(self._queue, *handlers, respect_handler_level=True)
            self._listener.start()
            # what libraries complain of belongs here as well, and not on the screen
            logging.getLogger().addHandler(self._entrance)

    def start(self, engine: Engine) -> None:
        """Begin to follow the engine's events."""
        if self._listener is None:
            return
        source = engine.snapshot()
        values: dict[str, Any] = {"version": __version__, "python": sys.version.split()[0]}
        values |= {"source": self._config.source.kind, "seed": source.seed, "workers": len(source.workers)}
        values |= {"log": str(self.path)} if self.path is not None else {}
        begun = min([time.time_ns(), *(event.unix_ns for event in engine.reader().events()[:1])])
        self._queue.put(make_record("info", "started", "log", values, begun))
        if self._elsewhere is not None:
            self._tell("info", f"log: another engine writes {self._elsewhere}, this one {self.path}")
        self._follower = Follower(engine, self._queue.put, samples=self._settings.level == "debug")
        self._follower.start()

    def record(self, severity: str, text: str, part: str = "run", values: Mapping[str, Any] | None = None) -> None:
        """Write something that happened beside the engine; returns at once, from any thread."""
        if self._listener is not None:
            self._queue.put(make_record(severity, text, part, values or {}, time.time_ns()))

    def failed(self, text: str, error: BaseException) -> None:
        """Write an error with where it came from, which nobody else may get to see."""
        if self._listener is not None:
            record = make_record("error", text, "run", {}, time.time_ns())
            record.exc_info = (type(error), error, error.__traceback__)
            self._queue.put(record)

    def reopen(self) -> str:
        """Open the file of its name anew, as after a rotation by others; say in a line what was done."""
        if self._file is None:
            return "there is no log file to open anew"
        self._file.reopen()
        return f"{self._file.baseFilename} is opened anew"

    def stop(self) -> None:
        """Write what is left, and let go of the file."""
        if self._follower is not None:
            self._follower.stop()
        if self._listener is not None:
            listener, self._listener = self._listener, None
            logging.getLogger().removeHandler(self._entrance)
            listener.stop()
        if self._file is not None:
            self._file.close()

    # ---- the file

    def _opened(self, path: Path) -> LogFile:
        if self._settings.file == "auto":
            with suppress(OSError):  # told below, when the file cannot be opened
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif path.is_dir() or not path.parent.is_dir():
            why = "is a directory" if path.is_dir() else f"cannot be written: there is no directory {path.parent}"
            raise ConfigError(f"{path} {why}", key="log.file", value=self._settings.file, allowed="a file")
        for each in free_names(path):
            file = LogFile(each, self._settings.max_bytes, self._settings.kept, self._tell)
            try:
                file.open()
            except TakenError:
                continue
            except OSError as error:
                file.missing(error)
            self._elsewhere = None if each == path else path
            return file
        raise ConfigError(f"{path}: all its names are taken", key="log.file", value=self._settings.file)


class _Entrance(QueueHandler):
    """Takes what libraries log, from warnings on: what they format is formatted by the listener's thread."""

    def __init__(self, records: queue.SimpleQueue[Any]) -> None:
        super().__init__(records)
        self.setLevel(logging.WARNING)

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record


class _Spoken(logging.Handler):
    """Writes records to standard error, which never stalls."""

    def __init__(self, messages: LineOutput) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._messages.put(self.format(record) + "\n")
        except Exception:  # a record that cannot be written as it is must not end the others
            self._messages.tell(f"log: a record of {record.name} could not be written")


class _OfLibraries(logging.Handler):
    """Tells on standard error what libraries warn of, where it gets no records."""

    def __init__(self, messages: LineOutput) -> None:
        super().__init__(logging.WARNING)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        if not hasattr(record, "part"):
            with suppress(Exception):  # a record that cannot be written as it is must not end the others
                self._messages.tell(f"{record.name}: {record.getMessage()}")
