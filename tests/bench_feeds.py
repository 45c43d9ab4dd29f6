"""How fast feeds decode, from memory, on one core: ``python tests/bench_feeds.py [FILE ...] [--rounds N]``.

Without files it takes the recorded ITCH and DBN files if they are there (``VELOX_TEST_DATA``, or ``../shared/data``),
else files that the tests' encoders write. Each file's content is decompressed and repeated in a temporary file, in
memory where the machine has such a place, until a pass takes long enough to be timed; a pass is ``open_feed`` and all
its batches. Peers that can be imported decode the same content in turn with ours, round by round, and the best round of
each counts: ``databento_dbn`` for DBN, ``orjson`` for files of JSON lines.

Pytest does not collect this file.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.encoders import dbn, itch
from velox_engine.feeds.opening import find_format, open_feed
from velox_engine.feeds.stream import ByteStream

RECORDED = (
    "itch/AAPL_2020-01-30_first7000.itch50.bin",
    "dbn/esh4-glbx-mdp3-20231225.mbo.dbn.zst",
    "dbn/esu4-glbx-mdp3_2024-07-01T23-58_2024-07-02T00-02.mbp-1.dbn.zst",
)
LARGE = 150_000_000
"""Bytes of the file that is decoded."""


def encoded(folder: Path) -> list[Path]:
    """Files like the recorded ones, of random orders."""
    rng = random.Random(1)  # the same file each time
    messages, live = [itch.directory(1, "AAPL")], [0]
    for ref in range(1, 20_000):
        if rng.random() < 0.5:
            messages.append(itch.add(1, ref, ref, rng.choice("BS"), 100, "AAPL", rng.randrange(10**6)))
            live.append(ref)
        else:
            messages.append(itch.delete(1, ref, live.pop(rng.randrange(len(live))) if live else 0))
    records = [
        dbn.mbo(rng.choice("ACM"), rng.choice("AB"), rng.randrange(1, 10**4), rng.randrange(10**6), 5)
        for _ in range(20_000)
    ]
    paths = [folder / "orders.itch50", folder / "orders.mbo.dbn"]
    paths[0].write_bytes(itch.framed(*messages))
    paths[1].write_bytes(dbn.metadata(3, "mbo", [("ESH4", [(20231225, 20231226, "1")])]) + b"".join(records))
    return paths


def repeated(path: Path, folder: Path, form: str) -> tuple[Path, int, int]:
    """The content many times over in a plain file; its messages and bytes."""
    with ByteStream(path) as stream:
        content = stream.peek(10**10)
    head = 8 + int.from_bytes(content[4:8], "little") if form == "dbn" else 0
    body = content[head:] if content.endswith(b"\n") or form in ("dbn", "itch") else content[head:] + b"\n"
    times = max(1, LARGE // len(body)) if form in ("dbn", "itch") else 1
    name = path.name
    for ending in (".gz", ".xz", ".zst", ".bz2"):
        name = name.removesuffix(ending)
    large = folder / name
    large.write_bytes(content[:head] + body * times)
    return large, times * messages(body, form), len(body) * times


def messages(body: bytes, form: str) -> int:
    """Messages, records or lines, by their framing alone."""
    if form not in ("dbn", "itch"):
        return body.count(b"\n")
    at = count = 0
    while at < len(body):
        at += 4 * body[at] if form == "dbn" else 2 + int.from_bytes(body[at : at + 2], "big")
        count += 1
    return count


def ours(path: Path, form: str) -> Callable[[], None]:
    def decode() -> None:
        for _ in open_feed(path, form, seed=False):
            pass

    return decode


def peers(path: Path, form: str) -> dict[str, Callable[[], None]]:
    """What else can decode the content here."""
    found: dict[str, Callable[[], None]] = {}
    if form == "dbn" and importlib.util.find_spec("databento_dbn"):

        def databento() -> None:
            from databento_dbn import DBNDecoder

            decoder = DBNDecoder()
            with path.open("rb") as file:
                while piece := file.read(1 << 20):
                    decoder.write(piece)
                    decoder.decode()

        found["databento_dbn"] = databento
    if form in ("binance", "coinbase") and importlib.util.find_spec("orjson"):

        def orjson() -> None:
            from orjson import loads

            with path.open("rb") as file:
                for line in file:
                    loads(line[line.index(b"{") :])

        found["orjson"] = orjson
    return found


def best_of(rounds: int, runs: dict[str, Callable[[], None]]) -> dict[str, float]:
    """The least time of each, seconds of processor time (what else the machine does disturbs it less), run in turn."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - start)
    return best


@contextmanager
def one_core() -> Iterator[None]:
    """Stay on one of the cores that this process may use."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    rows = []
    with tempfile.TemporaryDirectory(dir=memory) as name, one_core():
        folder = Path(name)
        root = Path(os.environ.get("VELOX_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
        known = [root / part for part in RECORDED if (root / part).exists()]
        for path in asked.files or known or encoded(folder):
            form = find_format(path)
            large, count, size = repeated(path, folder, form)
            runs = {"velox": ours(large, form)} | peers(large, form)
            for decoder, seconds in best_of(asked.rounds, runs).items():
                rows.append((path.name[:44], form, decoder, count, count / seconds / 1e6, size / seconds / 1e6))
            large.unlink()
    if asked.json:
        keys = ("file", "format", "decoder", "messages", "million_per_s", "mb_per_s")
        print(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=2))
        return
    print(f"{'file':44}  {'decoder':14} {'messages':>11} {'M/s':>8} {'MB/s':>8}")
    for name, _, decoder, count, rate, speed in rows:
        print(f"{name:44}  {decoder:14} {count:11,} {rate:8.2f} {speed:8.0f}")


if __name__ == "__main__":
    main()
