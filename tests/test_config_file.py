"""A configuration file's errors say which file, which line, what was given and what is allowed."""

import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.config_help import error_of, short, written
from velox_engine.config import (
    Config,
    load_config,
    resolve,
)
from velox_engine.config_file import MAX_BYTES, read_file
from velox_engine.errors import ConfigError


@pytest.mark.parametrize(
    "text, line, key, value, says",
    [
        ("[pipeline]\nbatch = 0\n", 2, "pipeline.batch", 0, "got 0; allowed is a whole number from 1 to 4096"),
        ("[bundle]\n\n# c\nmax_size = 257 # c\n", 4, "bundle.max_size", 257, "got 257; allowed is a whole number"),
        ("[bundle]\ntimeout_ns = 0\n", 2, "bundle.timeout_ns", 0, "from 1 to 10_000_000_000 ns"),
        ("[pipeline]\ningress_rate_hz = 1e18", 2, "pipeline.ingress_rate_hz", 1e18, 'per second or "max"'),
        ("[pipeline]\ningress_rate_hz = -1", 2, "pipeline.ingress_rate_hz", -1, "got -1; allowed is a number"),
        ("[pipeline]\ningress_rate_hz = 0", 2, "pipeline.ingress_rate_hz", 0, "from 0.000001 to 1_000_000_000"),
        ("[pipeline]\ningress_rate_hz = true", 2, "pipeline.ingress_rate_hz", True, "got true"),
        ('[pipeline]\nbatch = "8"', 2, "pipeline.batch", "8", 'got "8"'),
        ("[pipeline]\nbatch = [\n 1,\n 2]", 2, "pipeline.batch", [1, 2], "got [1, 2]"),
        ("[pipeline]\nbatch = {a = 1}", 2, "pipeline.batch", {"a": 1}, "got a table"),
        ("\npipeline = {batch = {}}", 2, "pipeline.batch", {}, "got a table"),
        ("[pipeline.batch]\nx = 1", 2, "pipeline.batch", {"x": 1}, "got a table"),
        ("[pipeline]\nbatch = 1208925819614629174706176", 2, "pipeline.batch", 2**80, "got 1208925819614629174706176"),
        (
            "[pipeline]\nbatch = 0x" + "f" * 5000,
            2,
            "pipeline.batch",
            16**5000 - 1,
            "got a number of thousands of digits",
        ),
        (
            '[source]\nkind = """\na\nb"""\n',
            2,
            "source.kind",
            "a\nb",
            'got "a\\u000ab", which holds control characters',
        ),
        ("\r\n[pipeline]\r\nname = 'x'\r\nbatch = -1\r\n", 4, "pipeline.batch", -1, "got -1"),
        ("pipeline = 5\n", 1, "pipeline", 5, "got 5; allowed is a section [pipeline]"),
        ("\n[[pipeline]]\nbatch = 5\n", 2, "pipeline", [{"batch": 5}], "got a list of tables; allowed is a section"),
        ("pipeline.batch = 5\npipeline.count = 1e5\n", 2, "pipeline.count", 1e5, "write 100000"),
        ("# c\npipeline = {batch = 5, count = -1}\n", 2, "pipeline.count", -1, "got -1"),
        ('[source]\nkind = """\nfile"""\nseed = [[\n1]]\n', 4, "source.seed", [[1]], "got [[1]]"),
    ],
    ids=short,
)
def test_a_wrong_value_is_told_with_its_line_key_and_range(tmp_path, text, line, key, value, says):
    error = error_of(tmp_path, text)
    assert (error.line, error.key, error.value) == (line, key, value)
    assert f"velox.toml:{line}: {key}: " in str(error)
    assert says in str(error)


def test_nan_and_infinity_in_a_file_are_told(tmp_path):
    for word in ("nan", "inf", "-inf", "1e999"):
        error = error_of(tmp_path, f"[pipeline]\ningress_rate_hz = {word}\n")
        assert error.line == 2
        assert not math.isfinite(error.value)


@pytest.mark.parametrize(
    "text, line, key, nearest",
    [
        ("[pipeline]\nbathc = 5\n", 2, "pipeline.bathc", "pipeline.batch"),
        ("[pipeline]\nBatch = 5\n", 2, "pipeline.Batch", "pipeline.batch"),
        ("[pipeline]\nrate = 5\n", 2, "pipeline.rate", "pipeline."),
        ("[bundle]\nbatch = 5\n", 2, "bundle.batch", "pipeline.batch"),
        ("\nbatch = 5\n", 2, "batch", "pipeline.batch"),
        ("[threads]\n\nbundle_cores = 1\n", 3, "threads.bundle_cores", "threads.bundle_core"),
        ('[pipeline]\n"ba\\ntch" = 5\n', 2, '"pipeline.ba\\u000atch"', "pipeline.batch"),
        ("[pipeline]\n" + "x" * 500 + " = 5\n", 2, '"pipeline.' + "x" * 47 + "...", "pipeline."),
        ('"pipeline.batch" = 5\n', 1, "pipeline.batch", "pipeline.batch"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(tmp_path, text, line, key, nearest):
    error = error_of(tmp_path, text)
    assert (error.line, error.key) == (line, key)
    assert f"unknown key, the nearest is {nearest}" in str(error)


@pytest.mark.parametrize(
    "text, line, section, nearest",
    [
        ("\n[pipelin]\n\nbatch = 5\n", 2, "pipelin", "pipeline"),
        ("[pipeline]\n[ 'thread' ] # c\n", 2, "thread", "threads"),
        ("\nx = {}\n", 2, "x", ""),
        ("[pipeline]\nbatch = 5\n[[buffer]]\nbatch = 5\n[book]\n", 3, "buffer", "buffers"),
        ("[Limits]\nmax_p99_us = 5\n", 1, "Limits", "limits"),
        ("limit.max_p99_us = 5\n", 1, "limit", "limits"),
        ("limit = {max_p99_us = 5}\n", 1, "limit", "limits"),
    ],
)
def test_an_unknown_section_names_the_nearest_known_one(tmp_path, text, line, section, nearest):
    error = error_of(tmp_path, text)
    assert (error.line, error.key) == (line, f"[{section}]")
    assert f"unknown section, the nearest is [{nearest}" in str(error)


@pytest.mark.parametrize(
    "text, line",
    [
        ("[pipeline]\nbatch =\n", 2),
        ("[pipeline\nbatch = 5\n", 1),
        ("[pipeline]\nbatch = 5 5\n", 2),
        ("[pipeline]\n\nbatch\n", 3),
        ('[pipeline]\nname = "abc\nbatch = 1\n', 2),
        ("[pipeline]\nbatch = [1,\n2", 3),
        ("[pipeline]\nbatch = 08\n", 2),
        ("[pipeline]\nbatch = 1\nbatch = 2\n", 3),
        ("[pipeline]\nbatch = 1\n[source]\n[pipeline]\ncount = 1\n", 4),
        ("[pipeline.x]\na = 1\n[source]\n[pipeline]\n[pipeline.x]\nb = 1\n", 5),
        ("pipeline = {batch = 1}\n[pipeline]\ncount = 1\n", 2),
        ('[source]\nkind = "\\q"\n', 2),
        ('[source]\nkind = "\\ud800"\n', 2),
        ('[source]\nkind = "a\0b"\n', 2),
        ("[source]\n\0\n", 2),
        ("[source] # \x01\n", 1),
        ("[source]\rseed = 1\r", 1),
        ("a = " + "[" * 3000, 1),
        ("\na = " + "[" * 3000 + "]" * 3000, 2),
        ("\na = " + "{a=" * 3000 + "1" + "}" * 3000, 2),
        ("[" + "a." * 3000 + "b]\n", 1),
        ("[pipeline]\nbatch = " + "9" * 5000 + "\n", 2),
        ("= 5\n", 1),
        ("\ufeff\ufeff[pipeline]\n", 1),
    ],
    ids=short,
)
def test_broken_toml_is_told_with_its_line(tmp_path, text, line):
    error = error_of(tmp_path, text)
    assert "broken TOML: " in error.problem
    assert error.line == line


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path):
    path = written(tmp_path, "\ufeff[pipeline]\r\nbatch = 5\r\n\r\n[bundle]\r\nmax_size = 3\r\n")
    settings = resolve(path, [], {})
    assert (settings.config.pipeline.batch, settings.config.bundle.max_size) == (5, 3)
    assert str(settings.values["bundle.max_size"].origin) == f"{path}:5"


def test_bytes_that_are_not_utf8_are_told_with_their_line(tmp_path):
    error = error_of(tmp_path, b"[source]\n# gr\xfc\xdfe\nseed = 1\n")
    assert error.line == 2
    assert "byte 13 is 0xfc, which is not UTF-8" in str(error)
    assert error_of(tmp_path, "[source]\n".encode("utf-16")).line == 1


def test_a_file_that_is_too_large_is_refused_and_the_largest_is_read(tmp_path):
    text = "[pipeline]\nbatch = 5\n#"
    full = text + "x" * (MAX_BYTES - len(text))
    assert load_config(written(tmp_path, full), environ={}).pipeline.batch == 5
    assert "is larger than 64 KiB" in str(error_of(tmp_path, full + "x"))


def test_a_directory_a_missing_and_an_unreadable_file_are_told(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"is a directory; allowed is a TOML file"):
        load_config(tmp_path, environ={})
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file or directory"):
        load_config(tmp_path / "none.toml", environ={})
    with pytest.raises(ConfigError, match=r"cannot be read: Not a directory"):
        load_config(written(tmp_path, "") / "x.toml", environ={})
    with pytest.raises(ConfigError, match="is no file name"):
        load_config("a\0b", environ={})
    with pytest.raises(ConfigError, match="cannot be read: "):
        load_config("x" * 5000, environ={})

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    path = written(tmp_path, "")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError, match=r"velox\.toml: cannot be read: Permission denied"):
        load_config(path, environ={})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_file_may_be_a_pipe(tmp_path):
    reader, writer = os.pipe()
    os.write(writer, b"[pipeline]\nbatch = 7\n")
    os.close(writer)
    assert load_config(f"/dev/fd/{reader}", environ={}).pipeline.batch == 7
    os.close(reader)


def test_an_empty_file_and_empty_sections_change_nothing(tmp_path):
    for text in ("", "\n\n", "# c", "[pipeline]\n[source]\n", "\ufeff"):
        assert load_config(written(tmp_path, text), environ={}) == Config()


TOKENS = [
    "[pipeline]",
    "[[source]]",
    "[x.y]",
    "batch",
    "name",
    "=",
    "1",
    "1.5",
    "nan",
    "true",
    '"a"',
    "'''a\nb'''",
    '"""',
]
TOKENS += [
    "[",
    "]",
    "{",
    "}",
    ",",
    "\n",
    "\r\n",
    " ",
    ".",
    "#",
    '"',
    "'",
    "1e5",
    "0x1",
    "2024-01-01",
    "\ufeff",
    "\0",
    "é",
]
TOKENS += [
    "\\",
    "batch = 1\n",
    "\n[bundle]\n",
    "x = {a = 1, b = [1, {c = 2}]}\n",
    "loop = [\n1,\n2]\n",
    "pipeline.batch = 2\n",
]


@given(st.lists(st.sampled_from(TOKENS), max_size=14).map("".join))
def test_whatever_a_file_holds_is_read_or_told_in_one_line(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, newline="")
    told: ConfigError | Config
    try:
        told = load_config(path, environ={})
    except ConfigError as error:
        told = error
    if isinstance(told, ConfigError):
        assert told.line is not None
        assert 1 <= told.line <= text.count("\n") + 1
        assert "\n" not in str(told)


NOISE = st.sampled_from(["", "# c", '  # [pipeline] batch = "0"', "\t"])
GOOD = {
    "pipeline": ["batch = 5", "on_full = 'drop'", 'name = """\nvelox"""', "count = 0x10 # c", "ingress_rate_hz = 1e5"],
    "source": ["loop = true", "kind = '''\nfile'''", "seed = 7", "speed = 'max'"],
    "buffers": ["ingress_ring_size = 64", "output_ring_size=128"],
}
BAD = ["{} = [\n1,\n2]", "{} = -1", "{} = nan", "{} = ''", "{}.x = 1", "{} = {{a = true}}", "unknown_{} = 1"]


@given(st.data())
def test_the_line_of_a_wrong_value_is_found_whatever_stands_around_it(tmp_path_factory, data):
    sections = data.draw(st.permutations(list(GOOD)))
    wrong = data.draw(st.sampled_from(sections))
    lines: list[str] = []
    expected = 0
    for name in sections:
        lines += data.draw(st.lists(NOISE, max_size=2))
        lines.append(f"[{name}]")
        rows = list(data.draw(st.permutations(GOOD[name])))
        place = data.draw(st.integers(0, len(rows) - 1)) if name == wrong else -1
        for number, row in enumerate(rows):
            lines += data.draw(st.lists(NOISE, max_size=1))
            if number == place:
                key = row.split("=")[0].strip()
                row = data.draw(st.sampled_from(BAD)).format(key)
                expected = sum(line.count("\n") + 1 for line in lines) + 1
            lines.append(row)
    text = data.draw(st.sampled_from(["", "\ufeff"])) + "\n".join(lines)
    path = tmp_path_factory.getbasetemp() / "lines.toml"
    path.write_text(text.replace("\n", data.draw(st.sampled_from(["\n", "\r\n"]))), newline="")
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={})
    assert caught.value.line == expected
    assert caught.value.key is not None
    assert caught.value.key.startswith(wrong)


def test_a_file_s_entries_come_in_its_order_with_their_lines(tmp_path):
    path = written(tmp_path, 'x = 1\n[source]\nseed = 2\n[b]\n[pipeline]\nname = """\na"""\nbatch = 3\n')
    assert [(entry.section, entry.key, entry.line, entry.header) for entry in read_file(path)] == [
        (None, "x", 1, None),
        ("source", "seed", 3, 2),
        ("b", None, 4, 4),
        ("pipeline", "name", 6, 5),
        ("pipeline", "batch", 8, 5),
    ]
