"""Who may import whom: the floors of the house, and what must never be loaded by those who do not need it."""

import subprocess
import sys

import pytest

from tests.attaching import opened, own_directory, surroundings
from tests.command import ROOT, environment
from velox_tui.commands import COMMANDS

COMPILER = {"numba", "llvmlite"}
SCREEN = {"textual", "rich"}


def loaded_by(home, code, *words):
    """Run code in a Python of its own; return the names of all modules that it has loaded in the end."""
    code = f"import sys\n{code}\nprint(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=home, env=environment(home), capture_output=True, text=True, check=True)
    return set(done.stderr.splitlines()[-1].split())


def test_the_contracts_of_the_project_are_kept():
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken." in done.stdout


def test_a_headless_run_loads_no_screen(tmp_path, compile_cache):
    code = (
        f"import os; os.environ['VELOX_CACHE_DIR'] = {str(compile_cache)!r}\n"
        "from velox_tui.cli import main; assert main(['--no-ui', '--rate', 'max', '--count', '10']) == 0"
    )
    loaded = loaded_by(tmp_path, code)
    assert loaded >= COMPILER
    assert not SCREEN & loaded


@pytest.mark.parametrize("words", [["config"], *([command, "--help"] for command in COMMANDS)], ids=" ".join)
def test_commands_that_configure_or_explain_load_neither_compiler_nor_screen(tmp_path, words):
    loaded = loaded_by(tmp_path, "from velox_tui.cli import main; assert main(sys.argv[1:]) == 0", *words)
    assert not (COMPILER | SCREEN) & loaded


@pytest.mark.parametrize("words", [["ps"], ["ps", "--json"], ["snapshot"], ["snapshot", "--json"]], ids=" ".join)
def test_looking_at_an_engine_loads_neither_compiler_nor_screen(tmp_path, words):
    with own_directory():
        opened()
        made = f"import os; os.environ.update({surroundings()!r})\n"
        loaded = loaded_by(tmp_path, made + "from velox_tui.cli import main; assert main(sys.argv[1:]) == 0", *words)
    assert "velox_engine.telemetry.reader" in loaded
    assert not (COMPILER | SCREEN) & loaded


def test_steering_and_attaching_load_no_compiler(tmp_path):
    steering = loaded_by(tmp_path, "import velox_tui.commands.ctl, velox_engine.steering.client, velox_tui.finding")
    assert not (COMPILER | SCREEN) & steering
    code = "import velox_tui.attaching, velox_tui.screens.main, velox_tui.screens.choose, velox_tui.attacher"
    assert not COMPILER & loaded_by(tmp_path, code)


@pytest.mark.parametrize(
    "code",
    [
        "from velox_engine import Config, EngineError, Instrument, Report, Snapshot, State, Transaction, load_config",
        "from velox_engine.telemetry import reader, region",
        "from velox_tui import figures, options, progress, streams",
    ],
    ids=["public values", "telemetry", "command line"],
)
def test_values_settings_and_telemetry_are_read_without_a_compiler(tmp_path, code):
    assert not (COMPILER | SCREEN) & loaded_by(tmp_path, code)
