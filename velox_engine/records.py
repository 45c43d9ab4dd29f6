"""What flows: transactions and bundles, their memory layout, and what is valid.

``TRANSACTION`` is one cache line. Prices and sizes are integers from file to screen: counts of the instrument's
price and size unit. A float never touches them.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

import numpy as np
from numpy.typing import NDArray

from velox_engine.errors import BundleError, TransactionError

TRANSACTION: Final = np.dtype(
    {
        "names": [
            "sequence",
            "order_id",
            "price",
            "size",
            "event_ns",
            "due_ticks",
            "new_order_id",
            "symbol",
            "action",
            "side",
            "flags",
        ],
        "formats": ["u8", "u8", "i8", "i8", "i8", "i8", "u8", "u4", "u1", "u1", "u2"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56, 60, 61, 62],
        "itemsize": 64,
    },
    align=True,
)
"""One transaction, 64 bytes, little endian (design §3).

========= ============ ==== =====================================================================
offset    field        type meaning
========= ============ ==== =====================================================================
0         sequence     u64  0, 1, 2 … without a gap, given by ingress
8         order_id     u64  the venue's order reference; 0 where the source has none
16        price        i64  count of the instrument's price unit
24        size         i64  count of the instrument's size unit
32        event_ns     i64  the venue's time, ns since the run's time base
40        due_ticks    i64  when it was due at ingress, clock ticks; in a feed's batch: pacing time, ns
48        new_order_id u64  REPLACE: the new id; TRADE, FILL, EXECUTE: match number; LEVEL: order count
56        symbol       u32  index into the run's instrument table
60        action       u8   `Action`
61        side         u8   `Side`
62        flags        u16  `Flags`
========= ============ ==== =====================================================================
"""

INT64_MAX: Final = 2**63 - 1

Transactions = NDArray[np.void]
"""An array of ``TRANSACTION`` records."""


class Side(IntEnum):
    """The side of an order or level."""

    BID = 0
    ASK = 1
    NONE = 2


class Action(IntEnum):
    """What a transaction does (design §3)."""

    ADD = 1
    CANCEL = 2
    DELETE = 3
    EXECUTE = 4
    REPLACE = 5
    MODIFY = 6
    FILL = 7
    TRADE = 8
    LEVEL = 9
    CLEAR = 10
    STATUS = 11
    SUBMIT = 12


class Flags(IntFlag):
    """Bits of a transaction's ``flags``."""

    LAST = 1
    """The last record of its event: the book is meaningful after it."""
    SNAPSHOT = 2
    """From a snapshot or a seed."""
    GAP = 4
    """Records were lost before this one: the symbol's book is stale until its next snapshot."""


class Rejection(IntEnum):
    """Why ingress refuses a transaction; the values index its counters."""

    ACTION = 0
    SIDE = 1
    PRICE = 2
    SIZE = 3
    SYMBOL = 4


@dataclass(frozen=True, slots=True)
class Rule:
    """What one action asks of a record: the largest side value, the least size, and what stands in it."""

    max_side: int
    min_size: int
    fields: tuple[str, ...]


_ANY_SIDE, _REAL_SIDE = int(Side.NONE), int(Side.ASK)

RULES: Final[dict[Action, Rule]] = {
    Action.ADD: Rule(_REAL_SIDE, 1, ("order_id", "side", "price", "size")),
    Action.CANCEL: Rule(_ANY_SIDE, 1, ("order_id", "side", "price", "size")),
    Action.DELETE: Rule(_ANY_SIDE, 0, ("order_id", "side", "price")),
    Action.EXECUTE: Rule(_ANY_SIDE, 1, ("order_id", "side", "price", "size", "new_order_id")),
    Action.REPLACE: Rule(_ANY_SIDE, 1, ("order_id", "new_order_id", "price", "size")),
    Action.MODIFY: Rule(_ANY_SIDE, 0, ("order_id", "side", "price", "size")),
    Action.FILL: Rule(_ANY_SIDE, 0, ("order_id", "price", "size", "new_order_id")),
    Action.TRADE: Rule(_ANY_SIDE, 0, ("side", "price", "size", "new_order_id")),
    Action.LEVEL: Rule(_REAL_SIDE, 0, ("side", "price", "size", "new_order_id")),
    Action.CLEAR: Rule(_ANY_SIDE, 0, ()),
    Action.STATUS: Rule(_ANY_SIDE, 0, ()),
}
"""What is valid, by action. Recorded feeds may carry prices ≤ 0 (spreads, futures), so no action bounds the price.
``SUBMIT`` is reserved and has no rule: it is rejected. A MODIFY to size 0 takes the order away."""


def rejection(action: int, side: int, size: int, symbol: int, instruments: int) -> Rejection | None:
    """Say why a record is not valid, or ``None``; the plain twin of what ingress does in compiled code."""
    if action not in RULES:
        return Rejection.ACTION
    rule = RULES[Action(action)]
    if not 0 <= side <= rule.max_side:
        return Rejection.SIDE
    if size < rule.min_size:
        return Rejection.SIZE
    if not 0 <= symbol < instruments:
        return Rejection.SYMBOL
    return None


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a symbol index stands for.

    ``price_decimals`` and ``size_decimals`` place the point when an integer price or size is shown; ``tick`` is the
    least price step in price units, 0 where it is not known.
    """

    symbol: str
    price_decimals: int = 0
    size_decimals: int = 0
    tick: int = 1


def _whole(value: object) -> int | None:
    """Return a whole number as an ``int``, ``None`` for anything else: a float and a bool are none."""
    if isinstance(value, (bool, np.bool_)):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]  # it is asked for exactly this TypeError
    except TypeError:
        return None


def _integer(field: str, value: object, low: int, high: int, allowed: str) -> int:
    number = _whole(value)
    if number is None or not low <= number <= high:
        raise TransactionError(field, value, allowed)
    return number


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction as a Python value, held to the strict rule: side 0 or 1, price > 0, size > 0.

    Raises `TransactionError` for anything else, also for a float, a bool or a number beyond int64.
    """

    side: int
    price: int
    size: int
    order_id: int = 0
    action: Action = Action.ADD
    symbol: int = 0
    event_ns: int = 0
    new_order_id: int = 0
    flags: int = int(Flags.LAST)

    def __post_init__(self) -> None:
        borders = {
            "side": (0, 1, "0 (bid) or 1 (ask)"),
            "price": (1, INT64_MAX, "a whole number from 1 to 2^63 - 1"),
            "size": (1, INT64_MAX, "a whole number from 1 to 2^63 - 1"),
            "order_id": (0, 2**64 - 1, "a whole number from 0 to 2^64 - 1"),
            "symbol": (0, 2**32 - 1, "a whole number from 0 to 2^32 - 1"),
            "event_ns": (-(2**63), INT64_MAX, "a whole number of 64 bits"),
            "new_order_id": (0, 2**64 - 1, "a whole number from 0 to 2^64 - 1"),
            "flags": (0, 2**16 - 1, "a whole number from 0 to 65,535"),
        }
        for field, (low, high, allowed) in borders.items():
            object.__setattr__(self, field, _integer(field, getattr(self, field), low, high, allowed))
        action = _integer("action", self.action, 1, len(RULES), f"an Action from 1 to {len(RULES)}")
        object.__setattr__(self, "action", Action(action))


def as_records(transactions: Iterable[Transaction]) -> Transactions:
    """Put transactions into an array of ``TRANSACTION``, shape (n,); ``sequence`` and ``due_ticks`` stay 0."""
    given = list(transactions)
    records = np.zeros(len(given), TRANSACTION)
    for record, transaction in zip(records, given, strict=True):
        for field in Transaction.__dataclass_fields__:
            record[field] = getattr(transaction, field)
    return records


MAX_BUNDLE_SIZE: Final = 256
DEFAULT_BUNDLE_SIZE: Final = 16


@dataclass(frozen=True, slots=True)
class Bundle:
    """Transactions that go out together, at most ``limit`` (1 … 256) of them; an empty bundle is allowed.

    Raises `BundleError` for more of them, for anything that is no `Transaction`, and for another limit.
    """

    transactions: tuple[Transaction, ...] = ()
    limit: int = DEFAULT_BUNDLE_SIZE

    def __post_init__(self) -> None:
        given = tuple(self.transactions)
        object.__setattr__(self, "transactions", given)
        limit = _whole(self.limit)
        if limit is None or not 1 <= limit <= MAX_BUNDLE_SIZE:
            raise BundleError(
                len(given), self.limit, f"limit {self.limit!r}, allowed is a whole number from 1 to {MAX_BUNDLE_SIZE}"
            )
        if len(given) > limit:
            raise BundleError(len(given), limit)
        for each in given:
            if not isinstance(each, Transaction):
                raise BundleError(len(given), limit, f"got {each!r}, allowed are transactions")

    @classmethod
    def with_transactions(cls, transactions: Iterable[Transaction], limit: int = DEFAULT_BUNDLE_SIZE) -> Bundle:
        """Make a bundle of these; raises `BundleError` when they are more than ``limit``."""
        return cls(tuple(transactions), limit)

    def __len__(self) -> int:
        return len(self.transactions)
