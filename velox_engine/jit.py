"""How engine code is compiled: one decorator, and a compile cache that can never be wrong or fatal.

numba's own cache notices a change in the file of a function, but not in another module that it calls: it would run
old code with wrong results. So the cache lies in a directory named after a hash of *all* engine sources and of every
version that matters. A cache that cannot be written is done without; one that cannot be read is emptied.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
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
from numba.core import caching, event

from velox_engine.lockfree.counter import has_invariant_counter

F = TypeVar("F", bound=Callable[..., Any])

_ENGINE: Final = Path(__file__).parent
_KEEP_OLD: Final = 3  # cache directories of other versions that are left alone: two checkouts should not fight
_dispatchers: list[Any] = []
# without numba's runtime nothing is allocated, and no reference is counted: a call that passes fifty arrays would else
# do a hundred atomic additions, on words that the workers share
_OPTIONS: Final = {"nogil": True, "error_model": "numpy", "_nrt": False}

int64 = cast("Callable[[Any], int]", np.int64)
"""``numpy.int64`` for compiled code, where it *is* an ``int``: signed arithmetic stays signed."""


@cache
def source_key() -> str:
    """A hash of every engine source and of the versions that shape compiled code, 16 hex digits."""
    digest = hashlib.sha256()
    for path in sorted(_ENGINE.rglob("*.py")):
        digest.update(str(path.relative_to(_ENGINE)).encode())
        digest.update(path.read_bytes())
    for name in ("numba", "llvmlite", "numpy"):
        digest.update(version(name).encode())
    # numba reads these at start; each changes the code that it makes, and none of them is in its own key
    for name in ("NUMBA_OPT", "NUMBA_BOUNDSCHECK", "NUMBA_LOOP_VECTORIZE", "NUMBA_SLP_VECTORIZE"):
        digest.update(os.environ.get(name, "").encode())
    digest.update(f"{sys.implementation.cache_tag} {platform.machine()} {sys.platform}".encode())
    digest.update(f"counter {has_invariant_counter()}".encode())  # the clock that is compiled in depends on it
    return digest.hexdigest()[:16]


def _usable(directory: Path) -> bool:
    """Whether the directory is ours alone and can be written; a cache is pickled code, so both matter."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "getuid") and directory.stat().st_uid != os.getuid():
            return False
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"velox")
    except OSError:
        return False
    return True


@cache
def cache_directory() -> Path | None:
    """Where compiled code is kept, or ``None`` where nothing can be written (then each start compiles)."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        return None
    asked = os.environ.get("VELOX_CACHE_DIR")
    user = Path(asked) if asked else Path(platformdirs.user_cache_dir("velox-tui"))
    roots = [user / "compiled", Path(tempfile.gettempdir()) / f"velox-tui-{getattr(os, 'getuid', int)()}"]
    for root in roots:
        directory = root / source_key()
        if _usable(directory):
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
    directory = cache_directory()
    # numba reads its global setting when a function is decorated: give it ours for that moment only, so that a
    # program which uses this package keeps its own numba cache where it wants it
    before = numba.config.CACHE_DIR
    if directory is not None:
        numba.config.CACHE_DIR = str(directory)
    try:
        dispatcher = numba.njit(cache=directory is not None, **_OPTIONS)(function)
    finally:
        numba.config.CACHE_DIR = before
    _dispatchers.append(dispatcher)
    return dispatcher


def inner(function: F) -> F:
    """Compile a function that only compiled functions call.

    It has no entry from Python and no place in the cache: both cost more than its own code, and whoever calls it holds
    that code anyway.
    """
    return numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)


def compile_for(function: Callable[..., Any], arguments: tuple[Any, ...]) -> bool:
    """Compile a `compiled` function for arguments of these types, or load it; say whether it was loaded.

    A cache that turns out damaged, foreign or full is emptied, then done without; it is never an error.
    """
    dispatcher: Any = function
    signature = tuple(numba.typeof(argument) for argument in arguments)
    for attempt in range(3):
        try:
            dispatcher.compile(signature)
            break
        except Exception:
            # what a damaged pickle raises cannot be listed: anything at all. Real compile errors come back below.
            directory = cache_directory()
            if directory is None or attempt == 2:
                raise
            if attempt == 0:
                shutil.rmtree(directory, ignore_errors=True)
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            else:
                for each in _dispatchers:
                    each._cache = caching.NullCache()
    return bool(dispatcher.stats.cache_hits)


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
