"""Which sources compiled code is made from: those that hold compiled functions, and whatever these import.

A compile cache must change with each of them, and should not change with anything else: an exporter or a message that
is written anew must not cost its user a quarter of a minute. Imports nothing of the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PACKAGE: Final = "velox_engine"
# a line that makes machine code: our decorators, numba's own
_COMPILES: Final = re.compile(
    r"^\s*@(compiled|entered|part|inner|inlined|aside|intrinsic|njit|numba\.)|\bnjit\(", re.MULTILINE
)
_IMPORTS: Final = re.compile(
    rf"^[ \t]*(?:from[ \t]+({_PACKAGE}[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+({_PACKAGE}[\w.]*))",
    re.MULTILINE,
)
# what these name decides which functions are compiled, and for which arguments
_CHOOSING: Final = ("assembly.py", "compiling.py")


def compiled_sources(engine: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every source below ``engine`` that compiled code depends on, in the order of names.

    What a module imports is found in its text, at its top and inside its functions alike: too much does no harm.
    """
    texts = {path.relative_to(engine).as_posix(): path.read_bytes() for path in engine.rglob("*.py")}
    waiting = [name for name, text in texts.items() if _COMPILES.search(text.decode(errors="replace"))]
    followed: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in followed:
            followed.add(name)
            waiting += _imported(texts[name].decode(errors="replace"), texts)
    for name in sorted(followed.union(_CHOOSING).intersection(texts)):
        yield name, texts[name]


def _imported(text: str, known: dict[str, bytes]) -> Iterator[str]:
    """Yield the files that a module's text imports."""
    for package, names, module in _IMPORTS.findall(text):
        base = _file(module or package, known)
        words = ",".join(line.split("#")[0] for line in names.strip("()").splitlines())
        parts = [word.split(" as ")[0].strip() for word in words.split(",")]
        inner = [_file(f"{package}.{part}", known) for part in parts if part]
        # a name that is no module comes out of the package itself
        yield from (name for name in inner if name is not None)
        if base is not None and (not inner or None in inner):
            yield base


def _file(module: str, known: dict[str, bytes]) -> str | None:
    path = module.removeprefix(_PACKAGE).strip(".").replace(".", "/")
    for name in (f"{path}.py", f"{path}/__init__.py".lstrip("/")):
        if name in known:
            return name
    return None
