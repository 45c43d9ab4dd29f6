"""``--hlog``: what HdrHistogram's own reader finds in the log is what the engine reported; a full disk ends no run."""

import base64
import itertools
import os
import re
import signal
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.command import velox
from tests.running import assert_all_out, configured, report_at, start, until
from velox_engine import ConfigError, Engine
from velox_engine.config import MetricsSettings
from velox_engine.exporters.hdr import encoded
from velox_engine.exporters.hlog import LatencyLog, LogFile
from velox_engine.lockfree.histogram_view import BUCKETS, FLOORS, LIMIT, Histogram

TAGS = {"end_to_end": None, "due_to_ingress": "due_to_ingress"}
TAGS |= {"due_to_orderbook": "due_to_orderbook", "due_to_bundle": "due_to_bundle"}
PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "p999": 99.9}


def read(path):
    """Read a log with HdrHistogram's own reader; return what it holds in all by tag, and the lines of intervals."""
    hdrh = pytest.importorskip("hdrh.log", reason="hdrhistogram, whose reader is the judge, is not installed")
    histogram = pytest.importorskip("hdrh.histogram")
    held, lines = {}, 0
    reader = hdrh.HistogramLogReader(str(path), histogram.HdrHistogram(1, LIMIT, 2))
    while (interval := reader.get_next_interval_histogram()) is not None:
        lines += 1
        tag = interval.get_tag()
        held.setdefault(tag, histogram.HdrHistogram(1, LIMIT, 2)).add(interval)
    reader.close()
    return held, lines


def near(ours, theirs, percent):
    """Say whether their percentile is ours, but for the width of their bucket and for how a rank is rounded."""
    rank = 100 / theirs.get_total_count()
    low, high = (theirs.get_value_at_percentile(percent + each) for each in (-rank, rank))
    return low * 63 / 64 - 1 <= ours <= high * 65 / 64 + 1


def test_a_run_s_log_is_its_report(tmp_path):
    words = ["--rate", "20000", "--duration", "2.5", "--hlog", "run.hlog", "--report", "r.json"]
    with start(tmp_path, *words) as process:
        code, _, err = process.end()
    assert (code, err) == (0, "")
    report = report_at(tmp_path)
    assert_all_out(report)
    text = (tmp_path / "run.hlog").read_text()
    assert "#[Histogram log format version 1.3]\n" in text
    intervals = re.findall(r"^([\d.]+),([\d.]+),([\d.]+),[A-Za-z0-9+/=]+$", text, re.MULTILINE)
    assert len(intervals) >= 3  # two seconds and the rest
    for (begun, length, _), (next_, _, _) in itertools.pairwise(intervals):
        assert float(begun) + float(length) == pytest.approx(float(next_), abs=0.002)
    largest = max(float(largest) for _, _, largest in intervals)
    assert largest * 1e6 == pytest.approx(report["latency_ns"]["end_to_end"]["max"], rel=0.04, abs=1000)
    held, _ = read(tmp_path / "run.hlog")
    assert set(held) == set(TAGS.values())
    for name, tag in TAGS.items():
        reported = report["latency_ns"][name]
        assert held[tag].get_total_count() == reported["count"] == report["ingress"]["generated"]
        for percentile, percent in PERCENTILES.items():
            assert near(reported[percentile], held[tag], percent), (name, percentile)


def test_every_bucket_survives_the_encoding():
    read_base64 = pytest.importorskip("hdrh.histogram", reason="hdrhistogram is not installed").HdrHistogram.decode
    rng = np.random.default_rng(7)
    for held in (np.arange(BUCKETS), [0], [BUCKETS - 1], [], rng.choice(BUCKETS, 200, replace=False)):
        buckets = np.zeros(BUCKETS, np.int64)
        buckets[held] = 2 ** rng.integers(0, 50, len(held))
        total = int(buckets.sum())
        decoded = read_base64(encoded(Histogram(total, 0, 0, 0, buckets)))
        assert decoded.get_total_count() == total
        expected = {}  # by the bucket of theirs that the middle of ours lies in
        for bucket in np.flatnonzero(buckets):
            middle = (int(FLOORS[bucket]) + int(FLOORS[bucket + 1]) - 1) // 2
            theirs = decoded.get_lowest_equivalent_value(middle)
            expected[theirs] = expected.get(theirs, 0) + int(buckets[bucket])
        assert {value: decoded.get_count_at_value(value) for value in expected} == expected


def test_the_encoding_is_the_specification_s():
    # one value of 1, worked out by hand: cookie, 3 bytes of counts, no offset, 2 digits, 1 … 2^42-1, ratio 1.0
    buckets = np.zeros(BUCKETS, np.int64)
    buckets[1], buckets[3] = 1, 64
    data = base64.b64decode(encoded(Histogram(65, 193, 1, 3, buckets)))
    assert data[:4].hex() == "1c849314"
    assert int.from_bytes(data[4:8], "big") == len(data) - 8
    payload = zlib.decompress(data[8:])
    assert payload[:40].hex() == "1c8493130000000500000000000000020000000000000001000003ffffffffff3ff0000000000000"
    assert payload[40:].hex() == "0102018001"  # a zero, a one, a zero, 64: signs in the lowest bit


def test_the_log_has_a_line_a_tag_for_each_interval_and_the_rest_at_the_end(tmp_path):
    settings = MetricsSettings(hlog=str(tmp_path / "x.hlog"), hlog_interval_secs=0.1)
    told = []
    log = LatencyLog(settings, lambda *words: told.append(words))
    log.prepare()
    engine = Engine(configured(pipeline__ingress_rate_hz=5000))
    with engine:
        log.start(engine)
        until(lambda: (tmp_path / "x.hlog").read_text().count("\nTag=due_to_bundle,") >= 3, "intervals are written")
    log.stop()
    assert told == []
    held, lines = read(tmp_path / "x.hlog")
    assert lines % 4 == 0
    assert {each.get_total_count() for each in held.values()} == {engine.report().output["transactions"]}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_before_the_start_is_wrong_use(tmp_path):
    done = velox(tmp_path, "--no-ui", "--count", "10", "--hlog", "/dev/full")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "velox-tui: metrics.hlog: /dev/full cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    "path, says",
    [
        (".", "Is a directory"),
        ("none/x.hlog", "No such file or directory"),
        ("x" * 300, "File name too long"),
        ("pipe", "No such device or address"),  # nobody reads it
    ],
)
def test_what_cannot_be_written_is_one_line_and_nothing_starts(tmp_path, path, says):
    os.mkfifo(tmp_path / "pipe")
    done = velox(tmp_path, "--no-ui", "--count", "10", "--hlog", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"velox-tui: metrics.hlog: {path} cannot be written: {says}\n"
    with pytest.raises(ConfigError):
        LogFile(str(tmp_path / path), "head\n")


def test_a_disk_that_fills_up_is_a_warning_and_its_interval_comes_later(tmp_path, monkeypatch):
    told, full, write = [], threading.Event(), os.write
    path = tmp_path / "x.hlog"

    def short(descriptor, data):
        if not full.is_set() or threading.current_thread().name != "vx-hlog":
            return write(descriptor, data)
        if len(data) > 300:  # the beginning still finds room, as on a disk that is almost full
            return write(descriptor, data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", short)

    log = LatencyLog(MetricsSettings(hlog=str(path), hlog_interval_secs=0.1), lambda *words: told.append(words))
    log.prepare()
    engine = Engine(configured(pipeline__ingress_rate_hz=5000))
    with engine:
        log.start(engine)
        until(lambda: "Tag=due_to_bundle" in path.read_text(), "an interval is written")
        full.set()
        until(lambda: told, "it is told")
        whole = path.read_text()
        until(lambda: engine.snapshot().generated > 5000, "some more came")
        assert path.read_text() == whole
        full.clear()
        until(lambda: len(told) == 2, "it is written again")
    log.stop()
    assert told == [
        ("warning", f"latency log: {path} cannot be written: No space left on device; it is tried again"),
        ("info", f"latency log: {path} is written again"),
    ]
    assert engine.report().conserved
    held, _ = read(path)
    assert {each.get_total_count() for each in held.values()} == {engine.report().output["transactions"]}


def test_the_log_is_whole_after_a_signal(tmp_path):
    with start(tmp_path, "--rate", "20000", "--hlog", "x.hlog", "--report", "r.json") as process:
        process.until_running()
        process.process.send_signal(signal.SIGTERM)
        code, _, err = process.end()
    assert (code, err) == (143, "")
    held, _ = read(tmp_path / "x.hlog")
    assert held[None].get_total_count() == report_at(tmp_path)["output"]["transactions"]
