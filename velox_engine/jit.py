"""How engine code is compiled: one decorator, and a compile cache that can never be wrong or fatal.

numba's own cache notices a change in the file of a function, but not in another module that it calls: it would run old
code with wrong results. So the cache lies in a directory named after a hash of all sources that compiled code is made
from, and of every version that matters. A cache that cannot be written is done without; a file that cannot be read is
replaced.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
from numba.core import event

from velox_engine import cache_place
from velox_engine.function_cache import FunctionCache
from velox_engine.linking import PartCompiler, WholeCompiler

F = TypeVar("F", bound=Callable[..., Any])

# without numba's runtime nothing is allocated, and no reference is counted: a call that passes fifty arrays would else
# do a hundred atomic additions, on words that the workers share
_OPTIONS: Final = {"nogil": True, "error_model": "numpy", "_nrt": False, "no_cfunc_wrapper": True}

int64 = cast("Callable[[Any], int]", np.int64)
"""``numpy.int64`` for compiled code, where it *is* an ``int``: signed arithmetic stays signed."""


@cache
def source_key() -> str:
    """A hash of the sources and of the versions that shape compiled code, 16 hex digits."""
    return cache_place.source_key({name: str(getattr(numba.config, name, "")) for name in cache_place.SETTINGS})


@cache
def cache_directory() -> Path | None:
    """Where compiled code is kept, or ``None`` where nothing can be written (then each start compiles)."""
    return cache_place.find_place(source_key())


def compiled(function: F) -> F:
    """Compile a function that runs in a worker: without the GIL, cached, numpy's error model.

    It must allocate nothing, raise nothing and touch no Python object. Calls from Python go through numba's
    dispatcher; calls from other compiled functions are inlined or direct.
    """
    return _kept(numba.njit(pipeline_class=WholeCompiler, **_OPTIONS)(function), function)


def entered(function: F) -> F:
    """Compile a function that is called by its address as well (C's convention), besides all that `compiled` gives."""
    return _kept(
        numba.njit(pipeline_class=WholeCompiler, **{**_OPTIONS, "no_cfunc_wrapper": False})(function), function
    )


def part(function: F) -> F:
    """Compile a function that only compiled functions call, and keep it in the cache; see `inner`.

    It is for what takes long to compile and has many arguments: an entry from Python would have to unpack them all.
    """
    return _kept(numba.njit(pipeline_class=WholeCompiler, no_cpython_wrapper=True, **_OPTIONS)(function), function)


def _kept(dispatcher: Any, function: F) -> F:
    directory = cache_directory()
    if directory is not None:
        dispatcher._cache = FunctionCache(function, directory)
    return cast("F", dispatcher)


def inner(function: F) -> F:
    """Compile a function that only compiled functions call.

    It has no entry from Python (calling it from there crashes the process), no machine code of its own and no place in
    the cache: all cost more than its own code, and whoever is entered holds that code anyway (`linking`).
    """
    return numba.njit(pipeline_class=PartCompiler, no_cpython_wrapper=True, **_OPTIONS)(function)


# spelled out once more: what is compiled for an inlined caller would inherit its options
_WITHIN: Final = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def inlined(function: F) -> F:
    """Compile a function into each compiled function that calls it; as with `inner`, Python must not call it.

    A function of numbers and addresses: handing an array on counts a reference up and down again, atomically, and that
    alone costs as much as decoding a message or finding an order.
    """
    return cast("F", numba.njit(pipeline_class=PartCompiler, **_WITHIN, forceinline=True)(function))


def aside(function: F) -> F:
    """Compile a function that only compiled functions call, and that never shall grow into them.

    Its first statement must make LLVM leave it alone; what is rare would only make the hot loop larger.
    """
    return cast("F", numba.njit(pipeline_class=PartCompiler, **_WITHIN, forceinline=False)(function))


def compile_for(function: Callable[..., Any], arguments: tuple[Any, ...]) -> bool:
    """Compile a `compiled` function for arguments of these types, or load it; say whether it was loaded."""
    dispatcher: Any = function
    signature = tuple(numba.typeof(argument) for argument in arguments)
    dispatcher.compile(signature)
    return signature in dispatcher.stats.cache_hits


class Interrupted(BaseException):
    """Compiling was given up; no `Exception`, so that nothing on its way takes it for a damaged cache."""


class _Watch(event.Listener):  # type: ignore[misc]  # numba has no types
    """Asks before each pass of the compiler, in the thread that made it, whether the work is still wanted."""

    def __init__(self, given_up: Callable[[], bool]) -> None:
        self._given_up = given_up
        self._thread = threading.get_ident()

    def on_start(self, event: Any) -> None:
        if threading.get_ident() == self._thread and self._given_up():
            raise Interrupted

    def on_end(self, event: Any) -> None:
        pass


@contextmanager
def interruptible(given_up: Callable[[], bool]) -> Iterator[None]:
    """Compile inside in such a way that it ends with `Interrupted` soon after ``given_up()`` has become true.

    A whole engine takes fifteen seconds; the longest pass, which cannot be interrupted, one or two.
    """
    with event.install_listener("numba:run_pass", _Watch(given_up)):
        yield
