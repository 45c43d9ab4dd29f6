"""What keeps resident memory where it is: pasts of a fixed size, one arena, no garbage that waits for hours."""

import asyncio
import gc
import platform
import subprocess
import sys
import time
import weakref

import numpy as np
import pytest
from textual.widgets._toast import Toast, ToastHolder, ToastRack

from tests.command import ROOT, environment
from tests.ui_driving import recorded_app, text_of, until
from velox_engine.snapshot import BookState, DepthSnapshot, Trade
from velox_tui.forgetting import forget_dead_widgets
from velox_tui.heat import HeatHistory

KEPT = 1800


def book(price, symbol=0, levels=2):
    bids = np.array([(price - each, 5, 1) for each in range(levels)], np.int64).reshape(-1, 3)
    asks = np.array([(price + 1 + each, 7, 1) for each in range(levels)], np.int64).reshape(-1, 3)
    return DepthSnapshot(symbol, BookState.SYNCED, 1, 1, False, bids, asks)


def trade(sequence, price, symbol=0):
    values = {"sequence": sequence, "symbol": symbol, "price": price, "size": 1, "side": 0}
    return Trade(**{name: values.get(name, 0) for name in Trade.__dataclass_fields__})


def test_the_past_of_the_book_stays_in_the_arrays_that_it_began_with():
    heat = HeatHistory()
    arrays = (heat._levels, heat._traded, heat._head)
    for number in range(KEPT + 500):
        assert heat.add(number / 2, book(1000 + number), (trade(number, 1000 + number),))
    assert (heat._levels, heat._traded, heat._head) == arrays
    found = list(heat.columns())
    assert [column.number for column in found] == list(range(KEPT + 499, 499, -1))
    assert [int(column.bids[0, 0]) for column in found] == [1000 + column.number for column in found]
    assert [column.traded.tolist() for column in found] == [[1000 + column.number] for column in found]
    assert heat.number == KEPT + 499


def test_a_column_shows_no_level_or_trade_of_the_one_that_it_replaces():
    heat = HeatHistory()
    for number in range(KEPT + 1):
        heat.add(number / 2, book(1000, levels=200 if number < KEPT else 1), (trade(number, 7),) if number < 3 else ())
    newest = heat.newest()
    assert newest.bids.tolist() == [[1000, 5]]
    assert newest.asks.tolist() == [[1001, 7]]
    assert newest.traded.tolist() == []


def test_more_trades_than_a_column_holds_and_deeper_books_are_cut():
    heat = HeatHistory()
    heat.add(1.0, book(1000, levels=300), tuple(trade(number, number) for number in range(100)))
    assert heat.newest().traded.tolist() == list(range(36, 100))
    assert len(heat.newest().bids) == 200


def test_another_symbol_begins_anew_and_a_copy_stays():
    heat = HeatHistory()
    heat.add(1.0, book(1000), ())
    held = heat.copy()
    heat.add(2.0, book(5, symbol=3), ())
    assert [column.number for column in heat.columns()] == [4]
    assert [(column.number, int(column.bids[0, 0])) for column in held.columns()] == [(2, 1000)]


ALLOCATING = """
import ctypes, sys, threading
from velox_tui.memory import settle_allocator
if "settled" in sys.argv:
    settle_allocator()
begin = threading.Barrier(4)
def work():
    begin.wait()
    kept = [bytearray(3000) for _ in range(3000)]
    begin.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
ctypes.CDLL(None).malloc_stats()
"""


def _arenas(tmp_path, *words):
    done = subprocess.run(
        [sys.executable, "-c", ALLOCATING, *words],
        cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stderr.count("Arena ")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is on Linux")
def test_all_threads_share_one_arena(tmp_path):
    try:
        usual = _arenas(tmp_path)
    except subprocess.CalledProcessError:
        pytest.skip("the C library is not glibc")
    assert usual > 1
    assert _arenas(tmp_path, "settled") == 1


HOLES = """
from velox_tui.memory import give_back, settle_allocator
def resident():
    return int(open("/proc/self/statm").read().split()[1])
settle_allocator()
before = resident()
blocks = [bytearray(1500) for _ in range(20_000)]
kept = blocks[::50]
blocks.clear()
left = resident()
give_back()
print(before, left, resident(), len(kept))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is on Linux")
def test_holes_between_what_stays_are_given_back(tmp_path):
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the C library is not glibc")
    done = subprocess.run(
        [sys.executable, "-c", HOLES],
        cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    before, left, after, _ = map(int, done.stdout.split())
    assert left - before > 5_000  # pages: most of the thirty megabytes
    assert after - before < (left - before) / 4


COLLECTING = """
import gc
from velox_engine.config import load_config
from velox_tui.starter import Starter
starter = Starter(load_config(), started=lambda engine: None)
starter.start()
assert starter.done.wait(120)
assert starter.error is None, starter.error
print(gc.get_freeze_count(), len(gc.get_objects()))
starter.engine.stop()
"""


def test_what_a_start_leaves_is_out_of_the_collectors_sight(tmp_path):
    from tests.ui_terminal import shared_cache

    done = subprocess.run(
        [sys.executable, "-c", COLLECTING],
        cwd=ROOT, env=environment(tmp_path) | shared_cache(), capture_output=True, text=True, check=False, timeout=150,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    frozen, seen = map(int, done.stdout.split())
    assert frozen > 50_000
    assert seen < frozen / 10


def test_notices_that_are_over_leave_no_widget_and_no_picture(monkeypatch):
    async def notices():
        async with recorded_app(monkeypatch) as ui:
            await ui.screen.mount(ToastRack(id="textual-toastrack"))  # which tests are without
            pictures = []
            for number in range(4):
                ui.app.notify(f"notice {number}", timeout=0.5)
                await until(ui.pilot, lambda: any(each.size.width for each in ui.screen.query(Toast)))
                text_of(ui.app)  # they are drawn
                pictures += [weakref.ref(each._styles_cache) for each in ui.screen.query(Toast)]
                if number % 2:
                    time.sleep(0.6)  # over before its own timer tells: the next one finds it so
                else:
                    await until(ui.pilot, lambda: not ui.screen.query(Toast))
            ui.app.notify("the last", timeout=30)

            def over():
                ui.app._refresh_notifications()
                return len(ui.screen.query(ToastHolder)) == 1

            await until(ui.pilot, over)
            forget_dead_widgets()
            gc.collect()
            return [each() for each in pictures]

    kept = [each for each in asyncio.run(notices()) if each is not None]
    assert len(kept) <= 1, f"{len(kept)} of 4 are still there"
