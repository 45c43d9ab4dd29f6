"""What the benchmark measures: ids, what a machine lacks, rings whose items are proved, samples that are right."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from velox_engine.bench.books import market_flow
from velox_engine.bench.measure import Bench, BenchError, GivenUp
from velox_engine.bench.pipeline import checked
from velox_engine.bench.ring import expected_sum, round_trip, throughput
from velox_engine.bench.runner import UnknownMeasureError, all_measures, chosen
from velox_engine.bench.samples import SAMPLES, write_sample
from velox_engine.books.exact import ExactBook
from velox_engine.feeds.opening import find_format, open_feed
from velox_engine.feeds.synthetic import SYNTHETIC_INSTRUMENT
from velox_engine.placement import Machine, this_machine


@pytest.fixture
def bench(tmp_path, calibrated):
    return Bench(this_machine(), calibrated, tmp_path, brief=True)


def with_cores(bench, *cores, pins=True):
    return replace(bench, machine=Machine((0, 1, 2, 3), cores, float("inf"), pins))


def test_ids_are_one_each_and_stable(bench):
    ids = [measure.id for measure in all_measures(with_cores(bench, 0, 1, 2, 3))]
    assert len(set(ids)) == len(ids)
    assert {
        "ring.batch1.two_cores",
        "ring.round_trip.one_core",
        "histogram.record",
        "book.bucketed",
        "book.exact.read_each",
        "feed.itch",
        "feed.journal_write",
        "pipeline.bucketed.one.ring4096",
        "pipeline.exact.four.ring4096",
        "pipeline.bucketed.one.each",
        "latency.1000000.spin",
    } <= set(ids)


def test_what_the_machine_cannot_do_is_left_out_with_a_reason(bench):
    one = {each.id: each.lacking for each in all_measures(with_cores(bench, 3))}
    assert one["ring.batch1.two_cores"] == "needs 2 cores, this process may use 1"
    assert one["pipeline.exact.four.ring4096"] == "needs 4 cores, this process may use 1"
    assert not one["ring.batch1.one_core"]
    unbound = {each.id: each.lacking for each in all_measures(with_cores(bench, 0, 1, 2, 3, pins=False))}
    assert unbound["ring.batch1.one_core"] == "threads cannot be bound to cores here"
    assert not unbound["ring.batch1.two_cores"]
    assert not unbound["pipeline.exact.one.ring4096"]


def test_measures_are_chosen_by_id_or_its_front(bench):
    measures = all_measures(with_cores(bench, 0, 1))
    assert chosen(measures, [], brief=False) == measures
    assert not [each.id for each in chosen(measures, [], brief=True) if each.id.endswith("ring65536")]
    assert [each.id for each in chosen(measures, ["histogram", "ring.batch1"], brief=False)] == [
        "ring.batch1.two_cores",
        "ring.batch1.one_core",
        "histogram.record",
    ]
    for name, near in (("ring.batch", "ring.batch1"), ("", "ring"), ("latency.1000.backof", "latency.1000.backoff")):
        with pytest.raises(UnknownMeasureError, match=f"^got {name or 'an empty name'}, the nearest is {near}"):
            chosen(measures, [name], brief=False)


def test_the_ring_s_sum_is_that_of_its_items():
    count = 100_003
    words = np.arange(count)[:, None] + np.arange(8)
    assert expected_sum(count) == int(words.sum())
    assert -(2**63) <= expected_sum(2**33) < 2**63


@pytest.mark.parametrize("batch", [1, 64])
def test_the_ring_is_measured_with_every_item_proved(bench, batch):
    last = bench.cores[-1]
    assert throughput(bench, (bench.cores[0], last), 20_000, batch) > 0
    assert throughput(bench, (last, last), 20_000, batch) > 0
    assert round_trip(bench, (last, last), 100).count == 100


def test_a_ring_that_is_given_up_ends(bench):
    bench.cancel.request_stop()
    with pytest.raises(GivenUp):
        throughput(bench, (bench.cores[-1],) * 2, 10**12, 1)


def test_what_fails_in_a_thread_is_raised_and_the_next_measure_runs(bench):
    def fail():
        raise BenchError("torn")

    last = bench.cores[-1]
    with pytest.raises(BenchError, match="torn"):
        bench.together((last, fail), (last, lambda: None))
    assert bench.together((last, lambda: 1), (last, lambda: 2)) == [1, 2]


AGGREGATED = ("binance", "tardis")


@pytest.mark.parametrize("form", SAMPLES)
def test_a_sample_is_of_its_format_and_decodes_to_the_market_s_own_book(tmp_path, form):
    sample = write_sample(form, tmp_path, 20_000)
    assert find_format(sample.path) == form == sample.format
    feed = open_feed(sample.path)
    batches = list(feed)
    assert sum(map(len, batches)) == sample.records
    book, own = ExactBook(feed.instruments), ExactBook([SYNTHETIC_INSTRUMENT])
    odd = ("unknown", "duplicate", "overflow", "invalid", "negative_remainder")
    for batch in batches:
        outcomes = book.apply(batch)
        assert not any(getattr(outcomes, name) for name in odd)
    own.apply(market_flow(20_000))
    (instrument,) = feed.instruments
    price_units, size_units = Fraction(10**4, 10**instrument.price_decimals), 10**instrument.size_decimals
    for mine, theirs in zip(own.depth(0, 10**6), book.depth(0, 10**6), strict=True):
        assert mine["price"].tolist() == [price * price_units for price in theirs["price"].tolist()]
        assert mine["size"].tolist() == [Fraction(size, size_units) for size in theirs["size"].tolist()]
        if form not in AGGREGATED:
            assert mine["orders"].tolist() == theirs["orders"].tolist()


class FakeReport:
    """A report as far as `checked` looks at it."""

    def __init__(self, **changed):
        self.ingress = {"accepted": 5, "dropped": 0}
        self.orderbook, self.bundle, self.output = {"processed": 5}, {"transactions": 5}, {"transactions": 5}
        self.checksum = dict.fromkeys(("ingress", "orderbook", "bundle", "output"), "ab")
        self.conserved, self.problems, self.left_behind = True, [], {"transactions": 0}
        self.state, self.reason = "stopped", "duration reached"
        vars(self).update(changed)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"conserved": False, "problems": ["two are missing"]}, "not everything is accounted for: two are missing"),
        ({"output": {"transactions": 4}}, r"5 accepted, \(5, 5, 4\) passed"),
        ({"ingress": {"accepted": 5, "dropped": 1}}, "not everything is accounted for"),
        ({"checksum": {"ingress": "ab", "output": "cd"}}, r"hashes \['ab', 'cd'\]"),
        ({"left_behind": {"transactions": 1}}, "1 left behind"),
        ({"state": "failed", "reason": "worker 0 died"}, "failed after 5 transactions: worker 0 died"),
    ],
)
def test_a_run_that_does_not_conserve_is_an_error_and_no_figure(changed, why):
    assert checked(FakeReport()).conserved
    with pytest.raises(BenchError, match=why):
        checked(FakeReport(**changed))
