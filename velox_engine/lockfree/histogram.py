"""Recording into a log-linear histogram: its one writer never waits, and a record is a handful of instructions.

The words and what they mean stand in `histogram_view`. The engine records nanoseconds. Negative values count as 0;
values from ``LIMIT`` on (73 minutes in ns) share the last bucket, while the largest stays exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from velox_engine.jit import compiled
from velox_engine.lockfree.atomics import Words
from velox_engine.lockfree.histogram_view import COUNT, FIRST_BUCKET, LARGEST, LEAST, LIMIT, STEP_BITS, SUM

_STEPS: Final = 1 << STEP_BITS


@intrinsic
def _leading_zeros(typing_context, value):  # type: ignore[no-untyped-def]
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i1, i64 = ir.IntType(1), ir.IntType(64)
        count = cgutils.get_or_insert_function(builder.module, ir.FunctionType(i64, [i64, i1]), "llvm.ctlz.i64")
        return builder.call(count, [args[0], ir.Constant(i1, 0)])

    return types.int64(types.int64), codegen


leading_zeros = cast("Callable[[int], int]", _leading_zeros)
"""Zero bits above the highest set bit of an ``int64``; 64 for 0. Compiled code only."""


@compiled
def bucket_of(value: int) -> int:
    """Return the bucket of a value, 0 … ``BUCKETS`` - 1."""
    value = min(max(value, 0), LIMIT - 1)
    if value < _STEPS:
        return value
    shift = 63 - leading_zeros(value) - STEP_BITS
    return ((shift + 1) << STEP_BITS) + ((value >> shift) & (_STEPS - 1))


@compiled
def histogram_record(words: Words, at: int, value: int, times: int) -> None:
    """Record ``value``, ``times`` times (> 0), in the histogram that begins at ``words[at]``."""
    value = max(value, 0)
    if words[at + COUNT] == 0 or value < words[at + LEAST]:
        words[at + LEAST] = value
    if value > words[at + LARGEST]:
        words[at + LARGEST] = value
    words[at + COUNT] += times
    words[at + SUM] += value * times
    words[at + FIRST_BUCKET + bucket_of(value)] += times
