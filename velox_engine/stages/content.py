"""The content proof: a hash of every transaction that a stage has passed, and a check of its sequence number.

It covers ``sequence order_id price size event_ns new_order_id symbol action side flags``, not ``due_ticks``. A record
is eight 64-bit words; each has a lane of its own, as in Y. Collet's XXH3 (a stripe of 64 bytes, 8 lanes):

    mixed   = word XOR (key[lane] + sequence × 0x9E3779B97F4A7C15)
    lane   += word + (mixed mod 2^32) × (mixed div 2^32)              (mod 2^64)

The sequence number is part of the key, so that two records which change places are noticed although lanes only add;
that makes the hash of a range a sum, and a stage may take its records in batches of any size. `content_fold` makes one
number of the lanes, without that of ``due_ticks``. It finds accidents; it is no protection against an adversary.

One record is a handful of vector instructions (AVX-512, AVX2 or NEON, whatever LLVM has for eight 64-bit lanes).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from velox_engine.jit import compiled, int64
from velox_engine.lockfree.atomics import Words

LANES: Final = 8
_DUE_LANE: Final = 5
SEQUENCE_FACTOR: Final = 0x9E3779B97F4A7C15
# the first 64 bytes of XXH3's secret, as little-endian words
LANE_KEYS: Final = (
    0xBE4BA423396CFEB8,
    0x1CAD21F72C81017C,
    0xDB979083E96DD4DE,
    0x1F67B3B7A4A44072,
    0x78E5C0CC4EE679CB,
    0x2172FFCC7DD05A82,
    0x8E2443F7744608B8,
    0x4C263A81E69035E0,
)
FOLD_FACTOR: Final = 0x9FB21C651E98DF25


@intrinsic
def _content_add(typing_context, words, start, count, sequence, lanes):  # type: ignore[no-untyped-def]
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i32, i64 = ir.IntType(32), ir.IntType(64)
        vector = ir.VectorType(i64, LANES)
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        sums = context.make_array(signature.args[4])(context, builder, args[4]).data
        first = builder.gep(data, [builder.mul(args[1], ir.Constant(i64, LANES))])
        sums = builder.bitcast(sums, vector.as_pointer())
        total = cgutils.alloca_once_value(builder, builder.load(sums, align=8))
        disorder = cgutils.alloca_once_value(builder, ir.Constant(i64, 0))
        keys = ir.Constant(vector, LANE_KEYS)
        low_half = ir.Constant(vector, [0xFFFFFFFF] * LANES)
        half = ir.Constant(vector, [32] * LANES)
        undefined = ir.Constant(vector, ir.Undefined)
        to_all = ir.Constant(ir.VectorType(i32, LANES), [0] * LANES)
        with cgutils.for_range(builder, args[2]) as loop:
            pointer = builder.gep(first, [builder.mul(loop.index, ir.Constant(i64, LANES))])
            record = builder.load(builder.bitcast(pointer, vector.as_pointer()), align=64)
            expected = builder.add(args[3], loop.index)
            salt = builder.mul(expected, ir.Constant(i64, SEQUENCE_FACTOR))
            salt = builder.insert_element(undefined, salt, ir.Constant(i32, 0))
            salt = builder.shuffle_vector(salt, undefined, to_all)
            mixed = builder.xor(record, builder.add(keys, salt))
            product = builder.mul(builder.and_(mixed, low_half), builder.lshr(mixed, half))
            builder.store(builder.add(builder.load(total), builder.add(record, product)), total)
            found = builder.load(pointer)
            builder.store(builder.or_(builder.load(disorder), builder.xor(found, expected)), disorder)
        builder.store(builder.load(total), sums, align=8)
        return builder.load(disorder)

    return types.int64(words, types.int64, types.int64, types.int64, lanes), codegen


content_add = cast("Callable[[NDArray[np.uint64], int, int, int, Words], int]", _content_add)
"""``content_add(words, start, count, sequence, lanes)``: add records ``start … start + count`` of the slots' words to
``lanes`` (int64, shape (8,)); the first should have this ``sequence``. Returns 0 if all sequence numbers are the
expected ones. The range must not wrap, and the words must be 64-byte aligned. Compiled code only."""


@compiled
def content_fold(lanes: Words) -> int:
    """Make one number of the lanes, without that of ``due_ticks``."""
    folded = np.uint64(0)
    for lane in range(LANES):
        if lane != _DUE_LANE:
            mixed = np.uint64(lanes[lane]) ^ (folded >> np.uint64(29))
            folded = (folded ^ mixed) * np.uint64(FOLD_FACTOR) + np.uint64(lane)
    return int64(folded ^ (folded >> np.uint64(32)))


def plain_content(words: NDArray[np.uint64], sequence: int = 0) -> str:
    """Hash records as `content_add` does, in numpy: the hash of records given as words, uint64, shape (n, 8)."""
    with np.errstate(over="ignore"):
        sequences = np.arange(sequence, sequence + len(words), dtype=np.uint64)
        salt = sequences * np.uint64(SEQUENCE_FACTOR)
        mixed = words ^ (np.array(LANE_KEYS, np.uint64)[None, :] + salt[:, None])
        product = (mixed & np.uint64(0xFFFFFFFF)) * (mixed >> np.uint64(32))
        lanes = (words + product).sum(axis=0, dtype=np.uint64)
    folded = 0
    for lane in range(LANES):
        if lane != _DUE_LANE:
            mixed_lane = int(lanes[lane]) ^ (folded >> 29)
            folded = ((folded ^ mixed_lane) * FOLD_FACTOR + lane) % 2**64
    return f"{folded ^ (folded >> 32):016x}"
