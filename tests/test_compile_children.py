"""Work that is shared out among child processes: each step once, the last one last, and no child left behind."""

import os
import sys

import psutil
import pytest

from velox_engine.compile_children import share_out

WORKS = """
import os, sys, time
sys.stdout.reconfigure(write_through=True)  # as with PYTHONUNBUFFERED: a line comes in pieces
folder = sys.argv[1]
for line in sys.stdin:
    before = len(os.listdir(folder))
    time.sleep(0.01)
    with open(os.path.join(folder, line.strip()), "x") as file:
        file.write(f"{os.getpid()} {before}")
    print(line.strip(), flush=True)
"""
WAITS = """
def wait(step):
    while step == 1 and not all(os.path.exists(os.path.join(folder, str(each))) for each in range(4, 9)):
        time.sleep(0.005)
"""
DIES = "import sys; sys.stdin.readline()"
HANGS = "import time; time.sleep(1000)"


def shared(program, *arguments, steps=9, joint=8, given_up=lambda: False):
    begun, others = [], {child.pid for child in psutil.Process().children()}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    how = {"children": 2, "joint": joint, "begun": begun.append, "given_up": given_up}
    done = share_out(command, dict(os.environ), steps, **how)
    assert {child.pid for child in psutil.Process().children()} <= others
    return done, begun


def test_each_step_is_done_once_and_the_last_one_after_all_others(tmp_path):
    done, begun = shared(WORKS, tmp_path)
    assert done
    assert begun == list(range(9))
    assert sorted(path.name for path in tmp_path.iterdir()) == [str(step) for step in range(9)]
    pids, there = zip(*((int(word) for word in path.read_text().split()) for path in tmp_path.iterdir()), strict=True)
    assert len(set(pids)) == 2
    assert there[[path.name for path in tmp_path.iterdir()].index("8")] == 8


def test_what_stands_behind_the_joint_step_does_not_wait_for_it(tmp_path):
    """Step 1, which the joint step 3 needs, is done only when all behind that are."""
    done, begun = shared(WAITS + WORKS.replace("time.sleep(0.01)", "wait(int(line))"), tmp_path, joint=3)
    assert done
    assert begun == [0, 1, 2, 4, 5, 6, 7, 8, 3]
    assert (tmp_path / "3").read_text().split()[1] == "8"


def test_one_step_needs_no_others(tmp_path):
    assert shared(WORKS, tmp_path, steps=1, joint=0) == (True, [0])


@pytest.mark.parametrize("program", [DIES, "raise SystemExit", "not python"])
def test_children_that_end_too_soon_are_told(program):
    done, _ = shared(program)
    assert not done


def test_a_program_that_cannot_be_started_is_told():
    how = {"children": 2, "joint": 2, "begun": lambda step: None, "given_up": lambda: False}
    assert not share_out(["/nowhere"], {}, 3, **how)


def test_giving_up_ends_children_that_never_answer():
    asked = []
    done, begun = shared(HANGS, given_up=lambda: len(asked) > 2 or asked.append(1) is not None)
    assert not done
    assert begun == [0, 1]
