"""What goes out follows from the source, the seed and the count alone: one checksum, whatever the machinery."""

import pytest

from tests.running import assert_all_out, configured, placed, ran, two_cores, until
from velox_engine import Engine
from velox_engine.snapshot import State
from velox_engine.telemetry.layout import CHECKPOINT_EVERY

SEED, COUNT = 7, 200_000
GOLDEN = {"market": "e57464a16504adee", "uniform": "5eb3785ca19f1faa"}

SAME = {
    "smallest rings": {
        "buffers__ingress_ring_size": 64,
        "buffers__bundle_ring_size": 64,
        "buffers__output_ring_size": 64,
    },
    "uneven rings": {
        "buffers__ingress_ring_size": 1024,
        "buffers__bundle_ring_size": 128,
        "buffers__output_ring_size": 65_536,
    },
    "large rings": {
        "buffers__ingress_ring_size": 65_536,
        "buffers__bundle_ring_size": 65_536,
        "buffers__output_ring_size": 65_536,
    },
    "batches of one": {"pipeline__batch": 1},
    "odd batches": {"pipeline__batch": 37, "pipeline__stamp": "each"},
    "large batches": {"pipeline__batch": 4096},
    "bundles of one": {"bundle__max_size": 1},
    "large bundles": {"bundle__max_size": 256, "bundle__timeout_ns": 1},
    "always spinning": {"threads__idle": "spin"},
}
PLACES = {
    "one core": (0, 0, 0, 0),
    "ingress apart": (0, 1, 1, 1),
    "output apart": (0, 0, 0, 1),
    "two and two": (0, 0, 1, 1),
    "crosswise": (0, 1, 0, 1),
}


def checksum(**settings):
    """Run at maximum rate; check that all came out, and give the one checksum of all four stages."""
    base = {"pipeline__ingress_rate_hz": "max", "pipeline__count": COUNT, "source__seed": SEED}
    report = ran(**{**base, **settings})
    assert_all_out(report)
    assert report["output"]["transactions"] == settings.get("pipeline__count", COUNT)
    return report["checksum"]["output"]


@pytest.mark.parametrize("model", GOLDEN)
def test_the_golden_checksum_holds_and_repeats(model):
    books = ["bucketed"] if model == "uniform" else ["exact", "bucketed"]
    assert {checksum(source__model=model, book__kind=book) for book in [*books, *books]} == {GOLDEN[model]}


@pytest.mark.parametrize("settings", SAME.values(), ids=SAME)
def test_rings_batches_and_bundles_do_not_change_the_content(settings):
    assert checksum(**settings) == GOLDEN["market"]


@two_cores
@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("rings", ["smallest rings", "uneven rings"])
def test_placement_does_not_change_the_content(places, rings):
    assert checksum(**placed(*places), **SAME[rings]) == GOLDEN["market"]


def test_pace_pauses_and_drains_do_not_change_the_content():
    settings = {"pipeline__ingress_rate_hz": 2_000_000, "pipeline__count": COUNT, "source__seed": SEED}
    engine = Engine(configured(**settings))
    with engine:
        for step, part in enumerate((20_000, 60_000, 100_000, 140_000)):
            until(lambda part=part: engine.snapshot().generated > part, "a part came in")
            if step % 2:
                engine.pause()
            else:
                engine.drain()
            engine.set_rate((500_000, "max", 1_000_000, 3_000_000)[step])
            engine.resume()
        assert engine.wait(60) is State.DRAINED
    report = engine.report().as_dict()
    assert_all_out(report)
    assert report["checksum"]["output"] == GOLDEN["market"]


def test_another_seed_another_count_and_another_market_give_another_checksum():
    others = [
        checksum(source__seed=SEED + 1),
        checksum(pipeline__count=COUNT - 1),
        checksum(pipeline__count=COUNT + 1),
        checksum(source__live_orders=1000),
    ]
    assert len({*others, *GOLDEN.values()}) == len(others) + len(GOLDEN)


def test_every_stage_keeps_its_hash_at_the_same_sequences():
    engine = Engine(
        configured(pipeline__ingress_rate_hz="max", pipeline__count=CHECKPOINT_EVERY + 1, pipeline__batch=1000)
    )
    with engine:
        assert engine.wait(60) is State.DRAINED
        kept = [stage.checkpoints for stage in engine.reader().read().stages]
    assert list(kept[0]) == [CHECKPOINT_EVERY]
    assert all(checkpoints == kept[0] for checkpoints in kept)
    assert_all_out(engine.report().as_dict())
