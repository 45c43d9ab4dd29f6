"""What a person does to a running engine all along: rates, pauses, drains, layouts, resizes; from a seed."""

from __future__ import annotations

import fcntl
import random
import struct
import termios
import time
from collections.abc import Callable, Iterator

from tests.ui_terminal import Terminal

LIVELY_S = 2.0
"""Seconds between two acts, on average, as long as it is lively."""
LEAST_RATE, MOST_RATE = 2_000, 50_000
_SIZES = ((120, 40), (80, 24), (200, 60), (100, 30))


class Person:
    """Presses keys at random moments, and brings the engine back to running after each pause and drain.

    For ``lively_s`` at first it does something every moment: what is kept of events, themes, sizes and styles, each up
    to a number, is filled by acts and not by time.
    """

    def __init__(self, terminal: Terminal, seed: int, every_s: float, lively_s: float) -> None:
        self._terminal = terminal
        self._random = random.Random(seed)
        self._every_s = every_s
        self._acts: Iterator[None] | None = None
        self._lively = time.monotonic() + lively_s
        self._next = time.monotonic() + LIVELY_S
        self.done: dict[str, int] = {}

    def look(self, state: str, rate: float) -> None:
        """Act if it is time to; ``state`` and ``rate`` are the engine's now."""
        now = time.monotonic()
        if now < self._next:
            return
        if state in ("paused", "drained"):
            self._press("p", "going on")
        elif state == "running":
            self._random.choice(self._choices(rate))()
        every = LIVELY_S if now < self._lively else self._every_s
        rest = self._random.uniform(2, 6) if now >= self._lively else LIVELY_S
        self._next = now + (rest if state != "running" else self._random.expovariate(1 / every))

    def _choices(self, rate: float) -> list[Callable[[], None]]:
        faster, slower = rate < MOST_RATE, rate > LEAST_RATE
        return [
            *([lambda: self._press(">", "faster")] * faster),
            *([lambda: self._press("<", "slower")] * slower),
            lambda: self._press("p", "pause"),
            lambda: self._press("d", "drain"),
            lambda: self._press(self._random.choice("1234zlht"), "view"),
            self._resize,
        ]

    def _press(self, key: str, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1
        self._terminal.press(key)

    def _resize(self) -> None:
        self.done["resize"] = self.done.get("resize", 0) + 1
        columns, lines = self._random.choice(_SIZES)
        fcntl.ioctl(self._terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
