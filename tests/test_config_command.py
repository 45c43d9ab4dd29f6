"""``velox-tui config`` shows what is in force, prints the defaults and checks a file."""

import errno
import os
import subprocess
import sys
import tomllib

import pytest

from tests.command import ROOT, environment, velox
from tests.test_cli import OPTIONS, away
from velox_engine.config import KEYS, Config, load_config
from velox_engine.config_text import defaults_text
from velox_tui import cli

__all__ = ["away"]


def shown(out):
    """Give what ``velox-tui config`` said: the value and the origin of each key."""
    values = {f"{name}.{key}": value for name, part in tomllib.loads(out).items() for key, value in part.items()}
    origins = {}
    section = ""
    for line in out.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif " = " in line and not line.startswith("#"):
            origins[f"{section}.{line.split(' = ')[0]}"] = line.rpartition(" # ")[2]
    return {key: (value, origins[key]) for key, value in values.items()}


def test_every_key_is_shown_with_its_value_and_default_as_its_origin(away, capsys):
    assert cli.main(["config"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert shown(out) == {key: (row.default, "default") for key, row in KEYS.items()}
    assert out.startswith(f"# no file was read; looked for config.toml and {away}/user/velox-tui/config.toml\n")


def test_each_value_says_where_it_came_from(away, capsys, monkeypatch):
    (away / "config.toml").write_text("[pipeline]\nbatch = 1\ncount = 1\n[source]\nseed = 1\nspeed = 0.25\n")
    monkeypatch.setenv("VELOX_PIPELINE__COUNT", "2")
    monkeypatch.setenv("VELOX_SOURCE__SEED", "2")
    assert cli.main(["config", "--seed", "3", "--set", "bundle.max_size=3", "--rate", "max"]) == 0
    out = capsys.readouterr().out
    told = shown(out)
    assert out.startswith("# read from config.toml\n")
    assert told.pop("pipeline.batch") == (1, "config.toml:2")
    assert told.pop("source.speed") == (0.25, "config.toml:6")
    assert told.pop("pipeline.count") == (2, "VELOX_PIPELINE__COUNT")
    assert told.pop("source.seed") == (3, "--seed")
    assert told.pop("bundle.max_size") == (3, "--set")
    assert told.pop("pipeline.ingress_rate_hz") == ("max", "--rate")
    assert {origin for _, origin in told.values()} == {"default"}


def test_it_takes_every_setting_that_a_run_takes(away, capsys):
    words = [part for option, (_, text, _) in OPTIONS.items() for part in (option, text)]
    assert cli.main(["config", *words]) == 0
    told = shown(capsys.readouterr().out)
    for option, (key, _, value) in OPTIONS.items():
        assert told[key] == (value, option)


def test_what_it_shows_is_itself_a_configuration_of_the_same_values(away, capsys):
    words = [
        "--rate",
        "0.1",
        "--source",
        'a "b"\\ é\u00a0\U000e0001',
        "--max-drop-rate",
        "1.23e-7",
        "--count",
        str(2**63 - 1),
    ]
    assert cli.main(["config", *words]) == 0
    (away / "shown.toml").write_text(capsys.readouterr().out)
    again = load_config("shown.toml", environ={})
    assert again.source.kind == words[3]
    assert (again.pipeline.ingress_rate_hz, again.limits.max_drop_rate, again.pipeline.count) == (
        0.1,
        1.23e-7,
        2**63 - 1,
    )
    assert cli.main(["config", "--config", "shown.toml"]) == 0
    values = {key: value for key, (value, _) in shown(capsys.readouterr().out).items()}
    assert values == {f"{name}.{key}": value for name, part in again.as_dict().items() for key, value in part.items()}


def test_a_file_of_a_strange_name_does_not_break_what_is_shown(away, capsys):
    strange = "a\n[b]\x1b[0m.toml"
    (away / strange).write_text("[pipeline]\nbatch = 1\n")
    assert cli.main(["config", "--config", strange]) == 0
    assert shown(capsys.readouterr().out)["pipeline.batch"] == (1, "a\\u000a[b]\\u001b[0m.toml:2")


def test_the_defaults_are_printed_as_the_repository_s_file(tmp_path):
    done = velox(tmp_path, "config", "--defaults")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (ROOT / "config.toml").read_text() == defaults_text()


def test_a_valid_file_is_said_to_be_valid_and_a_wrong_one_is_told(away, capsys):
    (away / "good.toml").write_text("[pipeline]\nbatch = 1\n")
    (away / "bad.toml").write_text("[pipeline]\nbatch = 0\n")
    assert cli.main(["config", "--check", "good.toml"]) == 0
    assert capsys.readouterr() == ("good.toml: valid\n", "")
    assert cli.main(["config", "--check", "bad.toml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert (
        err == "velox-tui: bad.toml:2: pipeline.batch: got 0; allowed is a whole number from 1 to 4096 transactions\n"
    )


WRONG = """\
[pipeline]
batch = 0
bathc = 5

[bundel]
max_size = 5
timeout_ns = 7

[ui]
theme = "velox-drak"
[ui.keys]
pauze = "x"
dran = "d"
[bundle]
max_size = 257
"""


def test_a_check_tells_everything_that_is_wrong_line_by_line(away, capsys):
    (away / "bad.toml").write_text(WRONG)
    assert cli.main(["config", "--check", "bad.toml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "velox-tui: bad.toml:2: pipeline.batch: got 0; allowed is a whole number from 1 to 4096 transactions",
        "velox-tui: bad.toml:3: pipeline.bathc: unknown key, the nearest is pipeline.batch",
        "velox-tui: bad.toml:5: [bundel]: unknown section, the nearest is [bundle]",
        "velox-tui: bad.toml:10: ui.theme: unknown theme, the nearest is velox-dark",
        "velox-tui: bad.toml:12: ui.keys: unknown action dran, the nearest is drain",
        "velox-tui: bad.toml:12: ui.keys: unknown action pauze, the nearest is pause",
        "velox-tui: bad.toml:15: bundle.max_size: got 257; allowed is a whole number from 1 to 256 transactions",
    ]
    assert cli.main(["--config", "bad.toml"]) == 2
    assert capsys.readouterr().err == err.splitlines(keepends=True)[0], "a run tells the first, in one line"


def test_a_check_tells_what_does_not_go_together_and_what_is_no_toml(away, capsys):
    (away / "bad.toml").write_text('[source]\nmodel = "uniform"\n[ui]\ntheme = "nord"\n')
    assert cli.main(["config", "--check", "bad.toml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('velox-tui: bad.toml:2: source.model: got "uniform" with an exact book')
    (away / "bad.toml").write_text("[source]\nmodel = \n")
    assert cli.main(["config", "--check", "bad.toml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("velox-tui: bad.toml:2: broken TOML")


def test_a_check_looks_at_the_file_alone(away, capsys, monkeypatch):
    monkeypatch.setenv("VELOX_PIPELINE__BATCH", "0")
    (away / "config.toml").write_text("[pipeline]\nbatch = 0\n")
    (away / "good.toml").write_text("")
    assert cli.main(["config", "--check", "good.toml"]) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--defaults", "--rate", "5"],
        ["--check", "a.toml", "--rate", "5"],
        ["--check", "a.toml", "--config", "a.toml"],
        ["--defaults", "--check", "a.toml"],
    ],
)
def test_defaults_and_check_go_alone(away, capsys, words):
    assert cli.main(["config", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"velox-tui: {words[0]} goes with no other option\n"


def test_the_settings_of_the_run_are_those_of_the_defaults_file(tmp_path):
    (tmp_path / "config.toml").write_text(defaults_text())
    done = velox(tmp_path, "config")
    assert done.returncode == 0
    assert load_config(tmp_path / "config.toml", environ={}) == Config()
    assert {origin.partition(":")[0] for _, origin in shown(done.stdout).values()} == {"config.toml"}


# --- an output that is closed, gone or full ----------------------------------------------------------------------


def test_a_reader_that_leaves_early_is_no_fault(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = velox(tmp_path, "config", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_output_is_no_fault_and_a_closed_error_keeps_output_clean(tmp_path):
    python = [sys.executable, "-m", "velox_tui"]
    how = {"cwd": tmp_path, "env": environment(tmp_path), "capture_output": True, "text": True, "check": False}
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *python, "config"], **how)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", *python, "--rate", "0"], **how)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_a_full_output_is_told_and_makes_the_exit_code_1(tmp_path):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = velox(tmp_path, "config", stdout=full)
    assert done.returncode == 1
    assert done.stderr == f"velox-tui: standard output: {os.strerror(errno.ENOSPC)}\n"


def test_an_output_that_knows_only_ascii_gets_ascii(tmp_path):
    done = velox(tmp_path, "config", "--source", "Börse", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert 'kind = "B\\xf6rse"' in done.stdout
