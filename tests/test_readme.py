"""README shows nothing that is not so: every command and every snippet in it is run."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attaching import own_directory
from tests.attaching import surroundings as run_directory
from tests.command import ROOT, environment
from tests.running import of_the_run, until
from velox_engine.config import KEYS
from velox_engine.discovery import find_engines
from velox_tui.commands import COMMANDS

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
INSTALLS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if "pip install" in line]
SESSIONS = [text.splitlines() for kind, text in BLOCKS if kind == "sh" and "pip install" not in text]
SNIPPETS = [text for kind, text in BLOCKS if kind == "python"]


def first_words(lines):
    return lines[0][:40]


@pytest.fixture
def shell(tmp_path, compile_cache):
    """Give a function that runs a command in an empty directory where ``velox-tui`` is on the path."""
    words = tmp_path / "bin"
    words.mkdir()
    (words / "velox-tui").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m velox_tui "$@"\n')
    (words / "velox-tui").chmod(0o755)
    away = tmp_path / "away"
    away.mkdir()
    surroundings = environment(tmp_path, VELOX_CACHE_DIR=str(compile_cache))
    surroundings["PATH"] = f"{words}{os.pathsep}{surroundings['PATH']}"

    def run(command):
        return subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=away,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    with own_directory():
        surroundings |= run_directory()
        yield run
        for each in find_engines():  # what a failed test left running
            if each.alive:
                os.kill(each.pid, signal.SIGKILL)


@pytest.mark.parametrize("commands", SESSIONS, ids=first_words)
def test_every_command_does_what_it_says(shell, commands):
    logs = []  # of what runs in the background until a later command ends it
    for command in commands:
        done = shell(command)
        told = of_the_run(done.stderr)
        if "--chaos" in command:
            told = re.sub(r"^velox-tui: chaos is on, seed \d+: .*\n", "", told)
        assert (done.returncode, told) == (0, ""), command
        if command.endswith("&"):
            logs.append(re.search(r"> (\S+) 2>&1 &$", command)[1])
        elif "--report -" in command:
            assert json.loads(done.stdout)["conserved"]
        elif "--no-ui" in command:
            assert "conserved   yes" in done.stdout
    for log in logs:
        until(lambda log=log: "conserved   yes" in shell(f"cat {log}").stdout, "it has ended with its statistics")


def test_the_two_commands_of_a_fresh_machine_are_what_ci_runs():
    assert len(INSTALLS) == 2
    picks = re.findall(r"readme ('[^']*'|\"[^\"]*\")\)", (ROOT / ".ci" / "run").read_text())
    assert len(picks) == 2
    for install, pick in zip(INSTALLS, picks, strict=True):
        assert [line for line in README.splitlines() if pick[1:-1] in line] == [install]


def test_the_main_job_of_a_fresh_machine_runs(shell):
    job = INSTALLS[0].partition("pip install . && .venv/bin/")[2]
    assert job.startswith("velox-tui --no-ui ")
    done = shell(re.sub(r"--duration \d+", "--duration 1", job))
    assert (done.returncode, of_the_run(done.stderr)) == (0, "")


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_every_snippet_runs(snippet, tmp_path, monkeypatch, capsys):
    for name in [name for name in os.environ if name.startswith("VELOX_") and "__" in name]:
        monkeypatch.delenv(name)
    shutil.copy(ROOT / "config.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README.md", "exec"), {"__name__": "readme"})


def skeleton(output):
    """Give the shape of a run's output, and the lines of it that are the same in each such run."""
    lines = output.splitlines()
    always = ("  source", "  ingress", "  order book", "  checksum", "  conserved", "velox stopped")
    shape = [re.sub(r"[\d,.]+", "0", re.sub(r" +", " ", line)) for line in lines if not line.startswith("[")]
    return shape, [line for line in lines if line.startswith(always)]


def test_the_run_that_is_shown_looks_as_it_does(shell):
    (shown,) = [text for kind, text in BLOCKS if kind == "console"]
    command, _, output = shown.partition("\n")
    done = shell(command.removeprefix("$ "))
    assert (done.returncode, of_the_run(done.stderr)) == (0, "")
    assert skeleton(done.stdout) == skeleton(output)
    seconds = re.compile(r"\[ *\d+s\] ingress=\d+ orderbook=\d+ bundles=\d+ output=\d+ dropped=0 p99=[\d,.]+µs")
    for text in (output, done.stdout):
        assert all(seconds.fullmatch(line) for line in text.splitlines() if line.startswith("["))
        assert text.startswith("[  1s] ")


def test_files_settings_and_commands_that_are_named_exist():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link
    for key in re.findall(r"--set (\w+\.\w+)=", README):
        assert key in KEYS or key == "section.key"
    for command in re.findall(r"velox-tui ([a-z]+)\b", README):
        assert command in COMMANDS or command == "stands"
    for path in re.findall(r"`(tests/[\w./]+|\.ci/\w+|requirements[\w.-]+)", README):
        assert Path(ROOT, path).exists(), path
