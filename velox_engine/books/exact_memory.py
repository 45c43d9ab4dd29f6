"""How the exact book's compiled functions reach their memory: by address, as C would.

Handing ten arrays from function to function costs more than the book's own work (each is seven words and a reference
count). So the arrays' addresses stand in one record, `BOOK`, and a pointer to it is all that travels. Only this file
turns an address into something with fields; whoever holds the `ExactState` keeps the arrays alive.
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from velox_engine.books.exact_layout import BLOCK, BOOK, LADDER, NODE, NODE_STEP, SLOT
from velox_engine.records import TRANSACTION


@intrinsic  # type: ignore[untyped-decorator]
def stand_aside(typing_context: Any) -> Any:
    """Tell LLVM that the function in which this stands is called rarely and must not be inlined."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.function.attributes.add("noinline")
        builder.function.attributes.add("cold")
        return context.get_dummy_value()

    return types.void(), generate


def _address(context: Any, builder: Any, signature: Any, arguments: Any, unit: int) -> Any:
    index = context.cast(builder, arguments[1], signature.args[1], types.int64)
    return builder.add(arguments[0], builder.mul(index, ir.Constant(ir.IntType(64), unit)))


def _reader_of(dtype: np.dtype[Any], unit: int) -> Any:
    """An intrinsic (address, index) → the record at ``address + unit * index``, to read and to write."""
    record = numba.from_dtype(dtype)

    def at(typing_context: Any, address: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            address = _address(context, builder, signature, arguments, unit)
            return builder.inttoptr(address, context.get_value_type(record))

        return record(types.int64, index), generate

    return intrinsic(at)


node_at: Final = _reader_of(NODE, NODE.itemsize // NODE_STEP)
"""By node number: they go up by `NODE_STEP`, so that ``base + 8 * number`` is an address the processor adds itself."""
slot_at: Final = _reader_of(SLOT, 1)
"""By place in bytes, for the same reason."""
ladder_at: Final = _reader_of(LADDER, LADDER.itemsize)
"""By side, ``2 * symbol + side``."""
block_at: Final = _reader_of(BLOCK, BLOCK.itemsize)
"""By index."""
record_at: Final = _reader_of(TRANSACTION, TRANSACTION.itemsize)
"""By index."""
book_at: Final = _reader_of(BOOK, BOOK.itemsize)
"""By index, of which there is one."""


@intrinsic  # type: ignore[untyped-decorator]
def address_of_record(typing_context: Any, record: Any) -> Any:
    """Where a record lies."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ptrtoint(arguments[0], ir.IntType(64))

    return types.int64(record), generate


@intrinsic  # type: ignore[untyped-decorator]
def address_of(typing_context: Any, array: Any) -> Any:
    """Where a contiguous array begins; its owner must keep it alive."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(data, ir.IntType(64))

    return types.int64(array), generate


@intrinsic  # type: ignore[untyped-decorator]
def load(typing_context: Any, address: Any, index: Any) -> Any:
    """The int64 at an index of the array at ``address``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64).as_pointer()
        return builder.load(builder.inttoptr(_address(context, builder, signature, arguments, 8), word))

    return types.int64(types.int64, index), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(typing_context: Any, address: Any, index: Any, value: Any) -> Any:
    """Set the int64 at an index of the array at ``address``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64).as_pointer()
        target = builder.inttoptr(_address(context, builder, signature, arguments, 8), word)
        builder.store(arguments[2], target)
        return context.get_dummy_value()

    return types.void(types.int64, index, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def add_to(typing_context: Any, address: Any, index: Any, amount: Any) -> Any:
    """Add to the int64 at an index of the array at ``address``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64).as_pointer()
        target = builder.inttoptr(_address(context, builder, signature, arguments, 8), word)
        builder.store(builder.add(builder.load(target), arguments[2]), target)
        return context.get_dummy_value()

    return types.void(types.int64, index, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def load_byte(typing_context: Any, address: Any, index: Any) -> Any:
    """The byte at an index of the array at ``address``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        value = builder.load(builder.inttoptr(_address(context, builder, signature, arguments, 1), byte))
        return builder.zext(value, ir.IntType(64))

    return types.int64(types.int64, index), generate


@intrinsic  # type: ignore[untyped-decorator]
def store_byte(typing_context: Any, address: Any, index: Any, value: Any) -> Any:
    """Set the byte at an index of the array at ``address``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        target = builder.inttoptr(_address(context, builder, signature, arguments, 1), byte)
        builder.store(builder.trunc(arguments[2], ir.IntType(8)), target)
        return context.get_dummy_value()

    return types.void(types.int64, index, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def move_bytes(typing_context: Any, target: Any, source: Any, count: Any) -> Any:
    """Move ``count`` bytes from one address to another; they may overlap."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, source = (builder.inttoptr(each, cgutils.voidptr_t) for each in arguments[:2])
        cgutils.raw_memmove(builder, target, source, arguments[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def highest_bit(typing_context: Any, mask: Any) -> Any:
    """The number of the highest bit that is set; ``mask`` is an int64 but 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zeros = builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 1))
        return builder.sub(ir.Constant(ir.IntType(64), 63), zeros)

    return types.int64(types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def quotient(typing_context: Any, number: Any, divisor: Any) -> Any:
    """``number / divisor`` without a remainder's rounding or a check: the divisor is positive, the rest is cut off."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.sdiv(arguments[0], arguments[1])

    return types.int64(types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(typing_context: Any, address: Any) -> Any:
    """Ask for the cache line at an address: a hint that never fails."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        address = builder.inttoptr(arguments[0], cgutils.voidptr_t)
        builder.call(function, [address, word(1), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(types.int64), generate
