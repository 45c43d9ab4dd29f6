"""Each setting's borders, and how words and numbers are read and written."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.config_help import names, short
from velox_engine.config import (
    KEYS,
    Origin,
    checked,
    read_text,
)
from velox_engine.config_rules import (
    INT64_MAX,
    Numeric,
    Text,
    Whole,
    from_toml,
    plain,
    shown,
    toml_value,
)
from velox_engine.errors import ConfigError

NUMERIC = [key for key in KEYS.values() if isinstance(key.rule, Numeric)]
WHOLE = [key for key in NUMERIC if isinstance(key.rule, Whole)]


RANGES = {
    "pipeline.run_duration_secs": (0, 10**9),
    "pipeline.count": (0, INT64_MAX),
    "pipeline.ingress_rate_hz": (1e-6, 10**9),
    "pipeline.batch": (1, 4096),
    "pipeline.drain_timeout_secs": (0.001, 3600),
    "source.live_orders": (10, 10**6),
    "source.seed": (0, INT64_MAX),
    "source.speed": (1e-6, 10**6),
    "source.max_gap_secs": (0.001, 10**9),
    "buffers.ingress_ring_size": (64, 2**20),
    "buffers.bundle_ring_size": (64, 2**20),
    "buffers.output_ring_size": (64, 2**20),
    "bundle.max_size": (1, 256),
    "bundle.timeout_ns": (1, 10**10),
    "book.depth": (1, 200),
    "threads.ingress_core": (0, 1023),
    "threads.orderbook_core": (0, 1023),
    "threads.bundle_core": (0, 1023),
    "threads.output_core": (0, 1023),
    "limits.max_drop_rate": (0, 1),
    "limits.min_throughput": (0, 10**12),
    "limits.max_p99_us": (0.001, 10**9),
    "ui.fps": (1, 30),
    "ui.window_secs": (10, 900),
    "metrics.port": (0, 65_535),
    "metrics.symbols": (0, 1000),
    "metrics.hlog_interval_secs": (0.1, 86_400),
    "log.max_bytes": (0, 10**12),
    "log.kept": (1, 100),
    "chaos.seed": (0, INT64_MAX),
    "chaos.longest_ms": (0.001, 60_000),
    "chaos.stalls_hz": (0, 1000),
    "chaos.naps_hz": (0, 1000),
    "chaos.moves_hz": (0, 1000),
    "chaos.crowds_hz": (0, 1000),
    "chaos.squeezes_hz": (0, 1000),
    "chaos.clock_steps_hz": (0, 1000),
    "chaos.memory_hz": (0, 1000),
    "chaos.memory_mb": (0, 65_536),
    "chaos.sink_errors": (0, 1),
    "chaos.sink_delays": (0, 1),
}


def test_every_number_has_its_border_tests():
    assert {key.full for key in NUMERIC} == set(RANGES)


@pytest.mark.parametrize("key", RANGES)
def test_the_borders_are_allowed_and_what_lies_beyond_is_not(key):
    low, high = RANGES[key]
    whole = isinstance(KEYS[key].rule, Whole)
    assert checked(key, low) == low
    assert checked(key, high) == high
    assert type(checked(key, low)) is (int if whole else float)
    beyond = (low - 1, high + 1) if whole else (math.nextafter(low, -1), math.nextafter(high, math.inf))
    for value in beyond:
        with pytest.raises(ConfigError):
            checked(key, value)


NEVER = [True, False, "", "5", "MAX", " auto", [], [5], {}, {"a": 1}, None, math.nan, math.inf, -math.inf, -1, -0.5]
NEVER += [1e18, -1e18, 2**80, -(2**80), 10**400, 5j, b"5", Fraction(10**400, 3), np.bool_(True), np.datetime64(5, "s")]


@pytest.mark.parametrize("key", NUMERIC, ids=names(NUMERIC))
def test_what_is_no_such_number_is_refused(key):
    for value in NEVER:
        with pytest.raises(ConfigError) as caught:
            checked(key.full, value)
        assert caught.value.key == key.full
        assert caught.value.value is value
        assert caught.value.allowed == key.rule.allowed


@pytest.mark.parametrize("key", WHOLE, ids=names(WHOLE))
def test_a_whole_number_with_a_point_is_refused_with_what_to_write(key):
    with pytest.raises(ConfigError, match=r"got 64\.0, which is not written as a whole number, write 64;"):
        checked(key.full, 64.0)
    with pytest.raises(ConfigError, match=r"got 64\.5, which is not written as a whole number;"):
        checked(key.full, 64.5)


def test_numbers_of_other_libraries_become_plain_ones():
    for value in (np.int32(64), np.uint64(64), np.int64(64)):
        assert type(checked("pipeline.batch", value)) is int
    for value in (np.float32(64), np.int64(64), Fraction(64)):
        assert type(checked("pipeline.ingress_rate_hz", value)) is float


def test_a_negative_zero_is_zero():
    assert math.copysign(1, checked("limits.max_drop_rate", -0.0)) == 1


WORDS = {
    "pipeline.ingress_rate_hz": ("max",),
    "source.speed": ("max",),
    "threads.ingress_core": ("auto",),
    "threads.orderbook_core": ("auto",),
    "threads.bundle_core": ("auto",),
    "threads.output_core": ("auto",),
    "limits.max_drop_rate": ("off",),
    "limits.min_throughput": ("off",),
    "limits.max_p99_us": ("off",),
    "pipeline.on_full": ("wait", "drop"),
    "pipeline.stamp": ("batch", "each"),
    "source.model": ("market", "uniform"),
    "book.kind": ("exact", "bucketed"),
    "threads.idle": ("backoff", "spin"),
    "ui.layout": ("overview", "pipeline", "book", "latency"),
    "ui.glyphs": ("auto", "braille", "block", "ascii"),
    "log.level": ("debug", "info", "warning", "error"),
    "log.format": ("auto", "json", "text"),
    "log.stderr": ("auto", "records", "messages"),
}


@pytest.mark.parametrize("key", [key for key in KEYS.values() if not isinstance(key.rule, Text)], ids=lambda k: k.full)
def test_only_the_key_s_own_words_are_allowed(key):
    for word in (
        "max",
        "auto",
        "off",
        "wait",
        "drop",
        "batch",
        "each",
        "market",
        "uniform",
        "exact",
        "bucketed",
        "spin",
    ):
        if word in WORDS.get(key.full, ()):
            assert checked(key.full, word) == word
        else:
            with pytest.raises(ConfigError, match=f'got "{word}"'):
                checked(key.full, word)


@pytest.mark.parametrize("value", [1, 0, "wait ", "WAIT", "", True, None, ["wait"], 1.5, {}])
def test_a_word_is_only_itself(value):
    with pytest.raises(ConfigError, match='allowed is "wait" or "drop"'):
        checked("pipeline.on_full", value)


@pytest.mark.parametrize("value", [0, 1, "true", "yes", "", None, [True], 1.0])
def test_a_flag_is_only_true_or_false(value):
    assert checked("source.loop", True) is True
    assert checked("source.loop", False) is False
    with pytest.raises(ConfigError, match="allowed is true or false"):
        checked("source.loop", value)


@pytest.mark.parametrize("name", ["velox", "A", "a.b-c_9", "z" * 64])
def test_an_engine_s_name_may_be(name):
    assert checked("pipeline.name", name) == name


@pytest.mark.parametrize("name", ["", "1", "4711", "-a", ".a", "a b", "a/b", "..", "a\n", "é", "z" * 65, 5, True, None])
def test_an_engine_s_name_is_no_number_no_path_and_not_long(name):
    with pytest.raises(ConfigError, match="allowed is a letter and up to 63 letters, digits"):
        checked("pipeline.name", name)


def test_a_source_is_any_text_but_an_empty_one_or_one_with_control_characters():
    assert checked("source.kind", "/data/Börse, 1.csv.gz:lobster") == "/data/Börse, 1.csv.gz:lobster"
    for value in ("", "a\0b", "a\nb", "\x7f", "\udcff", 5, True, [], None):
        with pytest.raises(ConfigError, match='allowed is "synthetic" or a path'):
            checked("source.kind", value)


@pytest.mark.parametrize(
    "size, near",
    [
        (0, "is 64"),
        (63, "is 64"),
        (65, "are 64 and 128"),
        (1000, "are 512 and 1024"),
        (4095, "are 2048 and 4096"),
        (2**20 - 1, "are 524_288 and 1_048_576"),
        (2**20 + 1, "is 1_048_576"),
        (2**21, "is 1_048_576"),
        (-4096, "is 64"),
    ],
)
def test_a_ring_size_that_is_no_power_of_two_names_the_nearest(size, near):
    with pytest.raises(ConfigError, match=f"got {size}, the nearest {near}; allowed is a power of two from 64 to"):
        checked("buffers.ingress_ring_size", size)


@pytest.mark.parametrize("power", range(6, 21))
def test_every_power_of_two_between_the_borders_is_a_ring_size(power):
    assert checked("buffers.output_ring_size", 2**power) == 2**power


@pytest.mark.parametrize(
    "text, value",
    [
        ("5", 5),
        (" 5 ", 5),
        ("1_000", 1000),
        ("0x10", 16),
        ("-1", -1),
        ("+1", 1),
        ("1e5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.5e1", -5.0),
        ("true", True),
        ('"a b"', "a b"),
        ("'a'", "a"),
        ("max", "max"),
        ("True", "True"),
        ("08", "08"),
        ("a=b", "a=b"),
        ("[1, 2]", [1, 2]),
        ("[1,", "[1,"),
        ("", ""),
        ("5 # c", "5 # c"),
        ("5\n[x]", "5\n[x]"),
        ("[" * 3000, "[" * 3000),
        ("9" * 5000, "9" * 5000),
        ("\0", "\0"),
        ("\udcff", "\udcff"),
    ],
    ids=short,
)
def test_a_word_of_the_command_line_is_a_toml_value_or_text(text, value):
    read = from_toml(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "text, value", [("2024", "2024"), ("true", "true"), ('"a"', "a"), ("'a b'", "a b"), ("a b", "a b"), ('"a', '"a')]
)
def test_a_key_that_is_text_takes_every_word_as_text(text, value):
    assert read_text("source.kind", text, Origin("--set")).value == value


@given(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.text(), st.booleans()))
def test_a_value_written_as_toml_is_read_as_the_same(value):
    text = toml_value(value)
    assert "\n" not in text
    if not (isinstance(value, str) and any(0xD800 <= ord(c) < 0xE000 for c in value)):
        assert from_toml(text) == value


@pytest.mark.parametrize(
    "number, text",
    [(5, "5"), (5.0, "5"), (4096, "4096"), (100_000.0, "100_000"), (0.5, "0.5"), (1e-6, "0.000001"), (1e18, "1e+18")],
)
def test_numbers_are_written_for_people(number, text):
    assert plain(number) == text


@pytest.mark.parametrize(
    "value", [10**5000, [10**5000], "x" * 10_000, list(range(1000)), "a\nb\x1b[0m", object(), {1: 2}], ids=short
)
def test_what_an_error_shows_is_one_short_line(value):
    assert len(shown(value)) <= 60
    assert shown(value).isprintable()


@pytest.mark.parametrize(
    "value, held",
    [
        ("", ""),
        ({}, ""),
        ("pause=p,space  drain=ctrl+d", "drain=ctrl+d pause=p,space"),
        ({"pause": "f2", "drain": "x"}, "drain=x pause=f2"),
    ],
)
def test_keys_are_bound_by_a_table_or_by_text(value, held):
    assert checked("ui.keys", value) == held


@pytest.mark.parametrize(
    "value", [5, ["pause=p"], "pause", {"pause": 3}, {"pause": ""}, {"pause": "p q"}, {"No": "x"}, "=p"]
)
def test_keys_that_are_bound_otherwise_are_refused(value):
    with pytest.raises(ConfigError) as caught:
        checked("ui.keys", value)
    assert caught.value.key == "ui.keys"
