"""How engine code is compiled: one decorator, and a compile cache that can never be wrong or fatal.

numba's own cache notices a change in the file of a function, but not in another module that it calls: it would run old
code with wrong results. So the cache lies in a directory named after a hash of all sources that compiled code is made
from, and of every version that matters. A cache that cannot be written is done without; a file that cannot be read is
replaced.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
import platformdirs
from numba.core import event

from velox_engine.function_cache import FunctionCache
from velox_engine.lockfree.counter import has_invariant_counter
from velox_engine.sources import compiled_sources

F = TypeVar("F", bound=Callable[..., Any])

_ENGINE: Final = Path(__file__).parent
_KEEP_OLD: Final = 3  # cache directories of other versions that are left alone: two checkouts should not fight
# numba reads these settings at start; each changes the code that it makes, and none of them is in its own key
_SETTINGS: Final = ("OPT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE")
# without numba's runtime nothing is allocated, and no reference is counted: a call that passes fifty arrays would else
# do a hundred atomic additions, on words that the workers share
_OPTIONS: Final = {"nogil": True, "error_model": "numpy", "_nrt": False}

int64 = cast("Callable[[Any], int]", np.int64)
"""``numpy.int64`` for compiled code, where it *is* an ``int``: signed arithmetic stays signed."""


@cache
def source_key() -> str:
    """A hash of the sources and of the versions that shape compiled code, 16 hex digits."""
    digest = hashlib.sha256()

    def add(name: str, value: bytes) -> None:
        digest.update(f"{name} {len(value)}\n".encode() + value)

    for name, text in compiled_sources(_ENGINE):
        add(name, text)
    for name in ("numba", "llvmlite", "numpy"):
        add(name, version(name).encode())
    for name in _SETTINGS:
        add(name, str(getattr(numba.config, name, "")).encode())
    add("platform", f"{sys.implementation.cache_tag} {platform.machine()} {sys.platform}".encode())
    add("counter", str(has_invariant_counter()).encode())  # the clock that is compiled in depends on it
    return digest.hexdigest()[:16]


def _usable(*directories: Path) -> bool:
    """Whether the directories, each in the one before, are ours alone and the last can be written.

    A cache is code: whoever can write it, or put another in its place, can make us run anything.
    """
    try:
        for directory in directories:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = directory.lstat()
            ours = status.st_uid == os.getuid() if hasattr(os, "getuid") else True
            if not ours or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o022:
                return False
        with tempfile.TemporaryFile(dir=directories[-1]) as probe:
            probe.write(b"velox")
    except OSError:
        return False
    return True


def _roots() -> Iterator[Path]:
    """Yield where caches may lie, the best place first."""
    asked = os.environ.get("VELOX_CACHE_DIR")
    user = Path(asked).absolute() if asked else Path(platformdirs.user_cache_dir("velox-tui"))
    if user.is_absolute():  # the home of a user who has none stays an unexpanded "~"
        yield user / "compiled"
    try:
        temporary = Path(tempfile.gettempdir())
    except OSError:
        return
    yield temporary / f"velox-tui-{getattr(os, 'getuid', int)()}"


@cache
def cache_directory() -> Path | None:
    """Where compiled code is kept, or ``None`` where nothing can be written (then each start compiles)."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        return None
    for root in _roots():
        directory = root / source_key()
        if _usable(root, directory):
            _forget_old(root, directory)
            return directory
    return None


def _forget_old(root: Path, current: Path) -> None:
    try:
        others = [entry for entry in root.iterdir() if entry != current and entry.is_dir()]
        others.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
        for entry in others[_KEEP_OLD:]:
            shutil.rmtree(entry, ignore_errors=True)
    except OSError:
        return


def compiled(function: F) -> F:
    """Compile a function that runs in a worker: without the GIL, cached, numpy's error model.

    It must allocate nothing, raise nothing and touch no Python object. Calls from Python go through numba's
    dispatcher; calls from other compiled functions are inlined or direct.
    """
    dispatcher: Any = numba.njit(**_OPTIONS)(function)
    directory = cache_directory()
    if directory is not None:
        dispatcher._cache = FunctionCache(function, directory)
    return cast("F", dispatcher)


def inner(function: F) -> F:
    """Compile a function that only compiled functions call.

    It has no entry from Python (calling it from there crashes the process) and no place in the cache: both cost more
    than its own code, and whoever calls it holds that code anyway.
    """
    return numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)


# spelled out once more: what is compiled for an inlined caller would inherit its options
_WITHIN: Final = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def inlined(function: F) -> F:
    """Compile a function into each compiled function that calls it; as with `inner`, Python must not call it.

    A function of numbers and addresses: handing an array on counts a reference up and down again, atomically, and that
    alone costs as much as decoding a message or finding an order.
    """
    return cast("F", numba.njit(**_WITHIN, forceinline=True)(function))


def aside(function: F) -> F:
    """Compile a function that only compiled functions call, and that never shall grow into them.

    Its first statement must make LLVM leave it alone; what is rare would only make the hot loop larger.
    """
    return cast("F", numba.njit(**_WITHIN, forceinline=False)(function))


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

    A whole engine takes half a minute; the longest pass, which cannot be interrupted, some seconds.
    """
    with event.install_listener("numba:run_pass", _Watch(given_up)):
        yield
