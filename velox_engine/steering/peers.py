"""Who is at the other end of a Unix socket."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Final, NamedTuple

_LOCAL_PEERCRED: Final = 1  # macOS and the BSDs: struct xucred
_LOCAL_PEERPID: Final = 2


class Peer(NamedTuple):
    """A process and its user, -1 where the system does not tell."""

    pid: int
    uid: int


def peer_of(connection: socket.socket) -> Peer:
    """Ask the system who has connected; what it does not tell, the directory's rights must guard."""
    try:
        if hasattr(socket, "SO_PEERCRED"):
            pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            return Peer(pid, uid & 0xFFFFFFFF)
        if sys.platform == "darwin":
            _, uid = struct.unpack_from("II", connection.getsockopt(0, _LOCAL_PEERCRED, 76))
            (pid,) = struct.unpack("i", connection.getsockopt(0, _LOCAL_PEERPID, 4))
            return Peer(pid, uid)
    except (OSError, struct.error):
        pass
    return Peer(-1, -1)
