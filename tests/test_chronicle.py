"""The supervisor's side of the telemetry region: events, warnings, samples, states and rates."""

import numpy as np
import pytest

from tests.telemetry_regions import cursors, opened
from velox_engine.lockfree.histogram import histogram_record
from velox_engine.snapshot import State
from velox_engine.telemetry import layout
from velox_engine.telemetry.chronicle import Chronicle
from velox_engine.telemetry.layout import Block
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.telemetry.writer import publish

pytestmark = pytest.mark.usefixtures("region_folder")


def test_the_last_events_are_kept_in_order_and_warnings_once():
    made = opened()
    chronicle, reader = Chronicle(made), TelemetryReader(made)
    for number in range(layout.EVENTS_KEPT + 20):
        chronicle.event("info", f"event {number}")
    events = reader.events()
    assert [event.text for event in events] == [f"event {number}" for number in range(20, layout.EVENTS_KEPT + 20)]
    chronicle.event("warning", "hot ☀")
    chronicle.event("error", "down")
    chronicle.event("warning", "hot ☀")
    chronicle.event_once("warning", "hot ☀")
    chronicle.write_control()
    assert [(event.severity, event.text) for event in reader.events()[-3:]] == [
        ("warning", "hot ☀"),
        ("error", "down"),
        ("warning", "hot ☀"),
    ]
    assert reader.read().warnings == ("hot ☀", "down")


def test_a_long_text_is_cut_and_many_warnings_stay_readable():
    made = opened()
    chronicle, reader = Chronicle(made), TelemetryReader(made)
    chronicle.event("info", "é" * 500)
    told = reader.events()[0].text
    assert told == "é" * (len(told) - 1) + "…"
    assert layout.EVENT_TEXT_BYTES - 4 <= len(told.encode()) <= layout.EVENT_TEXT_BYTES
    for number in range(100):
        chronicle.event("warning", f"{number} {'long ' * 60}")
    warnings = reader.read().warnings
    assert len(warnings) > 0
    assert warnings[-1].startswith("99 ")
    assert len(chronicle.warnings) == 100
    chronicle.event("error", "\U0001d6d1" * 10_000)
    assert reader.read().warnings[-1].startswith("\U0001d6d1" * 400)


def test_15_minutes_of_samples_are_kept_oldest_first():
    made = opened()
    chronicle, reader = Chronicle(made), TelemetryReader(made)
    assert {len(column) for column in reader.samples().values()} == {0}
    for second in range(layout.SAMPLES_KEPT + 3):
        cursors(made, second, second, second, second, flushed=second, bundles=second)
        chronicle.sample(reader.read())
    samples = reader.samples()
    assert list(samples) == list(layout.SAMPLE_FIELDS)
    expected = list(range(3, layout.SAMPLES_KEPT + 3))
    for name in ("generated", "ingress", "orderbook", "bundle", "output", "bundles"):
        assert samples[name].tolist() == expected
    assert (np.diff(samples["unix_ns"]) >= 0).all()


def test_a_sample_holds_the_latency_of_its_own_second():
    made = opened()
    chronicle, reader = Chronicle(made), TelemetryReader(made)
    image = np.zeros(layout.STAGE_LENGTH, np.int64)
    for latency in (1_000, 50_000):
        histogram_record(image, layout.STAGE_LATENCY, latency, 10)
        publish(made.words, made.at(Block.STAGE, layout.OUTPUT), image)
        chronicle.sample(reader.read())
    chronicle.sample(reader.read())
    p50 = reader.samples()["p50_ns"].tolist()
    assert p50[0] == pytest.approx(1_000, rel=0.03)
    assert p50[1] == pytest.approx(50_000, rel=0.03)
    assert p50[2] == 0


def test_states_and_rates_are_told():
    made = opened()
    chronicle, reader = Chronicle(made), TelemetryReader(made)
    for state in State:
        chronicle.set_state(state)
        assert reader.read().state is state
    for rate in (1.5, 1e9, float("inf")):
        chronicle.set_rate(rate)
        chronicle.write_control()
        assert reader.read().rate_per_s == rate
