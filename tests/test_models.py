"""The lock-free parts as small models, every execution of which is explored; and every model broken on purpose.

What a model stands for is told where it is defined, in `tests.model`. The explorer itself is held to the classic litmus
tests: what acquire and release forbid it must not find, and what they allow it must.
"""

import ast
import os
from pathlib import Path

import pytest

from tests import model
from tests.model.explorer import (
    ACQUIRE,
    RELAXED,
    RELEASE,
    BrokenError,
    Model,
    explore,
    fence,
    load,
    read,
    store,
    update,
    write,
)
from tests.model.line import DRAIN_BROKEN, LINE_BROKEN, drain_model, line_model
from tests.model.ring import (
    CLOSING_BROKEN,
    OUTLET_BROKEN,
    RING_BROKEN,
    closing_model,
    outlet_model,
    ring_model,
)
from tests.model.steering import ENDING_BROKEN, ORDER_BROKEN, ending_model, order_model
from tests.model.telemetry import (
    CHECKSUM_BROKEN,
    LIVE_BROKEN,
    SEQLOCK_BROKEN,
    checksum_model,
    live_model,
    seqlock_model,
)

MOST = 2_000_000

# ---- the explorer


def outcomes(words, *programs):
    """Everything that some programs can return together."""
    seen = set()

    def final(values, returned):
        seen.add(tuple(returned.values()))

    found = explore(
        Model({str(at): make for at, make in enumerate(programs)}, dict.fromkeys(words, 0), {}, final), MOST
    )
    assert found.problem == ""
    return seen


def message(data, flag, before=None, between=None):
    """Message passing: one thread stores x and then y, the other loads y and then x."""

    def sender():
        yield store("x", 1, RELAXED)
        if before is not None:
            yield fence(before)
        yield store("y", 1, data)

    def receiver():
        y = yield load("y", flag)
        if between is not None:
            yield fence(between)
        return y, (yield load("x", RELAXED))

    return {received for _, received in outcomes("xy", sender, receiver)}


@pytest.mark.parametrize(
    ("ways", "ordered"),
    [
        ((RELEASE, ACQUIRE), True),
        ((RELAXED, ACQUIRE), False),
        ((RELEASE, RELAXED), False),
        ((RELAXED, RELAXED, RELEASE, ACQUIRE), True),
        ((RELAXED, RELAXED, RELEASE, None), False),
        ((RELAXED, RELAXED, None, ACQUIRE), False),
        ((RELEASE, RELAXED, None, ACQUIRE), True),
    ],
)
def test_a_message_is_whole_just_when_release_and_acquire_say_so(ways, ordered):
    seen = message(*ways)
    assert ((1, 0) in seen) is not ordered
    assert seen >= {(0, 0), (0, 1), (1, 1)}


def test_two_threads_that_each_store_and_look_at_the_other_may_both_see_nothing():
    def thread(own, other):
        def program():
            yield store(own, 1)
            return (yield load(other))

        return program

    assert outcomes("xy", thread("x", "y"), thread("y", "x")) == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_one_word_is_never_seen_to_go_back():
    def writer():
        yield store("x", 1, RELAXED)
        yield store("x", 2, RELAXED)

    def reader():
        first = yield load("x", RELAXED)
        return first, (yield load("x", RELAXED))

    assert {seen for _, seen in outcomes("x", writer, reader)} == {(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)}


def test_what_was_released_is_seen_through_a_third_thread():
    def first():
        yield store("x", 1, RELAXED)
        yield store("y", 1)

    def second():
        if (yield load("y")):
            yield store("z", 1)

    def third():
        z = yield load("z")
        return z, (yield load("x", RELAXED))

    assert (1, 0) not in {seen for _, _, seen in outcomes("xyz", first, second, third)}


def test_updates_are_never_lost_and_carry_on_a_release():
    def adding():
        return (yield update("x", lambda value: value + 1))

    assert outcomes("x", adding, adding) == {(0, 1), (1, 0)}

    def releasing():
        yield store("y", 1, RELAXED)
        yield store("x", 1)

    def looking():
        x = yield load("x")
        return x, (yield load("y", RELAXED))

    assert (2, 0) not in {seen for _, _, seen in outcomes("xy", releasing, adding, looking)}


def test_unordered_plain_accesses_are_a_race_and_ordered_ones_are_not():
    def model(order):
        def writer():
            yield write("data", 1)
            yield store("flag", 1, order)

        def reader():
            while not (yield load("flag")):
                pass
            return (yield read("data"))

        return Model({"writer": writer, "reader": reader}, {"flag": 0}, {"data": 0})

    assert explore(model(RELEASE)).problem == ""
    assert explore(model(RELAXED)).problem == "race on data between writer and reader"


def test_waiting_for_what_never_comes_is_a_hang_and_the_way_there_is_told():
    def first():
        yield store("x", 1)
        while not (yield load("y")):
            pass

    def second():
        if not (yield load("x")):
            yield store("y", 1)

    found = explore(Model({"first": first, "second": second}, {"x": 0, "y": 0}, {}))
    assert found.problem.startswith("hang")
    assert found.steps == ("first store x 1", "second load x 1")


def test_a_broken_promise_is_told_with_the_steps_that_lead_to_it():
    def thread():
        if (yield update("x", lambda value: value + 1)):
            raise BrokenError("seen")

    found = explore(Model({"one": thread, "two": thread}, {"x": 0}, {}))
    assert (found.problem, len(found.steps)) == ("seen", 2)


def yields_of(node):
    """How many results an expression can hold on its stack at once: `and` and `or` let go of one before the next."""
    own = isinstance(node, ast.Yield | ast.YieldFrom)
    inside = [yields_of(child) for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]
    return own + (max(inside, default=0) if isinstance(node, ast.BoolOp) else sum(inside))


@pytest.mark.parametrize(
    "path", [*Path(model.__file__).parent.glob("*.py"), Path(__file__)], ids=lambda path: path.stem
)
def test_no_program_keeps_a_result_where_the_explorer_cannot_see_it(path):
    statements = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.stmt)]
    assert [each.lineno for each in statements if yields_of(each) > 1] == []


# ---- the models

RIGHT = {
    "ring, one slot": lambda: ring_model(6, 1, 1),
    "ring, two slots": lambda: ring_model(6, 2, 1),
    "ring, four slots": lambda: ring_model(8, 4, 1),
    "ring, batches of three": lambda: ring_model(9, 4, 3),
    "end of a source": lambda: closing_model(4),
    "outlet to the sink": lambda: outlet_model(5, 3),
    "sequence lock, three words": lambda: seqlock_model(3, 3, 1),
    "sequence lock, two copies": lambda: seqlock_model(3, 2, 2),
    "block with a checksum": lambda: checksum_model(3, 2, 1),
    "live counts": lambda: live_model(3),
    "slots, shortest rings": lambda: line_model(5),
    "slots, bundles of two": lambda: line_model(7, max_size=2),
    "drain": lambda: drain_model(3),
    "orders": lambda: order_model(3),
    "two signals": lambda: ending_model(1),
    "two signals, a drain that never ends": lambda: ending_model(1, stuck=True),
}
if os.environ.get("VELOX_MODELS") == "all":  # some minutes more
    RIGHT |= {
        "ring, eight slots": lambda: ring_model(12, 8, 1),
        "sequence lock, larger": lambda: seqlock_model(4, 3, 2),
        "block with a checksum, larger": lambda: checksum_model(3, 3, 1),
        "slots, shortest rings, larger": lambda: line_model(6),
        "slots, a longer first ring": lambda: line_model(6, (2, 1, 1)),
        "slots, a longer second ring": lambda: line_model(6, (1, 2, 1)),
        "slots, a longer last ring": lambda: line_model(6, (1, 1, 2)),
        "slots, wrapped twice": lambda: line_model(9),
        "drain, larger": lambda: drain_model(4),
        "two signals, larger": lambda: ending_model(2),
    }
BROKEN = (
    [("ring", broken, ring_model(6, 2, 2, broken)) for broken in RING_BROKEN]
    + [("end of a source", broken, closing_model(3, broken)) for broken in CLOSING_BROKEN]
    + [("outlet", broken, outlet_model(5, 3, broken)) for broken in OUTLET_BROKEN]
    + [("sequence lock", broken, seqlock_model(3, 2, 2, broken)) for broken in SEQLOCK_BROKEN]
    + [("checksum", broken, checksum_model(2, 2, 1, broken)) for broken in CHECKSUM_BROKEN]
    + [("live counts", broken, live_model(3, broken)) for broken in LIVE_BROKEN]
    + [("slots", broken, line_model(6, broken=broken)) for broken in LINE_BROKEN]
    + [("drain", broken, drain_model(3, broken)) for broken in DRAIN_BROKEN]
    + [("orders", broken, order_model(5, broken)) for broken in ORDER_BROKEN]
    + [("ending", broken, ending_model(1, broken != ENDING_BROKEN[0], broken)) for broken in ENDING_BROKEN]
)


@pytest.mark.parametrize("name", RIGHT)
def test_every_execution_of_a_model_keeps_its_promise(name):
    found = explore(RIGHT[name](), MOST)
    assert found.problem == "", "\n".join(found.steps)
    assert found.states > 50


@pytest.mark.parametrize(("name", "broken", "model"), BROKEN, ids=lambda value: value if isinstance(value, str) else "")
def test_a_model_broken_on_purpose_is_caught(name, broken, model):
    assert explore(model, MOST).problem
