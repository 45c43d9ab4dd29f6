"""The engine's clock: the cycle counter, calibrated once against the monotonic clock.

``ticks()`` costs a few nanoseconds. What a tick is worth is known only after `calibrate`, which runs before any worker
starts; asking earlier is a `ClockError`. Where the counter is not invariant, ``ticks()`` is
``clock_gettime(CLOCK_MONOTONIC)`` in nanoseconds; that choice is made when this module is imported and is part of the
compile cache's key.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from velox_engine.errors import ClockError
from velox_engine.jit import compiled
from velox_engine.lockfree.atomics import cycle_counter
from velox_engine.lockfree.counter import has_invariant_counter

COUNTER_IS_INVARIANT: Final = has_invariant_counter()
_CLOCK_MONOTONIC: Final = time.CLOCK_MONOTONIC
_SAMPLES: Final = 32


@intrinsic
def _monotonic_ns(typing_context):  # type: ignore[no-untyped-def]
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i32, i64 = ir.IntType(32), ir.IntType(64)
        timespec = cgutils.alloca_once(builder, ir.ArrayType(i64, 2))
        pointer = builder.bitcast(timespec, i64.as_pointer())
        clock_gettime = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(i32, [i32, i64.as_pointer()]), "clock_gettime"
        )
        builder.call(clock_gettime, [ir.Constant(i32, _CLOCK_MONOTONIC), pointer])
        seconds = builder.load(pointer)
        nanoseconds = builder.load(builder.gep(pointer, [ir.Constant(i64, 1)]))
        return builder.add(builder.mul(seconds, ir.Constant(i64, 1_000_000_000)), nanoseconds)

    return types.int64(), codegen


monotonic_ns = cast("Callable[[], int]", _monotonic_ns)
"""``CLOCK_MONOTONIC`` in ns, through the C library; compiled code only."""

ticks = cycle_counter if COUNTER_IS_INVARIANT else monotonic_ns
"""The clock as it stands, in ticks; compiled code only. `read_ticks` is the same for Python."""


@compiled
def read_ticks() -> int:
    """Return the clock as it stands, in ticks; callable from Python."""
    return ticks()


@compiled
def _ticks_at_monotonic(samples: int) -> tuple[int, int]:
    """Return (ticks, monotonic ns) of one moment: the sample whose two tick readings lie closest together."""
    best, at_ticks, at_ns = 2**62, 0, 0
    for _ in range(samples):
        before = ticks()
        ns = monotonic_ns()
        after = ticks()
        if after - before < best:
            best = after - before
            at_ticks, at_ns = before + (after - before) // 2, ns
    return at_ticks, at_ns


@dataclass(frozen=True, slots=True)
class Clock:
    """What a tick is worth.

    Attributes:
        ns_per_tick: nanoseconds a tick.
        zero_ticks: a moment in ticks …
        zero_monotonic_ns: … and the same moment on ``CLOCK_MONOTONIC``, ns …
        zero_unix_ns: … and on the wall clock, ns since the Unix epoch.
        source: ``"counter"`` or ``"monotonic"``.
    """

    ns_per_tick: float
    zero_ticks: int
    zero_monotonic_ns: int
    zero_unix_ns: int
    source: str

    def to_ns(self, ticks: int) -> int:
        """Turn a span of ticks into nanoseconds."""
        return round(ticks * self.ns_per_tick)

    def to_ticks(self, ns: float) -> int:
        """Turn a span of nanoseconds into ticks."""
        return round(ns / self.ns_per_tick)

    def unix_ns(self, at_ticks: int) -> int:
        """Turn a moment in ticks into ns since the Unix epoch."""
        return self.zero_unix_ns + self.to_ns(at_ticks - self.zero_ticks)

    def behind_monotonic_ns(self) -> int:
        """Return how far the monotonic clock has run ahead of this one since the calibration, ns.

        It stays within parts per million; a step means that the machine was suspended or moved.
        """
        at_ticks, at_ns = _ticks_at_monotonic(_SAMPLES)
        return (at_ns - self.zero_monotonic_ns) - self.to_ns(at_ticks - self.zero_ticks)


_clock: Clock | None = None


def calibrate(seconds: float = 0.05) -> Clock:
    """Measure the clock against ``CLOCK_MONOTONIC`` for so long, keep the result for `clock`, and return it.

    The two ends are known to well under 100 ns, so 0.05 s gives about 2 parts per million. Raises `ClockError` where
    the clock stands still or runs backwards.
    """
    global _clock
    begin_ticks, begin_ns = _ticks_at_monotonic(_SAMPLES)
    if COUNTER_IS_INVARIANT:
        time.sleep(seconds)
    end_ticks, end_ns = _ticks_at_monotonic(_SAMPLES)
    if not COUNTER_IS_INVARIANT:
        _clock = Clock(1.0, end_ticks, end_ns, time.time_ns(), "monotonic")
        return _clock
    if end_ticks <= begin_ticks or end_ns <= begin_ns:
        raise ClockError(f"the clock does not advance: {end_ticks - begin_ticks} ticks in {end_ns - begin_ns} ns")
    ns_per_tick = (end_ns - begin_ns) / (end_ticks - begin_ticks)
    _clock = Clock(ns_per_tick, end_ticks, end_ns, time.time_ns(), "counter")
    return _clock


def clock() -> Clock:
    """Return the calibrated clock; raises `ClockError` before `calibrate`."""
    if _clock is None:
        raise ClockError("the clock was asked before it was calibrated: call calibrate() before a worker starts")
    return _clock
