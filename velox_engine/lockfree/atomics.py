"""Atomic words, fences, the spin hint and the cycle counter, as LLVM instructions without inline assembly.

Every access of the engine to a word that two threads touch goes through this file, with its ordering in its name. The
orderings are those of C++11 (acquire, release, relaxed, acquire-release). The words are elements of one-dimensional,
contiguous ``int64`` arrays, 8-byte aligned; an index is not checked and must not be negative.

All of it works in compiled code only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Words = NDArray[np.int64]

_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_WORD_BYTES = 8


def _word_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def _load(ordering: str) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _word_pointer(context, builder, signature.args[0], args[0], args[1])
        return builder.load_atomic(pointer, ordering, _WORD_BYTES)

    return codegen


def _store(ordering: str) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _word_pointer(context, builder, signature.args[0], args[0], args[1])
        builder.store_atomic(args[2], pointer, ordering, _WORD_BYTES)
        return context.get_dummy_value()

    return codegen


@intrinsic
def _load_acquire(typing_context, words, index):  # type: ignore[no-untyped-def]
    return types.int64(words, types.intp), _load("acquire")


@intrinsic
def _load_relaxed(typing_context, words, index):  # type: ignore[no-untyped-def]
    return types.int64(words, types.intp), _load("monotonic")


@intrinsic
def _store_release(typing_context, words, index, value):  # type: ignore[no-untyped-def]
    return types.void(words, types.intp, types.int64), _store("release")


@intrinsic
def _store_relaxed(typing_context, words, index, value):  # type: ignore[no-untyped-def]
    return types.void(words, types.intp, types.int64), _store("monotonic")


@intrinsic
def _fetch_add(typing_context, words, index, value):  # type: ignore[no-untyped-def]
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _word_pointer(context, builder, signature.args[0], args[0], args[1])
        return builder.atomic_rmw("add", pointer, args[2], "acq_rel")

    return types.int64(words, types.intp, types.int64), codegen


@intrinsic
def _compare_and_swap(typing_context, words, index, expected, value):  # type: ignore[no-untyped-def]
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _word_pointer(context, builder, signature.args[0], args[0], args[1])
        outcome = builder.cmpxchg(pointer, args[2], args[3], "acq_rel", "acquire")
        return builder.extract_value(outcome, 1)

    return types.boolean(words, types.intp, types.int64, types.int64), codegen


def _fence(ordering: str) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence(ordering)
        return context.get_dummy_value()

    return codegen


@intrinsic
def _fence_acquire(typing_context):  # type: ignore[no-untyped-def]
    return types.void(), _fence("acquire")


@intrinsic
def _fence_release(typing_context):  # type: ignore[no-untyped-def]
    return types.void(), _fence("release")


def _architecture(builder: Any) -> str:
    return str(builder.module.triple).split("-", 1)[0]


@intrinsic
def _pause(typing_context):  # type: ignore[no-untyped-def]
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        architecture = _architecture(builder)
        if architecture in ("x86_64", "i686"):
            hint = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), []), "llvm.x86.sse2.pause"
            )
            builder.call(hint, [])
        elif architecture in ("aarch64", "arm64"):
            hint = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), [_I32]), "llvm.aarch64.hint"
            )
            builder.call(hint, [ir.Constant(_I32, 1)])  # 1 is YIELD
        # elsewhere: nothing to say; the fence of the next atomic load is enough to be right
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _cycle_counter(typing_context):  # type: ignore[no-untyped-def]
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # x86-64: rdtsc. arm64: mrs cntvct_el0. Elsewhere LLVM gives 0, and clock.py does not use it.
        counter = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_I64, []), "llvm.readcyclecounter")
        return builder.call(counter, [])

    return types.int64(), codegen


load_acquire = cast("Callable[[Words, int], int]", _load_acquire)
"""``load_acquire(words, index)``: nothing after it in program order is seen before it."""
load_relaxed = cast("Callable[[Words, int], int]", _load_relaxed)
"""``load_relaxed(words, index)``: a whole word, never hoisted out of a loop, no order with other accesses."""
store_release = cast("Callable[[Words, int, int], None]", _store_release)
"""``store_release(words, index, value)``: everything before it in program order is seen before it."""
store_relaxed = cast("Callable[[Words, int, int], None]", _store_relaxed)
"""``store_relaxed(words, index, value)``: a whole word, no order with other accesses."""
fetch_add = cast("Callable[[Words, int, int], int]", _fetch_add)
"""``fetch_add(words, index, value)``: adds and returns the word's value before; acquire and release."""
compare_and_swap = cast("Callable[[Words, int, int, int], bool]", _compare_and_swap)
"""``compare_and_swap(words, index, expected, value)``: whether it was swapped; acquire and release (strong)."""
fence_acquire = cast("Callable[[], None]", _fence_acquire)
"""Loads before it are not reordered with accesses after it."""
fence_release = cast("Callable[[], None]", _fence_release)
"""Stores after it are not reordered with accesses before it."""
pause = cast("Callable[[], None]", _pause)
"""Tell the core that this is a spin: x86 ``pause``, arm64 ``yield``."""
cycle_counter = cast("Callable[[], int]", _cycle_counter)
"""The core's counter of constant rate, in its own ticks (x86-64 and arm64; 0 elsewhere). Not serialising."""
