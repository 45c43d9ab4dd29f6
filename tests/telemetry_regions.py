"""Telemetry regions for tests: made, opened and written to as an engine would."""

import time

import numpy as np

from velox_engine.telemetry import layout
from velox_engine.telemetry.layout import Block
from velox_engine.telemetry.region import (
    make_region,
    open_for_readers,
)
from velox_engine.telemetry.writer import publish


def opened(name="velox", workers=1, symbols=2):
    """Make a region that readers can attach."""
    made, problem = make_region(name, workers, symbols)
    assert problem is None
    return ready(made)


def ready(made):
    """Open a region for readers, with a clock of one tick a nanosecond."""
    made.words[layout.HEADER_NS_PER_TICK : layout.HEADER_NS_PER_TICK + 1].view(np.float64)[0] = 1.0
    made.words[layout.HEADER_ZERO_UNIX_NS] = time.time_ns()
    made.words[layout.HEADER_ZERO_MONOTONIC_NS] = time.monotonic_ns()
    open_for_readers(made)
    return made


def written(made, kind, index=0, **values):
    """Publish a block with some words set, the rest as they stand."""
    payload = made.payload(kind, index).copy()
    for name, value in values.items():
        at = getattr(layout, name)
        payload[at : at + np.size(value)] = value
    publish(made.words, made.at(kind, index), payload)


def cursors(made, *passed, generated=None, flushed=0, bundles=0):
    words = made.payload(Block.CURSORS)
    for at, count in zip(
        (layout.CURSOR_INGRESS, layout.CURSOR_ORDERBOOK, layout.CURSOR_BUNDLE, layout.CURSOR_OUTPUT),
        passed,
        strict=True,
    ):
        words[at] = count
    words[layout.CURSOR_GENERATED] = passed[0] if generated is None else generated
    words[layout.CURSOR_FLUSHED], words[layout.CURSOR_BUNDLES_OUT] = flushed, bundles
