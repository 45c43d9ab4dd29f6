"""Changed settings reach the file that they came from, and nothing else of it changes."""

import errno
import os
import stat
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.settings import ROOT
from velox_engine import config_save, whole_file
from velox_engine.config import load_config, resolve
from velox_engine.config_edit import edited, is_kept
from velox_engine.config_save import SaveError, SettingsFile, plan_save, save
from velox_engine.errors import ConfigError
from velox_engine.whole_file import write_whole

CHANGES = {"ui.theme": "nord", "ui.layout": "book", "limits.max_p99_us": 1500.5, "ui.keys": "drain=f3 pause=f2"}


def source_of(path):
    settings = resolve(path, [], {})
    return SettingsFile(settings.file, settings.content)


# ---- the text


def test_the_defaults_file_keeps_every_line_but_the_changed_ones_and_their_columns():
    text = (ROOT / "config.toml").read_text()
    new = edited(text, {"ui.theme": "nord", "ui.mouse": False, "limits.max_p99_us": 1500.5, "book.depth": 5})
    before, after = text.splitlines(), new.splitlines()
    changed = [(was, now) for was, now in zip(before, after, strict=True) if was != now]
    assert [now.split(" #")[0].rstrip() for _, now in changed] == [
        "depth = 5",
        "max_p99_us = 1500.5",
        'theme = "nord"',
        "mouse = false",
    ]
    assert all(was.index("#") == now.index("#") and was.split("#")[1] == now.split("#")[1] for was, now in changed)


@pytest.mark.parametrize(
    "text, changes, expected",
    [
        ("", {"ui.theme": "nord"}, '[ui]\ntheme = "nord"\n'),
        ("# mine\n", {"ui.theme": "nord"}, '# mine\n\n[ui]\ntheme = "nord"\n'),
        (
            "[ui]\nfps = 5 # c\n\n# next\n[limits]\n",
            {"ui.theme": "nord"},
            '[ui]\nfps = 5 # c\ntheme = "nord"\n\n# next\n[limits]\n',
        ),
        ("[ui]\nfps = 5", {"ui.theme": "nord"}, '[ui]\nfps = 5\ntheme = "nord"\n'),
        ("ui.fps = 5\n", {"ui.fps": 7.5}, "ui.fps = 7.5\n"),
        ("ui = {fps = 5} # c\n", {"ui.fps": 7, "ui.theme": "a"}, 'ui = {fps = 7, theme = "a"} # c\n'),
        ("  [ui]\n  fps = 5\n", {"ui.theme": "a"}, '  [ui]\n  fps = 5\n  theme = "a"\n'),
        ("[ui]\r\nfps = 5\r\n", {"ui.theme": "a"}, '[ui]\r\nfps = 5\r\ntheme = "a"\r\n'),
        ("\ufeff[ui]\nfps = 5\n", {"ui.fps": 6}, "\ufeff[ui]\nfps = 6\n"),
        ('[ui]\ntheme = """\na""" # c\n', {"ui.theme": "b"}, '[ui]\ntheme = "b"  # c\n'),
        ("[limits]\nmax_p99_us = 5_000.0\n", {"limits.max_p99_us": "off"}, '[limits]\nmax_p99_us = "off"\n'),
        # keys are a table of their own, or what they were
        ("", {"ui.keys": "pause=f2"}, '[ui.keys]\npause = "f2"\n'),
        (
            "[ui]\nfps = 5\n\n# next\n[limits]\n",
            {"ui.keys": "pause=f2"},
            '[ui]\nfps = 5\n\n[ui.keys]\npause = "f2"\n\n# next\n[limits]\n',
        ),
        (
            '[ui.keys]\npause = "x" # p\nhelp = "h"\n',
            {"ui.keys": "drain=d pause=f2"},
            '[ui.keys]\npause = "f2" # p\ndrain = "d"\n',
        ),
        ('[ui]\nkeys = "pause=x" # k\n', {"ui.keys": "pause=y"}, '[ui]\nkeys = "pause=y" # k\n'),
        ('[ui]\nkeys = {pause = "x"}\n', {"ui.keys": "drain=d pause=x"}, '[ui]\nkeys = {pause = "x", drain = "d"}\n'),
        ('[ui]\nkeys.pause = "x"\n', {"ui.keys": "drain=d pause=y"}, '[ui]\nkeys.pause = "y"\nkeys.drain = "d"\n'),
        ("ui = {fps = 5}\n", {"ui.keys": "pause=f2"}, 'ui = {fps = 5, keys = "pause=f2"}\n'),
        (
            "[ui]\nfps = 5\n# about p\n[pipeline]\nbatch = 1\n[ui.keys]\npause = 'x' # p\n# end\n",
            {"ui.theme": "a", "ui.keys": "drain=d pause=x"},
            '[ui]\nfps = 5\ntheme = "a"\n# about p\n[pipeline]\nbatch = 1\n[ui.keys]\npause = \'x\' # p\ndrain = "d"\n'
            "# end\n",
        ),
    ],
)
def test_values_are_put_where_they_belong(text, changes, expected):
    assert edited(text, changes) == expected


def test_a_value_that_its_key_does_not_allow_is_refused():
    with pytest.raises(ConfigError, match="allowed is a number from 1 to 30"):
        edited("", {"ui.fps": 0})


PIECES = st.sampled_from(
    [
        ("ui", ['theme = "a"', "fps = 5  # c", "mouse = true", "window_secs = 60", "layout = 'book'  # 'x'"]),
        ("limits", ["max_p99_us = 5_000", 'max_drop_rate = "off"  # [ui]', "min_throughput = 1e3"]),
        ("book", ["depth = 0x10", 'kind = "exact"']),
        ("ui.keys", ['pause = "f2"  # p', 'drain = "x,y"']),
        ("pipeline", ["batch = 8", 'name = """\nvelox"""']),
    ]
)
VALUES = {
    "ui.theme": st.sampled_from(["nord", "velox-light"]),
    "ui.fps": st.floats(1, 30),
    "ui.mouse": st.booleans(),
    "limits.max_p99_us": st.one_of(st.just("off"), st.floats(1, 1e6)),
    "book.depth": st.integers(1, 200),
    "ui.keys": st.sampled_from(["", "pause=z", "drain=d pause=f2", "help=f1,h"]),
}


@given(
    st.lists(PIECES, max_size=5, unique_by=lambda piece: piece[0]),
    st.lists(st.sampled_from(["", "# a comment", "  # another"]), min_size=12, max_size=12),
    st.data(),
)
def test_whatever_a_file_looks_like_only_the_changes_change(tmp_path_factory, pieces, noise, data):
    lines, between = [], iter(noise)
    for name, rows in pieces:
        chosen = data.draw(st.lists(st.sampled_from(rows), unique=True))
        lines += [next(between), f"[{name}]", *chosen, next(between)]
    text = "\n".join(lines) + data.draw(st.sampled_from(["", "\n"]))
    changes = {key: data.draw(VALUES[key]) for key in data.draw(st.sets(st.sampled_from(list(VALUES))))}
    new = edited(text, changes)  # it looks itself that nothing else has changed in meaning
    path = tmp_path_factory.getbasetemp() / "edited.toml"
    path.write_text(new, newline="")
    values = resolve(path, [], {}).values
    assert all(values[key].value == pytest.approx(value) for key, value in changes.items())

    def comments(of):
        return [line[line.index("#") :] for line in of.splitlines() if "#" in line]

    gone = {"# p"} if "ui.keys" in changes else set()  # a binding that is taken away takes its comment along
    assert [each for each in comments(text) if each not in gone] == [each for each in comments(new) if each not in gone]
    assert is_kept(new)


# ---- the file


def test_a_changed_setting_reaches_its_file_with_a_backup_and_its_mode(tmp_path):
    path = tmp_path / "velox.toml"
    path.write_text("# mine\n[ui]\nfps = 5\n")
    path.chmod(0o640)
    plan = plan_save(source_of(path), {"ui.fps": 7.0})
    assert (plan.target, plan.difference) == (path, ("@@ -2,2 +2,2 @@", " [ui]", "-fps = 5", "+fps = 7"))
    assert path.read_text() == "# mine\n[ui]\nfps = 5\n", "a plan writes nothing"
    after = save(plan)
    assert path.read_text() == "# mine\n[ui]\nfps = 7\n"
    backup = tmp_path / "velox.toml.bak"
    assert backup.read_text() == "# mine\n[ui]\nfps = 5\n"
    assert {stat.S_IMODE(each.stat().st_mode) for each in (path, backup)} == {0o640}
    save(plan_save(after, {"ui.fps": 8.0}))  # what was written is what was read, for the next time
    assert backup.read_text() == "# mine\n[ui]\nfps = 7\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["velox.toml", "velox.toml.bak"]


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "velox.toml"
    real.write_text("[ui]\nfps = 5\n")
    link = tmp_path / "link.toml"
    link.symlink_to(real)
    plan = plan_save(source_of(link), {"ui.fps": 7.0})
    assert str(real) in plan.note
    save(plan)
    assert link.is_symlink()
    assert real.read_text() == "[ui]\nfps = 7\n"
    assert real.with_name("velox.toml.bak").exists()


def test_where_no_file_was_read_a_new_one_is_made_with_its_directory(tmp_path):
    path = tmp_path / "config" / "velox-tui" / "config.toml"
    plan = plan_save(SettingsFile(path, None), CHANGES)
    assert (plan.note, plan.backup) == ("a new file", None)
    save(plan)
    config = load_config(path, environ={})
    assert (config.ui.theme, config.ui.keys, config.limits.max_p99_us) == ("nord", "drain=f3 pause=f2", 1500.5)
    assert tomllib.loads(path.read_text())["ui"]["keys"] == {"drain": "f3", "pause": "f2"}
    assert not path.with_name("config.toml.bak").exists()


@pytest.mark.parametrize("when", ["before the plan", "after the plan"])
@pytest.mark.parametrize(
    "becomes, says, lines",
    [
        ("[ui]\nfps = 9\n", "has changed since it was read", ["-fps = 5", "+fps = 9"]),
        (None, "is no longer there", ["-[ui]", "-fps = 5"]),
    ],
)
def test_a_file_that_is_no_longer_what_was_read_is_left_alone(tmp_path, when, becomes, says, lines):
    path = tmp_path / "velox.toml"
    path.write_text("[ui]\nfps = 5\n")
    source = source_of(path)
    plan = plan_save(source, {"ui.fps": 7.0})
    path.write_text(becomes) if becomes is not None else path.unlink()
    with pytest.raises(SaveError, match=rf"velox\.toml: {says}: nothing was written") as caught:
        save(plan) if when == "after the plan" else plan_save(source, {"ui.fps": 7.0})
    assert [line for line in caught.value.difference if line[0] in "+-"] == lines
    assert (path.read_text() if path.exists() else None) == becomes
    assert not path.with_name("velox.toml.bak").exists()


def test_a_file_that_came_to_be_meanwhile_is_left_alone(tmp_path):
    path = tmp_path / "config.toml"
    plan = plan_save(SettingsFile(path, None), {"ui.fps": 7.0})
    path.write_text("[ui]\nfps = 9\n")
    with pytest.raises(SaveError, match="is there now and was not when"):
        save(plan)
    assert path.read_text() == "[ui]\nfps = 9\n"


def test_a_touched_file_of_the_same_content_is_no_other_file(tmp_path):
    path = tmp_path / "velox.toml"
    path.write_text("[ui]\nfps = 5\n")
    source = source_of(path)
    path.unlink()
    path.write_text("[ui]\nfps = 5\n")
    save(plan_save(source, {"ui.fps": 7.0}))
    assert "fps = 7" in path.read_text()


INTERLEAVED = "[ui]\nfps = 5\n[[a]]\nx = 1\n[[j]]\n[[a]]\nx = 2\n"


def test_a_text_that_would_change_places_is_written_to_a_new_file(tmp_path):
    assert not is_kept(INTERLEAVED)
    path = tmp_path / "velox.toml"
    path.write_text(INTERLEAVED)
    (tmp_path / "velox.new.toml").write_text("another")
    plan = plan_save(SettingsFile(path, INTERLEAVED.encode()), {"ui.fps": 7.0})
    assert plan.target == tmp_path / "velox.new2.toml"
    assert "stays as it is" in plan.note
    save(plan)
    assert path.read_text() == INTERLEAVED
    assert tomllib.loads(plan.target.read_text()) == {**tomllib.loads(INTERLEAVED), "ui": {"fps": 7}}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_file_is_not_written(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SaveError, match="is no plain file that could be written"):
        plan_save(SettingsFile(tmp_path / "pipe", b""), {"ui.fps": 7.0})


def test_a_file_that_would_become_too_large_to_be_read_is_refused(tmp_path):
    path = tmp_path / "velox.toml"
    path.write_text("[ui]\nfps = 5 # " + "x" * (config_save.MAX_BYTES - 20) + "\n")
    with pytest.raises(SaveError, match="would be larger than 64 KiB"):
        plan_save(source_of(path), CHANGES)


@pytest.mark.parametrize("call", ["mkstemp", "fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch, call):
    path = tmp_path / "velox.toml"
    path.write_text("[ui]\nfps = 5\n")
    plan = plan_save(source_of(path), {"ui.fps": 7.0})

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    owner = {"mkstemp": whole_file.tempfile, "fsync": os, "replace": whole_file.Path}[call]
    monkeypatch.setattr(owner, call, fail)
    with pytest.raises(SaveError, match=r"velox\.toml: cannot be written: No space left on device"):
        save(plan)
    monkeypatch.undo()
    assert path.read_text() == "[ui]\nfps = 5\n"
    assert [each.name for each in tmp_path.iterdir()] == ["velox.toml"]


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is read-only for the system's administrator")
def test_a_read_only_directory_is_told(tmp_path):
    path = tmp_path / "velox.toml"
    path.write_text("[ui]\nfps = 5\n")
    plan = plan_save(source_of(path), {"ui.fps": 7.0})
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(SaveError, match="cannot be written: Permission denied"):
            save(plan)
    finally:
        tmp_path.chmod(0o700)


def test_a_new_file_follows_the_umask_unless_told_otherwise(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", b"1")
        write_whole(tmp_path / "b", b"2", 0o600)
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"] == [0o640, 0o600]
