"""The telemetry region: its file, its directory of blocks, and what a reader makes of it, whole, torn or damaged."""

import os
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.telemetry_regions import opened, ready, written
from velox_engine.snapshot import State
from velox_engine.telemetry import layout
from velox_engine.telemetry.layout import GUARD_WORDS, LINE_WORDS, Block, checksum_of
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.telemetry.region import (
    make_region,
    map_region,
    process_start,
    region_files,
    text_words,
    words_text,
)
from velox_engine.telemetry.writer import publish

INT64 = st.integers(-(2**63), 2**63 - 1)
pytestmark = pytest.mark.usefixtures("region_folder")


# ---- the file


def test_the_file_is_the_users_alone(region_folder):
    made = opened()
    assert made.path.parent == region_folder
    assert region_folder.stat().st_mode & 0o777 == 0o700
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert made.path.stat().st_size == len(made.words) * 8 == made.words[layout.HEADER_WORDS] * 8
    assert list(region_files()) == [made.path]


def test_a_region_is_removed_once_and_stays_readable_for_who_has_it():
    made = opened()
    mapped = map_region(made.path)
    made.remove()
    made.remove()
    assert list(region_files()) == []
    assert TelemetryReader(mapped).read().name == "velox"


@pytest.mark.parametrize("name", ["../../etc/passwd", "a b/c", "", ".", "x" * 500, "Börse ⚙", "a\nb"])
def test_any_name_makes_a_file_in_the_directory(region_folder, name):
    made = opened(name)
    assert made.path.parent == region_folder
    assert made.path.exists()
    shown = TelemetryReader(map_region(made.path)).name
    assert shown == name.encode()[:64].decode(errors="replace")


def test_engines_of_one_name_have_files_of_their_own():
    paths = {opened("twin").path for _ in range(3)}
    assert len(paths) == 3
    assert set(region_files()) == paths


def test_other_files_are_no_regions(region_folder):
    opened()
    (region_folder / "notes.txt").write_text("x")
    assert len(list(region_files())) == 1


def test_before_the_first_engine_there_are_no_regions(region_folder):
    assert not region_folder.exists()
    assert list(region_files()) == []


def anonymous():
    made, problem = make_region("velox", 1, 1)
    assert made.path is None
    assert problem.startswith("nobody can attach")
    made.remove()
    assert TelemetryReader(ready(made)).read().state is State.STARTING
    return problem


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_directory_that_others_may_enter_is_not_used(region_folder, mode):
    region_folder.mkdir()
    region_folder.chmod(mode)
    assert "not a directory of this user alone" in anonymous()


def test_a_directory_of_another_user_is_not_used(region_folder, monkeypatch):
    region_folder.mkdir(mode=0o700)
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    assert "not a directory of this user alone" in anonymous()


def test_a_link_is_not_followed_to_a_directory(region_folder, tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    region_folder.symlink_to(tmp_path / "real")
    assert "not a directory of this user alone" in anonymous()


def test_a_place_where_no_directory_can_be_made_leaves_the_region_anonymous(region_folder):
    region_folder.write_text("a file")
    anonymous()


def test_full_memory_is_noticed_at_once_and_leaves_no_file(region_folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    assert "No space left" in anonymous()
    assert list(region_folder.iterdir()) == []


def test_a_process_is_named_by_its_pid_and_start():
    words = opened().words
    assert words[layout.HEADER_PID] == os.getpid()
    assert words[layout.HEADER_PID_STARTED] == process_start(os.getpid()) > 0
    assert process_start(2**22 + 5) == 0


# ---- the directory of blocks


@pytest.mark.parametrize(("workers", "symbols"), [(1, 1), (4, 1), (2, 5_000)])
def test_blocks_lie_on_lines_of_their_own_and_do_not_overlap(workers, symbols):
    made = opened(workers=workers, symbols=symbols)
    spans = sorted((place.at, place.at + GUARD_WORDS + place.length) for place in made.places.values())
    assert all(begin % LINE_WORDS == 0 for begin, _ in spans)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
    assert spans[-1][1] <= len(made.words)
    assert spans[0][0] >= made.words[layout.HEADER_DIRECTORY] + len(spans) * layout.ENTRY_LENGTH_WORDS
    assert made.words.ctypes.data % 4096 == 0
    counts = {kind: sum(each == kind for each, _ in made.places) for kind in Block}
    expected = {kind: {Block.STAGE: 4, Block.WORKER: workers, Block.DEPTH: 8}.get(kind, 1) for kind in Block}
    assert counts == expected


def test_whoever_maps_the_file_finds_the_same_blocks_and_cannot_write():
    made = opened(workers=3, symbols=7)
    mapped = map_region(made.path)
    assert mapped.places == made.places
    made.words[5_000] = 77
    assert mapped.words[5_000] == 77
    with pytest.raises(ValueError, match="read-only"):
        mapped.words[0] = 1


def changed(**words):
    """Make a region's file with some header words, or words of its first directory entry, changed."""
    made = opened()
    first = int(made.words[layout.HEADER_DIRECTORY])
    for name, value in words.items():
        at = getattr(layout, name)
        made.words[first + at if name.startswith("ENTRY") else at] = value
    return made.path


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"HEADER_MAGIC": 0}, "not ready"),
        ({"HEADER_MAGIC": 1}, "no telemetry region"),
        ({"HEADER_VERSION": 2}, "layout 2, this program reads layout 1"),
        ({"HEADER_VERSION": 0}, "layout 0"),
        ({"HEADER_DIRECTORY": 0}, "damaged"),
        ({"HEADER_DIRECTORY": -1}, "damaged"),
        ({"HEADER_DIRECTORY": 2**40}, "damaged"),
        ({"HEADER_BLOCKS": -1}, "damaged"),
        ({"HEADER_BLOCKS": 2**40}, "damaged"),
        ({"ENTRY_OFFSET": -1}, "block 0 lies outside"),
        ({"ENTRY_OFFSET": 2**40}, "block 0 lies outside"),
        ({"ENTRY_LENGTH": -1}, "block 0 lies outside"),
        ({"ENTRY_LENGTH": 2**62}, "block 0 lies outside"),
    ],
)
def test_a_damaged_region_is_refused_with_its_reason(words, told):
    path = changed(**words)
    with pytest.raises(ValueError, match=told) as caught:
        map_region(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"short", bytes(255), bytes(256), bytes(8_192), b"x" * 8_192, bytes(8_195)])
def test_a_file_that_is_no_region_is_refused(tmp_path, data):
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(ValueError):
        map_region(path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_region_that_was_cut_off_is_refused(keep):
    path = opened().path
    os.truncate(path, int(path.stat().st_size * keep) // 8 * 8)
    with pytest.raises(ValueError, match="outside"):
        map_region(path)


def test_a_link_and_a_directory_and_nothing_at_all_are_refused(tmp_path):
    (tmp_path / "link").symlink_to(opened().path)
    for path in (tmp_path / "link", tmp_path, tmp_path / "missing"):
        with pytest.raises(OSError):
            map_region(path)


def test_a_watcher_survives_blocks_that_it_does_not_know():
    path = changed(ENTRY_KIND=9_999)
    mapped = map_region(path)
    assert (Block.CONTROL, 0) not in mapped.places
    assert len(mapped.places) == len(opened().places) - 1


# ---- a guarded block


@given(st.lists(st.lists(INT64, min_size=3, max_size=3), min_size=1, max_size=5))
def test_what_is_published_is_what_readers_check(payloads):
    words = np.full(3 + GUARD_WORDS + 2, 77, np.int64)
    words[1] = 0
    for turn, payload in enumerate(payloads, 1):
        publish(words, 1, np.array(payload, np.int64))
        assert words[1] == 2 * turn
        assert words[3:6].tolist() == payload
        assert words[2] == checksum_of(words[3:6], 2 * turn)
        assert (words[0], words[6]) == (77, 77)


@given(st.lists(INT64, min_size=2, max_size=20), st.data())
def test_a_checksum_notices_a_word_that_changed_or_changed_places_and_an_older_copy(payload, data):
    words = np.array(payload, np.int64)
    right = checksum_of(words, 8)
    assert checksum_of(words, 10) != right
    at, other = data.draw(st.lists(st.integers(0, len(words) - 1), min_size=2, max_size=2, unique=True))
    flipped = words.copy()
    flipped[at] ^= 1 << data.draw(st.integers(0, 62))
    assert checksum_of(flipped, 8) != right
    swapped = words.copy()
    swapped[[at, other]] = swapped[[other, at]]
    assert (checksum_of(swapped, 8) == right) == (words[at] == words[other])


def test_a_reader_gets_a_copy_of_its_own():
    made = opened()
    written(made, Block.CONTROL, CONTROL_SEED=5)
    reader = TelemetryReader(made)
    copy = reader.block(Block.CONTROL)
    written(made, Block.CONTROL, CONTROL_SEED=6)
    assert copy[layout.CONTROL_SEED] == 5
    assert reader.read().seed == 6


def spoil(made, kind, how):
    """Leave a block as a writer would that stopped in the middle, or as a weakly ordered processor may show it."""
    at = made.at(kind)
    if how == "being written":
        made.words[at] += 1
    elif how == "torn":
        made.words[at + GUARD_WORDS] += 1
    else:
        made.words[at + 1] ^= 1


@pytest.mark.parametrize("how", ["being written", "torn", "checksum"])
def test_a_block_that_cannot_be_had_whole_is_shown_as_it_last_was_and_named(how):
    made = opened()
    written(made, Block.CONTROL, CONTROL_STATE=int(State.RUNNING), CONTROL_SEED=5)
    reader = TelemetryReader(made)
    assert (reader.read().seed, reader.read().stale) == (5, ())
    written(made, Block.CONTROL, CONTROL_SEED=6)
    spoil(made, Block.CONTROL, how)
    spoiled = reader.read()
    assert (spoiled.seed, spoiled.state, spoiled.stale) == (5, State.RUNNING, ("control 0",))
    late = TelemetryReader(made).read()
    assert (late.seed, late.stale) == (0, ("control 0",))
    publish(made.words, made.at(Block.CONTROL), made.payload(Block.CONTROL).copy())
    assert reader.read().stale == (("control 0",) if how == "being written" else ())


def test_the_first_writing_of_a_block_is_not_taken_half_for_an_empty_block():
    made = ready(opened())
    place = made.places[Block.STAGE, 0]
    # on a weakly ordered processor words of the payload may be seen before the odd lock is
    made.words[place.at + layout.GUARD_WORDS] = 5
    reader = TelemetryReader(made)
    assert reader.block(Block.STAGE, 0).tolist() == [0] * place.length
    assert reader.read().stale == ("stage 0",)


def test_a_stage_whose_block_is_stale_says_so():
    made = opened()
    written(made, Block.STAGE, layout.BUNDLE, STAGE_STEPS=3)
    made.words[made.at(Block.STAGE, layout.BUNDLE)] += 1
    snapshot = TelemetryReader(made).read()
    assert [stage.stale for stage in snapshot.stages] == [False, False, True, False]
    assert snapshot.stale == ("stage 2",)


# ---- text


@pytest.mark.parametrize("text", ["", "plain", "ünïcode ☀ 𝛑", "a" * 24, "b" * 25])
def test_text_is_packed_and_unpacked_and_cut_where_it_does_not_fit(text):
    packed = text_words(text, 4)
    assert packed.shape == (4,)
    assert words_text(packed) == text.encode()[:24].decode(errors="replace")


@pytest.mark.parametrize("length", [-1, -(2**63), 25, 2**62])
def test_a_damaged_length_of_text_reads_no_further_than_the_text(length):
    packed = text_words("abc", 4)
    packed[0] = length
    assert len(words_text(packed)) in (0, 24)
