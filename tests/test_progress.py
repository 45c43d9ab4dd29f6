"""Progress is a bar on a terminal and lines elsewhere, and never stops what is done."""

import io
import os
import pty
import sys
from types import SimpleNamespace

import pytest

from velox_tui import cli
from velox_tui.progress import Progress, is_terminal


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self):
        return True

    def fileno(self):
        raise OSError


@pytest.fixture(autouse=True)
def _term(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")


def test_without_a_terminal_each_step_is_a_line():
    stream = io.StringIO()
    with Progress("compiling", stream=stream) as progress:
        progress("ring", 0, 2)
        progress("book", 1, 2)
    assert stream.getvalue() == "velox-tui: compiling 0/2 ring\nvelox-tui: compiling 1/2 book\n"


def test_lines_can_be_left_out():
    stream = io.StringIO()
    with Progress("compiling", stream=stream, lines=False) as progress:
        progress("ring", 0, 2)
    assert stream.getvalue() == ""


def test_on_a_terminal_a_bar_grows_in_one_line_and_goes_away():
    stream = Terminal()
    with Progress("compiling", stream=stream) as progress:
        for done in range(5):
            progress("ring", done, 4)
        drawn = stream.getvalue()
    assert "\n" not in drawn
    bars = [part.split("]")[0].split("[")[1] for part in drawn.split("\x1b[K")[:-1]]
    assert [bar.count("#") for bar in bars] == sorted({bar.count("#") for bar in bars})
    assert (bars[0].count("#"), bars[-1].count("-")) == (0, 0)
    assert stream.getvalue() == drawn + "\r\x1b[K"
    progress.close()
    assert stream.getvalue() == drawn + "\r\x1b[K"


def test_a_bar_fits_a_narrow_terminal(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(Terminal, "fileno", lambda _: 1)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((20, 5)))
    with Progress("compiling", stream=stream) as progress:
        progress("a stage with a long name", 1, 2)
    assert len(stream.getvalue().split("\x1b[K")[0].lstrip("\r")) == 19


def test_nothing_to_do_and_too_much_done_are_drawn_all_the_same():
    stream = Terminal()
    with Progress("compiling", stream=stream) as progress:
        progress("", 0, 0)
        progress("", 9, 4)
    assert "[" in stream.getvalue()


def test_a_stream_that_cannot_be_written_is_ignored(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as broken:
        Progress("compiling", stream=broken)("ring", 0, 1)
        with pytest.raises(BrokenPipeError):
            broken.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, writer)
        os.close(nowhere)
    Progress("compiling", stream=broken)("ring", 0, 1)
    monkeypatch.setattr(sys, "stderr", None)
    with Progress("compiling") as progress:
        progress("ring", 0, 1)


def test_only_a_terminal_that_can_move_its_cursor_counts_as_one(monkeypatch):
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream:
        assert is_terminal(stream)
        monkeypatch.setenv("TERM", "dumb")
        assert not is_terminal(stream)
        monkeypatch.delenv("TERM")
        assert not is_terminal(stream)
        monkeypatch.setenv("TERM", "xterm")
    os.close(master)
    assert not is_terminal(stream)
    assert not is_terminal(None)
    assert not is_terminal(io.StringIO())


# --- velox-tui warm ------------------------------------------------------------------------------------------------


@pytest.fixture
def engine(monkeypatch, tmp_path):
    """Stand in for the compiler and its cache: two steps, kept in a directory or nowhere."""
    import velox_engine

    def compile_engine(progress):
        progress("ring", 0, 2)
        progress("book", 1, 2)

    fake = SimpleNamespace(compile_engine=compile_engine)
    jit = SimpleNamespace(cache_directory=lambda: tmp_path)
    for name, module in (("engine", fake), ("jit", jit)):
        monkeypatch.setitem(sys.modules, f"velox_engine.{name}", module)
        monkeypatch.setattr(velox_engine, name, module, raising=False)
    return jit


def test_warm_says_what_it_compiles_and_where_it_is_kept(engine, tmp_path, capsys):
    assert cli.main(["warm"]) == 0
    out, err = capsys.readouterr()
    assert out == f"compiled code is in {tmp_path}\n"
    assert err == "velox-tui: compiling 0/2 ring\nvelox-tui: compiling 1/2 book\n"


def test_warm_without_a_place_for_the_cache_is_a_failure(engine, capsys):
    engine.cache_directory = lambda: None
    assert cli.main(["warm"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("velox-tui: compiled, but there is no directory to keep it in; VELOX_CACHE_DIR names one\n")
