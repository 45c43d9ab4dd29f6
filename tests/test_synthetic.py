"""Synthetic flow: what each model promises, that content follows from the seed alone, and that it stays as it is."""

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velox_engine.feeds import synthetic as module
from velox_engine.feeds.random_stream import random_word, stream_key
from velox_engine.feeds.synthetic import (
    CONTENT_STREAM,
    FIRST_PRICE,
    KEY,
    LEVELS,
    MODELS,
    NS_AN_ITEM,
    SYNTHETIC_INSTRUMENT,
    TICK,
    UNIFORM_INSTRUMENT,
    make_synthetic,
    synthetic_fill,
)
from velox_engine.jit import compiled
from velox_engine.records import TRANSACTION, Action, Flags, Side, rejection
from velox_engine.stages.content import plain_content
from velox_engine.stages.slots import make_slots

UNTOUCHED = 99
BEST_BID, BEST_ASK = module._BEST, module._BEST + 1


def made(model, seed, count, live_orders=10_000, batches=None):
    """Make so many items, in batches of these sizes over and over."""
    return taken(make_synthetic(model, seed, live_orders), count, batches)


def taken(source, count, batches=None):
    slots = make_slots(count)
    slots.records["due_ticks"] = slots.records["sequence"] = UNTOUCHED
    at, turn = 0, 0
    while at < count:
        size = min(count - at, batches[turn % len(batches)] if batches else count)
        synthetic_fill(source, slots.records, at, size)
        at, turn = at + size, turn + 1
    assert (slots.records["due_ticks"] == UNTOUCHED).all()
    assert (slots.records["sequence"] == UNTOUCHED).all()
    slots.records["sequence"] = np.arange(count)
    return slots


@pytest.mark.parametrize(
    ("model", "seed", "live_orders", "checksum"),
    [
        ("uniform", 1, 10, "9138618c0123d639"),
        ("uniform", 7, 10, "7225a4a89585f746"),
        ("uniform", 2**63 - 1, 10, "c230c90699d26b9b"),
        ("market", 1, 10_000, "06cbe0d9ad813c2a"),
        ("market", 7, 10_000, "17c5f82aaf0caa5e"),
        ("market", 2**63 - 1, 10_000, "65f34bd0f311dc9e"),
        ("market", 7, 10, "e680493d4fc1b875"),
        ("market", 7, 1_000_000, "9a9c39729285eb99"),
    ],
)
def test_the_content_of_a_seed_stays_as_it_is(model, seed, live_orders, checksum):
    assert plain_content(made(model, seed, 100_000, live_orders).words) == checksum


@given(
    model=st.sampled_from(sorted(MODELS)),
    seed=st.integers(0, 2**63 - 1),
    live_orders=st.sampled_from([10, 50, 500]),
    batches=st.lists(st.sampled_from([0, 1, 2, 3, 7, 64, 256]), min_size=1, max_size=6).filter(any),
)
def test_content_does_not_depend_on_batches(model, seed, live_orders, batches):
    whole, cut = made(model, seed, 2_000, live_orders), made(model, seed, 2_000, live_orders, batches)
    assert (whole.words == cut.words).all()


@pytest.mark.parametrize("model", sorted(MODELS))
def test_another_seed_gives_another_content(model):
    checksums = {plain_content(made(model, seed, 1_000, 100).words) for seed in [*range(50), 2**62, 2**62 + 1]}
    assert len(checksums) == 52


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_record_is_valid_complete_and_on_time(model):
    records = made(model, 3, 50_000, 200).records
    assert {rejection(int(r["action"]), int(r["side"]), int(r["size"]), 0, 1) for r in records[:5_000]} == {None}
    assert (records["size"] > 0).all()
    assert (records["price"] > 0).all()
    assert set(records["side"].tolist()) == {Side.BID, Side.ASK}
    assert (records["symbol"] == 0).all()
    assert (records["flags"] == Flags.LAST).all()
    assert (records["event_ns"] == np.arange(len(records)) * NS_AN_ITEM).all()


def test_uniform_flow_is_adds_of_every_price_size_and_side_alike():
    records = made("uniform", 5, 400_000).records
    assert (records["action"] == Action.ADD).all()
    assert (records["order_id"] == np.arange(1, len(records) + 1)).all()
    assert not records["new_order_id"].any()
    assert (records["price"].min(), records["price"].max()) == (900_000, 1_099_999)
    assert (records["size"].min(), records["size"].max()) == (1, 999)
    even(np.bincount((records["price"] - 900_000) // 1_000, minlength=200))
    even(np.bincount(records["size"])[1:])
    even(np.bincount(records["side"]))
    assert abs(np.corrcoef(records["price"], records["size"])[0, 1]) < 0.01
    assert abs(np.corrcoef(records["price"], records["side"])[0, 1]) < 0.01


@given(st.integers(0, 2**63 - 1))
def test_uniform_flow_is_its_formula_in_whole_numbers(seed):
    key = np.uint64(stream_key(seed, CONTENT_STREAM) % 2**64)
    for item, record in enumerate(made("uniform", seed, 20).records):
        word = int(random_word(key, item))
        assert record["price"] == 900_000 + (word % 2**32) * 200_000 // 2**32
        assert record["size"] == 1 + (word // 2**32 % 2**24) * 999 // 2**24
        assert record["side"] == word // 2**63


def even(counts):
    """Hold counts to an even distribution: chi squared within 5 standard deviations."""
    expected = counts.sum() / len(counts)
    freedom = len(counts) - 1
    assert abs(((counts - expected) ** 2 / expected).sum() - freedom) < 5 * (2 * freedom) ** 0.5 + 10


class Auction:
    """A plain book that trusts nobody: it checks each record against all that came before."""

    def __init__(self):
        self.orders = {}
        self.levels = {Side.BID: {}, Side.ASK: {}}
        self.executions = 0

    def best(self, side):
        """The best price of a side, ``None`` when it is empty."""
        prices = self.levels[side]
        return (max(prices) if side == Side.BID else min(prices)) if prices else None

    def apply(self, record):
        """Apply a record; fail where a real market could not have sent it."""
        action, side, order_id = Action(int(record["action"])), Side(int(record["side"])), int(record["order_id"])
        price, size = int(record["price"]), int(record["size"])
        match = int(record["new_order_id"])
        if action is Action.ADD:
            assert order_id not in self.orders
            opposite = self.best(Side.ASK if side is Side.BID else Side.BID)
            assert opposite is None or (price < opposite if side is Side.BID else price > opposite), "crossed"
            assert 1 <= size <= 1_000
            self.orders[order_id] = [side, price, size]
            self.levels[side].setdefault(price, OrderedDict())[order_id] = None
            assert match == 0
            return
        resting = self.orders[order_id]  # an unknown id fails here
        assert resting[:2] == [side, price]
        if action is Action.EXECUTE:
            assert price == self.best(side), "an execution behind the best"
            assert next(iter(self.levels[side][price])) == order_id, "an execution behind the front"
            self.executions += 1
            assert match == self.executions
        else:
            assert match == 0
        assert 0 < size <= resting[2], "a negative remainder"
        if action is Action.DELETE:
            assert size == resting[2]
        if action is Action.CANCEL:
            assert size < resting[2]
        resting[2] -= size
        if resting[2] == 0:
            del self.orders[order_id]
            queue = self.levels[side][price]
            del queue[order_id]
            if not queue:
                del self.levels[side][price]


@pytest.mark.parametrize(("live_orders", "seed"), [(10, 1), (11, 2), (50, 3), (1_000, 4)])
def test_a_market_can_be_replayed_without_one_contradiction(live_orders, seed):
    auction = Auction()
    for record in made("market", seed, 30_000, live_orders).records:
        auction.apply(record)
    assert auction.executions > 1_000


@pytest.mark.parametrize("traded", [0, LEVELS - 1])
@pytest.mark.parametrize("seed", [2, 5])
def test_a_market_that_has_walked_to_its_border_is_not_crossed_there(seed, traded):
    source = make_synthetic("market", seed, 10)
    source.words[module._LAST_LEVEL] = traded
    auction = Auction()
    for record in taken(source, 3_000).records:
        auction.apply(record)
        assert FIRST_PRICE <= record["price"] <= FIRST_PRICE + (LEVELS - 1) * TICK


@compiled
def first_crossed(source, records, count):
    """Make items one by one; return the first after which the best bid is not below the best ask, -1 for none."""
    for item in range(count):
        synthetic_fill(source, records, 0, 1)
        if source.words[BEST_BID] >= source.words[BEST_ASK]:
            return item
    return -1


@pytest.mark.parametrize("seed", [1, 3])
def test_a_small_market_is_never_crossed_however_far_it_walks(seed):
    assert first_crossed(make_synthetic("market", seed, 10), np.zeros(1, TRANSACTION), 1_000_000) == -1


@pytest.mark.parametrize("live_orders", [10, 100, 10_000])
def test_about_as_many_orders_live_as_were_asked_for(live_orders):
    records = made("market", 6, 30 * live_orders + 50_000, live_orders).records
    alive = np.cumsum((records["action"] == Action.ADD).astype(int) - left_whole(records))
    settled = alive[10 * live_orders :]
    assert settled.mean() == pytest.approx(live_orders, rel=0.2)
    assert settled.min() >= 0
    assert settled.max() < 2 * live_orders + 64


def left_whole(records):
    """Which records took the last of their order: sizes added up order by order."""
    by_order = np.argsort(records["order_id"], kind="stable")
    sizes = np.where(records["action"] == Action.ADD, records["size"], -records["size"])[by_order]
    left = np.cumsum(sizes)
    begins = records["action"][by_order] == Action.ADD
    before = np.maximum.accumulate(np.where(begins, np.arange(len(sizes)), 0))
    gone = np.zeros(len(records), bool)
    gone[by_order] = left == (left - sizes)[before]
    return gone


def test_a_market_looks_like_one():
    records = made("market", 8, 200_000).records[100_000:]
    share = np.bincount(records["action"], minlength=13) / len(records)
    assert share[[Action.ADD, Action.CANCEL, Action.DELETE, Action.EXECUTE]].sum() == pytest.approx(1)
    assert 0.35 < share[Action.ADD] < 0.5
    assert 0.05 < share[Action.EXECUTE] < 0.25
    assert share[Action.CANCEL] / (share[Action.CANCEL] + share[Action.DELETE]) == pytest.approx(0.2, abs=0.02)
    adds = records[records["action"] == Action.ADD]
    assert (adds["side"] == Side.BID).mean() == pytest.approx(0.5, abs=0.02)
    assert (adds["size"] % 100 == 0).mean() == pytest.approx(0.5 + 0.5 * 0.009, abs=0.02)
    assert adds["price"].max() - adds["price"].min() < 1_000 * TICK
    assert ((adds["price"] - FIRST_PRICE) % TICK == 0).all()


def test_the_instruments_say_how_prices_are_shown():
    assert (SYNTHETIC_INSTRUMENT.tick, SYNTHETIC_INSTRUMENT.price_decimals) == (TICK, 4)
    assert (UNIFORM_INSTRUMENT.tick, UNIFORM_INSTRUMENT.price_decimals) == (1, 4)


def test_a_model_that_is_none_is_refused_before_anything_is_made():
    with pytest.raises(KeyError):
        make_synthetic("markets", 1, 10)


def test_a_source_knows_its_key_and_model():
    source = make_synthetic("market", 1, 10)
    assert source.words[KEY] != make_synthetic("market", 2, 10).words[KEY]
    assert source.words[module.KIND] == MODELS["market"]


def test_no_items_change_nothing():
    source = make_synthetic("market", 1, 10)
    before = source.words.copy()
    synthetic_fill(source, np.zeros(1, TRANSACTION), 0, 0)
    assert (source.words == before).all()
