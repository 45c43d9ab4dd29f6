"""What is distributed: a wheel and a source archive that hold all that is needed, and run from any directory."""

import configparser
import email
import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.command import ROOT, environment
from tests.running import assert_all_out
from velox_engine.engine import compile_engine
from velox_tui import __version__

PACKAGES = ("velox_engine", "velox_tui")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build both; give the directory that they lie in."""
    pytest.importorskip("hatchling", reason="hatchling, which builds the archives, is not installed")
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target)]
    subprocess.run(command, cwd=ROOT, env=environment(target), capture_output=True, text=True, check=True)
    return target


@pytest.fixture(scope="module")
def wheel(built):
    """Give the wheel's path."""
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture
def unpacked(wheel, tmp_path):
    """Unpack the wheel into a directory where nobody may write; give it."""
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for path in (site, *site.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield site
    for path in (site, *site.rglob("*")):
        path.chmod(0o755)


def sources():
    """List what the packages hold, as paths from the root."""
    return {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_the_wheel_holds_the_packages_whole_and_nothing_else(wheel):
    assert wheel.name == f"velox_tui-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = {name for name in names if name.startswith(f"velox_tui-{__version__}.dist-info/")}
    assert names - info == sources()
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert any(name.endswith("licenses/LICENSE") for name in info)


def test_the_wheel_says_what_it_is_needs_and_starts(wheel):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    with zipfile.ZipFile(wheel) as archive:
        files = {name.rpartition("/")[2]: name for name in archive.namelist() if ".dist-info/" in name}
        meta = email.message_from_bytes(archive.read(files["METADATA"]))
        entries = configparser.ConfigParser()
        entries.read_string(archive.read(files["entry_points.txt"]).decode())
    assert (meta["Name"], meta["Version"], meta["Requires-Python"]) == ("velox-tui", __version__, ">=3.11")
    assert meta["License-Expression"] == "MIT"
    needed = [need for need in meta.get_all("Requires-Dist") if "extra ==" not in need]
    assert sorted(need.split("<")[0].split(">")[0] for need in needed) == sorted(
        need.split("<")[0].split(">")[0] for need in project["dependencies"]
    )
    assert dict(entries["console_scripts"]) == {"velox-tui": "velox_tui.cli:main"}
    assert "velox-tui --no-ui" in meta.get_payload()


def test_the_source_archive_can_be_read_tested_and_built_from(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert sources() <= names
    assert {"README.md", "CHANGELOG.md", "LICENSE", "config.toml", "pyproject.toml"} <= names
    assert {f"tests/{path.name}" for path in (ROOT / "tests").glob("*.py")} <= names
    assert not {name for name in names if "__pycache__" in name or name.startswith((".venv", "dist/", ".git/"))}


@pytest.fixture
def away(unpacked, tmp_path, compile_cache):
    """Give a function that runs the unpacked package's Python in an empty directory elsewhere."""
    place = tmp_path / "away"
    place.mkdir()
    surroundings = environment(tmp_path, PYTHONPATH=str(unpacked), VELOX_CACHE_DIR=str(compile_cache))

    def run(*words):
        command = [sys.executable, "-B", "-P", *words]
        how = {"cwd": place, "env": surroundings, "capture_output": True, "text": True, "check": True}
        return subprocess.run(command, stdin=subprocess.DEVNULL, **how).stdout

    yield run
    assert list(place.iterdir()) == []


def test_an_installed_package_runs_from_any_directory_and_writes_nothing_into_its_own(unpacked, away):
    before = {path: path.stat().st_mtime_ns for path in unpacked.rglob("*")}
    where = "import velox_engine, velox_tui; print(velox_engine.__file__, velox_tui.__file__)"
    assert away("-c", where).split() == [str(unpacked / package / "__init__.py") for package in PACKAGES]
    assert away("-m", "velox_tui", "--version") == f"velox-tui {__version__}\n"
    report = json.loads(away("-m", "velox_tui", "--no-ui", "--rate", "max", "--count", "10000", "--report", "-"))
    assert_all_out(report)
    assert report["version"] == __version__
    assert {path: path.stat().st_mtime_ns for path in unpacked.rglob("*")} == before


def test_what_was_compiled_for_one_place_is_loaded_at_another(away):
    compile_engine()
    code = (
        "from velox_engine import engine; from velox_engine.stages.worker import run_worker;"
        "engine.compile_engine(); print(sum(run_worker.stats.cache_hits.values()))"
    )
    assert away("-c", code) == "1\n"


def test_the_lock_pins_every_dependency_with_hashes_and_names_no_host():
    text = Path(ROOT, "requirements-dev.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    pinned = dict(
        line.split(";")[0].split(" \\")[0].strip().split("==") for line in text.splitlines() if "==" in line[:60]
    )
    for need in wanted:
        name = need.split("<")[0].split(">")[0].split("[")[0].lower()
        assert name in pinned, name
    assert text.count("--hash=sha256:") >= len(pinned)
    assert "://" not in text
    assert "index" not in text.replace(f"{os.sep}index", "")
