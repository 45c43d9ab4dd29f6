"""How fast the text formats are decoded on one core; run it by hand, pytest does not collect it.

    python tests/bench_text_feeds.py [--runs N] [--json]

Each recorded file is decompressed into a temporary file first and read from there, so that no decompressor is
measured, into batches of 4,096 records, which are let go. Opening a feed goes through the first 8 MiB for symbols and
decimals; that happens once, whatever the file's length, and is told by itself. The JSON formats are compared with
``orjson`` (if it is installed) parsing the same lines from memory, in alternating runs on the same core, because the
machine's own speed wanders more than the difference. Figures are processor time, the best of the runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.recorded import recorded
from velox_engine.feeds.opening import open_feed
from velox_engine.feeds.stream import ByteStream

LEAST_BYTES = 24 << 20
"""A recorded file that is shorter is repeated as far as its format allows it."""


@dataclass
class Result:
    name: str
    lines: int
    megabytes: float
    open_s: float
    ours_s: float
    orjson_s: float | None

    @property
    def told(self) -> str:
        rate = f"{self.lines / self.ours_s / 1e6:6.2f} M lines/s {self.megabytes / self.ours_s:5.0f} MB/s"
        rate += f"   opened in {self.open_s * 1e3:4.1f} ms"
        if self.orjson_s is None:
            return f"{self.name:<28} {rate}"
        other = f"orjson {self.lines / self.orjson_s / 1e6:5.2f} M lines/s"
        return f"{self.name:<28} {rate}   {other}   ours is {self.orjson_s / self.ours_s:.2f} times as fast"


def content_of(path: Path) -> bytes:
    with ByteStream(path) as stream:
        return stream.peek(1 << 30)


def decode(path: Path, format_name: str) -> tuple[float, float]:
    """How long opening and reading took."""
    began = time.process_time()
    feed = open_feed(path, format_name, seed=False)
    opened = time.process_time()
    for _ in feed:
        pass
    return opened - began, time.process_time() - opened


def parsed_by_orjson(content: bytes, front: bool) -> Callable[[], float] | None:
    try:
        import orjson
    except ImportError:
        return None
    lines = [line.partition(b" ")[2] if front else line for line in content.splitlines()]

    def run() -> float:
        loads = orjson.loads
        began = time.process_time()
        for line in lines:
            loads(line)
        return time.process_time() - began

    return run


def measure(name: str, parts: tuple[str, str], format_name: str, folder: Path, runs: int) -> Result:
    path = recorded(*parts)
    content = content_of(path)
    if format_name == "lobster":
        # rows stand for themselves; the other formats count, and would meet themselves again
        content *= -(-LEAST_BYTES // len(content))
    plain = folder / path.name.removesuffix(path.suffix)
    plain.write_bytes(content)
    other = parsed_by_orjson(content, format_name == "binance") if format_name in ("binance", "coinbase") else None
    decode(plain, format_name)  # compiles
    mine, theirs = [], []
    for _ in range(runs):
        mine.append(decode(plain, format_name))
        if other is not None:
            theirs.append(other())
    lines = content.count(b"\n")
    opening, reading = (min(times) for times in zip(*mine, strict=True))
    return Result(name, lines, len(content) / 1e6, opening, reading, min(theirs) if theirs else None)


FILES = [
    ("LOBSTER AAPL level 50", ("lobster", "AAPL_2012-06-21_34200000_37800000_message_50.csv.gz"), "lobster"),
    ("Coinbase BTC-USD, full", ("coinbase_l3", "btcusd_2018-07-13_messages_first20001.jsonl.xz"), "coinbase"),
    ("Binance BTCUSDT, spot", ("binance", "binance_spot_btcusdt_20240808.gz"), "binance"),
    ("Binance BTCUSDT, futures", ("binance", "binance_usdm_btcusdt_20240808.gz"), "binance"),
    ("Tardis BTCUSDT, levels", ("tardis_csv", "binance_incremental_book_L2_2024-08-08_BTCUSDT.csv.gz"), "tardis"),
    ("Tardis BTCUSDT, trades", ("tardis_csv", "binance_trades_2024-08-08_BTCUSDT.csv.gz"), "tardis"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast the text formats are decoded on one core.")
    parser.add_argument("--runs", type=int, default=7, help="runs of each, the best counts (default 7)")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name, parts, format_name in FILES:
            results.append(measure(name, parts, format_name, Path(folder), arguments.runs))
            if not arguments.json:
                print(results[-1].told, flush=True)
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=2))


if __name__ == "__main__":
    main()
