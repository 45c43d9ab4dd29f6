"""``velox-tui feed`` says what a file holds, what is odd about it, and how far it could be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.encoders import dbn, itch
from tests.recorded import recorded
from velox_engine.feeds.base import TimeBase
from velox_engine.feeds.journal_writer import JournalWriter
from velox_engine.feeds.summary import decimal, event_time
from velox_engine.records import TRANSACTION, Action, Flags, Instrument
from velox_tui.commands.feed import main
from velox_tui.options import UsageError

DAY = (
    itch.directory(1, "AAPL"),
    itch.directory(2, "MSFT"),
    itch.add(1, 34_200_000_000_000, 1, "B", 100, "AAPL", 3_210_000),
    itch.add(1, 34_200_000_000_001, 2, "S", 50, "AAPL", 3_211_500),
    itch.add(2, 34_200_000_000_002, 3, "S", 7, "MSFT", 1_000_001),
    itch.executed(1, 34_260_000_000_000, 1, 40, 9),
    itch.delete(1, 34_260_000_000_000, 77),
    itch.imbalance(1, 34_260_500_000_000, "AAPL"),
    itch.add(1, 34_255_000_000_000, 4, "B", 1, "AAPL", 3_211_600),
)


def day(tmp_path: Path, *more: bytes, name: str = "01302020.NASDAQ_ITCH50") -> Path:
    path = tmp_path / name
    path.write_bytes(itch.framed(*DAY) + b"".join(more))
    return path


def asked(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def as_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code, out, _ = asked(capsys, *arguments, "--json")
    assert code in (0, 1)
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def test_the_summary_counts_what_the_file_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, day(tmp_path))
    assert found["schema"] == 1
    assert found["format"] == "itch"
    assert (found["records"], found["seeded"]) == (6, 0)
    assert found["actions"] == {"ADD": 4, "DELETE": 1, "EXECUTE": 1}
    assert found["skipped"] == {"I net order imbalance": 1, "R stock directory": 2}
    assert found["odd"] == {"unknown references": 1, "crossed moments": 1, "time going back": 1}
    assert found["span_ns"] == 60_000_000_000
    assert found["first"]["time"] == "2020-01-30 09:30:00.000000000 America/New_York"
    assert found["first"] | {"time": "", "event_ns": 0} == {
        "time": "",
        "event_ns": 0,
        "action": "ADD",
        "symbol": "AAPL",
        "side": "BID",
        "price": "321",
        "size": "100",
        "order_id": 1,
    }
    apple, other = found["symbols"]
    assert (apple["symbol"], apple["records"], apple["state"]) == ("AAPL", 5, "crossed")
    assert (apple["best_bid"], apple["best_bid_size"]) == ("321.16", "1")
    assert (apple["best_ask"], apple["best_ask_size"], apple["bid_levels"], apple["orders"]) == ("321.15", "50", 2, 3)
    assert (other["symbol"], other["best_bid"], other["best_ask"]) == ("MSFT", None, "100.0001")
    assert found["time_base"]["date"] == "2020-01-30"
    assert found["fault"] is None


def test_the_text_says_the_same_in_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = day(tmp_path)
    code, out, err = asked(capsys, path)
    assert (code, err) == (0, "")
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0] == str(path)
    for line in (
        "format   itch",
        "symbols  AAPL (5), MSFT (1)",
        "records  6: 4 ADD, 1 DELETE, 1 EXECUTE",
        "span     0:01:00.000, paced by event time",
        "first    2020-01-30 09:30:00.000000000 America/New_York ADD AAPL bid 100 x 321 order 1",
        "last     2020-01-30 09:30:55.000000000 America/New_York ADD AAPL bid 1 x 321.16 order 4",
        "skipped  1 I net order imbalance, 2 R stock directory",
        "odd      1 unknown references, 1 crossed moments, 1 time going back",
        "book     AAPL crossed, best 321.16 x 1 / 321.15 x 50, 2 bid and 1 ask levels, 3 orders",
        "book     MSFT synced, best none / 100.0001 x 7, 0 bid and 1 ask levels, 1 orders",
    ):
        assert line in lines


def test_symbols_and_a_format_can_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = day(tmp_path)
    found = as_json(capsys, f"{path}:itch", "--symbols", "MSFT,GOOG")
    assert [symbol["symbol"] for symbol in found["symbols"]] == ["MSFT"]
    assert found["unseen"] == ["GOOG"]
    assert found["skipped"]["other symbols"] == 5
    assert "not met: GOOG" in asked(capsys, path, "--symbols", "MSFT,GOOG")[1]


def test_a_file_that_is_damaged_half_way_is_told_so_far(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = day(tmp_path, b"\x00\x00")
    code, out, err = asked(capsys, path)
    assert code == 1
    assert "records  6" in out
    assert "a damaged place ended the reading" in out
    assert err.count("\n") == 1
    assert f"byte {path.stat().st_size - 2}: found length 0" in err
    assert "length 0" in as_json(capsys, path)["fault"]


@pytest.mark.parametrize("what", ["absent", "directory", "empty", "other", "first message"])
def test_what_cannot_be_read_at_all_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    path = tmp_path / "file_ITCH50"
    if what == "directory":
        path.mkdir()
    elif what != "absent":
        path.write_bytes({"empty": b"", "other": b"hello\n", "first message": b"\x00\x00"}[what])
    code, out, err = asked(capsys, path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert str(path) in err


def test_wrong_use_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a file"):
        main([])
    with pytest.raises(UsageError, match="the nearest is --json"):
        main([str(tmp_path), "--jsno"])


def test_a_journal_tells_its_seed_and_that_it_was_cut_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.journal"
    records = np.zeros(5, TRANSACTION)
    records["action"], records["size"], records["price"] = int(Action.LEVEL), 3, [10, 11, 12, 13, 0]
    records["side"] = [0, 0, 1, 1, 2]
    records["flags"] = [int(Flags.SNAPSHOT)] * 3 + [int(Flags.LAST)] * 2
    records["action"][4] = int(Action.CLEAR)
    records["due_ticks"] = records["event_ns"] = np.arange(5) * 10**9
    with JournalWriter(path, [Instrument("X", 1, 0, 1)], "s", seed_source="book.csv", block_records=1) as writer:
        writer.write(records, [1] * 5)
    found = as_json(capsys, path)
    assert (found["seeded"], found["records"], found["seed_source"]) == (3, 2, "book.csv")
    assert found["actions"] == {"LEVEL": 1, "CLEAR": 1}
    assert found["last"]["price"] is None
    assert found["cut_off"] is None
    path.write_bytes(path.read_bytes()[:-1])
    code, out, _ = asked(capsys, path)
    assert code == 0
    assert "odd      the file ends inside block" in out
    assert "seed     3 records from book.csv" in out
    assert "book     X synced, empty" in out


def test_many_books_are_listed_with_json_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "many.dbn"
    path.write_bytes(
        dbn.metadata(3, "mbo") + b"".join(dbn.mbo("A", "B", n + 1, 10**9, 1, instrument=n) for n in range(40))
    )
    _, out, _ = asked(capsys, path)
    assert out.count("  book ") == 10
    assert "and 30 more, with --json" in out
    assert len(as_json(capsys, path)["symbols"]) == 40


def test_numbers_and_times_are_written_to_the_last_digit() -> None:
    assert [decimal(value, 4) for value in (3_210_000, 1, 0, -15, 12_345)] == [
        "321",
        "0.0001",
        "0",
        "-0.0015",
        "1.2345",
    ]
    assert decimal(2**63 - 1, 0) == str(2**63 - 1)
    assert event_time(1_703_548_799_446_724_905, TimeBase("unix")) == "2023-12-25 23:59:59.446724905 UTC"
    assert event_time(-1, TimeBase("unix")) == "1969-12-31 23:59:59.999999999 UTC"
    assert event_time(2**63 - 1, TimeBase("unix")).startswith("2262")
    assert event_time(34_200_000_000_001, TimeBase("midnight")) == "09:30:00.000000001"


def test_the_recorded_files_are_told_as_their_manifest_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, recorded("dbn", "esh4-glbx-mdp3-20231225.mbo.dbn.zst"))
    assert found["odd"] == {"fills of unknown orders": 7, "crossed moments": 891}
    assert found["actions"] == {"ADD": 29_216, "CANCEL": 17_999, "MODIFY": 12_233, "FILL": 6_371, "TRADE": 2_973}
    book = found["symbols"][0]
    assert (book["best_bid"], book["best_ask"], book["orders"], book["state"]) == ("4810", "4810.25", 11_217, "synced")


def test_reading_nothing_of_the_engine_for_help() -> None:
    # numba takes a second to import; whoever only asks for help should not wait for it
    code = "import sys; from velox_tui.commands.feed import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert 'numba' not in sys.modules and 'numpy' not in sys.modules"
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"--symbols" in done.stdout
