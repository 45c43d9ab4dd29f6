"""Time that a simulation makes up, for compiled code and for Python.

The engine's code asks ``ticks``, a name in each module, when it is compiled. `install` gives that name another meaning
before anything is compiled, so the live path is not touched; what is compiled goes into a cache directory of its own.
"""

import ctypes
import os
from pathlib import Path
from types import SimpleNamespace

import llvmlite.binding
import numpy as np
import platformdirs
from llvmlite import ir
from numba import cfunc, types
from numba.extending import intrinsic

SYMBOL = "velox_simulated_ticks"
NOW, COST = 0, 1
"""Words of `words`: the moment in ticks, and how many ticks a look at the clock takes."""

words = np.zeros(2, np.int64)


def own_cache():
    """Keep what is compiled apart from what engines run; call it before the engine is imported."""
    chosen = os.environ.get("VELOX_CACHE_DIR") or platformdirs.user_cache_dir("velox-tui")
    os.environ["VELOX_CACHE_DIR"] = str(Path(chosen) / "simulation")


@intrinsic
def _tick(typing_context):
    def codegen(context, builder, signature, args):
        i64 = ir.IntType(64)
        base = builder.inttoptr(ir.Constant(i64, words.ctypes.data), i64.as_pointer())
        now = builder.load(base)
        builder.store(builder.add(now, builder.load(builder.gep(base, [ir.Constant(i64, COST)]))), base)
        return now

    return types.int64(), codegen


@cfunc(types.int64())
def _simulated():
    return _tick()


# by name, as the C library's functions are: an address would be of no use in a cache
llvmlite.binding.add_symbol(SYMBOL, _simulated.address)
ticks = types.ExternalFunction(SYMBOL, types.int64())


class Time:
    """Stands in for the module ``time`` where the supervisor and its chronicle ask it. ``sleep`` lets others run."""

    def __init__(self, sleep):
        self._sleep = sleep

    def monotonic(self):
        return self.monotonic_ns() * 1e-9

    def monotonic_ns(self):
        return int(words[NOW])

    def time_ns(self):
        return int(words[NOW])

    def sleep(self, seconds):
        if seconds > 0:
            self._sleep(seconds)


def install():
    """Make every part of the engine that a simulation uses ask the simulated clock; returns where ``time`` is set."""
    from velox_engine import crew, lookout, supervisor
    from velox_engine.feeds import synthetic
    from velox_engine.stages import common, ingress, worker
    from velox_engine.telemetry import chronicle, reader

    for module in (worker, synthetic):
        assert hasattr(module, "ticks")
        module.ticks = ticks
    common.CHECKPOINT_EVERY = 512  # a million transactions are too many for a short run
    ingress.REWIND = 16
    lookout.read_ticks = lambda: int(words[NOW])
    return SimpleNamespace(modules=(supervisor, crew, chronicle, reader))


assert ctypes.sizeof(ctypes.c_void_p) == 8
