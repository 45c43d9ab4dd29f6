"""The supervisor's side of the telemetry region: state, events, warnings and one-second samples."""

from __future__ import annotations

import json
import math
import time
from typing import Any, Final

import numpy as np

from velox_engine.lockfree.histogram_view import Histogram
from velox_engine.snapshot import Snapshot, State
from velox_engine.telemetry import layout
from velox_engine.telemetry.layout import Block
from velox_engine.telemetry.reader import SEVERITIES
from velox_engine.telemetry.region import Region, text_words
from velox_engine.telemetry.writer import publish

_MOST_WARNINGS: Final = 32
_LONGEST_WARNING: Final = 500  # characters; even escaped, one fits into the block


def _newest(warnings: list[str]) -> str:
    """Return the newest warnings as JSON, as many as fit whole into the block: cut JSON could not be read at all."""
    shown = [text if len(text) < _LONGEST_WARNING else text[: _LONGEST_WARNING - 1] + "…" for text in warnings]
    shown = shown[-_MOST_WARNINGS:]
    while len(json.dumps(shown)) > (layout.WARNINGS_LENGTH - 1) * 8:
        del shown[0]
    return json.dumps(shown)


def _cut(text: str, size: int) -> str:
    """Cut text to so many bytes of UTF-8, between two characters, with a sign that it was cut."""
    encoded = text.encode(errors="replace")
    return text if len(encoded) <= size else encoded[: size - 3].decode(errors="ignore") + "…"


def _packed(values: dict[str, Any]) -> str:
    """Write values as JSON that fits beside an event; where there are too many the last ones are left out."""
    while len(packed := json.dumps(values, separators=(",", ":"))) > layout.EVENT_VALUES_BYTES:
        values.popitem()
    return packed


class Chronicle:
    """Writes the blocks CONTROL, EVENTS, WARNINGS and SAMPLES of a region. One thread at a time."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self.control = np.zeros(layout.CONTROL_LENGTH, np.int64)
        self.control[layout.CONTROL_STATE_SINCE_UNIX_NS] = time.time_ns()
        self._events = np.full(layout.EVENTS_LENGTH, 0, np.int64)
        self._samples = np.full(layout.SAMPLES_LENGTH, 0, np.int64)  # unlike zeros, this touches the memory
        self.warnings: list[str] = []
        self._latency = Histogram.empty()
        self._hiccup = Histogram.empty()
        self._busy: dict[int, tuple[float, float]] = {}

    def write_control(self) -> None:
        """Publish the control block as it stands."""
        self.control[layout.CONTROL_UNIX_NS] = time.time_ns()
        publish(self._region.words, self._region.at(Block.CONTROL), self.control)

    def set_state(self, state: State) -> None:
        """Note and publish a change of state."""
        self.control[layout.CONTROL_STATE] = state
        self.control[layout.CONTROL_STATE_SINCE_UNIX_NS] = time.time_ns()
        self.write_control()

    def set_rate(self, per_second: float) -> None:
        """Note the rate asked for; infinity is maximum rate, not-a-number the recorded pace."""
        self.control[layout.CONTROL_RATE : layout.CONTROL_RATE + 1].view(np.float64)[0] = per_second

    def event(self, severity: str, text: str, **values: Any) -> None:
        """Add an event with its values; warnings and errors also stay in the list of warnings."""
        events = self._events
        row = int(events[layout.EVENTS_COUNT]) % layout.EVENTS_KEPT
        words = events[layout.EVENTS_FIRST :].reshape(-1, layout.EVENT_WORDS)[row]
        words[0], words[1] = time.time_ns(), SEVERITIES.index(severity)
        words[layout.EVENT_TEXT - 1 : layout.EVENT_VALUES - 1] = text_words(
            _cut(text, layout.EVENT_TEXT_BYTES), layout.EVENT_VALUES - layout.EVENT_TEXT
        )
        packed = _packed({**values, **self._figures()})
        words[layout.EVENT_VALUES - 1 :] = text_words(packed, layout.EVENT_WORDS - layout.EVENT_VALUES + 1)
        events[layout.EVENTS_COUNT] += 1
        self.control[layout.CONTROL_EVENTS] = events[layout.EVENTS_COUNT]
        publish(self._region.words, self._region.at(Block.EVENTS), events)
        if severity != "info" and text not in self.warnings:
            self.warnings.append(text)
            shown = text_words(_newest(self.warnings), layout.WARNINGS_LENGTH)
            publish(self._region.words, self._region.at(Block.WARNINGS), shown)

    def event_once(self, severity: str, text: str, **values: Any) -> None:
        """Add a warning or an error unless the same was told already."""
        if text not in self.warnings:
            self.event(severity, text, **values)

    def _figures(self) -> dict[str, Any]:
        """Return what every event tells: state, rate asked for, and how much has passed.

        Each is a word that its stage writes whole.
        """
        rate = float(self.control[layout.CONTROL_RATE : layout.CONTROL_RATE + 1].view(np.float64)[0])
        cursors = self._region.payload(Block.CURSORS)
        return {
            "state": State(int(self.control[layout.CONTROL_STATE])).word,
            "rate": "max" if math.isinf(rate) else "recorded" if math.isnan(rate) else rate,
            "generated": int(cursors[layout.CURSOR_GENERATED]),
            "output": int(cursors[layout.CURSOR_OUTPUT]),
            "dropped": int(self._region.payload(Block.STAGE, layout.INGRESS)[layout.INGRESS_DROPPED]),
        }

    def sample(self, snapshot: Snapshot) -> None:
        """Add a one-second sample made from a snapshot; latencies are those since the sample before."""
        latency = snapshot.output.latency.since(self._latency)
        hiccup = snapshot.hiccup.since(self._hiccup)
        self._latency, self._hiccup = snapshot.output.latency, snapshot.hiccup
        values = {
            "unix_ns": snapshot.taken_unix_ns,
            "generated": snapshot.generated,
            **{stage.name: stage.processed for stage in snapshot.stages},
            "bundles": snapshot.bundles_out,
            "dropped": snapshot.dropped,
            "rejected": sum(snapshot.rejected.values()),
            "by_size": snapshot.by_size,
            "by_timeout": snapshot.by_timeout,
            "by_drain": snapshot.by_drain,
            "ring_orderbook": snapshot.rings[0].waiting,
            "ring_bundle": snapshot.rings[1].waiting,
            "ring_output": snapshot.rings[2].waiting,
            "p50_ns": latency.percentile(50),
            "p90_ns": latency.percentile(90),
            "p99_ns": latency.percentile(99),
            "p999_ns": latency.percentile(99.9),
            "max_ns": latency.largest,
            "hiccup_p99_ns": hiccup.percentile(99),
            "hiccup_max_ns": hiccup.largest,
            "state": int(snapshot.state),
        }
        for worker in snapshot.workers:
            whole = worker.busy_s + worker.starved_s + worker.held_s
            busy, before = self._busy.get(worker.index, (0.0, 0.0))
            share = (worker.busy_s - busy) / (whole - before) if whole > before else 0.0
            values[f"busy_permille_{worker.index}"] = round(1000 * share)
            self._busy[worker.index] = (worker.busy_s, whole)
        samples = self._samples
        row = int(samples[layout.SAMPLES_COUNT]) % layout.SAMPLES_KEPT
        words = samples[layout.SAMPLES_FIRST :].reshape(-1, layout.SAMPLE_WORDS)[row]
        words[: len(layout.SAMPLE_FIELDS)] = [values.get(field, 0) for field in layout.SAMPLE_FIELDS]
        samples[layout.SAMPLES_COUNT] += 1
        publish(self._region.words, self._region.at(Block.SAMPLES), samples)
