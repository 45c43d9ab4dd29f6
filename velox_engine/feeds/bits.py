"""Numbers out of raw bytes, and records into a batch: what the compiled decoders of binary formats share.

Messages lie at any address, so the loads are unaligned ones of one instruction each (indexing the bytes one by one
would check each index for being negative). An index is not checked: the decoder does that once a message.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from velox_engine.jit import inlined

Bytes = NDArray[np.uint8]
Words = NDArray[np.int64]
"""A batch of ``TRANSACTION`` as its 64-bit words, shape (8 n,): what `put` writes."""

RECORD_WORDS: Final = 8


def _load(bits: int, order: str) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = ir.IntType(64)
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        part = ir.IntType(bits)
        pointer = builder.bitcast(builder.gep(data, [args[1]]), part.as_pointer())
        value = builder.load(pointer, align=1)
        if bits > 8 and order != sys.byteorder:
            value = builder.bswap(value)
        return builder.zext(value, whole) if bits < 64 else value

    return codegen


@intrinsic
def _big16(typing_context, data, at):  # type: ignore[no-untyped-def]
    return types.int64(data, types.intp), _load(16, "big")


@intrinsic
def _big32(typing_context, data, at):  # type: ignore[no-untyped-def]
    return types.int64(data, types.intp), _load(32, "big")


@intrinsic
def _big64(typing_context, data, at):  # type: ignore[no-untyped-def]
    return types.int64(data, types.intp), _load(64, "big")


@intrinsic
def _little16(typing_context, data, at):  # type: ignore[no-untyped-def]
    return types.int64(data, types.intp), _load(16, "little")


@intrinsic
def _little32(typing_context, data, at):  # type: ignore[no-untyped-def]
    return types.int64(data, types.intp), _load(32, "little")


@intrinsic
def _little64(typing_context, data, at):  # type: ignore[no-untyped-def]
    return types.int64(data, types.intp), _load(64, "little")


_Load = Callable[[Bytes, int], int]

big16 = cast("_Load", _big16)
"""``big16(data, at)``: the unsigned big-endian number of 16 bits at index ``at``, as int64. Compiled code only, as all
of these; the 64-bit ones give the raw bits as int64, so a number from 2^63 on comes out negative."""
big32 = cast("_Load", _big32)
big64 = cast("_Load", _big64)
little16 = cast("_Load", _little16)
little32 = cast("_Load", _little32)
little64 = cast("_Load", _little64)


@intrinsic
def _put(  # type: ignore[no-untyped-def]
    typing_context, words, row, order_id, price, size, event_ns, pacing_ns, new_order_id, tail
):
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = ir.IntType(64)
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        first = builder.mul(args[1], ir.Constant(whole, RECORD_WORDS))
        for word, value in enumerate((ir.Constant(whole, 0), *args[2:])):
            builder.store(value, builder.gep(data, [builder.add(first, ir.Constant(whole, word))]))
        return context.get_dummy_value()

    return types.void(words, *[types.int64] * RECORD_WORDS), codegen


put = cast("Callable[[Words, int, int, int, int, int, int, int, int], None]", _put)
"""``put(words, row, order_id, price, size, event_ns, pacing_ns, new_order_id, tail)``: write record ``row`` of a batch;
the last one is what `tail` makes, and ``sequence`` becomes 0."""


@inlined
def tail(symbol: int, action: int, side: int, flags: int) -> int:
    """The last word of a record: its symbol, action, side and flags."""
    return symbol | action << 32 | side << 40 | flags << 48
