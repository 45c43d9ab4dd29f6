"""Everything that reads bytes or text, for a moment each; ``python -m tests.fuzz`` goes on for as long as one likes."""

import random
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.command import ROOT, environment
from tests.fuzz.feeds import signed
from tests.fuzz.guarded import GuardedMemory
from tests.fuzz.mutation import mutated
from tests.fuzz.running import fuzz, made, tried
from tests.fuzz.swift import message_driver
from tests.fuzz.targets import TARGETS, each
from velox_engine.errors import EngineError
from velox_engine.feeds import itch_kernel
from velox_engine.feeds.opening import open_feed
from velox_engine.jit import inner
from velox_engine.steering.client import ControlClient
from velox_tui.options import Parser, UsageError, add_configuration

INPUTS = {"lobster-swift": 20, "itch-swift": 20, "stream": 60, "region": 25, "config": 60}
SEED = 2026


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Make a target that is closed again."""
    monkeypatch.setenv("VELOX_RUN_DIR", str(tmp_path))
    made_ = []

    def make(name):
        made_.append(TARGETS[name]())
        return made_[-1]

    yield make
    for target in made_:
        target.close()


# the loops around the other decoders take some seconds each to compile, for nothing that these do not show
SWIFT = {"lobster-swift", "itch-swift"}


@pytest.mark.parametrize("name", sorted(name for name in TARGETS if not name.endswith("-swift") or name in SWIFT))
def test_what_is_damaged_is_read_or_refused_and_nothing_else(name, opened):
    target = opened(name)
    for number in range(INPUTS.get(name, 150)):
        data = made(target, SEED, number)
        word, wrong = tried(target, data)
        assert wrong is None, f"python -m tests.fuzz --target {name} --seed {SEED} --first {number} --count 1\n{wrong}"
        assert word


@pytest.mark.parametrize("name", ["itch", "journal", "region"])
def test_an_input_is_the_same_for_the_same_seed_and_number(name, opened):
    target = opened(name)
    assert [made(target, 5, number) for number in range(50)] == [made(target, 5, number) for number in range(50)]
    assert len({made(target, 5, number) for number in range(50)}) > 40


def test_the_corpus_itself_is_read(opened):
    for name in ("lobster", "itch", "dbn", "coinbase", "tardis", "journal", "stream"):
        target = opened(name)
        words = [tried(target, data) for data in target.corpus if data]
        assert {wrong for _, wrong in words} == {None}
        assert ("read", None) in words


def test_a_journal_whose_checksums_were_put_right_is_believed_again(opened):
    target = opened("journal")
    assert [signed(data) for data in target.corpus[:4]] == target.corpus[:4]
    data = bytearray(target.corpus[2])
    data[16 + 40 + 2] ^= 1  # inside the header's text
    assert b"checksum is right" in _fault(target, bytes(data))
    assert b"checksum is right" not in _fault(target, signed(bytes(data)))


def _fault(target, data):
    reading = target._read(data, 100, None)
    return (reading.told["refused"] + reading.told["fault"]).encode()


def test_memory_ends_at_the_guard():
    memory = GuardedMemory(5000)
    tail = memory.tail(10)
    assert (tail.ctypes.data + 10) % 4096 == 0
    assert np.shares_memory(tail, memory.tail(3))
    with pytest.raises(ValueError):
        memory.tail(memory.most + 1)


@pytest.mark.parametrize("name", ["itch", "dbn", "lobster", "coinbase", "binance", "tardis"])
def test_a_decoder_alone_reads_on_from_a_state_that_is_put_back_and_guarded(opened, name):
    target = opened(f"{name}-decoder")
    words = [target.run(bytes([at]) + body) for at, body in enumerate(target.corpus)]
    assert {"read", "read in part"} & set(words)
    assert [target.run(bytes([at]) + body) for at, body in enumerate(target.corpus)] == words
    for reader in target._readers:
        assert all((array.ctypes.data + array.nbytes) % 4096 == 0 for array, _ in reader._states)


@pytest.mark.parametrize("name", ["lobster", "itch"])
def test_what_a_swift_input_stands_for_is_the_same_again_and_full_of_records(opened, name):
    target = opened(f"{name}-swift")
    counts = []
    for _ in range(2):
        target.where[:] = 0
        assert [target.run(bytes([number] * 8)) for number in range(6)] == ["held"] * 6
        counts.append(int(target.where[1]))
    assert counts[0] == counts[1] > 6 * target.each
    assert each(f"{name}-swift") == target.each


@inner
def _too_many_rows(data, start, end, words, row, state):
    return itch_kernel.decode(data, start, end, words, row, state)[0], len(words) // 8 + 1, 1


def test_a_decoder_that_says_too_many_rows_is_found(opened):
    target = opened("itch-swift")
    target._drive = message_driver(_too_many_rows, 1, (2, 2))
    with pytest.raises(AssertionError, match="more records than there is room for"):
        target.run(b"anything")


CRASHING = """
import numpy as np
from tests.fuzz.guarded import GuardedMemory
from velox_engine.jit import compiled
@compiled
def beyond(data):
    return data[len(data)]
beyond(GuardedMemory(4096).tail(8))
"""


def test_a_kernel_that_reads_one_byte_too_far_crashes_at_the_guard(tmp_path):
    file = tmp_path / "crashing.py"
    file.write_text(CRASHING)
    env = environment(tmp_path, PYTHONPATH=str(ROOT), VELOX_CACHE_DIR=str(tmp_path / "cache"))
    done = subprocess.run([sys.executable, str(file)], env=env, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == -signal.SIGSEGV


def test_the_loop_counts_inputs_and_goes_on_where_it_was_told_to():
    outcome = fuzz("environment", 3, 40, 5.0, first=100)
    assert (outcome.done, outcome.words.total(), outcome.findings) == (40, 40, [])


def test_damage_stays_within_its_length_and_changes_something():
    choose = random.Random(1)
    made_ = [mutated(choose, [b"one,two\n" * 100], text=True, most=900) for _ in range(300)]
    assert max(map(len, made_)) <= 900
    assert len(set(made_)) > 250


# ---- what the fuzzer found


def test_a_cut_message_of_a_type_that_is_no_letter_is_told_printably(tmp_path):
    path = tmp_path / "day"
    path.write_bytes(b"\x10\x00\x1b and so on")
    feed = open_feed(path, "itch")
    with pytest.raises(Exception, match=r"a message of type '\\x1b'"):
        list(feed)


@pytest.mark.parametrize("words", [["--" + "x" * 5000], ["--set", "y" * 5000], ["z" * 5000]])
def test_a_wrong_word_of_any_length_is_told_in_a_short_line(words):
    parser = Parser("velox-tui", "velox-tui", "")
    add_configuration(parser)
    with pytest.raises(UsageError) as told:
        parser.read(words, ("feed",))
    assert len(str(told.value)) < 300


def test_what_an_engine_answers_is_told_printably(opened):
    target = opened("control-client")
    target._answer = b'{"id":1,"ok":false,"error":"no\\u001b[2J' + b"x" * 5000 + b'"}\n'
    with ControlClient(target._path, "it") as client, pytest.raises(EngineError) as told:
        client.ask("pause", 5.0)
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 500


@pytest.mark.parametrize("row", [b"binance", b"binance\n", b"binance,BTCUSDT", b"\n", b"binance,X,1,2,false\n"])
def test_a_row_that_ends_too_soon_has_nothing_read_behind_it(opened, row):
    # a window's last row with one column had the survey of decimals go on behind the window
    target = opened("tardis")
    data = target.corpus[0].split(b"\n")[0] + b"\n" + row
    assert tried(target, data) == ("damaged", None)
