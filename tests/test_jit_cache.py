"""The compile cache: found, keyed by all that shapes code, and never wrong or fatal, whatever happened to its files."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from tests.command import environment
from velox_engine import cache_place, jit
from velox_engine.jit import cache_directory, compile_for, source_key
from velox_engine.sources import compiled_sources

ROOT = Path(__file__).parent.parent
SMALL = """
from velox_engine.jit import compile_for, compiled

@compiled
def inside(value):
    return value + 1

@compiled
def outside(value):
    return 2 * inside(value)
"""
REPORT = """
import sys; sys.path.insert(0, {folder!r})
import small
print(small.outside(20), sum(small.outside.stats.cache_hits.values()), sep="\\n")
from velox_engine import jit
print(jit.cache_directory())
"""


def twice(value):
    """What the tests compile, over and over."""
    return 2 * value


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """A cache of the test's own, for functions that are compiled in this process."""
    path = tmp_path / "cache"
    path.mkdir()
    monkeypatch.setattr(jit, "cache_directory", lambda: path)
    return path


def loaded():
    """Compile `twice` as if for the first time; return whether it came from the cache."""
    dispatcher = jit.compiled(twice)
    assert dispatcher(21) == 42
    return bool(dispatcher.stats.cache_hits)


def files(directory, *endings):
    return [path for path in directory.rglob("*") if path.is_file() and path.suffix in (endings or (".nbi", ".nbc"))]


def test_what_is_compiled_is_kept_and_loaded(directory):
    assert not loaded()
    assert {path.suffix for path in files(directory)} == {".nbi", ".nbc"}
    assert loaded()


def test_compiling_for_arguments_says_whether_it_was_loaded(directory):
    assert compile_for(jit.compiled(twice), (21,)) is False
    assert compile_for(jit.compiled(twice), (21,)) is True
    other = jit.compiled(twice)
    assert compile_for(other, (1.5,)) is False
    assert [signature.args for signature in other.nopython_signatures] == [(numba.float64,)]


def test_numba_keeps_its_own_setting(directory):
    before = numba.config.CACHE_DIR
    jit.compiled(twice)
    assert before == numba.config.CACHE_DIR


DAMAGE = {
    "empty": lambda data: b"",
    "one byte": lambda data: data[:1],
    "cut in half": lambda data: data[: len(data) // 2],
    "one byte short": lambda data: data[:-1],
    "garbage": lambda data: bytes(range(256)) * 40,
    "zeros": lambda data: bytes(len(data)),
    "another pickle": lambda data: pickle.dumps({"not": "code"}),
    "other pickles": lambda data: pickle.dumps(numba.__version__) + pickle.dumps([1, 2, 3]),
    "a bit": lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 16]) + data[len(data) // 2 + 1 :],
}


@pytest.mark.parametrize("endings", [(".nbi",), (".nbc",), (".nbi", ".nbc")], ids=" ".join)
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_replaced(directory, damage, endings):
    loaded()
    for path in files(directory, *endings):
        path.write_bytes(DAMAGE[damage](path.read_bytes()))
    loaded()
    assert loaded(), "what was compiled anew was not kept"


def test_files_that_are_no_files_are_done_without(directory):
    loaded()
    for path in files(directory):
        path.unlink()
        path.mkdir()
    assert not loaded()


def test_a_file_that_went_away_is_made_again(directory):
    for ending in (".nbi", ".nbc"):
        loaded()
        for path in files(directory, ending):
            path.unlink()
        assert not loaded()
        assert loaded()


def test_a_cache_that_went_away_is_made_again(directory):
    dispatcher = jit.compiled(twice)
    shutil.rmtree(directory)
    assert dispatcher(21) == 42
    assert loaded()


def test_code_for_other_arguments_is_never_taken_for_the_right_one(directory):
    """Two processes that save at once may leave an index that names the other's file."""
    for value in (21, 1.5):
        jit.compiled(twice)(value)
    first, second = sorted(files(directory, ".nbc"))
    swapped = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(swapped)
    whole, broken = jit.compiled(twice)(21), jit.compiled(twice)(1.5)
    assert (whole, type(whole), broken, type(broken)) == (42, int, 3.0, float)


def test_a_function_that_is_called_before_it_is_compiled_for_survives_damage_too(directory):
    """The clock is calibrated by plain calls, before anything else."""
    loaded()
    for path in files(directory):
        path.write_bytes(b"damaged")
    assert jit.compiled(twice)(1.5) == 3.0


def run(folder, script=REPORT, **environment):
    """Run a script in a process of its own; return its lines."""
    (folder / "small.py").write_text(SMALL)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("VELOX_", "NUMBA_"))}
    done = subprocess.run(
        [sys.executable, "-c", script.format(folder=str(folder))],
        env={**clean, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_cache_lies_where_it_is_asked_for_and_is_of_the_user_alone(tmp_path):
    cache = tmp_path / "asked for"
    assert run(tmp_path, VELOX_CACHE_DIR=str(cache)) == ["42", "0", str(cache / "compiled" / source_key())]
    assert run(tmp_path, VELOX_CACHE_DIR=str(cache))[:2] == ["42", "1"]
    assert {path.stat().st_mode & 0o777 for path in (cache / "compiled", cache / "compiled" / source_key())} == {0o700}
    for path in files(cache):
        path.write_bytes(b"damaged")
    assert run(tmp_path, VELOX_CACHE_DIR=str(cache))[:2] == ["42", "0"]
    assert run(tmp_path, VELOX_CACHE_DIR=str(cache))[:2] == ["42", "1"]


def test_a_disk_that_is_full_is_done_without(tmp_path):
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))\n" + REPORT
    cache = tmp_path / "cache"
    for _ in range(2):
        assert run(tmp_path, full, VELOX_CACHE_DIR=str(cache))[:2] == ["42", "0"]
    assert run(tmp_path, VELOX_CACHE_DIR=str(cache))[:2] == ["42", "0"]
    assert run(tmp_path, VELOX_CACHE_DIR=str(cache))[:2] == ["42", "1"]


def found(monkeypatch, tmp_path, asked):
    """Where the cache would lie in a new process."""
    monkeypatch.setenv("VELOX_CACHE_DIR", str(asked))
    monkeypatch.setattr(cache_place.tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir(exist_ok=True)
    return cache_directory.__wrapped__()


def second_choice(tmp_path):
    return tmp_path / "temporary" / f"velox-tui-{os.getuid()}" / source_key()


def blocked(path):
    """A place where no directory can be made, not even by the system's administrator."""
    path.write_text("a file")
    return path / "below"


def test_a_cache_that_cannot_be_written_is_replaced_by_a_temporary_one(monkeypatch, tmp_path):
    assert found(monkeypatch, tmp_path, blocked(tmp_path / "file")) == second_choice(tmp_path)
    assert second_choice(tmp_path).stat().st_mode & 0o777 == 0o700
    assert second_choice(tmp_path).parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is read-only for the system's administrator")
def test_a_read_only_cache_is_replaced_by_a_temporary_one(monkeypatch, tmp_path):
    found(monkeypatch, tmp_path, tmp_path / "cache").chmod(0o500)
    assert found(monkeypatch, tmp_path, tmp_path / "cache") == second_choice(tmp_path)


def test_where_nothing_can_be_written_there_is_no_cache_and_everything_works(monkeypatch, tmp_path):
    asked = blocked(tmp_path / "file")
    blocked(tmp_path / "temporary-file")
    monkeypatch.setenv("VELOX_CACHE_DIR", str(asked))
    monkeypatch.setattr(cache_place.tempfile, "tempdir", str(asked))
    assert cache_directory.__wrapped__() is None
    monkeypatch.setattr(jit, "cache_directory", lambda: None)
    assert not loaded()
    assert not loaded()


def test_a_machine_without_a_temporary_directory_has_no_cache(monkeypatch, tmp_path):
    def none():
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setenv("VELOX_CACHE_DIR", str(blocked(tmp_path / "file")))
    monkeypatch.setattr(cache_place.tempfile, "gettempdir", none)
    assert cache_directory.__wrapped__() is None


def test_a_cache_of_another_user_is_not_trusted(monkeypatch, tmp_path):
    cache = found(monkeypatch, tmp_path, tmp_path / "cache")
    assert cache == tmp_path / "cache" / "compiled" / source_key()
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    assert found(monkeypatch, tmp_path, tmp_path / "cache") is None


@pytest.mark.parametrize("which", ["the directory", "its parent"])
@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_a_cache_that_others_can_write_is_not_trusted(monkeypatch, tmp_path, which, mode):
    cache = found(monkeypatch, tmp_path, tmp_path / "cache")
    (cache if which == "the directory" else cache.parent).chmod(mode)
    assert found(monkeypatch, tmp_path, tmp_path / "cache") == second_choice(tmp_path)


def test_a_link_is_not_followed_to_a_place_that_somebody_else_chose(monkeypatch, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    cache = tmp_path / "cache" / "compiled" / source_key()
    cache.parent.mkdir(parents=True, mode=0o700)
    cache.symlink_to(elsewhere)
    assert found(monkeypatch, tmp_path, tmp_path / "cache") == second_choice(tmp_path)


def test_a_relative_place_stays_where_it_was_asked_for(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    cache = found(monkeypatch, tmp_path, "here")
    assert cache == tmp_path / "here" / "compiled" / source_key()


def test_a_user_without_a_home_gets_no_cache_in_the_directory_he_stands_in(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found(monkeypatch, tmp_path, tmp_path)
    monkeypatch.delenv("VELOX_CACHE_DIR")
    monkeypatch.setattr(cache_place.platformdirs, "user_cache_dir", lambda name: f"~/.cache/{name}")
    assert cache_directory.__wrapped__() == second_choice(tmp_path)
    assert not (tmp_path / "~").exists()


def test_without_compiling_there_is_no_cache(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert cache_directory.__wrapped__() is None


def test_few_caches_of_other_sources_are_kept(monkeypatch, tmp_path):
    compiled = tmp_path / "cache" / "compiled"
    for age in range(6):
        old = compiled / f"{age:016x}"
        old.mkdir(parents=True, mode=0o700)
        (old / "code.nbc").write_bytes(b"code")
        os.utime(old, (1_000_000 - age, 1_000_000 - age))
    compiled.chmod(0o700)
    (compiled / "a file").write_text("not ours")
    cache = found(monkeypatch, tmp_path, tmp_path / "cache")
    kept = {path.name for path in compiled.iterdir()}
    assert kept == {cache.name, "a file", *(f"{age:016x}" for age in range(3))}


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """A copy of the engine's sources, which the key is made of."""
    copy = tmp_path / "velox_engine"
    shutil.copytree(ROOT / "velox_engine", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cache_place, "ENGINE", copy)
    return copy


def key():
    return source_key.__wrapped__()


def test_the_key_does_not_depend_on_where_the_engine_lies(engine):
    assert key() == source_key()
    assert len(key()) == 16


def made_from(engine):
    return [name for name, _ in compiled_sources(engine)]


def test_the_key_changes_with_every_source_that_compiled_code_is_made_from_and_with_no_other(engine):
    before, keys = key(), set()
    sources = made_from(engine)
    assert len(sources) > 50
    for path in sorted(engine.rglob("*.py")):
        text = path.read_bytes()
        path.write_bytes(text + b"#")
        if path.relative_to(engine).as_posix() in sources:
            keys.add(key())
        else:
            assert key() == before
        path.write_bytes(text)
    assert len(keys) == len(sources)
    assert before not in keys
    assert key() == before


def test_whatever_is_loaded_with_compiled_code_is_among_its_sources():
    """The text is searched for imports; here Python itself says what the compiled modules load."""
    sources = made_from(ROOT / "velox_engine")
    assert {"stages/worker.py", "telemetry/layout.py", "records.py", "lockfree/atomics.py"} <= set(sources)
    holders = [name for name in sources if "@compiled" in (ROOT / "velox_engine" / name).read_text()]
    modules = [f"velox_engine.{name.removesuffix('.py').replace('/', '.')}" for name in holders]
    program = f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    for module in loaded.stdout.split():
        path = ROOT / (module.replace(".", "/") + ".py")
        if module.startswith("velox_engine.") and path.is_file():
            assert path.relative_to(ROOT / "velox_engine").as_posix() in sources


def test_the_key_changes_when_a_compiled_source_comes_goes_or_is_renamed(engine):
    keys = [key()]
    (engine / "new.py").write_text("@compiled\ndef new(): pass\n")
    keys.append(key())
    (engine / "new.py").rename(engine / "newer.py")
    keys.append(key())
    (engine / "newer.py").rename(engine / "books" / "newer.py")
    keys.append(key())
    (engine / "books" / "newer.py").unlink()
    assert len(set(keys)) == 4
    assert key() == keys[0]


@pytest.mark.parametrize(
    "line",
    [
        "from velox_engine.new import fresh",
        "from velox_engine import new",
        "from velox_engine import (  # here\n    records,\n    new,  # and there\n)",
        "import velox_engine.new as other",
        "def late():\n    from velox_engine.new import fresh",
    ],
)
def test_what_a_compiled_source_imports_belongs_to_the_key_however_it_is_written(engine, line):
    (engine / "new.py").write_text("from velox_engine.newer import deep\n")
    (engine / "newer.py").write_text("deep = 1\n")
    assert not {"new.py", "newer.py"} & set(made_from(engine))
    (engine / "holder.py").write_text(f"{line}\n\n\n@compiled\ndef holder(): pass\n")
    assert {"new.py", "newer.py", "holder.py"} <= set(made_from(engine))


def test_text_that_moves_from_one_source_to_the_next_changes_the_key(engine):
    (engine / "a.py").write_text("@compiled\none = 1\n")
    (engine / "b.py").write_text("@compiled\ntwo = 2\n")
    before = key()
    (engine / "a.py").write_text("@compiled\none = 1\nb.py@compiled\ntwo = 2\n")
    (engine / "b.py").unlink()
    assert key() != before


@pytest.mark.parametrize("package", ["numba", "llvmlite", "numpy"])
def test_the_key_changes_with_the_versions(monkeypatch, package):
    real = cache_place.version
    monkeypatch.setattr(cache_place, "version", lambda name: real(name) + (".post1" if name == package else ""))
    assert key() != source_key()


def test_the_key_changes_with_what_shapes_code_and_tells_each_setting_from_the_others(monkeypatch):
    keys = {source_key()}
    names = ("OPT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE")
    for name in names:
        with monkeypatch.context() as changed:
            changed.setattr(numba.config, name, 7)
            changed.setenv(f"NUMBA_{name}", "7")
            keys.add(key())
    assert len(keys) == 1 + len(names)


def test_the_key_changes_with_the_clock_that_is_compiled_in(monkeypatch):
    monkeypatch.setattr(cache_place, "has_invariant_counter", lambda: "another")
    assert key() != source_key()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"NUMBA_OPT": "max"},
        {"NUMBA_OPT": "1", "NUMBA_BOUNDSCHECK": "1"},
        {"NUMBA_LOOP_VECTORIZE": "0", "NUMBA_SLP_VECTORIZE": " 1 ", "NUMBA_BOUNDSCHECK": "0"},
    ],
    ids=str,
)
def test_where_compiled_code_will_lie_is_known_without_the_compiler(tmp_path, settings):
    asked = "import os, sys; from velox_engine import cache_place as c; "
    asked += "place = c.find_place(c.source_key(c.expected_settings(os.environ)), make=False); "
    asked += "assert 'numba' not in sys.modules; from velox_engine import jit; print(place, jit.cache_directory())"
    env = environment(tmp_path, VELOX_CACHE_DIR=str(tmp_path / "not" / "yet"), **settings)
    done = subprocess.run([sys.executable, "-c", asked], env=env, capture_output=True, text=True, check=True)
    place, made = done.stdout.split()
    assert place == made
    assert place.startswith(str(tmp_path / "not" / "yet" / "compiled"))
