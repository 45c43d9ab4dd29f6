"""The content proof: a hash of every transaction that a stage has passed, and a check of its sequence number.

It covers ``sequence order_id price size event_ns new_order_id symbol action side flags``, not ``due_ticks``. A record
is eight 64-bit words; each has a lane of its own. Within a block of 256 sequence numbers, record ``s`` goes into chain
``s mod 4``, lane by lane; a full block's chains, 0 … 3, are then taken into the sums, and begin anew from 0:

    chain = rotate_left(chain, 13) + word                             (mod 2^64)
    sum   = (sum XOR (sum >> 29)) × 0x9FB21C651E98DF25 + chain        (mod 2^64)

Each step is a permutation of what it adds to: one word that becomes any other changes its lane for certain. A rotation
by 13 comes round after 64 steps, which is a chain's whole block: records that change places are noticed within a chain
by the rotation, between chains and blocks by the multiplication. A record's place follows from its sequence number
alone, so a stage may take its records in batches of any size. `content_fold` makes one number of it all, without the
lane of ``due_ticks``. It finds accidents; it is no protection against an adversary.

A record costs a rotation and an addition of one vector (AVX-512; elsewhere whatever LLVM has for eight 64-bit lanes);
there are four chains so that none waits for its own last step. That is hardly more than reading the record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from velox_engine.jit import compiled, inner, int64
from velox_engine.lockfree.atomics import Words
from velox_engine.stages.slots import DUE_WORD

LANES: Final = 8
CHAINS: Final = 4
BLOCK: Final = 256
"""Records whose chains are taken into the sums at once."""
CONTENT_WORDS: Final = (CHAINS + 1) * LANES
"""What a stage keeps, int64: the lanes of each chain, then the sums."""
ROTATION: Final = 13
SHIFT: Final = 29
FACTOR: Final = 0x9FB21C651E98DF25
_SUMS: Final = CHAINS * LANES

_I64 = ir.IntType(64)
_VECTOR = ir.VectorType(_I64, LANES)


def _number(value: int) -> Any:
    return ir.Constant(_I64, value)


def _all_lanes(value: int) -> Any:
    return ir.Constant(_VECTOR, [value] * LANES)


def _vector_at(builder: Any, words: Any, which: Any) -> Any:
    """Point to the ``which``-th group of eight words."""
    place = builder.gep(words, [builder.mul(which, _number(LANES))])
    return builder.bitcast(place, _VECTOR.as_pointer())


@intrinsic(prefer_literal=True)
def _add_rows(typing_context, words, start, rows, sequence, lanes, each):  # type: ignore[no-untyped-def]
    steps = each.literal_value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words, lanes = (context.make_array(signature.args[at])(context, builder, args[at]).data for at in (0, 4))
        disorder = cgutils.alloca_once_value(builder, _number(0))
        chains = []
        for step in range(steps):
            which = builder.and_(builder.add(args[3], _number(step)), _number(CHAINS - 1))
            place = _vector_at(builder, lanes, which)
            chains.append((place, cgutils.alloca_once_value(builder, builder.load(place, align=8))))
        with cgutils.for_range(builder, args[2]) as loop:
            for step, (_, chain) in enumerate(chains):
                at = builder.add(builder.mul(loop.index, _number(steps)), _number(step))
                pointer = _vector_at(builder, words, builder.add(args[1], at))
                found = builder.load(builder.bitcast(pointer, _I64.as_pointer()))
                wrong = builder.xor(found, builder.add(args[3], at))
                builder.store(builder.or_(builder.load(disorder), wrong), disorder)
                before = builder.load(chain)
                left = builder.shl(before, _all_lanes(ROTATION))
                turned = builder.or_(left, builder.lshr(before, _all_lanes(64 - ROTATION)))
                builder.store(builder.add(turned, builder.load(pointer, align=64)), chain)
        for place, chain in chains:
            builder.store(builder.load(chain), place, align=8)
        return builder.load(disorder)

    return types.int64(words, types.int64, types.int64, types.int64, lanes, each), codegen


_rows = cast("Callable[[NDArray[np.uint64], int, int, int, Words, int], int]", _add_rows)
"""``_rows(words, start, rows, sequence, lanes, each)``: add ``rows`` × ``each`` records, ``each`` at a time, at most as
many as there are chains; 0 if all sequence numbers are the expected ones."""


@intrinsic
def _take_chains(typing_context, lanes):  # type: ignore[no-untyped-def]
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = _vector_at(builder, lanes, _number(CHAINS))
        total = builder.load(place, align=8)
        for which in range(CHAINS):
            chain = _vector_at(builder, lanes, _number(which))
            mixed = builder.xor(total, builder.lshr(total, _all_lanes(SHIFT)))
            total = builder.add(builder.mul(mixed, _all_lanes(FACTOR)), builder.load(chain, align=8))
            builder.store(_all_lanes(0), chain, align=8)
        builder.store(total, place, align=8)
        return context.get_dummy_value()

    return types.void(lanes), codegen


_take = cast("Callable[[Words], None]", _take_chains)


@inner
def content_add(words: NDArray[np.uint64], start: int, count: int, sequence: int, lanes: Words) -> int:
    """Add records ``start … start + count`` of the slots' ``words`` to ``lanes``, int64 (CONTENT_WORDS,).

    The first should have this ``sequence``. Returns 0 if all sequence numbers are the expected ones. The range must not
    wrap, and the words must be 64-byte aligned.
    """
    disorder = int64(0)
    while count > 0:
        part = min(count, BLOCK - (sequence & (BLOCK - 1)))
        whole = part & -CHAINS
        disorder |= _rows(words, start, whole // CHAINS, sequence, lanes, CHAINS)
        for step in range(whole, part):
            disorder |= _rows(words, start + step, 1, sequence + step, lanes, 1)
        start, count, sequence = start + part, count - part, sequence + part
        if sequence & (BLOCK - 1) == 0:
            _take(lanes)
    return disorder


@compiled
def content_fold(lanes: Words) -> int:
    """Make one number of the sums and of a block that has begun, without the lane of ``due_ticks``."""
    folded = np.uint64(0)
    for lane in range(LANES):
        if lane != DUE_WORD:
            total = np.uint64(lanes[_SUMS + lane])
            for chain in range(CHAINS):
                mixed = (total ^ (total >> np.uint64(SHIFT))) * np.uint64(FACTOR)
                total = mixed + np.uint64(lanes[chain * LANES + lane])
            folded = ((folded ^ (folded >> np.uint64(SHIFT))) ^ total) * np.uint64(FACTOR) + np.uint64(lane)
    return int64(folded ^ (folded >> np.uint64(32)))


def _chained(rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Chain words along the first axis."""
    chain = np.zeros(rows.shape[1:], np.uint64)
    for row in rows:
        chain = ((chain << np.uint64(ROTATION)) | (chain >> np.uint64(64 - ROTATION))) + row
    return chain


def plain_content(words: NDArray[np.uint64], sequence: int = 0) -> str:
    """Hash records as `content_add` does, in numpy: the hash of records given as words, uint64, shape (n, 8)."""
    skipped = np.zeros((sequence % BLOCK, LANES), np.uint64)  # what leaves a chain at 0 leaves it as it began
    words = np.concatenate([skipped, words])
    full = len(words) // BLOCK
    blocks = _chained(words[: full * BLOCK].reshape(full, BLOCK // CHAINS, CHAINS, LANES).swapaxes(0, 1))
    begun = [_chained(words[full * BLOCK + chain :: CHAINS]) for chain in range(CHAINS)]
    total, factor = np.zeros(LANES, np.uint64), np.uint64(FACTOR)
    for chain in [*blocks.reshape(-1, LANES), *begun]:
        total = (total ^ (total >> np.uint64(SHIFT))) * factor + chain
    folded = 0
    for lane in range(LANES):
        if lane != DUE_WORD:
            folded = ((folded ^ (folded >> SHIFT) ^ int(total[lane])) * FACTOR + lane) % 2**64
    return f"{folded ^ (folded >> 32):016x}"
