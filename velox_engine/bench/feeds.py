"""How fast recorded files are decoded, one core, from memory: an opened feed is read to its end, batch by batch.

Opening is not part of it: a text feed goes through the first 8 MiB for symbols and decimals, once for a file of any
length. Decompression is not either: the samples are plain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Final

from velox_engine.bench.books import market_flow
from velox_engine.bench.measure import Bench, BenchError, Figure, Measure
from velox_engine.bench.samples import SAMPLES, Sample, write_sample
from velox_engine.feeds.journal_writer import JournalWriter
from velox_engine.feeds.opening import open_feed
from velox_engine.feeds.synthetic import SYNTHETIC_INSTRUMENT

_RECORDS: Final = {"itch": 800_000, "dbn": 800_000, "journal": 800_000, "lobster": 200_000, "tardis": 100_000}
_OF_TEXT: Final = 50_000
_BRIEFLY: Final = 4


def decode(path: Path, form: str) -> tuple[float, int]:
    """Read a file to its end; return the seconds of it, without opening, and how many records there were."""
    feed = open_feed(path, form, seed=False)
    begun = time.perf_counter()
    records = sum(len(batch) for batch in feed)
    return time.perf_counter() - begun, records


def feed_measures(bench: Bench) -> Iterator[Measure]:
    """Yield the decoders' speed in million records a second, and that of writing a journal."""
    figures = (Figure("", "M records/s", "higher"),)
    for form in SAMPLES:
        count = _RECORDS.get(form, _OF_TEXT) // (_BRIEFLY if bench.brief else 1)
        sample = cache(partial(write_sample, form, bench.folder, count))
        yield Measure(f"feed.{form}", figures, partial(_run, bench, sample))
    count = _RECORDS["journal"] // (_BRIEFLY if bench.brief else 1)
    yield Measure("feed.journal_write", figures, partial(_run_writing, bench, count))


def _run(bench: Bench, sample: Callable[[], Sample]) -> tuple[float]:
    form, path, expected = sample()
    seconds, records = bench.alone(partial(decode, path, form))
    if records != expected:
        raise BenchError(f"feed {form}: {records} records of {expected}")
    return (records / seconds / 1e6,)


def _run_writing(bench: Bench, count: int) -> tuple[float]:
    flow = market_flow(count)
    sizes = [16] * (count // 16)

    def write() -> float:
        path = bench.folder / "written.velox"
        journal = JournalWriter(path, [SYNTHETIC_INSTRUMENT], "synthetic", overwrite=True)
        begun = time.perf_counter()
        journal.write(flow[: 16 * len(sizes)], sizes)
        journal.flush()
        seconds = time.perf_counter() - begun
        journal.close()
        if journal.written != 16 * len(sizes) or journal.lost:
            raise BenchError(f"journal: {journal.written} records written, {journal.lost} lost of {16 * len(sizes)}")
        return seconds

    seconds: float = bench.alone(write)
    return (16 * len(sizes) / seconds / 1e6,)
