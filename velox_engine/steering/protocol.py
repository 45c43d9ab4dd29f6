"""What is said over an engine's control socket: lines of JSON, each an object, UTF-8, at most `MOST_BYTES` long.

A request is ``{"id": 7, "do": "pause"}``; ``id`` is a whole number of the asker's choice that the answers repeat.

========== ======================================== ==========================================================
do         more                                     takes effect when
========== ======================================== ==========================================================
``state``                                           at once: the answer says the state
``pause``                                           ingress takes nothing more
``resume``                                          ingress takes transactions again
``rate``   ``per_second``: a number or ``"max"``    the new schedule has begun
``drain``                                           all is out
``stop``   ``drain``: false leaves what is inside   the workers have stopped
``watch``  ``symbol``: an index                     a depth slot is leased for it
``unwatch`` ``symbol``                              its slot is given back
========== ======================================== ==========================================================

Each request gets ``{"id": 7, "taken": true}`` when the engine has it, unless it is refused at once, and then one of

* ``{"id": 7, "ok": true, "state": "paused"}`` when it has taken effect (``watch`` adds ``slot``);
* ``{"id": 7, "ok": false, "error": "cannot pause while stopped", "state": "stopped"}`` when it was refused or failed.

Answers come in the order in which requests take effect. Who closes the connection before a request was taken takes it
back; afterwards it is carried out nevertheless. What is no request, or longer than a line may be, is answered
with an error whose ``id`` is null, and ends the connection.

A lease belongs to the connection that asked for it: it is given back when that closes, and `LEASE_S` after it was last
asked for. To ask again for a symbol that one watches renews it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

MOST_BYTES: Final = 64 * 1024
LEASE_S: Final = 10.0
RENEW_S: Final = 2.0
COMMANDS: Final = ("pause", "resume", "rate", "drain", "stop")
REQUESTS: Final = ("state", *COMMANDS, "watch", "unwatch")
SUFFIX: Final = ".control"
_LONGEST_PATH: Final = 100
"""Bytes: a Unix socket's path has room for 103 on macOS, 107 on Linux."""


class ProtocolError(Exception):
    """What came is no message; the text says why."""


def control_path(region: Path) -> Path:
    """Return where the control socket of the engine with this region lies: beside it, of the same name.

    Where that is longer than a socket's path may be, the name is a hash.
    """
    path = region.with_suffix(SUFFIX)
    if len(str(path).encode()) <= _LONGEST_PATH:
        return path
    return region.with_name(hashlib.sha256(region.name.encode()).hexdigest()[:16] + SUFFIX)


def encoded(message: dict[str, Any]) -> bytes:
    """Return a message as a line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decoded(line: bytes) -> dict[str, Any]:
    """Return the message of a line; raises `ProtocolError`."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError("expected a line of JSON") from None
    if not isinstance(message, dict):
        raise ProtocolError("expected a JSON object")
    return message
