"""The table of settings, its file of defaults, and the strongest value in force."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.config_help import error_of, names, written
from velox_engine.config import (
    KEYS,
    SECTIONS,
    BookSettings,
    BundleSettings,
    Config,
    Given,
    Origin,
    PipelineSettings,
    SourceSettings,
    load_config,
    read_text,
    resolve,
)
from velox_engine.config_rules import (
    Bindings,
    Flag,
    Number,
    PowerOfTwo,
    Text,
    Whole,
    Words,
)
from velox_engine.config_table import DEFAULT_BOOK
from velox_engine.config_text import defaults_text
from velox_engine.errors import ConfigError

ROOT = Path(__file__).parent.parent


DESIGNED = {
    "pipeline.name": "velox",
    "pipeline.run_duration_secs": 0,
    "pipeline.count": 0,
    "pipeline.ingress_rate_hz": 100_000,
    "pipeline.on_full": "wait",
    "pipeline.batch": 256,
    "pipeline.stamp": "batch",
    "pipeline.drain_timeout_secs": 5,
    "pipeline.sink": "none",
    "source.kind": "synthetic",
    "source.model": "market",
    "source.live_orders": 10_000,
    "source.seed": 0,
    "source.symbols": "all",
    "source.seed_book": "auto",
    "source.speed": 1.0,
    "source.max_gap_secs": 5.0,
    "source.loop": False,
    "buffers.ingress_ring_size": 4096,
    "buffers.bundle_ring_size": 4096,
    "buffers.output_ring_size": 1024,
    "bundle.max_size": 16,
    "bundle.timeout_ns": 100_000,
    "book.kind": DEFAULT_BOOK,
    "book.depth": 20,
    "threads.ingress_core": "auto",
    "threads.orderbook_core": "auto",
    "threads.bundle_core": "auto",
    "threads.output_core": "auto",
    "threads.idle": "backoff",
    "limits.max_drop_rate": "off",
    "limits.min_throughput": "off",
    "limits.max_p99_us": "off",
    "ui.theme": "velox-dark",
    "ui.fps": 10.0,
    "ui.window_secs": 60,
    "ui.layout": "overview",
    "ui.glyphs": "auto",
    "ui.mouse": True,
    "ui.keys": "",
    "metrics.enabled": False,
    "metrics.host": "127.0.0.1",
    "metrics.port": 9464,
    "metrics.symbols": 32,
    "metrics.hlog": "none",
    "metrics.hlog_interval_secs": 1,
    "log.file": "auto",
    "log.level": "info",
    "log.format": "auto",
    "log.stderr": "auto",
    "log.max_bytes": 4_000_000,
    "log.kept": 4,
    "chaos.enabled": False,
    "chaos.seed": 0,
    "chaos.longest_ms": 50,
    "chaos.stalls_hz": 5,
    "chaos.naps_hz": 100,
    "chaos.moves_hz": 5,
    "chaos.crowds_hz": 2,
    "chaos.squeezes_hz": 1,
    "chaos.clock_steps_hz": 0.5,
    "chaos.memory_hz": 0.5,
    "chaos.memory_mb": 128,
    "chaos.sink_errors": 0.01,
    "chaos.sink_delays": 0.05,
}


def test_the_keys_and_defaults_are_the_designed_ones():
    assert {key: row.default for key, row in KEYS.items()} == DESIGNED


def test_every_section_of_the_configuration_is_in_the_table():
    assert [part.name for part in dataclasses.fields(Config)] == [*SECTIONS, "given"]
    assert Config().as_dict() == {
        name: {key.name: key.default for key in KEYS.values() if key.section == name} for name in SECTIONS
    }


def test_the_configuration_goes_into_json_and_cannot_be_changed():
    assert json.loads(json.dumps(Config().as_dict()))["pipeline"]["ingress_rate_hz"] == 100_000
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().pipeline.batch = 1


@pytest.mark.parametrize("key", KEYS.values(), ids=names(KEYS.values()))
def test_every_key_is_documented(key):
    assert key.doc
    assert key.rule.range
    assert key.doc.isascii()


def test_a_section_made_by_hand_is_checked_too():
    with pytest.raises(ConfigError, match=r"bundle\.max_size: got 257"):
        BundleSettings(max_size=257)
    with pytest.raises(ConfigError, match=r"pipeline\.batch: got 0"):
        dataclasses.replace(Config().pipeline, batch=0)
    assert PipelineSettings(ingress_rate_hz=5).ingress_rate_hz == 5.0


def test_a_uniform_model_needs_a_bucketed_book():
    with pytest.raises(ConfigError, match=r"source\.model: .*allowed is .market., or book\.kind = .bucketed."):
        Config(source=SourceSettings(model="uniform"), book=BookSettings(kind="exact"))
    Config(source=SourceSettings(model="uniform"), book=BookSettings(kind="bucketed"))
    Config(source=SourceSettings(kind="file.itch", model="uniform"), book=BookSettings(kind="exact"))


def test_settings_that_do_not_go_together_name_the_place_of_the_wrong_one(tmp_path):
    error = error_of(tmp_path, '[book]\nkind = "exact"\n[source]\n\nmodel = "uniform"\n')
    assert (error.line, error.key, error.value) == (5, "source.model", "uniform")


def test_the_repository_s_file_is_what_defaults_prints():
    assert (ROOT / "config.toml").read_text() == defaults_text()


def test_the_defaults_file_holds_every_default_and_says_range_and_meaning(tmp_path):
    path = written(tmp_path, defaults_text())
    settings = resolve(path, [], {})
    assert settings.config == Config()
    assert all(setting.origin.line for setting in settings.values.values())
    told = " ".join(re.sub(r"^[^#]*# ", "", line) for line in defaults_text().splitlines() if "#" in line)
    for key in KEYS.values():
        assert f"{key.doc} ({key.rule.range})" in told


def test_a_design_s_example_is_read_as_it_stands(tmp_path):
    text = """
[pipeline]
run_duration_secs = 0
ingress_rate_hz = 100_000
on_full = "wait"
batch = 256
stamp = "batch"
drain_timeout_secs = 5
[source]
speed = 1.0
max_gap_secs = 5.0
loop = false
[buffers]
ingress_ring_size = 4096
[threads]
ingress_core = "auto"
"""
    assert load_config(written(tmp_path, text), environ={}) == Config()


def test_the_strongest_value_is_in_force_and_says_where_it_came_from(tmp_path):
    path = written(tmp_path, "[pipeline]\nbatch = 1\ncount = 1\nname = 'file'\n")
    environ = {"VELOX_PIPELINE__BATCH": "2", "VELOX_PIPELINE__COUNT": "2"}
    options = [Given("pipeline.batch", 3, Origin("--set"))]
    settings = resolve(path, options, environ)
    told = {key: (setting.value, str(setting.origin)) for key, setting in settings.values.items()}
    assert told["pipeline.batch"] == (3, "--set")
    assert told["pipeline.count"] == (2, "VELOX_PIPELINE__COUNT")
    assert told["pipeline.name"] == ("file", f"{path}:4")
    assert told["pipeline.stamp"] == ("batch", "default")
    assert settings.config.pipeline == PipelineSettings(batch=3, count=2, name="file")
    assert settings.file == path


def test_the_last_of_two_given_values_wins():
    options = [Given("pipeline.batch", 3, Origin("--set")), Given("pipeline.batch", 4, Origin("--set"))]
    assert resolve(os.devnull, options, {}).config.pipeline.batch == 4


def test_a_wrong_value_is_an_error_even_if_a_stronger_one_replaces_it(tmp_path):
    path = written(tmp_path, "[pipeline]\nbatch = 0\n")
    with pytest.raises(ConfigError, match=r"velox\.toml:2"):
        load_config(path, overrides={"pipeline.batch": 5}, environ={"VELOX_PIPELINE__BATCH": "5"})
    with pytest.raises(ConfigError, match=r"^VELOX_PIPELINE__BATCH: pipeline\.batch: got 0"):
        load_config(os.devnull, overrides={"pipeline.batch": 5}, environ={"VELOX_PIPELINE__BATCH": "0"})


def test_overrides_are_python_values():
    assert load_config(os.devnull, overrides={"pipeline.batch": 5}, environ={}).pipeline.batch == 5
    with pytest.raises(ConfigError, match=r'^overrides: pipeline\.batch: got "5"'):
        load_config(os.devnull, overrides={"pipeline.batch": "5"}, environ={})
    with pytest.raises(ConfigError, match=r"^overrides: pipeline\.bathc: unknown key, the nearest is pipeline\.batch"):
        load_config(os.devnull, overrides={"pipeline.bathc": 5}, environ={})


@pytest.fixture
def user_directory(tmp_path, monkeypatch):
    """The user's configuration directory, with a work directory beside it that is the current one."""
    import platformdirs

    monkeypatch.setattr(platformdirs, "user_config_dir", lambda name: str(tmp_path / "user" / name))
    (tmp_path / "user" / "velox-tui").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "user" / "velox-tui"


def test_a_file_is_looked_for_here_and_then_in_the_user_s_directory(user_directory, tmp_path):
    assert resolve(None, [], {}).file is None
    assert load_config(environ={}) == Config()
    (user_directory / "config.toml").write_text("[pipeline]\nbatch = 1\n")
    assert load_config(environ={}).pipeline.batch == 1
    Path("config.toml").write_text("[pipeline]\nbatch = 2\n")
    settings = resolve(None, [], {})
    assert str(settings.values["pipeline.batch"].origin) == "config.toml:2"
    (tmp_path / "given.toml").write_text("[pipeline]\nbatch = 3\n")
    assert load_config(tmp_path / "given.toml", environ={}).pipeline.batch == 3


def test_a_file_that_is_found_but_cannot_be_read_is_an_error(user_directory):
    Path("config.toml").symlink_to("nowhere")
    with pytest.raises(ConfigError, match=r"^config\.toml: cannot be read"):
        load_config(environ={})
    Path("config.toml").unlink()
    Path("config.toml").mkdir()
    with pytest.raises(ConfigError, match=r"^config\.toml: is a directory"):
        load_config(environ={})


@pytest.mark.parametrize("key", KEYS.values(), ids=names(KEYS.values()))
def test_every_key_can_come_from_the_environment(key):
    value = {PowerOfTwo: 128, Whole: 11, Number: 1, Flag: True, Text: "name", Bindings: "quit=f9"}.get(type(key.rule))
    if key.full == "chaos.enabled":
        value = False  # true is for --chaos alone
    if isinstance(key.rule, Words):
        value = key.rule.words[0 if key.full == "source.model" else -1]  # the last model wants another book too
    assert key.variable == f"VELOX_{key.section.upper()}__{key.name.upper()}"
    settings = resolve(os.devnull, [], {key.variable: str(value).lower()})
    assert settings.values[key.full].value == value
    assert settings.values[key.full].origin == Origin(key.variable)
    changed = [name for name, setting in settings.values.items() if setting.origin.source]
    assert changed == [key.full]


@pytest.mark.parametrize(
    "variable, nearest",
    [
        ("VELOX_PIPELINE__BATHC", "VELOX_PIPELINE__BATCH"),
        ("VELOX_BATCH__BATCH", "VELOX_PIPELINE__BATCH"),
        ("VELOX_pipeline__batch", "VELOX_PIPELINE__BATCH"),
        ("VELOX_THREAD__IDLE_", "VELOX_THREADS__IDLE"),
        ("VELOX___", "VELOX_"),
    ],
)
def test_an_unknown_setting_in_the_environment_names_the_nearest(variable, nearest):
    with pytest.raises(ConfigError) as caught:
        load_config(os.devnull, environ={variable: "5"})
    assert str(caught.value).startswith(f"{variable}: unknown setting, the nearest is {nearest}")


def test_other_names_in_the_environment_are_no_settings():
    environ = {"VELOX_TEST_DATA": "x", "VELOX_CACHE_DIR": "x", "VELOX": "x", "velox_pipeline__batch": "0", "A__B": "x"}
    assert load_config(os.devnull, environ=environ) == Config()


def test_the_environment_is_read_when_none_is_given(monkeypatch):
    monkeypatch.setenv("VELOX_BUNDLE__MAX_SIZE", "9")
    assert load_config(os.devnull).bundle.max_size == 9


def test_an_unknown_key_keeps_its_word_for_the_error_to_come():
    assert read_text("no.key", "5", Origin("--set")) == Given("no.key", "5", Origin("--set"))


def test_configuration_needs_neither_numpy_nor_numba_nor_textual():
    code = (
        "import sys, velox_engine.config as c; c.load_config('config.toml', environ={});"
        "print([m for m in ('numpy', 'numba', 'textual', 'llvmlite', 'psutil') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_what_was_given_is_known_but_a_spelled_out_default_gives_nothing(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("[pipeline]\ningress_rate_hz = 100_000\nbatch = 64\n")
    assert load_config(file, environ={}).given == {"pipeline.batch"}
    given = load_config(file, overrides={"pipeline.ingress_rate_hz": 100_000}, environ={}).given
    assert given == {"pipeline.batch", "pipeline.ingress_rate_hz"}
