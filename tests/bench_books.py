"""How fast the exact book is: ``python tests/bench_books.py [--yardstick PROGRAM] [--list FILE] [--peers] …``.

One list of order events (see `tests/order_list.py`; made here unless ``--list`` names a file) is applied round by round
by each contestant in turn, in this one process and pinned to one core; the table gives the median and the best round.
``--yardstick`` is a program that is called as ``PROGRAM l3 LIST 3`` between our rounds and prints
``METRIC updates_per_s N`` (order-level book with a hash map, best prices read after every message).

Ours are those of ``velox-tui bench`` (`velox_engine.bench.books`), four ways: *read each* compares with a program that
reads both best prices after every message, *batches* lie in cache as the order-book stage finds them, *ExactBook* is
the Python class with 4,096 records a call, *one by one* the same with one record a call and ``best`` after each.

``--peers`` also times what can be imported of ``order_book``, ``sortedcontainers``, ``nautilus_trader`` and
``hftbacktest`` on the same events. The Python ones get objects made beforehand and fewer events, and read the best
prices after every 16th message, which favours them; hftbacktest runs in a numba loop and reads after each.

Pytest does not collect this file.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import psutil
from numpy.typing import NDArray

from tests import order_list
from velox_engine.bench.books import Begun, from_python, in_batches, one_by_one, read_each
from velox_engine.bench.measure import Cancel, Figure, Measure
from velox_engine.bench.runner import alternate
from velox_engine.bench.statistics import spread

FEW = 100_000
"""Messages that a contestant gets whose every update is a call from Python."""


def bmoscon(messages: NDArray[np.void], preload: int) -> Begun:
    """order_book: levels only, so it gets each level's total."""
    from order_book import OrderBook

    rows = [(int(m["side"]), int(m["price"]), int(m["total"])) for m in messages[: preload + FEW]]

    def run() -> tuple[float, int]:
        book = OrderBook()
        sides = (book.bids, book.asks)
        begin = 0.0
        for i, (side, price, total) in enumerate(rows):
            if i == preload:
                begin = time.perf_counter()
            if total:
                sides[side][price] = total
            else:
                del sides[side][price]
            if i % 16 == 0 and i > preload:
                sides[0].index(0)
                sides[1].index(0)
        return time.perf_counter() - begin, FEW

    return run


def sorted_dicts(messages: NDArray[np.void], preload: int) -> Begun:
    """sortedcontainers: a SortedDict of levels a side, each a dict of orders in time order; a dict of all orders."""
    from sortedcontainers import SortedDict

    rows = [tuple(map(int, (m["kind"], m["side"], m["price"], m["size"], m["id"]))) for m in messages[: preload + FEW]]

    def run() -> tuple[float, int]:
        sides: tuple[Any, Any] = (SortedDict(), SortedDict())
        orders: dict[int, tuple[int, int]] = {}
        begin = 0.0
        for i, (kind, side, price, size, order) in enumerate(rows):
            if i == preload:
                begin = time.perf_counter()
            levels = sides[side]
            if kind == order_list.ADD:
                if price in levels:
                    levels[price][order] = size
                else:
                    levels[price] = {order: size}
                orders[order] = (side, price)
            else:
                queue = levels[price]
                left = 0 if kind == order_list.DELETE else queue[order] - size
                if left > 0:
                    queue[order] = left
                else:
                    del queue[order], orders[order]
                    if not queue:
                        del levels[price]
            if i % 16 == 0 and i > preload:
                sides[0].peekitem(-1)
                sides[1].peekitem(0)
        return time.perf_counter() - begin, FEW

    return run


def nautilus(messages: NDArray[np.void], preload: int) -> Begun:
    """nautilus_trader: an order-level OrderBook, deltas made beforehand."""
    from nautilus_trader.model.book import OrderBook
    from nautilus_trader.model.data import BookOrder, OrderBookDelta
    from nautilus_trader.model.enums import BookAction, BookType, OrderSide
    from nautilus_trader.model.identifiers import InstrumentId
    from nautilus_trader.model.objects import Price, Quantity

    instrument = InstrumentId.from_str("X.SIM")
    left: dict[int, int] = {}
    deltas = []
    for m in messages[: preload + FEW]:
        order, size = int(m["id"]), int(m["size"])
        left[order] = size if m["kind"] == order_list.ADD else left[order] - size
        action = (
            BookAction.ADD if m["kind"] == order_list.ADD else BookAction.UPDATE if left[order] else BookAction.DELETE
        )
        side = OrderSide.SELL if m["side"] else OrderSide.BUY
        book_order = BookOrder(side, Price(int(m["price"]), 0), Quantity(left[order], 0), order + 1)
        deltas.append(OrderBookDelta(instrument, action, book_order, 0, 0, 0, 0))

    def run() -> tuple[float, int]:
        book = OrderBook(instrument, BookType.L3_MBO)
        begin = 0.0
        for i, delta in enumerate(deltas):
            if i == preload:
                begin = time.perf_counter()
            book.apply_delta(delta)
            if i % 16 == 0 and i > preload:
                book.best_bid_price()
                book.best_ask_price()
        return time.perf_counter() - begin, FEW

    return run


def hftbacktest_depth(messages: NDArray[np.void], preload: int) -> Begun:
    """hftbacktest: its array depth (ROIVector) fed with level totals by its own event loop, the only way to it."""
    import numba
    from hftbacktest import BUY_EVENT, DEPTH_EVENT, LOCAL_EVENT, SELL_EVENT, BacktestAsset, ROIVectorMarketDepthBacktest
    from hftbacktest.types import event_dtype

    events = np.zeros(len(messages), event_dtype)
    sides = np.where(messages["side"] == 0, np.uint64(BUY_EVENT), np.uint64(SELL_EVENT))
    events["ev"] = np.uint64(DEPTH_EVENT | LOCAL_EVENT) | sides
    events["exch_ts"] = events["local_ts"] = 1000 + np.arange(len(messages))
    events["px"], events["qty"] = messages["price"], messages["total"]

    @numba.njit  # type: ignore[untyped-decorator]  # numba has no types
    def follow(backtest: Any, most: int) -> int:
        seen, done = 0, 0
        depth = backtest.depth(0)
        while done < most and backtest.wait_next_feed(False, 10**12) == 2:
            seen += depth.best_bid_tick ^ depth.best_ask_tick
            done += 1
        return done

    def run() -> tuple[float, int]:
        asset = BacktestAsset().data([events]).linear_asset(1.0).constant_order_latency(0, 0)
        asset = asset.risk_adverse_queue_model().no_partial_fill_exchange().trading_value_fee_model(0.0, 0.0)
        asset = (
            asset.tick_size(1.0).lot_size(1.0).roi_lb(0.0).roi_ub(float(2 * order_list.MIDDLE)).last_trades_capacity(0)
        )
        backtest = ROIVectorMarketDepthBacktest([asset])
        follow(backtest, preload)
        begin = time.perf_counter()
        done = follow(backtest, len(messages))
        spent = time.perf_counter() - begin
        backtest.close()
        return spent, done

    return run


PEERS: dict[str, tuple[str, Callable[[NDArray[np.void], int], Begun]]] = {
    "order-book, levels": ("order_book", bmoscon),
    "sortedcontainers, orders": ("sortedcontainers", sorted_dicts),
    "nautilus_trader OrderBook, orders": ("nautilus_trader", nautilus),
    "hftbacktest ROIVector depth, levels": ("hftbacktest", hftbacktest_depth),
}


def yardstick(program: str, path: Path) -> Begun:
    def run() -> tuple[float, int]:
        told = subprocess.run([program, "l3", str(path), "3"], capture_output=True, text=True, check=True).stdout
        rate = next(float(line.split()[2]) for line in told.splitlines() if line.startswith("METRIC updates_per_s "))
        return 1.0, int(rate)

    return run


def wait_for_quiet(core: int, seconds: float) -> None:
    """Wait until the core idles for a tenth of a second, ``seconds`` at most."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and psutil.cpu_percent(0.1, percpu=True)[core] > 10:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--yardstick", help="program to compare with")
    parser.add_argument("--list", type=Path, help="file with the events")
    parser.add_argument("--messages", type=int, default=1_000_000, help="events to make without --list")
    parser.add_argument("--live", type=int, default=4000, help="orders alive at a time, without --list")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--patience", type=float, default=0, help="seconds to wait for an idle core before each run")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--only", help="contestants whose names contain this, or one of these, comma between")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {chosen.core})
    with tempfile.TemporaryDirectory() as folder:
        path = chosen.list or Path(folder) / "events"
        if chosen.list is None:
            order_list.write(path, *order_list.generated(chosen.messages, live=chosen.live))
        preload, messages = order_list.read(path)
        records = order_list.as_transactions(messages)
        contestants: dict[str, Begun] = {
            "ours, read each": read_each(records, preload),
            "ours, batches": in_batches(records, preload),
            "ours, ExactBook": from_python(records, preload),
            "ours, one by one": one_by_one(records, preload, FEW),
        }
        if chosen.yardstick:
            contestants["yardstick"] = yardstick(chosen.yardstick, path)
        if chosen.peers:
            for name, (module, make) in PEERS.items():
                if importlib.util.find_spec(module):
                    contestants[name] = make(messages, preload)
        if chosen.only:
            parts = chosen.only.split(",")
            contestants = {name: run for name, run in contestants.items() if any(part in name for part in parts)}

        def measure(name: str, run: Begun) -> Measure:
            def rate() -> tuple[float]:
                wait_for_quiet(chosen.core, chosen.patience)
                seconds, count = run()
                return (count / seconds / 1e6,)

            return Measure(name, (Figure("", "M updates/s", "higher"),), rate)

        measures = [measure(name, run) for name, run in contestants.items()]
        rates, failed = alternate(measures, chosen.rounds, lambda what, done, total: None, Cancel())
    print(f"{'M updates/s':36} {'median':>8} {'best':>8}")
    for name, found in rates.items():
        print(f"{name:36} {spread(found).median:8.2f} {max(found):8.2f}")
    for name, why in failed.items():
        print(f"{name:36} failed: {why}")


if __name__ == "__main__":
    main()
