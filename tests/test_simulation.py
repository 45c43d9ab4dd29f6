"""The simulation itself: some seeds in which no promise is broken, and planted bugs that it finds.

``VELOX_PLANTED=all`` looks for every planted bug (each is compiled anew); else for those that need no compiler.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.command import ROOT
from tests.simulation.planted import PLANTED, QUICKLY, hunt

HUNTED = [bug for bug in PLANTED if os.environ.get("VELOX_PLANTED") == "all" or not bug.is_compiled]


def simulate(*words):
    command = [sys.executable, "-m", "tests.simulation", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **QUICKLY}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_no_promise_is_broken_whatever_the_seed():
    done = simulate("--seeds", "250")
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.search(r"^250 seeds from \d+ on, ([\d,]+) steps, ([\d,]+) transactions: no promise broken", done.stdout)
    assert told, done.stdout + done.stderr
    steps, transactions = (int(number.replace(",", "")) for number in told.groups())
    assert steps > 100_000
    assert transactions > 10_000


def test_a_seed_makes_the_same_run_again():
    once, again = (simulate("--seed", "11").stdout.splitlines() for _ in range(2))
    assert once[:-1] == again[:-1]
    assert once[-1].split(":")[0] == again[-1].split(":")[0]  # what follows is how fast it went


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_planted_bug_can_still_be_planted(bug, tmp_path):
    target = tmp_path / "velox_engine" / bug.file
    target.parent.mkdir(parents=True)
    shutil.copy(ROOT / "velox_engine" / bug.file, target)
    bug.plant(tmp_path)
    compile(target.read_text(), bug.file, "exec")


def test_every_planted_bug_is_listed_in_the_documentation():
    text = (ROOT / "docs/RELIABILITY.md").read_text()
    assert [bug.name for bug in PLANTED if bug.name not in text] == []


@pytest.mark.parametrize("bug", HUNTED, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found_and_found_again_with_its_seed(bug):
    found = hunt(bug)
    assert found.seed is not None, found.told
