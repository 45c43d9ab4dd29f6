"""Listening at a host and a port that somebody gave: what cannot be had is said in one line, by `ConfigError`."""

from __future__ import annotations

import errno
import socket
import sys
from typing import Any, Final

from velox_engine.errors import ConfigError

_WAITING: Final = 1024
"""Connections that may wait to be accepted: who has to knock again loses a second."""


def listen(host: str, port: int, keys: tuple[str, str]) -> socket.socket:
    """Return a socket that listens there, at any free port for 0; ``keys`` are what errors call host and port.

    Raises `ConfigError` where it cannot.
    """
    family, address = _resolved(host, port, keys[0])
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would share the port with whoever has it
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_WAITING)
    except OSError as error:
        listening.close()
        raise _refused(error, host, port, keys) from None
    return listening


def url_of(listening: socket.socket) -> str:
    """Return the URL of a listening socket, without a slash at its end."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _resolved(host: str, port: int, key: str) -> tuple[int, Any]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "no name that can be looked up"
        allowed = "an address or a name of this machine"
        raise ConfigError(f"got {host}: {why}", key=key, value=host, allowed=allowed) from None
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, address


def _refused(error: OSError, host: str, port: int, keys: tuple[str, str]) -> ConfigError:
    """Say why a port cannot be had."""
    if error.errno == errno.EADDRNOTAVAIL:
        problem, allowed = f"got {host}, which is no address of this machine", "one of its addresses, such as 127.0.0.1"
        return ConfigError(problem, key=keys[0], value=host, allowed=allowed)
    problem, allowed = f"got {port} on {host}: {error.strerror or error}", "a free port, or 0"
    if error.errno == errno.EADDRINUSE:
        problem = f"got {port}, which another program uses on {host}"
    if error.errno in (errno.EACCES, errno.EPERM):
        problem, allowed = f"got {port}, for which this user has no permission", "a port from 1024, or 0"
    return ConfigError(problem, key=keys[1], value=port, allowed=allowed)
