"""What a measure is, what it may use, and how it is given up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from velox_engine.errors import VeloxError
from velox_engine.lockfree.atomics import Words
from velox_engine.lockfree.clock import Clock
from velox_engine.placement import Machine
from velox_engine.threads import pin_thread

_LOOK_S: Final = 0.02


class BenchError(VeloxError):
    """A measure found that what it measured is wrong: its time means nothing then."""


class GivenUp(BaseException):
    """The benchmark was ended; no `Exception`, so that nobody on its way takes it for a fault."""


class Stoppable(Protocol):
    """A run that can be asked to stop."""

    def request_stop(self, reason: str = "stopped", drain: bool = True) -> None:
        """Ask for a stop and return at once."""


class Cancel:
    """Whether the benchmark was ended: looked at between measures, by waiting threads, and by compiled loops."""

    def __init__(self) -> None:
        self.words: Words = np.zeros(1, np.int64)
        self.running: Stoppable | None = None
        self._event = threading.Event()

    def request_stop(self, reason: str = "stopped", drain: bool = True) -> None:
        """End the benchmark soon; safe in a signal handler."""
        self._event.set()
        self.words[0] = 1
        if self.running is not None:
            self.running.request_stop(reason, drain)

    def is_set(self) -> bool:
        """Whether it was ended."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise `GivenUp` if it was ended."""
        if self.is_set():
            raise GivenUp


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that a measure gives: its name (empty where it is the only one), its unit, and which way is better.

    ``better`` is ``"higher"``, ``"lower"`` or ``"neither"``.
    """

    name: str
    unit: str
    better: str


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that can be measured: ``run()`` does it once and gives a number for each of ``figures``.

    ``id`` is stable: it names the measure in every version that has it. ``lacking`` says why it cannot be measured on
    this machine. The first run of a benchmark is not counted: it compiles, makes sample data and warms up.
    """

    id: str
    figures: tuple[Figure, ...]
    run: Callable[[], Sequence[float]]
    lacking: str = ""

    def names(self) -> tuple[str, ...]:
        """Return the ids of its figures."""
        return tuple(f"{self.id}.{figure.name}" if figure.name else self.id for figure in self.figures)


@dataclass(slots=True)
class Bench:
    """What measures share: the machine, a calibrated clock, a folder for sample files, how to give up.

    ``brief``: shorter runs are wanted.
    """

    machine: Machine
    clock: Clock
    folder: Path
    brief: bool
    cancel: Cancel = field(default_factory=Cancel)

    @property
    def cores(self) -> tuple[int, ...]:
        """The cores that workers may have at once; the last ones, as the system's own work gathers on the first."""
        return self.machine.allowed[-self.machine.usable :]

    def lacking(self, cores: int, *, together: bool = False) -> str:
        """Say why so many cores, or several threads ``together`` on one, cannot be had; empty if they can."""
        if len(self.cores) < cores:
            return f"needs {cores} cores, this process may use {len(self.cores)}"
        return "threads cannot be bound to cores here" if together and not self.machine.pins else ""

    def together(self, *parts: tuple[int, Callable[[], Any]]) -> list[Any]:
        """Run functions at the same time, each in a thread on a core of its own choice; return what each gave.

        Raises what the first of them raised, and `GivenUp` when the benchmark was ended meanwhile.
        """
        given: list[Any] = [None] * len(parts)
        raised: list[BaseException] = []
        gate = threading.Barrier(len(parts))

        def work(at: int, core: int, function: Callable[[], Any]) -> None:
            try:
                if self.machine.pins:
                    pin_thread(core)
                gate.wait()
                given[at] = function()
            except BaseException as error:
                raised.append(error)
                self.cancel.words[0] = 1  # the others would wait for it for ever

        threads = [
            threading.Thread(target=work, args=(at, core, function), name=f"vx-bench-{at}", daemon=True)
            for at, (core, function) in enumerate(parts)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(_LOOK_S)
        self.cancel.check()
        if raised:
            self.cancel.words[0] = 0
            raise raised[0]
        return given

    def alone(self, function: Callable[[], Any]) -> Any:
        """Run a function in a thread of its own on the last core; return what it gave."""
        return self.together((self.cores[-1], function))[0]


class Counted:
    """How much a run should do so that it lasts about ``seconds``: found from the runs before it."""

    def __init__(self, first: int, seconds: float, least: int = 1) -> None:
        self.count = first
        self._seconds = seconds
        self._least = least

    def note(self, seconds: float) -> None:
        """Say how long ``count`` took."""
        with suppress(ZeroDivisionError):
            self.count = max(self._least, int(self.count * min(max(self._seconds / seconds, 0.1), 10.0)))
