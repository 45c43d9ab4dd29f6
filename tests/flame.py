"""Where a worker's time goes: ``python -m tests.flame OUT.svg [--seconds N] [--set section.key=value]...`` (Linux).

An engine runs at maximum rate on one core while ``perf record`` samples its thread 2,000 times a second (the software
clock: no hardware counters are needed, so it works in virtual machines). numba compiles with line tables
(``NUMBA_DEBUGINFO``) into a cache of its own. ``perf`` knows nothing of code that was compiled in memory, so each
sample's address is looked up here: by function, and within it by ``addr2line``, which tells what was inlined there.
OUT.svg is a flame graph: width is time; modules at the bottom, on them the functions as they were compiled, and on
these what was inlined into them. The heaviest leaves are printed.

It needs ``perf``, ``readelf`` and ``addr2line``. Pytest does not collect this file.
"""

from __future__ import annotations

import argparse
import html
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from bisect import bisect_right
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from numba.core import codegen, config

_HZ = 1999
_WIDTH, _ROW, _FONT = 1200, 17, 11
_SYSTEM = "system"
_LEAST = 2.0  # a frame of fewer pixels is not drawn
_PLACE = re.compile(r"^(?P<path>.*):(\d+|\?)( \(discriminator \d+\))?$")


class Code(NamedTuple):
    """Compiled code in memory: where its section begins, where it ends, and its object file."""

    base: int
    end: int
    section: str
    path: Path


def keep_objects() -> list[Any]:
    """Have numba's libraries remember their object code; return the list that they will enter themselves in."""
    libraries: list[Any] = []
    hook, setter = codegen.CPUCodeLibrary._object_compiled_hook.__func__, codegen.CPUCodeLibrary._set_compiled_object

    def compiled(cls: Any, module: Any, buffer: bytes) -> None:
        hook(cls, module, buffer)
        library = getattr(module, "_CPUCodeLibrary__library", None) or getattr(module, "__library", None)
        if library is not None:
            library.kept = bytes(buffer)
            libraries.append(library)

    def loaded(self: Any, value: bytes) -> None:
        setter(self, value)
        self.kept = bytes(value)
        libraries.append(self)

    codegen.CPUCodeLibrary._object_compiled_hook = classmethod(compiled)
    codegen.CPUCodeLibrary._set_compiled_object = loaded
    return libraries


def places(libraries: list[Any], folder: Path) -> list[Code]:
    """Find where each library's code lies in memory, by any of its functions."""
    found = []
    for number, library in enumerate(libraries):
        path = folder / f"{number}.o"
        path.write_bytes(library.kept)
        rows = subprocess.run(["readelf", "-sW", str(path)], capture_output=True, text=True, check=True).stdout
        sections = subprocess.run(["readelf", "-SW", str(path)], capture_output=True, text=True, check=True).stdout
        names = dict(re.findall(r"\[ *(\d+)\] (\S+)", sections))
        functions = [row.split() for row in rows.splitlines() if " FUNC " in row]
        for _, value, _, _, _, _, index, name in (row for row in functions if len(row) == 8):
            address = library.get_pointer_to_function(name)
            if address:
                base = address - int(value, 16)
                same = [row for row in functions if row[6] == index]
                end = max(base + int(row[1], 16) + int(row[2], 0) for row in same)
                found.append(Code(base, end, names[index], path))
                break
    return sorted(found)


def frames(code: Code, addresses: list[int]) -> dict[int, list[str]]:
    """The module and the functions that each address lies in, the outermost first, as the line table tells them."""
    command = ["addr2line", "-afi", "-j", code.section, "-e", str(code.path)]
    lines = "".join(f"{address - code.base:#x}\n" for address in addresses)
    told = subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout
    stacks: dict[int, list[str]] = {}
    stack: list[str] = []
    for line in told.splitlines():
        if line.startswith("0x"):
            stack = stacks.setdefault(int(line, 16) + code.base, [])
        elif place := _PLACE.match(line):
            stack.insert(0, place["path"].rpartition("velox_engine/")[2].removesuffix(".py"))
        else:
            if stack:
                del stack[0]  # the module of what this one calls: the outermost function's says enough
            stack.insert(0, short(line))
    return stacks


def short(name: str) -> str:
    """``velox_engine::stages::worker::_turn[abi:…](…)`` and its mangled form as ``_turn``."""
    mangled = re.match(r"^_ZN(.*)", name)
    if mangled:
        parts, rest = [], mangled[1]
        while match := re.match(r"(\d+)", rest):
            length = int(match[1])
            rest = rest[len(match[1]) :]
            parts.append(rest[:length])
            rest = rest[length:]
        name = parts[-1] if parts else name
    name = name.split("(")[0]
    name = re.sub(r"_\d+$|_3clocals_3e|_24\d+.*$", "", name)
    return name.rpartition("::")[2].rpartition(".")[2] or name


def sampled(samples: Path, code: list[Code]) -> Counter[tuple[str, ...]]:
    """Stacks and how often each was met."""
    told = subprocess.run(
        ["perf", "script", "-i", str(samples), "-F", "comm,ip,sym"], capture_output=True, text=True, check=True
    ).stdout
    met: Counter[int] = Counter()
    stacks: Counter[tuple[str, ...]] = Counter()
    begins = [each.base for each in code]
    for line in told.splitlines():
        words = line.split()
        if not words or not words[0].startswith("vx-worker"):
            continue
        address = int(words[1], 16)
        at = bisect_right(begins, address) - 1
        if at >= 0 and address < code[at].end:
            met[address] += 1
        else:
            stacks[_SYSTEM,] += 1
    for each in code:
        inside = [address for address in met if each.base <= address < each.end]
        if inside:
            for address, stack in frames(each, inside).items():
                stacks[tuple(stack) or ("?",)] += met[address]
    return stacks


def drawn(stacks: Counter[tuple[str, ...]], title: str) -> str:
    """The stacks as a flame graph, SVG."""
    total = sum(stacks.values())
    boxes: list[str] = []
    deepest = 0

    def draw(part: Counter[tuple[str, ...]], depth: int, left: float) -> None:
        nonlocal deepest
        groups: dict[str, Counter[tuple[str, ...]]] = {}
        for stack, count in part.items():
            if stack:
                groups.setdefault(stack[0], Counter())[stack[1:]] += count
        for name in sorted(groups):
            count = sum(groups[name].values())
            width = _WIDTH * count / total
            if width >= _LEAST:
                deepest = max(deepest, depth)
                share = f"{100 * count / total:.1f} %"
                hue = 25 + hash_of(name) % 35
                letters = int(width / 6.6)
                label = name if len(name) <= letters else name[: max(letters - 1, 0)] + ("…" if letters > 2 else "")
                boxes.append(
                    f'<g transform="translate({left:.1f},{-(depth + 1) * _ROW})"><title>{html.escape(name)}: {share}'
                    f'</title><rect width="{max(width - 0.5, 0.5):.1f}" height="{_ROW - 1}" fill="hsl({hue},75%,66%)"/>'
                    f'<text x="3" y="{_ROW - 5}">{html.escape(label)}</text></g>'
                )
                draw(groups[name], depth + 1, left)
            left += width

    draw(stacks, 0, 0.0)
    height = (deepest + 1) * _ROW + 30
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="monospace" '
        f'font-size="{_FONT}"><rect width="100%" height="100%" fill="#fdfaf2"/><text x="6" y="16" font-size="13">'
        f'{html.escape(title)}</text><g transform="translate(0,{height})">{"".join(boxes)}</g></svg>\n'
    )


def hash_of(name: str) -> int:
    return sum((at + 1) * ord(letter) for at, letter in enumerate(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT.svg")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value")
    asked = parser.parse_args()
    if not config.DEBUGINFO_DEFAULT:
        with tempfile.TemporaryDirectory() as cache:
            own = {"NUMBA_DEBUGINFO": "1", "VELOX_CACHE_DIR": cache}
            raise SystemExit(
                subprocess.run(
                    [sys.executable, "-m", "tests.flame", *sys.argv[1:]], env={**os.environ, **own}
                ).returncode
            )
    libraries = keep_objects()
    warnings.simplefilter("ignore")  # numba's, of functions whose lines it does not know
    from velox_engine import Engine, load_config

    core = max(os.sched_getaffinity(0))
    overrides: dict[str, object] = {
        f"threads.{stage}_core": core for stage in ("ingress", "orderbook", "bundle", "output")
    }
    overrides |= {"pipeline.ingress_rate_hz": "max", "source.seed": 7}
    overrides |= dict(word.split("=", 1) for word in asked.set)
    engine = Engine(load_config(overrides=overrides, environ={}))
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "perf.data"
        with engine:
            command = [
                "perf",
                "record",
                "-q",
                "-e",
                "cpu-clock",
                "-F",
                str(_HZ),
                "-p",
                str(os.getpid()),
                "-o",
                str(samples),
            ]
            recording = subprocess.Popen([*command, "--", "sleep", str(asked.seconds)])
            recording.wait()
            time.sleep(0.1)
        report = engine.report()
        stacks = sampled(samples, places(libraries, Path(folder)))
    assert report.conserved
    away = stacks.pop((_SYSTEM,), 0)  # in the system: mostly where it let others run on this core
    total = sum(stacks.values())
    print(f"{100 * away / (total + away):.1f} % of {total + away:,} samples were in the system, and are left out")
    kind = f"{report.config['source']['model']} flow, {report.config['book']['kind']} book"
    rate = f"{report.throughput_per_s / 1e6:.1f} M transactions/s"
    asked.out.write_text(drawn(stacks, f"one worker at maximum rate, {kind}: {rate}, {total:,} samples"))
    for title, place in (("modules", 0), ("functions", -1)):
        heaviest: Counter[str] = Counter()
        for stack, count in stacks.items():
            heaviest[stack[place]] += count
        print(title)
        for name, count in heaviest.most_common(20):
            print(f"{100 * count / total:5.1f} %  {name}")


if __name__ == "__main__":
    main()
