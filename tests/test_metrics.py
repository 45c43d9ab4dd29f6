"""``/metrics``: true to the snapshot, exact in its buckets, in both formats, its names by the conventions."""

import json
import re
import shutil
import socket
import subprocess
import threading
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from tests.command import ROOT, velox
from tests.running import assert_all_out, configured, until
from tests.scraping import OPENMETRICS, Served, get, scrape, scraped, value, values
from velox_engine import ConfigError, Engine
from velox_engine.exporters.buckets import LATENCY, SERVICE
from velox_engine.exporters.exposition import Exposition
from velox_engine.exporters.families import Fixed, counters, gauge, gauges, histograms, info, sizes
from velox_engine.exporters.listening import listen
from velox_engine.lockfree.histogram_view import BUCKETS, FLOORS, LIMIT, Histogram

DASHBOARD = json.loads((ROOT / "docs" / "grafana.json").read_text())
DOCUMENT = (ROOT / "docs" / "METRICS.md").read_text()
SUFFIXES = re.compile(r"_(bucket|sum|count)$")


@pytest.fixture(scope="module")
def run():
    """An engine that has drained after some thousand transactions and can be resumed, and what it serves."""
    settings = {"pipeline__ingress_rate_hz": 20_000, "source__seed": 7, "buffers__ingress_ring_size": 64}
    engine = Engine(configured(**settings, pipeline__name="scraped"))
    with Served() as served:
        served.before = served.get("/metrics")
        with engine:
            served.endpoints.start(engine)
            served.engine = engine
            until(lambda: engine.snapshot().output.processed > 5000, "some came out")
            yield served
    assert_all_out(engine.report().as_dict())
    assert [severity for severity, _ in served.told] == ["info"]


@pytest.fixture
def drained(run):
    """The run at rest: what is scraped and what the snapshot says cannot differ."""
    run.engine.drain()
    book = run.engine._assembly.book.summary(0)  # nothing touches it now

    def settled():
        snapshot = run.engine.snapshot()
        return run.engine.reader().books() == [book] and all(
            (stage.latency.count, stage.processed) == (snapshot.generated, snapshot.generated)
            for stage in snapshot.stages
        )

    until(settled, "everything is published")
    yield run
    run.engine.resume()


def of_labels(families, name):
    """Give a family's values by the value of its only label."""
    return {label: value for (n, ((_, label),)), value in values({name: families[name]}).items() if n}


def test_every_number_is_the_snapshot_s(drained):
    got, snapshot = scrape(drained.url), drained.engine.snapshot()
    assert snapshot.output.processed > 5000
    for name, expected in {
        "ingress_generated": snapshot.generated,
        "ingress_transactions": snapshot.ingress.processed,
        "orderbook_transactions": snapshot.orderbook.processed,
        "bundle_transactions": snapshot.bundle.processed,
        "output_transactions": snapshot.output.processed,
        "output_bundles": snapshot.bundles_out,
        "orderbook_trades": snapshot.trades_seen,
    }.items():
        assert value(got, f"velox_{name}_total") == expected > 0, name
    flushes = {"size": snapshot.by_size, "timeout": snapshot.by_timeout, "drain": snapshot.by_drain}
    assert of_labels(got, "velox_bundle_flushes") == flushes
    assert sum(flushes.values()) == snapshot.flushed
    assert of_labels(got, "velox_ingress_dropped") == {"ring_full": snapshot.dropped}
    assert of_labels(got, "velox_ingress_rejected") == snapshot.rejected
    assert of_labels(got, "velox_orderbook_outcomes") == snapshot.book_outcomes
    assert of_labels(got, "velox_ring_high_water_slots") == {ring.name: ring.high_water for ring in snapshot.rings}
    assert of_labels(got, "velox_ring_capacity_slots") == {ring.name: ring.capacity for ring in snapshot.rings}
    assert of_labels(got, "velox_ring_waiting_slots") == {"ingress": 0, "bundle": 0, "output": 0}
    assert [state for state, on in of_labels(got, "velox_engine_state").items() if on] == ["drained"]
    assert value(got, "velox_engine_conserved") == 1
    assert value(got, "velox_engine_info", name="scraped", source="synthetic", book="exact", seed="7") == 1
    for worker in snapshot.workers:
        assert value(got, "velox_worker_busy_seconds_total", worker=str(worker.index)) > 0
        assert 0 <= value(got, "velox_worker_busy_ratio", worker=str(worker.index)) <= 1


def test_books_are_shown_in_their_own_units(drained):
    got, (book,) = scrape(drained.url), drained.engine.reader().books()
    (instrument,) = drained.engine.reader().instruments()
    unit = 10 ** instrument["price_decimals"]
    symbol = {"symbol": instrument["symbol"]}
    assert value(got, "velox_book_best_price", side="bid", **symbol) == book.best_bid / unit
    assert value(got, "velox_book_best_price", side="ask", **symbol) == book.best_ask / unit
    assert value(got, "velox_book_best_size", side="bid", **symbol) == book.best_bid_size
    assert value(got, "velox_book_levels", side="ask", **symbol) == book.ask_levels
    assert value(got, "velox_book_orders", **symbol) == value(got, "velox_books_orders") == book.orders > 0
    assert of_labels(got, "velox_books") == {"synced": 1, "windowed": 0, "crossed": 0, "stale": 0}


def test_more_books_than_wanted_have_totals_only(run):
    with Served(symbols=0) as served:
        served.endpoints.start(run.engine)
        got = scrape(served.url)
    assert {"velox_books", "velox_books_orders", "velox_books_levels"} <= set(got)
    assert not [name for name in got if name.startswith("velox_book_")]


def test_buckets_hold_exactly_the_values_up_to_their_bounds():
    rng = np.random.default_rng(7)
    recorded = np.concatenate([(2 ** rng.uniform(0, 43, 20_000)).astype(np.int64), FLOORS, FLOORS[1:] - 1])
    places = np.minimum(np.searchsorted(FLOORS, np.minimum(recorded, LIMIT - 1), side="right") - 1, BUCKETS - 1)
    buckets = np.bincount(places, minlength=BUCKETS).astype(np.int64)
    whole = int(recorded.sum())
    histogram = Histogram(len(recorded), whole, int(recorded.min()), int(recorded.max()), buckets)
    for bounds in (LATENCY, SERVICE):
        *finite, (last, everything) = zip(bounds.le, bounds.cumulative(histogram), strict=True)
        assert (last, everything) == ("+Inf", len(recorded))
        for le, count in finite:
            assert count == np.count_nonzero(recorded <= round(float(le) * 1e9)), le
        assert [float(le) for le, _ in finite] == sorted(float(le) for le, _ in finite)
    assert (float(LATENCY.le[0]), float(LATENCY.le[-2])) == (1023e-9, (2**34 - 1) / 1e9)


@pytest.mark.parametrize(
    "name, attribute", [("velox_latency_seconds", "latency"), ("velox_service_seconds", "service")]
)
def test_histograms_are_the_stages_own(drained, name, attribute):
    got = scrape(drained.url)
    for stage in drained.engine.snapshot().stages:
        histogram = getattr(stage, attribute)
        assert value(got, f"{name}_count", stage=stage.name) == histogram.count > 0
        assert value(got, f"{name}_sum", stage=stage.name) == pytest.approx(histogram.sum / 1e9, rel=1e-12)
        for sample in got[name].samples:
            if sample.name.endswith("_bucket") and sample.labels["stage"] == stage.name:
                bound = float(sample.labels["le"]) * 1e9
                assert sample.value == histogram.buckets[FLOORS[1:] - 1 <= bound + 0.5].sum() or bound > 2**42
    sizes = drained.engine.snapshot().bundle_sizes
    assert value(got, "velox_bundle_size_transactions_bucket", le="8.0") == sizes[:9].sum()
    assert value(got, "velox_bundle_size_transactions_count") == sizes.sum()


def test_both_formats_say_the_same(drained):
    plain, open_ = values(scrape(drained.url)), values(scrape(drained.url, accept=OPENMETRICS))
    passing = re.compile(r"uptime|heartbeat|wakeup|worker_|process_|stage_steps|engine_paused")
    fixed = {key: value for key, value in open_.items() if not passing.search(key[0])}
    assert fixed == {key: value for key, value in plain.items() if not passing.search(key[0])}
    assert len(fixed) > 300


def test_a_filled_template_is_what_the_client_library_writes():
    families = [
        info("build", "Words.", ("version", "odd"), [("1", 'a "quoted" \\ word\n')]),
        gauge("nothing", "A gauge.", float("nan")),
        gauges("some", "With labels.", ("one", "two"), {("a", "b"): float("inf"), ("a", "c d"): -0.5}),
        gauges("none", "No sample.", ("one",), {}),
        counters("many", "A counter.", ("reason",), {"x": 2**53, "y": 0}),
        histograms("lag", "Seconds.", SERVICE, "stage", {"in": Histogram.empty(), "out": Histogram.empty()}),
        sizes("size", "Sizes.", ("1.0", "2.0", "+Inf"), (1, 5, 9), 31),
    ]
    exposition = Exposition()
    for accept in ("", OPENMETRICS):
        for factor in (1, 3):  # the second time from the template
            now = [replace(family, numbers=[number * factor for number in family.numbers]) for family in families]
            registry = CollectorRegistry(auto_describe=False)
            registry.register(Fixed([family.metric(family.numbers) for family in now]))
            body, kind = exposition.text(now, accept)
            library = openmetrics.generate_latest(registry) if accept else generate_latest(registry)
            expected, got = (values(scraped(text.decode(), kind)) for text in (library, body))
            assert got.keys() == expected.keys()
            # by their text: a number that is none equals nothing
            assert {key: repr(float(got[key])) for key in got} == {key: repr(float(expected[key])) for key in got}
            assert [line for line in body.splitlines() if line.startswith(b"#")] == [
                line for line in library.splitlines() if line.startswith(b"#")
            ]


def test_names_follow_the_conventions(run):
    status, headers, text = run.get("/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert run.get("/metrics", accept=OPENMETRICS)[1]["Content-Type"].startswith("application/openmetrics-text; ")
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    told = dict(re.findall(r"^# HELP (\S+) (.+)$", text, re.MULTILINE))
    assert set(types) == set(told)
    for name, kind in types.items():
        assert name.endswith("_total") == (kind == "counter"), name
        assert re.fullmatch(r"(velox|process)(_[a-z]+)+", name), name
        assert not re.search(r"_(ms|us|ns|milliseconds|microseconds|nanoseconds|percent|count|sum|bucket)(_|$)", name)
        assert told[name].endswith("."), name
    if shutil.which("promtool"):  # Prometheus' own judge, where it is installed
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_before_there_is_an_engine_only_the_build_is_told(run):
    status, _, text = run.before
    assert status == 200
    assert list(scraped(text)) == ["velox_build_info"]


def test_counters_never_go_back_in_however_many_scrapes_at_once(run):
    troubles = []

    def follow(accept):
        before = {}
        for _ in range(12):
            families = scrape(run.url, accept=accept)
            counted = {
                key: value
                for name, family in families.items()
                if family.type in ("counter", "histogram")
                for key, value in values({name: family}).items()
            }
            troubles.extend((key, before[key], counted[key]) for key in before if counted[key] < before[key])
            before = counted

    threads = [threading.Thread(target=follow, args=(accept,)) for accept in (None, OPENMETRICS) * 3]
    for thread in threads:
        thread.start()
    for rate in (30_000, 10_000, 20_000):
        run.engine.set_rate(rate)
    for thread in threads:
        thread.join()
    assert troubles == []


def named_in(text):
    """Give the metrics of ours that a text names, without the suffixes of a histogram's samples."""
    return {SUFFIXES.sub("", name) for name in re.findall(r"\bvelox_[a-z_]*[a-z]\b", text)}


def known(run):
    """Give the names of all families as queries write them."""
    text = run.get("/metrics")[2]
    return set(re.findall(r"^# TYPE (velox_\S+) ", text, re.MULTILINE))


def expressions(panels):
    """Give every query of the dashboard."""
    for panel in panels:
        yield from (target["expr"] for target in panel.get("targets", []))
        yield from expressions(panel.get("panels", []))


def test_the_dashboard_names_only_what_a_scrape_holds(run):
    queries = list(expressions(DASHBOARD["panels"]))
    assert len(queries) > 15
    for query in queries:
        assert named_in(query), query
        assert named_in(query) <= known(run), query
        if "rate(" in query:
            assert "[$__rate_interval]" in query
    assert named_in(json.dumps(DASHBOARD["templating"])) <= known(run)


def test_the_dashboard_leaves_the_datasource_to_whoever_imports_it():
    def datasources(part):
        if isinstance(part, dict):
            if "datasource" in part:
                yield part["datasource"]
            for each in part.values():
                yield from datasources(each)
        elif isinstance(part, list):
            for each in part:
                yield from datasources(each)

    found = list(datasources(DASHBOARD))
    assert found
    assert {json.dumps(each) for each in found} == {'{"type": "prometheus", "uid": "${datasource}"}'}
    assert DASHBOARD["templating"]["list"][0]["name"] == "datasource"
    assert DASHBOARD["id"] is None
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_document_names_every_metric_and_no_other(run):
    rows = re.findall(r"^\| `(velox_\w+)`", DOCUMENT, re.MULTILINE)
    assert len(set(rows)) == len(rows)
    assert set(rows) == known(run)


# --- as a user asks for it ---------------------------------------------------------------------------------------


def test_what_cannot_be_listened_to_is_one_line_and_nothing_starts(tmp_path):
    with Served() as served:
        port = served.url.rpartition(":")[2]
        for words, says in [
            (
                [f"metrics.port={port}"],
                f"metrics.port: got {port}, which another program uses on 127.0.0.1; allowed is",
            ),
            (["metrics.host=no-such-host.invalid"], "metrics.host: got no-such-host.invalid: "),
            (
                ["metrics.host=192.0.2.1"],
                "metrics.host: got 192.0.2.1, which is no address of this machine; allowed is",
            ),
            (["metrics.host=" + "x" * 100], "metrics.host: got xxx"),
            (["metrics.port=65536"], "metrics.port: got 65536; allowed is a whole number from 0 to 65_535"),
        ]:
            given = [word for each in (*words, "metrics.enabled=true") for word in ("--set", each)]
            done = velox(tmp_path, "--no-ui", "--count", "10", *given)
            assert (done.returncode, done.stdout) == (2, ""), done.stderr
            assert done.stderr.count("\n") == 1
            assert says in done.stderr


def test_a_port_without_permission_is_refused(monkeypatch):
    def refuse(self, address):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)  # a test may run as root, who has every permission
    with pytest.raises(ConfigError, match=r"^metrics.port: got 80, for which this user has no permission; allowed is"):
        listen("127.0.0.1", 80, ("metrics.host", "metrics.port"))


def test_it_answers_while_the_engine_is_compiled_and_until_it_has_ended(tmp_path):
    from tests.running import start

    words = ["--rate", "20000", "--set", "metrics.enabled=true", "--set", "metrics.port=0", "--report", "r.json"]
    with start(tmp_path, *words) as process:
        line = process.process.stderr.readline()
        url = re.fullmatch(r"velox-tui: metrics at (http://127\.0\.0\.1:\d+)/metrics, health at .*\n", line)[1]
        assert get(f"{url}/livez")[0] == 200
        first = get(f"{url}/healthz")
        assert first[0] in (503, 200)
        until(lambda: get(f"{url}/readyz")[0] == 200, "it is ready")
        assert value(scrape(url), "velox_ingress_transactions_total") >= 0
        process.process.terminate()
        code, _, err = process.end()
    assert (code, err) == (143, "")
    assert_all_out(json.loads((tmp_path / "r.json").read_text()))
