"""Glances at our own engine, recorded once and kept in the repository, with a clock that stands where it stood then."""

from __future__ import annotations

import dataclasses
import enum
import json
import lzma
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from velox_engine import snapshot as snapshot_module
from velox_engine.lockfree.histogram_view import BUCKETS, Histogram
from velox_engine.snapshot import BookState, Doing, Event, State
from velox_tui.heat import HeatHistory
from velox_tui.history import PERIOD_S, History
from velox_tui.machine import Core
from velox_tui.sampler import row_of, series_names
from velox_tui.scene import Glance, Scene

FILE = Path(__file__).parent / "goldens" / "recording.json.xz"
CORES = (0, 1)


@dataclass
class Recording:
    """Snapshots of a run, ``PERIOD_S`` apart, with what else the sampler saw."""

    snapshots: list[Any]
    cores: list[Any]
    events: tuple[Event, ...]
    instruments: tuple[dict[str, Any], ...]


def load() -> Recording:
    """Read the recording."""
    data = json.loads(lzma.decompress(FILE.read_bytes()))
    read = {name: _revived(each) for name, each in data.items()}
    read["snapshots"] = [replace(each, bundle_sizes=_array(each.bundle_sizes)) for each in read["snapshots"]]
    return Recording(read["snapshots"], read["cores"], tuple(read["events"]), tuple(read["instruments"]))


_CLASSES = {each.__name__: each for each in vars(snapshot_module).values() if dataclasses.is_dataclass(each)}
_CLASSES |= {"Core": Core, "Histogram": Histogram}
_ENUMS = {each.__name__: each for each in (State, Doing, BookState)}


def _array(found: Any) -> Any:
    return np.array(found, np.int64)


def _plain(value: Any) -> Any:
    """Turn a value into what JSON knows, with the names of its classes."""
    if isinstance(value, Histogram):
        held = np.flatnonzero(value.buckets)
        pairs = [held.tolist(), value.buckets[held].tolist()]
        return {"": "Histogram", "head": [value.count, value.sum, value.least, value.largest], "pairs": pairs}
    if isinstance(value, enum.Enum):
        return {"": type(value).__name__, "value": int(value)}
    if dataclasses.is_dataclass(value):
        return {
            "": type(value).__name__,
            **{each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)},
        }
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _revived(value: Any) -> Any:
    if isinstance(value, list):
        return [_revived(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "" not in value:
        return {key: _revived(each) for key, each in value.items()}
    name = value[""]
    if name in _ENUMS:
        return _ENUMS[name](value["value"])
    if name == "Histogram":
        buckets = np.zeros(BUCKETS, np.int64)
        buckets[value["pairs"][0]] = value["pairs"][1]
        return Histogram(*value["head"], buckets)
    made = {}
    for each in dataclasses.fields(_CLASSES[name]):
        # a field that is younger than the recording: nothing of it was seen
        found = _revived(value[each.name]) if each.name in value else 0
        if each.name in ("bids", "asks"):
            found = _array(found).reshape(-1, 3)
        made[each.name] = tuple(found) if isinstance(found, list) else found
    return _CLASSES[name](**made)


class FakeSampler:
    """Stands in for the sampler: hands out the recorded glances one after another, as often as it is told to."""

    def __init__(self, recording: Recording | None = None) -> None:
        self.recording = recording or load()
        self.cores = CORES
        self.rows: list[tuple[float, list[float]]] = []
        self.at = 0
        self.latest: Glance | None = None
        self.advance(len(self.recording.snapshots) - 1)
        self.rows = _Queue(self.rows)

    def advance(self, steps: int) -> None:
        """Go on by so many snapshots."""
        snapshots = self.recording.snapshots
        for _ in range(steps):
            before, self.at = self.at, self.at + 1
            after = snapshots[self.at]
            row = row_of(snapshots[before], after, self.recording.cores)
            self.rows.append((after.taken_unix_ns * 1e-9, row))
        self.latest = self.glance()

    def glance(self) -> Glance:
        """Return the glance at the present snapshot."""
        snapshots = self.recording.snapshots
        return Glance(
            self.at,
            snapshots[self.at],
            snapshots[max(self.at - 10, 0)],
            snapshots[max(self.at - 100, 0)],
            tuple(self.recording.cores),
            self.recording.events,
            self.recording.instruments,
            0.087,
        )

    def change(self, **changes: Any) -> None:
        """Make the newest snapshot another one in some fields."""
        assert self.latest is not None
        snapshot = replace(self.latest.snapshot, **changes)
        self.latest = replace(self.latest, serial=self.latest.serial + 1, snapshot=snapshot)

    def start(self) -> None:
        """Do nothing: it does not run by itself."""

    def hurry(self) -> None:
        """Do nothing: what it shows is told to it."""

    def stop(self, timeout: float = 1.0) -> None:
        """Do nothing."""


class _Queue(list):
    def popleft(self):
        return self.pop(0)


def scene(**changes: Any) -> Scene:
    """Return the scene of the recording's last snapshot."""
    sampler = FakeSampler()
    history = History(series_names(CORES))
    heat = HeatHistory()
    while sampler.rows:
        history.add(*sampler.rows.popleft())
    for snapshot in sampler.recording.snapshots:
        for depth in snapshot.depths:
            heat.add(snapshot.taken_unix_ns * 1e-9, depth, snapshot.trades)
    made = Scene(sampler.glance(), history, heat, events=sampler.recording.events, frame_ms=8.4)
    return replace(made, **changes)


def record(seconds: float = 12.0) -> None:
    """Record our own engine; run by hand as ``python -m tests.ui_recording``."""
    import time

    from velox_engine import Engine, load_config

    config = load_config(overrides={"source.seed": 7, "pipeline.ingress_rate_hz": 100_000}, environ={})
    snapshots = []
    with Engine(config) as engine:
        engine.watch(0)
        reader = engine.reader()
        due = time.time() // 1 + 1
        while len(snapshots) < seconds / PERIOD_S:
            time.sleep(max(due - time.time(), 0))
            due += PERIOD_S
            snapshots.append(reader.read())
            if len(snapshots) == 60:
                engine.pause()
            if len(snapshots) == 70:
                engine.resume()
        events, instruments = tuple(reader.events()), tuple(reader.instruments())
    cores = [Core(0, 0.12), Core(1, 0.31, 2800.0, 54.0)]
    last = len(snapshots) - 1
    snapshots = [_slim(each, at in (0, last - 10, last), at % 5 == 0) for at, each in enumerate(snapshots)]
    data = {"snapshots": snapshots, "cores": cores, "events": events, "instruments": instruments}
    FILE.write_bytes(lzma.compress(json.dumps(_plain(data)).encode(), preset=9))


def _slim(snapshot: Any, whole: bool, deep: bool) -> Any:
    """Leave out what no panel shows, so that the file stays small: of most snapshots only the history is made."""
    none = Histogram.empty()
    kept = snapshot.depths if whole or deep else ()
    depths = tuple(replace(each, bids=each.bids[:60], asks=each.asks[:60]) for each in kept)
    stages = snapshot.stages
    if not whole:
        ends = stages[-1].latency
        stages = tuple(replace(each, latency=none, service=none) for each in stages)
        stages = (*stages[:-1], replace(stages[-1], latency=ends))
    trades = snapshot.trades[-16:] if kept else ()
    return replace(snapshot, depths=depths, stages=stages, trades=trades, pid=1)


if __name__ == "__main__":
    record()
