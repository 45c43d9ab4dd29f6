"""Who an engine has to do with, in a simulation: a decoder that stages records, a sink that may fail."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from velox_engine.feeds.staging import SEED, close_staging, make_staging, stage_records
from velox_engine.jit import compiled
from velox_engine.records import TRANSACTION, Action, Instrument
from velox_engine.sinks import SinkThread
from velox_engine.stages.orderbook import book_apply
from velox_engine.stages.sinking import take_bundles

DAMAGED = "simulated.csv: damaged"
_SYMBOLS = 3
_NO_SIDE = 7


class SimulatedDecoder:
    """A feed's decoder without a thread or a file: it stages made-up records, some of them invalid, when it steps."""

    def __init__(self, choose, most):
        self._choose = choose
        self.instruments = [Instrument(f"S{index}", 2, 0, 1) for index in range(_SYMBOLS)]
        self.staging = make_staging(2 ** choose.randrange(3, 10), _SYMBOLS)
        oddities = SimpleNamespace(cut_off="", gaps=0, time_back=0, skipped={})
        self.feed = SimpleNamespace(
            windowed=False, path=Path("simulated.csv"), oddities=oddities, close=lambda: None, seed_source=None
        )
        self.failure, self.passes, self._ended, self._done = "", 1, False, 0
        self.records = self._made(choose.randrange(most // 2))

    def _made(self, count):
        choice = np.random.default_rng(self._choose.randrange(2**63))
        records = np.zeros(count, TRANSACTION)
        seeds = min(count, int(choice.integers(0, 20)) if self._choose.random() < 0.5 else 0)
        records["order_id"] = choice.integers(1, 200, count)
        records["price"] = choice.integers(900, 1100, count)
        records["size"] = choice.integers(1, 100, count)
        records["symbol"] = choice.integers(0, _SYMBOLS, count)
        records["side"] = choice.integers(0, 2, count)
        records["action"] = choice.choice([Action.ADD, Action.ADD, Action.CANCEL, Action.DELETE, Action.EXECUTE], count)
        wrong = choice.random(count) < 0.02
        records["side"][wrong] = _NO_SIDE
        gaps = choice.exponential(self._choose.choice([0, 2_000, 100_000]), count).astype(np.int64)
        gaps[:seeds] = 0
        records["due_ticks"] = np.cumsum(gaps)
        records["due_ticks"][:seeds] = SEED
        records["event_ns"] = np.arange(count)
        return records

    @property
    def ended(self):
        return self._ended

    def step(self):
        """Stage some more, close when all is staged, or do nothing for once."""
        if self._ended or self._choose.random() < 0.3:
            return
        batch = self.records[self._done : self._done + self._choose.choice([1, 10, 500])]
        if len(batch):
            self._done += int(stage_records(self.staging, batch, 0, _SYMBOLS))
        if self._done == len(self.records):
            self.end()

    @property
    def staged(self):
        """How many records were staged."""
        return self._done

    def end(self):
        """Nothing more will come."""
        self._ended = True
        close_staging(self.staging)

    def stop(self, timeout):
        return True

    def is_valid(self):
        """Which records are valid; ingress must reject the others."""
        return self.records["side"] != _NO_SIDE


class SimulatedSink:
    """Keeps what it is given; fails now and then."""

    def __init__(self, choose):
        self._choose = choose
        self.written = self.lost = 0
        self.records, self.sizes = [], []
        self._failing = choose.choice([0.0, 0.0, 0.1, 1.0])

    def write(self, records, bundle_sizes):
        self.records.append(records.view(np.uint64).reshape(-1, 8).copy())
        self.sizes.append([int(size) for size in bundle_sizes])
        if self._choose.random() < self._failing:
            self.lost += len(records)
            raise OSError("simulated")
        self.written += len(records)

    def flush(self):
        pass

    def close(self):
        pass

    def discard(self):
        pass


class SimulatedSinkThread(SinkThread):
    """The engine's own sink thread without its thread: `step` is a turn of its loop."""

    def __init__(self, sink, outlet):
        super().__init__(sink, outlet)
        self._records, self._sizes = np.zeros(512, TRANSACTION), np.zeros(512, np.int64)
        self._choose, self._slow = sink._choose, sink._choose.choice([0.0, 0.5, 0.97])

    def start(self):
        pass

    def step(self):
        if self._choose.random() >= self._slow:
            self._take()

    def _take(self):
        bundles = int(take_bundles(self._outlet, self._records, self._sizes))
        taken = self._sizes[:bundles].copy()
        if bundles:
            self._keep(self._records[: int(taken.sum())], taken)
        return bundles

    def stop(self, timeout):
        while self._take():
            pass
        self.sink.close()
        return True

    def abandon(self):
        pass


@compiled
def _apply(state, records, start):
    return book_apply(state, records, start, records.size - start)


def apply_all(book, records):
    """Apply records to a book, which grows as it must."""
    start = 0
    while start < len(records):
        start += int(_apply(book.state, records, start))
        if start < len(records):
            book.grow()
