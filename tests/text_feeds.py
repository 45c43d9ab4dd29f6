"""What the tests of the text formats share: reading a feed to its end or its fault, and damaging a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from velox_engine.errors import FeedError
from velox_engine.feeds.base import Feed
from velox_engine.feeds.opening import open_feed
from velox_engine.records import TRANSACTION, Transactions

FIELDS = ("action", "side", "order_id", "price", "size", "new_order_id", "event_ns", "due_ticks", "symbol", "flags")


def drained(feed: Feed) -> tuple[Transactions, FeedError | None]:
    """All records of a feed, and the fault that ended them."""
    batches: list[Transactions] = []
    fault = None
    try:
        for batch in feed:
            assert 0 < len(batch) <= feed.batch_size
            assert not batch["sequence"].any()
            batches.append(batch)
    except FeedError as error:
        fault = error
    return np.concatenate([np.zeros(0, TRANSACTION), *batches]), fault


def rows(records: Transactions, fields: tuple[str, ...] = FIELDS) -> list[tuple[int, ...]]:
    return [tuple(int(record[field]) for field in fields) for record in records]


def only_feed_errors(path: Path, format_name: str) -> Transactions:
    """Whatever the file holds, reading it gives records or a `FeedError` with its place, and nothing else."""
    refused: FeedError | None = None
    try:
        feed = open_feed(path, format_name, batch_size=7)
    except FeedError as error:
        refused = error
    if refused is not None:
        assert str(path) in str(refused)
        return np.zeros(0, TRANSACTION)
    records, fault = drained(feed)
    if fault is not None:
        assert fault.problem.startswith(("found", "line", "cannot"))
        assert fault.line is not None or fault.byte is not None
    return records


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with a few of them changed, taken out, put in or cut off."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        if not content:
            break
        at = draw(st.integers(0, len(content) - 1))
        kind = draw(st.sampled_from(["change", "remove", "insert", "cut", "repeat"]))
        piece = draw(
            st.one_of(st.binary(min_size=1, max_size=3), st.sampled_from([b",", b"\n", b'"', b"}", b"9", b"-"]))
        )
        if kind == "change":
            content[at : at + len(piece)] = piece
        elif kind == "remove":
            del content[at : at + draw(st.integers(1, 20))]
        elif kind == "insert":
            content[at:at] = piece
        elif kind == "cut":
            del content[at:]
        else:
            content[at:at] = content[at : at + draw(st.integers(1, 40))]
    return bytes(content)
