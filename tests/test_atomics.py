"""Atomic words: what they do, and what each becomes on x86-64 and on arm64."""

import threading
import time
from types import SimpleNamespace

import llvmlite.binding as llvm
import numpy as np
import pytest
from llvmlite import ir

from velox_engine.jit import compiled
from velox_engine.lockfree import atomics
from velox_engine.lockfree.atomics import (
    compare_and_swap,
    cycle_counter,
    fence_acquire,
    fence_release,
    fetch_add,
    load_acquire,
    load_relaxed,
    pause,
    store_relaxed,
    store_release,
)
from velox_engine.lockfree.memory import LINE_BYTES, aligned_words


@compiled
def drive(words, index, value, out):
    """Use each operation once; leave in ``out`` what it gave."""
    out[0] = load_acquire(words, index)
    out[1] = load_relaxed(words, index)
    store_release(words, index, value)
    fence_release()
    out[2] = load_relaxed(words, index)
    store_relaxed(words, index, value + 1)
    fence_acquire()
    out[3] = load_acquire(words, index)
    out[4] = fetch_add(words, index, 41)
    out[5] = load_relaxed(words, index)
    out[6] = compare_and_swap(words, index, value, -7)
    out[7] = load_relaxed(words, index)
    out[8] = compare_and_swap(words, index, out[7], -7)
    out[9] = load_relaxed(words, index)
    pause()
    out[10] = cycle_counter()
    pause()
    out[11] = cycle_counter()


@compiled
def count_up(words, times):
    """Count in word 0 by adding and in word 1 by comparing and swapping."""
    for _ in range(times):
        fetch_add(words, 0, 1)
        seen = load_relaxed(words, 1)
        while not compare_and_swap(words, 1, seen, seen + 1):
            seen = load_relaxed(words, 1)


@compiled
def wait_for(words, flag):
    """Say that this thread waits, then wait until another has written: a hoisted load would never see it."""
    store_release(words, flag + 1, 1)
    while load_relaxed(words, flag) == 0:
        pause()
    return load_acquire(words, flag)


@pytest.mark.parametrize("index", [0, 3])
@pytest.mark.parametrize("value", [0, 5, -1, 2**62, -(2**63)])
def test_each_operation_does_what_its_name_says_and_touches_no_other_word(index, value):
    words = aligned_words(8)
    words[:] = 100
    out = np.zeros(12, np.int64)
    drive(words, index, value, out)
    assert out[:4].tolist() == [100, 100, value, value + 1]
    assert out[4:6].tolist() == [value + 1, value + 42]
    assert out[6:10].tolist() == [0, value + 42, 1, -7]
    assert words.tolist() == [-7 if at == index else 100 for at in range(8)]
    assert out[11] >= out[10]


def test_adding_wraps_like_the_machine():
    words = aligned_words(1)
    out = np.zeros(12, np.int64)
    drive(words, 0, 2**63 - 2, out)
    assert out[5] == 2**63 - 1 + 41 - 2**64


def in_threads(*functions):
    threads = [threading.Thread(target=function, daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_two_threads_that_count_lose_nothing():
    words = aligned_words(3)
    count_up(words, 0)
    in_threads(*(lambda: count_up(words, 300_000) for _ in range(2)))
    assert words.tolist() == [600_000, 600_000, 0]


def test_a_waiting_thread_sees_what_another_stores():
    words = aligned_words(2)
    seen = []

    def store():
        while words[1] == 0:
            time.sleep(0.001)
        words[0] = 9

    in_threads(lambda: seen.append(wait_for(words, 0)), store)
    assert seen == [9]


@pytest.mark.parametrize("count", [1, 15, 16, 17, 1000])
def test_shared_words_begin_on_a_line_of_their_own_and_are_zero(count):
    words = aligned_words(count)
    assert (words.shape, words.dtype, words.ctypes.data % LINE_BYTES) == ((count,), np.int64, 0)
    assert not words.any()


CONTEXT = SimpleNamespace(
    get_dummy_value=lambda: None,
    make_array=lambda kind: lambda context, builder, array: SimpleNamespace(data=array),
)
WORD = ir.IntType(64)
ARM, APPLE, INTEL = "aarch64-unknown-linux-gnu", "arm64-apple-macosx", "x86_64-unknown-linux-gnu"


def written(triple, name, values=0, pointer=True):
    """Write a function of one operation, as numba would for a machine of this kind."""
    module = ir.Module(name="one")
    module.triple = triple
    kinds = [WORD.as_pointer(), WORD] if pointer else []
    function = ir.Function(module, ir.FunctionType(WORD, kinds + [WORD] * values), "one")
    builder = ir.IRBuilder(function.append_basic_block())
    signature, codegen = getattr(atomics, name)._defn(None, *([None] * len(function.args)))
    result = codegen(CONTEXT, builder, signature, function.args)
    builder.ret(result if result is not None and result.type == WORD else ir.Constant(WORD, 0))
    return str(module)


def emitted(triple, name, values=0, pointer=True):
    """Compile one operation alone for a machine of this kind; return its instructions in one line of text."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        target = llvm.Target.from_triple(triple)
    except RuntimeError as error:
        pytest.skip(f"this LLVM does not compile for {triple}: {error}")
    machine = target.create_target_machine()
    text = machine.emit_assembly(llvm.parse_assembly(written(triple, name, values, pointer)))
    lines = (line.split("//")[0].split("##")[0].strip() for line in text.splitlines())
    return "; ".join(" ".join(line.split()) for line in lines if line and not line.startswith((".", "one:"))).lower()


@pytest.mark.parametrize(
    ("name", "values", "instructions"),
    [
        ("_load_acquire", 0, ["ldar "]),
        ("_load_relaxed", 0, ["ldr "]),
        ("_store_release", 1, ["stlr "]),
        ("_store_relaxed", 1, ["str "]),
        ("_fetch_add", 1, ["ldaxr ", "stlxr "]),
        ("_compare_and_swap", 2, ["ldaxr ", "stlxr "]),
    ],
)
def test_on_arm64_each_access_has_the_ordering_of_its_name(name, values, instructions):
    text = emitted(ARM, name, values)
    assert [each for each in instructions if each not in text] == []
    assert "dmb" not in text


def test_on_arm64_fences_hint_and_counter_are_the_right_instructions():
    assert "dmb ishld" in emitted(ARM, "_fence_acquire", pointer=False)
    assert "dmb ish;" in emitted(ARM, "_fence_release", pointer=False)
    assert "yield" in emitted(ARM, "_pause", pointer=False)
    assert "yield" in emitted(APPLE, "_pause", pointer=False)
    assert "cntvct_el0" in emitted(ARM, "_cycle_counter", pointer=False)
    assert "cntvct_el0" in emitted(APPLE, "_cycle_counter", pointer=False)


@pytest.mark.parametrize("name", ["_load_acquire", "_load_relaxed", "_store_release", "_store_relaxed"])
def test_on_x86_loads_and_stores_are_plain_moves(name):
    text = emitted(INTEL, name, int("store" in name))
    assert "movq" in text
    assert [each for each in ("lock", "xchg", "fence") if each in text] == []


def test_on_x86_what_reads_and_writes_is_locked():
    assert "lock xadd" in emitted(INTEL, "_fetch_add", 1)
    assert "lock cmpxchg" in emitted(INTEL, "_compare_and_swap", 2)
    assert "pause" in emitted(INTEL, "_pause", pointer=False)
    assert "rdtsc" in emitted(INTEL, "_cycle_counter", pointer=False)


def test_elsewhere_the_hint_is_nothing():
    assert "call" in written(INTEL, "_pause", pointer=False)
    assert "call" not in written("riscv64-unknown-linux-gnu", "_pause", pointer=False)
