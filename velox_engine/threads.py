"""What the operating system is told about a thread: its name, its core, how late its sleeps may be."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from typing import Any, Final

_PR_SET_NAME: Final = 15
_PR_SET_TIMERSLACK: Final = 29
_PR_GET_TIMERSLACK: Final = 30
_NAME_BYTES: Final = 15


def _prctl() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None


def name_thread(name: str) -> None:
    """Give the calling thread a name, also for the operating system where that has names for threads."""
    threading.current_thread().name = name
    prctl = _prctl()
    if prctl is not None:
        prctl(_PR_SET_NAME, name.encode()[:_NAME_BYTES], 0, 0, 0)


def sharpen_sleeps() -> None:
    """Let the calling thread's sleeps end on time: Linux may otherwise make each 50 µs late to save wake-ups."""
    prctl = _prctl()
    if prctl is not None:
        prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(1), 0, 0, 0)


def timer_slack_ns() -> int | None:
    """Return how late the calling thread's sleeps may end to save wake-ups; ``None`` where the system does not tell."""
    prctl = _prctl()
    slack = -1 if prctl is None else int(prctl(_PR_GET_TIMERSLACK, 0, 0, 0, 0))
    return slack if slack >= 0 else None


def pin_thread(core: int) -> str | None:
    """Bind the calling thread to a core; return what speaks against it, ``None`` when it is bound."""
    if not hasattr(os, "sched_setaffinity"):
        return "this system does not bind threads to cores"
    try:
        os.sched_setaffinity(0, {core})
    except OSError as error:
        return str(error)
    if os.sched_getaffinity(0) != {core}:
        return f"the system bound it to {sorted(os.sched_getaffinity(0))}"
    return None
