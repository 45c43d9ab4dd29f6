"""What a worker does when none of its stages had work: spin, then yield, then sleep.

* spin 1, 2, 4 … 64 pauses (a few microseconds in all);
* ``sched_yield`` until about 300 µs have passed without work: a neighbour whose batch is late by a microsecond must
  not find everybody asleep, because waking a core costs 50 µs and the whole line stalls meanwhile;
* then sleep 100 µs; after 50 ms without work, and while the engine is paused or drained, the sleep doubles to 5 ms.

A worker that knows when its next work is due (a paced source, an open bundle) sleeps until just before that moment
instead, less what sleeps have lately overslept. Any work resets it. ``idle = "spin"`` never leaves the first step.

State, private to the worker (``words`` int64): 0 idle since (ticks, 0 = busy), 1 next pauses, 2 length of the next long
sleep in ns, 3 how much sleeps oversleep (ns, moving mean), 4 sleeps, 5 yields, 6 ticks slept in all.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import types

from velox_engine.by_reference import by_reference
from velox_engine.jit import compiled, inner, int64
from velox_engine.lockfree.atomics import Words, pause
from velox_engine.lockfree.clock import ticks
from velox_engine.lockfree.memory import aligned_words

IDLE_SINCE: Final = 0
_PAUSES: Final = 1
_LONG_SLEEP_NS: Final = 2
_OVERSLEEP_NS: Final = 3
SLEEPS: Final = 4
YIELDS: Final = 5
SLEPT_TICKS: Final = 6
_LENGTH: Final = 16

MOST_PAUSES: Final = 64
YIELD_UNTIL_NS: Final = 300_000
SHORT_SLEEP_NS: Final = 100_000
QUIET_AFTER_NS: Final = 50_000_000
LONGEST_SLEEP_NS: Final = 5_000_000
_FIRST_OVERSLEEP_NS: Final = 60_000
_MOST_OVERSLEEP_NS: Final = 100_000
_SHORTEST_SLEEP_NS: Final = 50_000
_SPIN_BELOW_NS: Final = 5_000
NEVER: Final = 2**62
"""``wake_ticks`` of a worker that does not know when its next work comes."""

# the C library, as symbols of this process: cacheable, which a ctypes function is not
_sched_yield: Any = types.ExternalFunction("sched_yield", types.int32())
_usleep: Any = types.ExternalFunction("usleep", types.int32(types.uint32))


@by_reference
class Backoff(NamedTuple):
    """A worker's idle state: ``words`` int64, shape (16,); ``ns_per_tick`` float64, shape (1,)."""

    words: Words
    ns_per_tick: Any


def make_backoff(ns_per_tick: float) -> Backoff:
    """Make the idle state of one worker."""
    words = aligned_words(_LENGTH)
    words[_OVERSLEEP_NS] = _FIRST_OVERSLEEP_NS
    words[_PAUSES] = 1
    words[_LONG_SLEEP_NS] = SHORT_SLEEP_NS
    return Backoff(words, np.array([ns_per_tick]))


@compiled
def backoff_reset(backoff: Backoff) -> None:
    """There was work."""
    words = backoff.words
    words[IDLE_SINCE] = 0
    words[_PAUSES] = 1
    words[_LONG_SLEEP_NS] = SHORT_SLEEP_NS


@inner
def _sleep(backoff: Backoff, now: int, ns: int) -> None:
    words = backoff.words
    _usleep(np.uint32(max(ns // 1000, 1)))
    slept = ticks() - now
    words[SLEEPS] += 1
    words[SLEPT_TICKS] += slept
    over = min(max(int64(slept * backoff.ns_per_tick[0]) - ns, 0), _MOST_OVERSLEEP_NS)
    words[_OVERSLEEP_NS] += (over - words[_OVERSLEEP_NS]) >> 4


@compiled
def backoff_idle(backoff: Backoff, now: int, wake_ticks: int, paced: bool, spin_only: bool, resting: bool) -> None:
    """Wait a little.

    ``wake_ticks`` is when work is known to be due, or ``NEVER``; with ``paced`` none can come before it. ``resting``:
    paused or drained.
    """
    words = backoff.words
    if spin_only and not resting:
        pause()
        return
    if words[IDLE_SINCE] == 0:
        words[IDLE_SINCE] = now
    left = LONGEST_SLEEP_NS
    if wake_ticks < NEVER:
        left = min(left, int64((wake_ticks - now) * backoff.ns_per_tick[0]))
    # a sleep costs the kernel some 10 µs of this core however short it is: what is nearer than the shortest one is
    # waited for by sleeping anyway, unless it is so near that a spin costs less
    longest = max(left - words[_OVERSLEEP_NS], _SHORTEST_SLEEP_NS)
    if resting:
        _sleep(backoff, now, words[_LONG_SLEEP_NS])
        words[_LONG_SLEEP_NS] = min(words[_LONG_SLEEP_NS] * 2, LONGEST_SLEEP_NS)
        return
    if paced and left > _SPIN_BELOW_NS:
        _sleep(backoff, now, longest)
        return
    if paced and left > 0:
        pause()
        return
    if words[_PAUSES] <= MOST_PAUSES:
        for _ in range(words[_PAUSES]):
            pause()
        words[_PAUSES] *= 2
        return
    idle_ns = int64((now - words[IDLE_SINCE]) * backoff.ns_per_tick[0])
    if idle_ns < YIELD_UNTIL_NS or left <= 0:
        words[YIELDS] += 1
        _sched_yield()
        return
    _sleep(backoff, now, min(longest, words[_LONG_SLEEP_NS]))
    if idle_ns >= QUIET_AFTER_NS:
        words[_LONG_SLEEP_NS] = min(words[_LONG_SLEEP_NS] * 2, LONGEST_SLEEP_NS)
