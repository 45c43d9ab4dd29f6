"""Recording into a log-linear histogram: its one writer never waits, and a record is a handful of instructions.

The words and what they mean stand in `histogram_view`. The engine records nanoseconds. Negative values count as 0;
values from ``LIMIT`` on (73 minutes in ns) share the last bucket, while the largest stays exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from velox_engine.jit import compiled
from velox_engine.lockfree.atomics import Words
from velox_engine.lockfree.histogram_view import BUCKETS, COUNT, FIRST_BUCKET, LARGEST, LEAST, LIMIT, STEP_BITS, SUM

SPANS: Final = 8
"""How many spans `histogram_record_spans` takes at once."""
_STEPS: Final = 1 << STEP_BITS
_FRACTION_BITS: Final = 52
_EXPONENT_BIAS: Final = 1023


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


@intrinsic
def _record_spans(typing_context, words, at, moments, first, stride, count, now, scale):  # type: ignore[no-untyped-def]
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i32, i64, double = ir.IntType(32), ir.IntType(64), ir.DoubleType()
        vector, doubles = ir.VectorType(i64, SPANS), ir.VectorType(double, SPANS)
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        due_words = context.make_array(signature.args[2])(context, builder, args[2]).data
        place_of, begin, step, spans, until, factor = (args[at] for at in (1, 3, 4, 5, 6, 7))

        def number(value: int) -> Any:
            return ir.Constant(i64, value)

        def everywhere(value: int) -> Any:
            return ir.Constant(vector, [value] * SPANS)

        def spread(value: Any, kind: Any) -> Any:
            one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(i32, 0))
            return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(i32, SPANS), [0] * SPANS))

        def least(one: Any, other: Any) -> Any:
            return builder.select(builder.icmp_signed("<", one, other), one, other)

        def largest(one: Any, other: Any) -> Any:
            return builder.select(builder.icmp_signed(">", one, other), one, other)

        all_now, all_scale = spread(until, vector), spread(factor, doubles)
        total, low, high = (cgutils.alloca_once_value(builder, everywhere(value)) for value in (0, 2**63 - 1, 0))
        buckets = builder.gep(data, [builder.add(place_of, number(FIRST_BUCKET))])
        with cgutils.for_range(builder, builder.lshr(spans, number(SPANS.bit_length() - 1))) as loop:
            begun = builder.add(begin, builder.mul(builder.mul(loop.index, number(SPANS)), step))
            due = ir.Constant(vector, ir.Undefined)
            for each in range(SPANS):
                moment = builder.load(builder.gep(due_words, [builder.add(begun, builder.mul(number(each), step))]))
                due = builder.insert_element(due, moment, ir.Constant(i32, each))
            exact = builder.fmul(builder.sitofp(builder.sub(all_now, due), doubles), all_scale)
            value = largest(builder.fptosi(exact, vector), everywhere(0))
            builder.store(builder.add(builder.load(total), value), total)
            builder.store(least(builder.load(low), value), low)
            builder.store(largest(builder.load(high), value), high)
            # a double's exponent and first five fraction bits are an octave and its step: the bucket, but for the bias
            steps = builder.lshr(builder.bitcast(exact, vector), everywhere(_FRACTION_BITS - STEP_BITS))
            steps = builder.sub(steps, everywhere((_EXPONENT_BIAS + STEP_BITS - 1) << STEP_BITS))
            bucket = builder.select(builder.icmp_signed("<", value, everywhere(_STEPS)), value, steps)
            bucket = least(bucket, everywhere(BUCKETS - 1))
            for each in range(SPANS):
                place = builder.gep(buckets, [builder.extract_element(bucket, ir.Constant(i32, each))])
                builder.store(builder.add(builder.load(place), number(1)), place)

        def folded(kept: Any, fold: Any) -> Any:
            lanes = [builder.extract_element(builder.load(kept), ir.Constant(i32, each)) for each in range(SPANS)]
            result = lanes[0]
            for lane in lanes[1:]:
                result = fold(result, lane)
            return result

        def header(word: int) -> Any:
            return builder.gep(data, [builder.add(place_of, number(word))])

        done = builder.and_(spans, number(-SPANS))
        with builder.if_then(builder.icmp_signed(">", done, number(0))):
            before = builder.load(header(COUNT))
            smallest, kept = folded(low, least), builder.load(header(LEAST))
            unset = builder.icmp_signed("==", before, number(0))
            builder.store(builder.select(unset, smallest, least(smallest, kept)), header(LEAST))
            builder.store(largest(folded(high, largest), builder.load(header(LARGEST))), header(LARGEST))
            builder.store(builder.add(before, done), header(COUNT))
            builder.store(builder.add(builder.load(header(SUM)), folded(total, builder.add)), header(SUM))
        return done

    return types.int64(
        words, types.int64, moments, types.int64, types.int64, types.int64, types.int64, types.float64
    ), codegen


histogram_record_spans = cast(
    "Callable[[Words, int, NDArray[np.uint64], int, int, int, int, float], int]", _record_spans
)
"""``histogram_record_spans(words, at, moments, first, stride, count, now, scale)``: record ``now`` less each of
``count`` moments (words ``first``, ``first + stride`` … of ``moments``, 64 bits each), times ``scale`` and cut to an
integer, as `histogram_record` would one by one; as many as make whole eights, and return how many. Compiled code only.
"""
