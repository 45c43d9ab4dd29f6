"""What it runs with: the platform, the versions, and whether a start finds compiled code."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path
from typing import Final

from velox_engine import cache_place
from velox_engine.config import Config
from velox_tui.doctor.findings import Finding, Verdict
from velox_tui.doctor.system import System

_DISTRIBUTION: Final = "velox-tui"
_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._-]+)\s*\(?((?:\s*[<>=!~]=?\s*[0-9][^,;)\s]*\s*,?)*)\)?\s*(;.*)?$")
_BOUND: Final = re.compile(r"(>=|<=|<|>|==|!=)\s*([0-9.]+)")
_PYTHON: Final = "Programming Language :: Python :: 3."


@dataclass(frozen=True, slots=True)
class Supported:
    """What the project says of versions: bounds by package (such as ``>=0.68,<0.69``), minor versions of Python 3."""

    packages: Mapping[str, str]
    minors: tuple[int, ...]


def supported() -> Supported:
    """Read what is supported where it is written: in the checkout's project file, or else in what is installed."""
    project = Path(__file__).parents[2] / "pyproject.toml"
    try:
        table = tomllib.loads(project.read_text())["project"]
        wanted, classifiers = table["dependencies"], table["classifiers"]
        if table["name"] != _DISTRIBUTION:
            raise KeyError("name")
    except (OSError, KeyError, ValueError):
        try:
            wanted = [each for each in requires(_DISTRIBUTION) or () if "extra ==" not in each]
            classifiers = metadata(_DISTRIBUTION).get_all("Classifier") or []
        except PackageNotFoundError:
            wanted, classifiers = [], []
    return Supported(_bounds([*wanted, *_of_numba()]), _minors(classifiers))


def _of_numba() -> list[str]:
    """Return what numba itself wants of llvmlite: the pair must fit."""
    try:
        return [each for each in requires("numba") or () if each.startswith("llvmlite")]
    except PackageNotFoundError:
        return []


def _bounds(requirements: Iterable[str]) -> dict[str, str]:
    found = {}
    for requirement in requirements:
        read = _REQUIREMENT.match(requirement.strip())
        if read is not None:
            found[read[1].lower()] = re.sub(r"\s", "", read[2]).strip(",")
    return found


def _minors(classifiers: Iterable[str]) -> tuple[int, ...]:
    rest = (each.removeprefix(_PYTHON) for each in classifiers if each.startswith(_PYTHON))
    return tuple(sorted(int(minor) for minor in rest if minor.isdecimal()))


def fits(version: str, bounds: str) -> bool:
    """Say whether a version lies within bounds; what follows its numbers (``rc1``, ``.dev0``) does not count."""

    def numbers(text: str) -> tuple[int, ...]:
        parts = [int(part) for part in re.match(r"[0-9.]*", text)[0].split(".") if part]  # type: ignore[index]
        while parts and parts[-1] == 0:
            parts.pop()
        return tuple(parts)

    here = numbers(version)
    tests = {
        ">=": lambda bound: here >= bound,
        "<=": lambda bound: here <= bound,
        "<": lambda bound: here < bound,
        ">": lambda bound: here > bound,
        "==": lambda bound: here == bound,
        "!=": lambda bound: here != bound,
    }
    return all(tests[sign](numbers(bound)) for sign, bound in _BOUND.findall(bounds))


def check_platform(system: System, config: Config) -> Finding:
    """Look whether this kind of machine is one that numba is made for, and threads can be bound on."""
    del config
    values = {"system": system.platform, "machine": system.machine, "libc": system.libc or None}
    what = f"{system.platform} on {system.machine}" + (f", {system.libc}" if system.libc else "")
    if system.libc == "musl":
        told = f"{what}: there is no numba for musl"
        return Finding(
            "platform", Verdict.HURTS, told, "a system with glibc, such as the image python:3.13-slim", values
        )
    if system.platform == "darwin" and system.machine == "x86_64":
        told = f"{what}: there is no numba of this version for Macs with Intel processors"
        return Finding("platform", Verdict.HURTS, told, "a Mac with an Apple processor, or Linux", values)
    if system.platform == "darwin":
        told = f"{what}: supported; macOS binds no thread to a core, the workers run unpinned"
        return Finding("platform", Verdict.BETTER, told, "none on macOS; Linux binds them", values)
    if not system.linux:
        told = f"{what}: not supported"
        return Finding("platform", Verdict.HURTS, told, "Linux, or macOS on an Apple processor", values)
    if system.machine not in ("x86_64", "amd64", "aarch64", "arm64"):
        told = f"{what}: there is no numba for this processor"
        return Finding("platform", Verdict.HURTS, told, "Linux on x86-64 or arm64", values)
    return Finding("platform", Verdict.OK, f"{what}: supported", values=values)


def check_python(system: System, config: Config) -> Finding:
    """Look whether this Python is one that was tested."""
    del config
    minors = supported().minors
    version = ".".join(map(str, system.python))
    values = {"version": version, "supported": [f"3.{minor}" for minor in minors]}
    if not minors:
        return Finding("python", Verdict.UNCHECKED, f"{version}; what is supported is not known", values=values)
    tested = f"3.{minors[0]} to 3.{minors[-1]}"
    mend = f"python3.{minors[-1]} -m venv .venv && .venv/bin/pip install velox-tui"
    if system.free_threaded:
        told = f"{version} without the GIL: not tested; numba has no stable build for it"
        return Finding("python", Verdict.HURTS, told, mend, values)
    if system.python[1] in minors and system.python[0] == 3:
        return Finding("python", Verdict.OK, f"{version} (tested: {tested})", values=values)
    verdict = Verdict.HURTS if system.python[:2] < (3, minors[0]) else Verdict.BETTER
    return Finding("python", verdict, f"{version}: tested are {tested}", mend, values)


def check_versions(system: System, config: Config) -> Finding:
    """Compare the packages with what is supported."""
    del config
    wanted = supported().packages
    told, wrong = [], []
    for name, version in system.versions.items():
        bounds = wanted.get(name, "")
        if version is None:
            told.append(f"{name} is missing")
            wrong.append(f"'{name}{bounds}'")
        elif not fits(version, bounds):
            told.append(f"{name} {version} is not {bounds}")
            wrong.append(f"'{name}{bounds}'")
        else:
            told.append(f"{name} {version}")
    values = {"packages": dict(system.versions), "supported": {name: wanted.get(name) for name in system.versions}}
    if wrong:
        return Finding("versions", Verdict.HURTS, ", ".join(told), f"pip install {' '.join(wrong)}", values)
    return Finding("versions", Verdict.OK, ", ".join(told), values=values)


def check_cache(system: System, config: Config) -> Finding:
    """Look where compiled code is kept, and whether the next start finds it there."""
    if system.environ.get("NUMBA_DISABLE_JIT") == "1":
        return Finding("cache", Verdict.HURTS, "NUMBA_DISABLE_JIT=1: nothing is compiled", "unset NUMBA_DISABLE_JIT")
    try:
        key = cache_place.source_key(cache_place.expected_settings(system.environ))
    except PackageNotFoundError as error:
        return Finding("cache", Verdict.UNCHECKED, f"{error.name} is missing: it is not known what would be compiled")
    place = cache_place.find_place(key, make=False)
    if place is None:
        told = "compiled code can be kept nowhere: every start compiles for a quarter of a minute"
        return Finding("cache", Verdict.HURTS, told, "export VELOX_CACHE_DIR=DIR, one that can be written")
    warm = cache_place.complete_mark(place, config.book.kind).exists()
    values = {"directory": str(place), "warm": warm}
    asked = cache_place.best_root()
    if asked is not None and asked not in place.parents:
        told = f"{asked} cannot be written or is not yours alone: compiled code goes to {place}"
        return Finding("cache", Verdict.BETTER, told, f"chmod -R go-w {asked}, or export VELOX_CACHE_DIR=DIR", values)
    if not warm:
        told = f"{place} does not hold all that a run needs: the next start compiles for a quarter of a minute"
        return Finding("cache", Verdict.BETTER, told, "velox-tui warm", values)
    return Finding("cache", Verdict.OK, f"{place} is warm", values=values)


CHECKS: Final = (check_platform, check_python, check_versions, check_cache)
