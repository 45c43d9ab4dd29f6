"""Transactions and bundles: their layout in memory, and what is valid, at every border."""

import math

import numpy as np
import pytest

from velox_engine.errors import BundleError, TransactionError, VeloxError
from velox_engine.records import (
    DEFAULT_BUNDLE_SIZE,
    INT64_MAX,
    MAX_BUNDLE_SIZE,
    RULES,
    TRANSACTION,
    Action,
    Bundle,
    Flags,
    Rejection,
    Side,
    Transaction,
    as_records,
    rejection,
)

GOOD = {"side": 0, "price": 1, "size": 1}
RANGES = {
    "side": (0, 1),
    "price": (1, INT64_MAX),
    "size": (1, INT64_MAX),
    "order_id": (0, 2**64 - 1),
    "symbol": (0, 2**32 - 1),
    "event_ns": (-(2**63), INT64_MAX),
    "new_order_id": (0, 2**64 - 1),
    "flags": (0, 2**16 - 1),
    "action": (1, 11),
}
NO_INTEGERS = (math.nan, math.inf, 1.0, np.float64(1), "1", b"1", None, True, False, np.True_, [1], (1,), 1j, object())


def test_a_transaction_is_one_cache_line_as_the_design_lays_it_out():
    assert TRANSACTION.itemsize == 64
    assert {name: (TRANSACTION.fields[name][1], TRANSACTION.fields[name][0].str) for name in TRANSACTION.names} == {
        "sequence": (0, "<u8"),
        "order_id": (8, "<u8"),
        "price": (16, "<i8"),
        "size": (24, "<i8"),
        "event_ns": (32, "<i8"),
        "due_ticks": (40, "<i8"),
        "new_order_id": (48, "<u8"),
        "symbol": (56, "<u4"),
        "action": (60, "|u1"),
        "side": (61, "|u1"),
        "flags": (62, "<u2"),
    }


def test_the_numbers_of_actions_sides_and_flags_are_public():
    names = [
        "ADD",
        "CANCEL",
        "DELETE",
        "EXECUTE",
        "REPLACE",
        "MODIFY",
        "FILL",
        "TRADE",
        "LEVEL",
        "CLEAR",
        "STATUS",
        "SUBMIT",
    ]
    assert {action.name: action.value for action in Action} == {name: row for row, name in enumerate(names, 1)}
    assert [(side.name, side.value) for side in Side] == [("BID", 0), ("ASK", 1), ("NONE", 2)]
    assert (Flags.LAST, Flags.SNAPSHOT, Flags.GAP) == (1, 2, 4)


@pytest.mark.parametrize("field", RANGES)
def test_a_field_takes_its_borders(field):
    for value in RANGES[field]:
        kept = getattr(Transaction(**{**GOOD, field: value}), field)
        assert (kept, isinstance(kept, int)) == (value, True)


@pytest.mark.parametrize("field", RANGES)
def test_a_field_refuses_what_lies_beyond_its_borders(field):
    low, high = RANGES[field]
    for value in (low - 1, high + 1, -(2**70), 2**70):
        with pytest.raises(TransactionError) as caught:
            Transaction(**{**GOOD, field: value})
        assert (caught.value.field, caught.value.value) == (field, value)
        assert field in str(caught.value)
        assert str(value) in str(caught.value)
        assert caught.value.allowed in str(caught.value)


@pytest.mark.parametrize("field", ["side", "price", "size"])
def test_zero_minus_one_and_the_largest_number_are_told_apart(field):
    def takes(value):
        try:
            Transaction(**{**GOOD, field: value})
        except TransactionError:
            return False
        return True

    expected = {"side": (True, False, False), "price": (False, False, True), "size": (False, False, True)}
    assert (takes(0), takes(-1), takes(INT64_MAX)) == expected[field]


@pytest.mark.parametrize("value", NO_INTEGERS, ids=lambda value: f"{type(value).__name__} {value!r:.8}")
@pytest.mark.parametrize("field", RANGES)
def test_a_field_takes_integers_only(field, value):
    with pytest.raises(TransactionError) as caught:
        Transaction(**{**GOOD, field: value})
    assert isinstance(caught.value, VeloxError)
    assert caught.value.field == field
    assert caught.value.value is value


def test_integers_of_numpy_become_plain_ones():
    made = Transaction(side=np.uint8(1), price=np.int64(7), size=np.uint32(3), action=np.int8(4))
    assert made == Transaction(side=1, price=7, size=3, action=Action.EXECUTE)
    assert all(type(getattr(made, field)) is int for field in ("side", "price", "size"))
    assert made.action is Action.EXECUTE


def test_a_submit_is_reserved():
    with pytest.raises(TransactionError) as caught:
        Transaction(**GOOD, action=Action.SUBMIT)
    assert caught.value.field == "action"
    assert Action.SUBMIT not in RULES


def test_a_transaction_cannot_be_changed():
    with pytest.raises(AttributeError):
        Transaction(**GOOD).price = 2


def test_transactions_become_records_field_by_field():
    given = [
        Transaction(side=1, price=INT64_MAX, size=2, order_id=2**64 - 1, action=Action.CANCEL, symbol=2**32 - 1),
        Transaction(side=0, price=1, size=3, event_ns=-(2**63), new_order_id=2**63, flags=2**16 - 1),
    ]
    records = as_records(iter(given))
    assert (records.dtype, records.shape) == (TRANSACTION, (2,))
    for record, transaction in zip(records, given, strict=True):
        for field in Transaction.__dataclass_fields__:
            assert int(record[field]) == int(getattr(transaction, field)), field
    assert not records["sequence"].any()
    assert not records["due_ticks"].any()


def test_no_transactions_are_no_records():
    assert as_records([]).shape == (0,)


def made(count):
    return [Transaction(**GOOD, order_id=number) for number in range(count)]


@pytest.mark.parametrize("limit", [1, 2, DEFAULT_BUNDLE_SIZE, MAX_BUNDLE_SIZE])
def test_a_bundle_holds_none_up_to_its_limit(limit):
    assert len(Bundle.with_transactions([], limit=limit)) == 0
    full = Bundle.with_transactions(iter(made(limit)), limit=limit)
    assert (len(full), full.transactions) == (limit, tuple(made(limit)))


@pytest.mark.parametrize("limit", [1, DEFAULT_BUNDLE_SIZE, MAX_BUNDLE_SIZE])
def test_a_bundle_above_its_limit_is_an_error_with_the_count_and_the_limit(limit):
    for make in (Bundle, Bundle.with_transactions):
        with pytest.raises(BundleError) as caught:
            make(tuple(made(limit + 1)), limit=limit)
        assert (caught.value.count, caught.value.limit) == (limit + 1, limit)
        assert str(limit + 1) in str(caught.value)


def test_a_bundle_is_of_16_unless_told_otherwise():
    assert len(Bundle.with_transactions(made(16))) == 16
    with pytest.raises(BundleError):
        Bundle.with_transactions(made(17))


@pytest.mark.parametrize("limit", [0, -1, MAX_BUNDLE_SIZE + 1, INT64_MAX, 2**70])
def test_a_limit_outside_1_to_256_is_refused(limit):
    with pytest.raises(BundleError) as caught:
        Bundle(limit=limit)
    assert f"limit {limit}" in str(caught.value)
    assert "1 to 256" in str(caught.value)


@pytest.mark.parametrize("limit", NO_INTEGERS, ids=lambda value: f"{type(value).__name__} {value!r:.8}")
def test_a_limit_is_an_integer(limit):
    with pytest.raises(BundleError):
        Bundle(limit=limit)


def test_a_bundle_keeps_its_transactions_whatever_they_came_in():
    given = made(3)
    bundle = Bundle(given)
    given.clear()
    assert bundle == Bundle.with_transactions(made(3))
    assert hash(bundle) == hash(Bundle(tuple(made(3))))


@pytest.mark.parametrize("wrong", [1, "ADD", None, GOOD], ids=repr)
def test_a_bundle_takes_transactions_only(wrong):
    with pytest.raises(BundleError):
        Bundle.with_transactions([Transaction(**GOOD), wrong])


def judged(action, side=0, size=1, symbol=0, instruments=1):
    return rejection(int(action), side, size, symbol, instruments)


@pytest.mark.parametrize("action", [0, Action.SUBMIT, 13, 255, -1])
def test_an_unknown_action_is_rejected(action):
    assert judged(action) is Rejection.ACTION


@pytest.mark.parametrize("action", RULES, ids=lambda action: action.name)
def test_what_is_valid_follows_from_the_action(action):
    needs_side = action in (Action.ADD, Action.LEVEL)
    needs_size = action in (Action.ADD, Action.CANCEL, Action.EXECUTE, Action.REPLACE)
    assert judged(action) is None
    assert judged(action, size=INT64_MAX) is None
    assert judged(action, side=int(Side.NONE)) is (Rejection.SIDE if needs_side else None)
    assert judged(action, side=3) is Rejection.SIDE
    assert judged(action, side=-1) is Rejection.SIDE
    assert judged(action, side=255) is Rejection.SIDE
    assert judged(action, size=0) is (Rejection.SIZE if needs_size else None)
    assert judged(action, size=-1) is Rejection.SIZE
    assert judged(action, size=-(2**63)) is Rejection.SIZE


def test_a_symbol_must_be_in_the_table():
    assert judged(Action.ADD, symbol=2, instruments=3) is None
    assert judged(Action.ADD, symbol=3, instruments=3) is Rejection.SYMBOL
    assert judged(Action.ADD, symbol=2**32 - 1, instruments=3) is Rejection.SYMBOL
    assert judged(Action.ADD, symbol=0, instruments=0) is Rejection.SYMBOL
