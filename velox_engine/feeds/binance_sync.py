"""Whether a Binance book follows its messages: what to do with a diff that does not simply go on, and a snapshot.

The rules are those of https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams (how to manage a
local order book) and their futures counterpart. A diff holds the updates ``U`` to ``u``; on futures ``pu`` is the ``u``
of the one before it. A REST snapshot holds everything up to its ``lastUpdateId`` and comes *after* some diffs that it
does not hold, so diffs are kept back until it is there.

============ ================================================ ==================================================
the book is  a diff is                                        a snapshot
============ ================================================ ==================================================
holding      kept back, none is written                       is written, then the diffs kept back that follow it
synced       written if it follows; a gap makes the book stale is not needed
stale        written, and kept back too                       as when holding: it mends the book
============ ================================================ ==================================================

After 10 s of receive time or 65,536 levels without a snapshot a holding book becomes stale: it is wrong, and says so,
but the flow goes on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

MOST_HELD_LEVELS: Final = 65_536
MOST_HELD_NS: Final = 10_000_000_000


class State(Enum):
    """What the book is worth."""

    HOLDING = "holding"
    SYNCED = "synced"
    STALE = "stale"


class Verdict(Enum):
    """How a diff stands to the book."""

    OLD = "old"
    NEXT = "next"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class Message:
    """A diff or a snapshot: its ids, times and levels (``price``, ``size``, ``side``, each int64 of shape (n,))."""

    first: int
    last: int
    previous: int
    event_ns: int
    due_ns: int
    price: NDArray[np.int64]
    size: NDArray[np.int64]
    side: NDArray[np.int64]
    snapshot: bool = False
    after_gap: bool = False


class Synchroniser:
    """Decides what is written, in ``ready``, and when the compiled decoder may go on by itself.

    Attributes: ``state``; ``book_id``, the last update in the book; ``gaps``, breaks so far, a missing snapshot
    included; ``old``, diffs left out because the book held them; ``ready``, what is to be written, in order.
    """

    def __init__(self) -> None:
        self.state = State.HOLDING
        self.book_id = -1
        self.gaps = 0
        self.old = 0
        self.ready: deque[Message] = deque()
        self._snapshot_id = -1  # while the book still is a snapshot and nothing else
        self._held: deque[Message] = deque()
        self._held_levels = 0

    def take_diff(self, diff: Message) -> None:
        """A diff that the decoder did not write by itself."""
        if self.state is State.HOLDING:
            self._hold(diff)
            if self._held_levels > MOST_HELD_LEVELS or diff.due_ns - self._held[0].due_ns > MOST_HELD_NS:
                self.release(diff.due_ns)
            return
        verdict = self._verdict(diff)
        if verdict is Verdict.OLD:
            self.old += 1
            return
        if verdict is Verdict.GAP:
            self.gaps += 1
            self.state = State.STALE
            self._forget_held()
        self._write(replace(diff, after_gap=verdict is Verdict.GAP))
        if self.state is State.STALE:
            self._hold(diff)

    def take_snapshot(self, snapshot: Message) -> None:
        """A snapshot, while the book is not synced."""
        held = list(self._held)
        self._forget_held()
        self.ready.append(snapshot)
        self.state = State.SYNCED
        self.book_id = self._snapshot_id = snapshot.last
        for diff in held:
            self.take_diff(replace(diff, due_ns=snapshot.due_ns))

    def release(self, due_ns: int) -> None:
        """Give up waiting for a snapshot: what was kept back is written as that of a stale book."""
        if self.state is not State.HOLDING or not self._held:
            return
        self.state = State.STALE
        self.gaps += 1
        for index, diff in enumerate(self._held):
            verdict = self._verdict(diff) if index else Verdict.NEXT
            if verdict is Verdict.OLD:
                self.old += 1
                continue
            self.gaps += verdict is Verdict.GAP
            self._write(replace(diff, due_ns=due_ns, after_gap=index == 0 or verdict is Verdict.GAP))

    def _verdict(self, diff: Message) -> Verdict:
        if diff.previous < 0:
            if diff.last <= self.book_id:
                return Verdict.OLD
            return Verdict.NEXT if diff.first <= self.book_id + 1 else Verdict.GAP
        if self.book_id == self._snapshot_id:
            # the first diff after a snapshot may end with it, and need not begin right behind it
            if diff.last < self.book_id:
                return Verdict.OLD
            return Verdict.NEXT if min(diff.first, diff.previous) <= self.book_id else Verdict.GAP
        if diff.last <= self.book_id:
            return Verdict.OLD
        return Verdict.NEXT if diff.previous <= self.book_id else Verdict.GAP

    def _write(self, diff: Message) -> None:
        self.ready.append(diff)
        self.book_id = diff.last

    def _hold(self, diff: Message) -> None:
        self._held.append(diff)
        self._held_levels += len(diff.price)
        while self.state is State.STALE and self._held_levels > MOST_HELD_LEVELS:
            self._held_levels -= len(self._held.popleft().price)

    def _forget_held(self) -> None:
        self._held.clear()
        self._held_levels = 0
