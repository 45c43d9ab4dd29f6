"""Who has which depth slot: the engine's own users and its watchers take from the same eight."""

from __future__ import annotations

import threading

from velox_engine.errors import EngineError
from velox_engine.telemetry.layout import DEPTH_SLOTS


class Leases:
    """The slots that are taken. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[int, int] = {}

    def take(self, symbol: int, state: str) -> int:
        """Take a slot for a symbol; raises `EngineError`, which bears the state, when all are taken."""
        with self._lock:
            free = [slot for slot in range(DEPTH_SLOTS) if slot not in self._taken]
            if not free:
                raise EngineError(f"all {DEPTH_SLOTS} depth slots are leased", state=state)
            self._taken[free[0]] = symbol
            return free[0]

    def give_back(self, slot: int) -> None:
        """Let others have a slot."""
        with self._lock:
            self._taken.pop(slot, None)

    @property
    def taken(self) -> dict[int, int]:
        """The symbol of each slot that is taken."""
        with self._lock:
            return dict(self._taken)
