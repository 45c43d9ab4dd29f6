"""What runs beside an engine: prepared all or none, isolated from the engine and from one another, ended in time."""

import threading
import time

import pytest

from tests.running import configured, until
from velox_engine import ConfigError, Engine
from velox_tui.services import Services


class Noted:
    """A service that notes what is asked of it, and fails where it was told to."""

    def __init__(self, name, log, fails=()):
        self.name, self.log, self.fails = name, log, fails

    def _do(self, what):
        self.log.append(f"{what} {self.name}")
        if what in self.fails:
            raise ConfigError(f"{self.name} cannot {what}") if what == "prepare" else RuntimeError(f"no {what}")

    def prepare(self):
        self._do("prepare")

    def start(self, engine):
        self._do("start")

    def stop(self):
        self._do("stop")


class Hanging(Noted):
    """A service whose end never comes."""

    def stop(self):
        threading.Event().wait()


def services(*made):
    return Services(configured(), lambda config, tell: made)


def test_all_are_prepared_or_none():
    log = []
    several = services(Noted("a", log), Noted("b", log, ("prepare",)), Noted("c", log))
    with pytest.raises(ConfigError, match="b cannot prepare"):
        several.prepare()
    assert log == ["prepare a", "prepare b", "stop a"]
    assert several.stop() == []
    assert log == ["prepare a", "prepare b", "stop a"]


def test_one_that_fails_is_a_warning_of_the_engine_and_hurts_nobody():
    log = []
    several = services(Noted("a", log, ("start",)), Noted("b", log, ("stop",)), Noted("c", log))
    several.prepare()
    several.tell("info", "said before it runs")
    engine = Engine(configured(pipeline__ingress_rate_hz=1000))
    with engine:
        several.start(engine)
        reader = engine.reader()
        until(lambda: engine.snapshot().warnings, "the warning is there")
        assert engine.snapshot().warnings == ("a did not start: RuntimeError: no start",)
        assert ("info", "said before it runs") in [(event.severity, event.text) for event in reader.events()]
    report = engine.report()
    assert report.conserved
    assert report.state == "stopped"
    assert "a did not start: RuntimeError: no start" in report.warnings
    assert several.stop() == ["b did not stop as it should: RuntimeError: no stop"]
    assert several.stop() == []
    assert sorted(log[3:]) == ["start a", "start b", "start c", "stop a", "stop b", "stop c"]


def test_one_that_does_not_end_is_left_behind():
    log = []
    several = services(Hanging("a", log), Noted("b", log))
    several.prepare()
    begun = time.monotonic()
    assert several.stop() == ["a did not stop within 2 s"]
    assert time.monotonic() - begun < 60
    assert "stop b" in log


def test_a_note_reaches_events_and_report_until_the_engine_has_ended():
    engine = Engine(configured(pipeline__ingress_rate_hz=1000))
    assert not engine.note("warning", "too early")
    with engine:
        assert engine.note("warning", "mind the gap")
    assert not engine.note("warning", "too late")
    assert [text for text in engine.report().warnings if "mind" in text or "too" in text] == ["mind the gap"]
