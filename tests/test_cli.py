"""The command line: every option reaches its setting, and wrong use is one line and the exit code 2."""

import os
import re
import subprocess
import sys
import tomllib
from types import SimpleNamespace

import pytest

import velox_tui
from tests.command import ROOT, environment, velox
from velox_engine.config import KEYS, Config
from velox_engine.config_rules import toml_value
from velox_engine.errors import ConfigError, EngineError
from velox_tui import cli
from velox_tui.commands import COMMANDS
from velox_tui.options import RunOptions, UsageError, check_report_path


@pytest.fixture
def away(tmp_path, monkeypatch):
    """Stand in an empty directory, with no settings in the environment and none in the user's directory."""
    import platformdirs

    for name in [name for name in os.environ if name.startswith("VELOX_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(platformdirs, "user_config_dir", lambda name: str(tmp_path / "user" / name))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def headless(away, monkeypatch):
    """Stand in for the headless run: it takes down what it is called with, and ends as it is told to."""
    seen = SimpleNamespace(calls=[], ends=0)

    def run(config, options):
        seen.calls.append((config, options))
        if isinstance(seen.ends, BaseException):
            raise seen.ends
        return seen.ends

    fake = SimpleNamespace(run=run)
    monkeypatch.setitem(sys.modules, "velox_tui.headless", fake)
    monkeypatch.setattr(velox_tui, "headless", fake, raising=False)
    return seen


# --- what is asked reaches the run ----------------------------------------------------------------------------


OPTIONS = {
    "--name": ("pipeline.name", "left", "left"),
    "--source": ("source.kind", "day.csv", "day.csv"),
    "--rate": ("pipeline.ingress_rate_hz", "250_000", 250_000.0),
    "--duration": ("pipeline.run_duration_secs", "1.5", 1.5),
    "--count": ("pipeline.count", "20000000", 20_000_000),
    "--seed": ("source.seed", "7", 7),
    "--book": ("book.kind", "bucketed", "bucketed"),
    "--seed-book": ("source.seed_book", "none", "none"),
    "--symbols": ("source.symbols", "AAPL,MSFT", "AAPL,MSFT"),
    "--sink": ("pipeline.sink", "out.velox", "out.velox"),
    "--hlog": ("metrics.hlog", "run.hlog", "run.hlog"),
    "--on-full": ("pipeline.on_full", "drop", "drop"),
    "--max-drop-rate": ("limits.max_drop_rate", ".01", 0.01),
    "--min-throughput": ("limits.min_throughput", "1e6", 1e6),
    "--max-p99-us": ("limits.max_p99_us", "250", 250.0),
}


def value_of(config: Config, key: str):
    section, name = key.split(".")
    return getattr(getattr(config, section), name)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("joined", [True, False], ids=["joined", "apart"])
def test_an_option_sets_its_key(headless, option, joined):
    key, text, value = OPTIONS[option]
    words = [f"{option}={text}"] if joined else [option, text]
    assert cli.main(["--no-ui", *words]) == 0
    ((config, options),) = headless.calls
    assert value_of(config, key) == value
    assert type(value_of(config, key)) is type(value)
    assert options == RunOptions(report=None, no_ui=True)


def test_without_options_the_defaults_run(headless, capsys):
    assert cli.main(["--no-ui"]) == 0
    assert headless.calls == [(Config(), RunOptions(report=None, no_ui=True))]
    assert capsys.readouterr() == ("", "")


def test_any_key_can_be_set(headless):
    words = ["bundle.max_size=4", "threads.idle = spin", 'pipeline.name="a"', "source.kind=a=b", "source.loop=true"]
    assert cli.main(["--no-ui", *(part for word in words for part in ("--set", word))]) == 0
    config = headless.calls[0][0]
    assert (config.bundle.max_size, config.threads.idle, config.pipeline.name) == (4, "spin", "a")
    assert (config.source.kind, config.source.loop) == ("a=b", True)


@pytest.mark.parametrize(
    "words, rate",
    [
        (["--rate", "5", "--set", "pipeline.ingress_rate_hz=6"], 6),
        (["--set", "pipeline.ingress_rate_hz=6", "--rate", "5"], 5),
        (["--rate", "5", "--rate", "max"], "max"),
    ],
)
def test_the_last_word_on_a_key_wins(headless, words, rate):
    assert cli.main(["--no-ui", *words]) == 0
    assert headless.calls[0][0].pipeline.ingress_rate_hz == rate


def test_options_are_stronger_than_the_environment_and_that_than_the_file(headless, away, monkeypatch):
    (away / "c.toml").write_text("[pipeline]\ncount = 1\nbatch = 1\ningress_rate_hz = 1\n")
    monkeypatch.setenv("VELOX_PIPELINE__COUNT", "2")
    monkeypatch.setenv("VELOX_PIPELINE__BATCH", "2")
    assert cli.main(["--no-ui", "--config", "c.toml", "--count", "3"]) == 0
    pipeline = headless.calls[0][0].pipeline
    assert (pipeline.count, pipeline.batch, pipeline.ingress_rate_hz) == (3, 2, 1)


def test_a_source_is_taken_as_it_stands(headless):
    for word in ("2024", '"quoted"', "true", "[1", "day.csv:lobster"):
        assert cli.main(["--no-ui", "--source", word]) == 0
        assert headless.calls[-1][0].source.kind == word


def test_the_report_is_asked_for_and_its_path_tried_without_a_trace(headless, away):
    assert cli.main(["--no-ui", "--report", "r.json"]) == 0
    assert headless.calls[-1][1] == RunOptions(report="r.json", no_ui=True)
    assert list(away.iterdir()) == []
    assert cli.main(["--no-ui", "--report", "-"]) == 0
    assert headless.calls[-1][1].report == "-"


def test_without_a_terminal_the_run_says_so_in_one_line(headless, capsys, monkeypatch):
    monkeypatch.setattr(cli, "no_screen", lambda: "standard output is no terminal")
    assert cli.main([]) == 0
    assert len(headless.calls) == 1
    assert capsys.readouterr() == ("", "velox-tui: standard output is no terminal: running as with --no-ui\n")


@pytest.mark.parametrize(
    "words, key, value", [(["--ascii"], "glyphs", "ascii"), (["--no-mouse"], "mouse", False), ([], "mouse", True)]
)
def test_options_of_the_screen_are_settings(headless, words, key, value):
    assert cli.main(["--no-ui", *words]) == 0
    assert getattr(headless.calls[0][0].ui, key) == value
    assert not headless.calls[0][1].read_only


def test_read_only_reaches_the_screen(headless):
    assert cli.main(["--no-ui", "--read-only"]) == 0
    assert headless.calls[0][1].read_only


@pytest.mark.parametrize(
    "ends, code, says",
    [
        (0, 0, ""),
        (4, 4, ""),
        (143, 143, ""),
        (ConfigError("no such core", key="threads.ingress_core"), 2, "velox-tui: threads.ingress_core: no such core\n"),
        (EngineError("worker 0 died\nbadly"), 1, "velox-tui: worker 0 died\\u000abadly\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=str,
)
def test_the_exit_code_is_the_run_s(headless, capsys, ends, code, says):
    headless.ends = ends
    assert cli.main(["--no-ui"]) == code
    assert capsys.readouterr() == ("", says)


# --- wrong use ------------------------------------------------------------------------------------------------


def words_of(value):
    """Name a test by the words of its command line."""
    return " ".join(value)[:40] if isinstance(value, list) else ""


WRONG = [
    (["--rate", "-1"], "--rate: pipeline.ingress_rate_hz: got -1; allowed is a number from 0.000001 to 1_000_000_000"),
    (["--rate", "-1e5"], "--rate: pipeline.ingress_rate_hz: got -100000.0; allowed is"),
    (["--rate", "-.5"], "--rate: pipeline.ingress_rate_hz: got -0.5; allowed is"),
    (["--rate", "-inf"], "--rate: pipeline.ingress_rate_hz: got -inf; allowed is"),
    (["--rate=nan"], "--rate: pipeline.ingress_rate_hz: got nan; allowed is"),
    (["--rate", "-nan"], "--rate: pipeline.ingress_rate_hz: got nan; allowed is"),
    (["--rate", "NaN"], '--rate: pipeline.ingress_rate_hz: got "NaN"; allowed is'),
    (["--rate", "0"], "--rate: pipeline.ingress_rate_hz: got 0; allowed is"),
    (["--rate", "1e18"], "--rate: pipeline.ingress_rate_hz: got 1e+18; allowed is"),
    (["--rate", "fast"], '--rate: pipeline.ingress_rate_hz: got "fast"; allowed is'),
    (["--rate", ""], '--rate: pipeline.ingress_rate_hz: got ""; allowed is'),
    (["--rate", "1,000"], '--rate: pipeline.ingress_rate_hz: got "1,000"; allowed is'),
    (
        ["--count", "1e6"],
        "--count: pipeline.count: got 1000000.0, which is not written as a whole number, write 1000000;",
    ),
    (["--count", "-1"], "--count: pipeline.count: got -1; allowed is a whole number from 0"),
    (["--duration", "-1"], "--duration: pipeline.run_duration_secs: got -1; allowed is a number from 0"),
    (
        ["--seed", str(2**63)],
        "--seed: source.seed: got 9223372036854775808; allowed is a whole number from 0 to 2^63 - 1",
    ),
    (["--name", "4711"], '--name: pipeline.name: got "4711"; allowed is a letter'),
    (["--source", ""], '--source: source.kind: got ""; allowed is "synthetic" or a path'),
    (["--book", "fast"], '--book: book.kind: got "fast"; allowed is "exact" or "bucketed"'),
    (["--on-full", "die"], '--on-full: pipeline.on_full: got "die"; allowed is "wait" or "drop"'),
    (["--max-drop-rate", "1.1"], "--max-drop-rate: limits.max_drop_rate: got 1.1; allowed is a number from 0 to 1"),
    (["--max-p99-us", "0"], "--max-p99-us: limits.max_p99_us: got 0; allowed is a number from 0.001"),
    (["--min-throughput", "-5"], "--min-throughput: limits.min_throughput: got -5; allowed is a number from 0"),
    (["--set", "buffers.ingress_ring_size=1000"], "got 1000, the nearest are 512 and 1024; allowed is a power of two"),
    (["--set", "bundle.timeout_ns=0"], "--set: bundle.timeout_ns: got 0; allowed is a whole number from 1 to"),
    (["--set", "bundle.max_size=257"], "--set: bundle.max_size: got 257; allowed is a whole number from 1 to 256"),
    (
        ["--set", "threads.ingress_core=1024"],
        "--set: threads.ingress_core: got 1024; allowed is a whole number from 0 to 1023",
    ),
    (
        ["--set", "threads.ingress_core=-1"],
        '--set: threads.ingress_core: got -1; allowed is a whole number from 0 to 1023 or "auto"',
    ),
    (["--set", "bundle.max_sise=4"], "--set: bundle.max_sise: unknown key, the nearest is bundle.max_size"),
    (["--set", "max_size=4"], "--set: max_size: unknown key, the nearest is bundle.max_size"),
    (["--set", "bundle.max_size"], "--set: got bundle.max_size; allowed is section.key=value"),
    (["--set", "=5"], "--set: unknown key, the nearest is"),
    (["--set", "source.model=uniform", "--book", "exact"], "--set: source.model: "),
    (["--config", "/"], "/: is a directory; allowed is a TOML file"),
    (["--config", "none.toml"], "none.toml: cannot be read: No such file or directory"),
    (["--config", ""], ".: is a directory"),
    (["--report", ""], "--report: got an empty name; allowed is a file or -"),
    (["--report", "."], "--report: . is a directory; allowed is a file or -"),
    (["--report", "new/"], "--report: new/ is a directory; allowed is a file or -"),
    (["--report", "none/r.json"], "--report: none/r.json cannot be written: there is no directory "),
    (["--report", "a\0b"], "--report: a file's name cannot hold a NUL"),
    (["--report", "x" * 5000], " cannot be written: File name too long"),
    (["--rate"], "--rate: expected one argument"),
    (["--rate", "--seed", "5"], "--rate: expected one argument"),
    (["--ratee", "5"], "unknown option --ratee, the nearest is --rate"),
    (["--drop-rate=5"], "unknown option --drop-rate, the nearest is --max-drop-rate"),
    (["--dur", "5"], "unknown option --dur, the nearest is --"),
    (["-x"], "unknown option -x, the nearest is -"),
    (["--no-ui=yes"], "--no-ui: ignored explicit argument 'yes'"),
    (["confg"], "unknown command confg, the nearest is config"),
    (["\n"], 'unknown command "\\u000a", the nearest is'),
    (["--rate", "5", "config"], "a command comes first: velox-tui config ..."),
    (["config", "config"], "unexpected argument config"),
    (["warm", "--rate", "5"], "unknown option --rate, the nearest is --"),
]


@pytest.mark.parametrize("words, says", WRONG, ids=words_of)
def test_wrong_use_is_one_line_and_nothing_starts(headless, capsys, words, says):
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("velox-tui: ")
    assert says in err
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert headless.calls == []


@pytest.mark.parametrize(
    "words, says",
    [
        (["--no-ui", "--rate", "nan"], "--rate: pipeline.ingress_rate_hz: got nan; allowed is a number from"),
        (["--no-ui", "--rate", "-1"], "--rate: pipeline.ingress_rate_hz: got -1; allowed is"),
        (
            ["--set", "buffers.output_ring_size=100"],
            "got 100, the nearest are 64 and 128; allowed is a power of two from 64",
        ),
        (
            ["--set", "bundle.timeout_ns=0"],
            "bundle.timeout_ns: got 0; allowed is a whole number from 1 to 10_000_000_000 ns",
        ),
        (["--set", "bundle.max_size=257"], "bundle.max_size: got 257; allowed is a whole number from 1 to 256"),
        (["--set", "pipeline.rate=5"], "pipeline.rate: unknown key, the nearest is pipeline."),
        (["--config", "."], ".: is a directory"),
        (["--config", "broken.toml"], "broken.toml:2: broken TOML: "),
        (
            ["--config", "wrong.toml"],
            "wrong.toml:3: bundle.max_size: got true; allowed is a whole number from 1 to 256",
        ),
        (["--report", "none/r.json"], "--report: none/r.json cannot be written: there is no directory"),
        (["--report", "/proc/velox.json"], "--report: /proc/velox.json cannot be written: "),
        (["--frobnicate"], "unknown option --frobnicate"),
    ],
    ids=words_of,
)
def test_bad_input_to_the_real_command_gives_one_line_and_the_exit_code_2(tmp_path, words, says):
    (tmp_path / "broken.toml").write_text("[bundle]\nmax_size =\n")
    (tmp_path / "wrong.toml").write_text("[bundle]\n\nmax_size = true\n")
    done = velox(tmp_path, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("velox-tui: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.toml", "wrong.toml"]


def test_bad_settings_in_the_environment_and_the_found_file_are_told(tmp_path):
    done = velox(tmp_path, "config", env={"VELOX_PIPELINE__BATCH": "0"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("velox-tui: VELOX_PIPELINE__BATCH: pipeline.batch: got 0; allowed is")
    (tmp_path / "config.toml").write_text("[pipelin]\n")
    done = velox(tmp_path, "--no-ui")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "velox-tui: config.toml:1: [pipelin]: unknown section, the nearest is [pipeline]\n"


# --- the report's path ------------------------------------------------------------------------------------------


def test_a_report_that_exists_is_not_touched(tmp_path):
    report = tmp_path / "r.json"
    report.write_text("before")
    check_report_path(str(report))
    assert report.read_text() == "before"


def test_a_report_may_go_to_a_device_a_pipe_or_through_a_link(tmp_path):
    check_report_path(os.devnull)
    os.mkfifo(tmp_path / "pipe")
    check_report_path(str(tmp_path / "pipe"))
    (tmp_path / "link").symlink_to(tmp_path / "r.json")
    check_report_path(str(tmp_path / "link"))
    assert not (tmp_path / "r.json").exists()
    (tmp_path / "lost").symlink_to(tmp_path / "none" / "r.json")
    with pytest.raises(UsageError, match=r"there is no directory .*none"):
        check_report_path(str(tmp_path / "lost"))
    (tmp_path / "round").symlink_to(tmp_path / "round")
    with pytest.raises(UsageError, match="cannot be written"):
        check_report_path(str(tmp_path / "round"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_report_without_permission_is_refused(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(UsageError, match="cannot be written: Permission denied"):
        check_report_path(str(closed / "r.json"))
    report = tmp_path / "r.json"
    report.touch(mode=0o400)
    with pytest.raises(UsageError, match="cannot be written: Permission denied"):
        check_report_path(str(report))


def test_a_report_that_the_system_refuses_is_told_with_its_reason(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UsageError, match=r"^--report: .*r\.json cannot be written: Permission denied"):
        check_report_path(str(tmp_path / "r.json"))


# --- help, version, weight ----------------------------------------------------------------------------------------


def test_help_names_every_option_with_its_meaning_range_and_default(away, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert cli.main(["--help"]) == 0
    out, err = capsys.readouterr()
    told = " ".join(out.split())
    assert err == ""
    for option, (key, _, _) in OPTIONS.items():
        row = KEYS[key]
        assert f"{row.doc} ({row.rule.range}); default {toml_value(row.default)}" in told
        assert re.search(rf"^  {option} \S", out, re.MULTILINE)
    for option in ("--config FILE", "--set section.key=value", "--no-ui", "--report FILE", "--version", "-h, --help"):
        assert option in out
    for command, what in COMMANDS.items():
        assert re.search(rf"^  {command} +{what}$", out, re.MULTILINE)
    assert out.isascii()


def test_help_and_version_are_answered_whatever_else_is_asked(away, capsys):
    assert cli.main(["--rate", "5", "-h", "--nonsense"]) == 0
    assert capsys.readouterr().out.startswith("usage: velox-tui")
    assert cli.main(["--version", "--rate"]) == 0
    assert capsys.readouterr() == (f"velox-tui {velox_tui.__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help(away, capsys, command):
    assert cli.main([command, "--help"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: velox-tui {command}")
    assert err == ""


def test_the_version_is_the_distribution_s():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert velox_tui.__version__ == project["version"]


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["config"], ["config", "--defaults"], ["config", "--help"]]
)
def test_what_only_answers_imports_no_compiler_and_no_screen(tmp_path, words):
    code = (
        "import sys; from velox_tui.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'numpy', 'numba', 'llvmlite', 'textual', 'rich', 'psutil'} & set(sys.modules);"
        "sys.exit(f'{code} {sorted(heavy)}' if code or heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, env=environment(tmp_path), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout
