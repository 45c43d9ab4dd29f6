"""numba's cache of one function, for which damaged, foreign or missing files and a full disk are never an error.

What numba makes of such files cannot be listed: it unpickles them, and runs what it finds. So each data file begins
with the SHA-256 of the rest, and nothing that does not match is even unpickled; and whatever goes wrong with a file,
the function is compiled as if there were none. This holds for every way in which a function comes to be compiled, by
`jit.compile_for` or by a plain call.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from numba.core import caching, sigutils

_DIGEST_BYTES: Final = hashlib.sha256().digest_size


class _CheckedFiles(caching.IndexDataCacheFile):  # type: ignore[misc]  # numba has no types
    """The files of one function; data files carry their digest."""

    def _save_data(self, name: str, data: Any) -> None:
        payload = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(hashlib.sha256(payload).digest())
            file.write(payload)

    def _load_data(self, name: str) -> Any:
        data = Path(self._data_path(name)).read_bytes()
        payload = data[_DIGEST_BYTES:]
        if hashlib.sha256(payload).digest() != data[:_DIGEST_BYTES]:
            raise ValueError(f"{name} is damaged")
        return pickle.loads(payload)


@cache
def _content(source: str) -> str:
    return hashlib.sha256(Path(source).read_bytes()).hexdigest()


class _Place(caching._CacheLocator):  # type: ignore[misc]
    """Where one function's files lie: the same sources at another place, or written anew, are the same code."""

    def __init__(self, function: Callable[..., Any], directory: Path) -> None:
        self._path = directory / function.__module__
        self._source = function.__code__.co_filename
        self._line = function.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return str(self._path)

    def get_source_stamp(self) -> str:
        return _content(self._source)

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> None:
        """Leave the choice of a place to whoever makes one."""


class _Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
    """How numba keeps a compiled function, at a place of ours."""

    def __init__(self, function: Callable[..., Any], directory: Path) -> None:
        # not numba's own: that would try for each function anew whether files can be made in the directory
        self._lineno = function.__code__.co_firstlineno
        self._locator = _Place(function, directory)
        self._filename_base = self.get_filename_base(function.__qualname__, getattr(sys, "abiflags", ""))


class FunctionCache(caching.FunctionCache):  # type: ignore[misc]
    """The cache of one function below ``directory``, which need not exist."""

    def __init__(self, function: Callable[..., Any], directory: Path) -> None:
        self._name = repr(function)
        self._py_func = function
        self._impl = _Implementation(function, directory)
        self._cache_path = self._impl.locator.get_cache_path()
        self._cache_file = _CheckedFiles(
            self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
        )
        self.enable()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the code for a signature, ``None`` where there is none that can be trusted."""
        try:
            # not numba's own `load_overload`: it first fills the compiler's tables, a quarter of a second which
            # nothing that is loaded needs (whoever compiles fills them then)
            loaded = self._load_overload(sig, target_context)
        except Exception:
            # an index that cannot be read would keep what is compiled now from being saved
            with contextlib.suppress(OSError):
                Path(self._cache_file._index_path).unlink()
            return None
        # two processes that save at once can leave an index which names the other's file
        if loaded is None or tuple(loaded.signature.args) != tuple(sigutils.normalize_signature(sig)[0]):
            return None
        return loaded

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code for a signature if that can be done."""
        with contextlib.suppress(Exception):
            super().save_overload(sig, data)
