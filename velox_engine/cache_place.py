"""Where compiled code is kept: in a directory named after everything that shapes it. Imports nothing of the compiler.

So the doctor can tell whether a start will compile without loading what would compile.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

import platformdirs

from velox_engine.lockfree.counter import has_invariant_counter
from velox_engine.sources import compiled_sources

ENGINE: Final = Path(__file__).parent
SETTINGS: Final = {"OPT": "_OptLevel(3)", "BOUNDSCHECK": "None", "LOOP_VECTORIZE": "1", "SLP_VECTORIZE": "0"}
"""What numba reads at start and has not in its own key, though each changes the code; with its usual value as text."""
_KEEP_OLD: Final = 3  # cache directories of other versions that are left alone: two checkouts should not fight


def expected_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Tell what numba will make of an environment for `SETTINGS`; a ``.numba_config.yaml`` is not looked at."""
    found = dict(SETTINGS)
    for name in SETTINGS:
        text = environ.get(f"NUMBA_{name}", "").strip()
        if name == "OPT" and text in ("0", "1", "2", "3", "max"):
            found[name] = "_OptLevel('max')" if text == "max" else f"_OptLevel({text})"
        elif name != "OPT" and text.lstrip("+-").isdecimal():
            found[name] = str(int(text))
    return found


def source_key(settings: Mapping[str, str]) -> str:
    """Return a hash of the sources, versions and ``settings`` that shape compiled code, 16 hex digits."""
    digest = hashlib.sha256()

    def add(name: str, value: bytes) -> None:
        digest.update(f"{name} {len(value)}\n".encode() + value)

    for name, text in compiled_sources(ENGINE):
        add(name, text)
    for name in ("numba", "llvmlite", "numpy"):
        add(name, version(name).encode())
    for name, value in settings.items():
        add(name, value.encode())
    add("platform", f"{sys.implementation.cache_tag} {platform.machine()} {sys.platform}".encode())
    add("counter", str(has_invariant_counter()).encode())  # the clock that is compiled in depends on it
    return digest.hexdigest()[:16]


def find_place(key: str, *, make: bool = True) -> Path | None:
    """Return the directory for a key in the best place that can be written, ``None`` where there is none.

    It is made, unless ``make`` is false: then the place that it would be made in is returned.
    """
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        return None
    for root in _roots():
        directory = root / key
        if _usable(root, directory, make=make):
            if make:
                _forget_old(root, directory)
            return directory
    return None


def complete_mark(directory: Path, kind: str) -> Path:
    """Return the file that stands in a cache once all that a run with this kind of book needs is there."""
    return directory / f"complete-{kind}"


def best_root() -> Path | None:
    """Return where caches should lie, whether or not that can be written."""
    return next(_roots(), None)


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


def _usable(*directories: Path, make: bool) -> bool:
    """Whether the directories, each in the one before, are ours alone and the last can be written.

    A cache is code: whoever can write it, or put another in its place, can make us run anything.
    """
    try:
        for directory in directories:
            if make:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            elif not os.path.lexists(directory):
                return _can_be_made(directory)
            status = directory.lstat()
            ours = status.st_uid == os.getuid() if hasattr(os, "getuid") else True
            if not ours or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o022:
                return False
        with tempfile.TemporaryFile(dir=directories[-1]) as probe:
            probe.write(b"velox")
    except OSError:
        return False
    return True


def _can_be_made(directory: Path) -> bool:
    """Whether the nearest directory above that there is takes something new; asked without leaving a trace."""
    above = next(each for each in directory.parents if os.path.lexists(each))
    with tempfile.TemporaryFile(dir=above):
        return True


def _forget_old(root: Path, current: Path) -> None:
    try:
        others = [entry for entry in root.iterdir() if entry != current and entry.is_dir()]
        others.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
        for entry in others[_KEEP_OLD:]:
            shutil.rmtree(entry, ignore_errors=True)
    except OSError:
        return
