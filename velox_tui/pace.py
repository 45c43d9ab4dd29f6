"""How often to paint: as often as asked, but fewer frames rather than late ones, and few where nobody looks."""

from __future__ import annotations

from typing import Any, Final

UNFOCUSED_S: Final = 1.0
SLOWEST_S: Final = 1.0
_MOST_SHARE: Final = 0.2  # of a core
_EARLY_S: Final = 0.02  # timers are not exact
_TOLD_S: Final = 2.0


class Pace:
    """Decides before each frame whether it is drawn. Times in s, by a clock that only goes forward."""

    def __init__(self, frames_per_s: float) -> None:
        self._usual = 1 / frames_per_s
        self._painted = self._late = float("-inf")

    def due(self, now: float, frame_s: float, waiting: int, focused: bool) -> bool:
        """Say whether to draw a frame now.

        ``frame_s`` is the processor time of a frame, not-a-number where it is not known yet; ``waiting`` how many
        writes the terminal has not taken: another frame would only come after them, and show what is past by then.
        """
        if not focused:
            return now - self._painted >= UNFOCUSED_S - _EARLY_S
        slow = min(frame_s / _MOST_SHARE, SLOWEST_S) if frame_s / _MOST_SHARE > self._usual else 0.0
        if waiting or slow:
            self._late = now
        return not waiting and now - self._painted >= slow - _EARLY_S

    def painted(self, now: float) -> None:
        """Note that a frame was drawn."""
        self._painted = now

    def slowed(self, now: float) -> bool:
        """Say whether frames were left out lately, because terminal or processor are slow."""
        return now - self._late < _TOLD_S


def waiting_writes(app: Any) -> int:
    """Return how many writes the terminal has not taken yet; 0 where the driver does not tell."""
    thread = getattr(getattr(app, "_driver", None), "_writer_thread", None)
    queue = getattr(thread, "_queue", None)
    return int(queue.qsize()) if queue is not None else 0
