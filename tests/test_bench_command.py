"""``velox-tui bench`` as a user runs it: real measures, real processes, Ctrl-C, and files that are none."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

from tests.command import environment, velox
from tests.running import PATIENCE_S
from velox_engine.bench.results import read_results

TINY = ("--quick", "--rounds", "1", "--only")


@pytest.fixture
def bench(tmp_path, compile_cache):
    """Run ``velox-tui bench`` with these words."""

    def run(*words, **how):
        return velox(tmp_path, "bench", *words, env={"VELOX_CACHE_DIR": str(compile_cache)}, **how)

    return run


@pytest.fixture(scope="module")
def measured(tmp_path_factory, compile_cache):
    """Results of two measures as JSON in a file, one of them of the whole pipeline."""
    home = tmp_path_factory.mktemp("bench")
    words = ("--json", *TINY, "histogram.record,pipeline.bucketed.one.each")
    done = velox(home, "bench", *words, env={"VELOX_CACHE_DIR": str(compile_cache)})
    assert (done.returncode, done.stderr) == (0, "")
    path = home / "old.json"
    path.write_text(done.stdout)
    return path


def test_real_measures_come_as_json_that_can_be_read_back(measured):
    told = json.loads(measured.read_text())
    results = read_results(measured)
    assert told == results.as_dict()
    assert list(results.figures) == ["histogram.record", "pipeline.bucketed.one.each"]
    assert all(figure.spread.median > 0 and figure.spread.count == 1 for figure in results.figures.values())
    assert (results.mode, results.rounds, results.complete, results.failed) == ("quick", 1, True, {})
    known = {"cpu", "cores", "python", "numba", "numpy", "llvmlite", "load_before", "steal_percent", "others_percent"}
    assert known <= set(results.environment)


def test_the_table_and_what_changed_since(bench, measured):
    done = bench(*TINY, "histogram.record", "--compare", str(measured))
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n  histogram.record " in done.stdout
    assert f"\ncompared with {measured}: quick of " in done.stdout
    assert "1 figure not judged: that takes 3 repetitions on both sides" in done.stdout
    assert "only in the old one: pipeline.bucketed.one.each" in done.stdout


def test_the_comparison_is_in_the_json_too(bench, measured):
    done = bench("--json", *TINY, "histogram.record", "--compare", str(measured))
    told = json.loads(done.stdout)
    assert told["comparison"]["figures"]["histogram.record"]["verdict"] == "fewer than 3 repetitions"
    assert told["comparison"]["gone"] == ["pipeline.bucketed.one.each"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--rounds", "0"], "--rounds: got 0; allowed is a whole number from 1 to 1000"),
        (["--rounds", "many"], "--rounds: got many; allowed is"),
        (["--rounds", "-3"], "--rounds: got -3; allowed is"),
        (["--only", "ring.batch1.two_core"], "--only: got ring.batch1.two_core, the nearest is ring.batch1.two_cores;"),
        (["--only", ""], "--only: got an empty name"),
        (["--quik"], "unknown option --quik, the nearest is --quick"),
        (["ring"], "unexpected argument ring"),
        (["--compare", "none.json"], "--compare: none.json: No such file or directory"),
        (["--compare", "."], "--compare: .: Is a directory"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_one_line_and_nothing_is_measured(bench, words, why):
    done = bench(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"velox-tui: {why}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\x00\xff", "no JSON"),
        (b'{"schema": 1}', "not the results of a benchmark"),
        (b'{"kind": "velox-tui bench", "schema": 99}', "schema 99; this version reads 1"),
        (b'{"kind": "velox-tui bench", "schema": 1, "figures": 3}', "damaged results"),
    ],
    ids=range(4),
)
def test_a_damaged_or_foreign_file_to_compare_with_is_one_line(bench, tmp_path, content, why):
    (tmp_path / "old.json").write_bytes(content)
    done = bench("--compare", "old.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"velox-tui: --compare: old.json: {why}")
    assert done.stderr.count("\n") == 1


def on_a_terminal(home, cache, *words):
    """Start it with standard error on a terminal; give the process and the terminal's other end."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "velox_tui", "bench", *words],
        cwd=home,
        env=environment(home, VELOX_CACHE_DIR=str(cache), TERM="xterm"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    return process, ours


def shown_until(terminal, holds, process):
    """Read the terminal until what was shown in all holds, or nobody shows anything more."""
    text, give_up = b"", time.monotonic() + PATIENCE_S
    while not holds(text) and time.monotonic() < give_up:
        if not select.select([terminal], [], [], 0.1)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # nobody has the other end open any more
            break
        if not piece:
            break
        text += piece
    return text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_it_with_what_there_is_so_far(tmp_path, compile_cache, number):
    process, terminal = on_a_terminal(
        tmp_path,
        compile_cache,
        "--quick",
        "--rounds",
        "1000",
        "--json",
        "--only",
        "histogram,pipeline.bucketed.one.each",
    )
    try:
        shown_until(terminal, lambda text: b"5/2002 pipeline" in text, process)
        process.send_signal(number)
        out, _ = process.communicate(timeout=PATIENCE_S)
        said = shown_until(terminal, lambda text: False, process)
    finally:
        process.kill()
        os.close(terminal)
    told = json.loads(out)
    assert process.returncode == 128 + number
    assert not told["complete"]
    assert told["failed"] == {}
    counts = {name: len(figure["samples"]) for name, figure in told["figures"].items()}
    assert 1 <= counts["pipeline.bucketed.one.each"] <= counts["histogram.record"] < 1000
    assert f"velox-tui: {number.name}: ending with what there is so far".encode() in said


def test_the_bar_is_on_the_terminal_only_while_it_measures(tmp_path, compile_cache):
    process, terminal = on_a_terminal(tmp_path, compile_cache, *TINY, "histogram")
    said = shown_until(terminal, lambda text: False, process)
    out, _ = process.communicate(timeout=PATIENCE_S)
    os.close(terminal)
    assert process.returncode == 0
    assert b"measuring [" in said
    assert said.endswith(b"\r\x1b[K")
    assert b"\r" not in out
    assert b"histogram.record" in out
