"""How fast feeds decode beside others, on one core: ``python -m tests.bench_feeds [FILE ...] [--rounds N] [--json]``.

``velox-tui bench --only feed`` measures our decoders on samples of its own. This does so on recorded files, those of
``VELOX_TEST_DATA`` or ``../shared/data`` if none are named, and, with ``--peers``, in turn with what can be imported of
``databento_dbn`` for DBN, ``orjson`` for files of JSON lines. A file is decompressed into memory first; where its
format allows that (DBN, ITCH and LOBSTER), its content is repeated until a pass takes long enough to be timed. Opening
is not timed. Medians of the rounds.

Pytest does not collect this file.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.recorded import recorded
from velox_engine.bench.feeds import decode
from velox_engine.bench.measure import Bench, Cancel, Figure, Measure
from velox_engine.bench.runner import alternate
from velox_engine.bench.statistics import spread
from velox_engine.feeds.opening import find_format
from velox_engine.feeds.stream import ByteStream
from velox_engine.lockfree.clock import calibrate
from velox_engine.placement import this_machine

RECORDED = (
    "itch/AAPL_2020-01-30_first7000.itch50.bin",
    "dbn/esh4-glbx-mdp3-20231225.mbo.dbn.zst",
    "dbn/esu4-glbx-mdp3_2024-07-01T23-58_2024-07-02T00-02.mbp-1.dbn.zst",
    "lobster/AAPL_2012-06-21_34200000_37800000_message_50.csv.gz",
    "coinbase_l3/btcusd_2018-07-13_messages_first20001.jsonl.xz",
    "binance/binance_spot_btcusdt_20240808.gz",
    "binance/binance_usdm_btcusdt_20240808.gz",
    "tardis_csv/binance_incremental_book_L2_2024-08-08_BTCUSDT.csv.gz",
    "tardis_csv/binance_trades_2024-08-08_BTCUSDT.csv.gz",
)
REPEATABLE = {"dbn": 150_000_000, "itch": 150_000_000, "lobster": 24_000_000}
"""Formats whose messages stand for themselves, and about how many bytes of them are decoded; others count."""


def plain(path: Path, folder: Path, form: str) -> tuple[Path, int]:
    """The content, many times over where that makes sense, in a plain file; and its bytes."""
    with ByteStream(path) as stream:
        content = stream.peek(10**10)
    head = 8 + int.from_bytes(content[4:8], "little") if form == "dbn" else 0
    times = max(1, REPEATABLE.get(form, 0) // len(content))
    name = path.name
    for ending in (".gz", ".xz", ".zst", ".bz2"):
        name = name.removesuffix(ending)
    large = folder / name
    large.write_bytes(content[:head] + content[head:] * times)
    return large, len(content) * times


def databento(path: Path) -> None:
    from databento_dbn import DBNDecoder

    decoder = DBNDecoder()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            decoder.write(piece)
            decoder.decode()


def orjson(path: Path) -> None:
    from orjson import loads

    with path.open("rb") as file:
        for line in file:
            loads(line[line.index(b"{") :])


PEERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "dbn": ("databento_dbn", databento),
    "binance": ("orjson", orjson),
    "coinbase": ("orjson", orjson),
}


def measures(bench: Bench, path: Path, form: str, size: int, *, peers: bool) -> list[Measure]:
    """Ours, and what else can decode the content here: MB/s of each."""

    def ours() -> tuple[float, float]:
        seconds, records = bench.alone(partial(decode, path, form))
        return size / seconds / 1e6, records / seconds / 1e6

    def theirs() -> tuple[float]:
        begun = time.perf_counter()
        bench.alone(partial(other, path))
        return (size / (time.perf_counter() - begun) / 1e6,)

    speed, rate = Figure("MB/s", "MB/s", "higher"), Figure("M records/s", "M records/s", "higher")
    found = [Measure(f"{path.name[:44]} velox", (speed, rate), ours)]
    module, other = PEERS.get(form, ("", orjson))
    if peers and module and importlib.util.find_spec(module):
        found.append(Measure(f"{path.name[:44]} {module}", (speed,), theirs))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        bench = Bench(this_machine(), calibrate(), Path(name), brief=False)
        chosen: list[Measure] = []
        for path in asked.files or [recorded(*part.split("/")) for part in RECORDED]:
            form = find_format(path)
            large, size = plain(path, bench.folder, form)
            chosen += measures(bench, large, form, size, peers=asked.peers)
        samples, failed = alternate(chosen, asked.rounds, lambda what, done, total: None, Cancel())
    medians = {name: spread(found).median for name, found in samples.items()}
    if asked.json:
        print(json.dumps(medians | failed, indent=2))
        return
    for name, median in medians.items():
        print(f"{name:76} {median:10.2f}")
    for name, why in failed.items():
        print(f"{name:76} {why}")


if __name__ == "__main__":
    main()
