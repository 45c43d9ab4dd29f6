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
from collections.abc import Callable
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


class FunctionCache(caching.FunctionCache):  # type: ignore[misc]
    """The cache of one function in numba's current cache directory."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        # numba names the directory after the place of the source; the same sources at another place are the same code
        locator = self._impl.locator
        with contextlib.suppress(OSError):
            Path(locator.get_cache_path()).rmdir()
        locator._cache_path = str(Path(caching.config.CACHE_DIR) / function.__module__)
        self._cache_path = locator.get_cache_path()
        self._cache_file = _CheckedFiles(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=locator.get_source_stamp(),
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the code for a signature, ``None`` where there is none that can be trusted."""
        try:
            loaded = super().load_overload(sig, target_context)
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
