"""Standard output and standard error as they are: closed, full, or with nobody behind them any more."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO

from velox_engine.config_rules import printable


def complain(message: str) -> None:
    """Say something on standard error, in one line; where nobody can hear it, go on."""
    if sys.stderr is None:  # closed from the start; print would take standard output instead
        return
    with suppress(OSError, ValueError):
        print(f"velox-tui: {printable(message)}", file=sys.stderr, flush=True)


def put(text: str) -> int:
    """Write to standard output now; return the exit code: 1 where it could not be written, with a complaint.

    A reader that has gone is no fault, and neither is an output that was closed from the start.
    """
    if sys.stdout is None:
        return 0
    try:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        _forget(sys.stdout)
    except OSError as error:
        complain(f"standard output: {error.strerror or error}")
        _forget(sys.stdout)
        return 1
    return 0


def flush() -> None:
    """Write what a library left in a buffer; what cannot be written is forgotten.

    Else the interpreter fails on it while it ends, and the exit code would be its 120, for a terminal that has gone.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            _forget(stream)


def _forget(stream: TextIO) -> None:
    """Let what is still in the buffer go nowhere."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
