"""The words through which the supervisor steers the workers, and through which they answer.

===== ================== ============ ============= ===========================================================
word  field              writes       reads         what makes it right
===== ================== ============ ============= ===========================================================
0     serial             supervisor   ingress       sequence lock over words 1 … 4 and ``rates``: odd while written
1     phase              supervisor   workers       relaxed by who only idles by it; by serial for ingress
2     drain epoch        supervisor   ingress       by serial
3     rebase             supervisor   ingress       by serial: counts up when the schedule must begin anew
4     new pace           supervisor   ingress       by serial: counts up when a rate replaces the recorded times
      ``rates[0]``       supervisor   ingress       by serial
16    stop               supervisor   workers       release, acquire: workers leave their loop
17    aside              chaos        workers       relaxed: bit mask of stages that rest; 0 but for faults on purpose
32    acknowledged       ingress      supervisor    release: the serial it has adopted
33    ended              ingress      supervisor    release: 1 when its source has nothing more to give
48    drained, ingress   ingress      order book    release: the drain epoch after which it publishes nothing
64    drained, book      order book   bundle        release, after its last publish
80    drained, bundle    bundle       output        release, after its last publish
96    drained, output    output       supervisor    release: everything of that epoch has left
112…  depth leases       supervisor   order book    relaxed: symbol + 1 of each of the eight slots, 0 is free
128…  heartbeats         worker i     supervisor    relaxed, one line each: ticks of the last turn of its loop
===== ================== ============ ============= ===========================================================

``rates`` float64: 0 mean gap between arrivals in ticks (0: maximum rate).

**Orders** are written under the serial as under any sequence lock, because the supervisor does not wait for each to be
acknowledged: a rate may follow a clock step while ingress still reads the step, and must come whole with its schedule.

**Drain** is an epoch that travels down the line behind the last transaction: a stage that sees its upstream's word
equal to a new epoch *before* it finds its ring empty knows that nothing more will come, because the word was stored
after the last publish. It passes the epoch on the same way.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from velox_engine.by_reference import by_reference
from velox_engine.lockfree.atomics import Words
from velox_engine.lockfree.memory import LINE_WORDS, aligned_words
from velox_engine.telemetry.layout import DEPTH_SLOTS

SERIAL: Final = 0
PHASE: Final = 1
DRAIN_EPOCH: Final = 2
REBASE: Final = 3
NEW_PACE: Final = 4
STOP: Final = LINE_WORDS
ASIDE: Final = LINE_WORDS + 1  # on the line of STOP, which every turn reads anyway
ACKNOWLEDGED: Final = 2 * LINE_WORDS
ENDED: Final = 2 * LINE_WORDS + 1
DRAINED: Final = 3 * LINE_WORDS
"""``DRAINED + stage * LINE_WORDS``: the epoch that the stage has drained."""
LEASES: Final = 7 * LINE_WORDS
HEARTBEATS: Final = 8 * LINE_WORDS
MOST_WORKERS: Final = 4

GAP: Final = 0


class Phase(IntEnum):
    """What ingress is to do."""

    RUN = 1
    PAUSE = 2
    DRAIN = 3


@by_reference
class Control(NamedTuple):
    """``words`` int64 and ``rates`` float64, as the module lays them out."""

    words: Words
    rates: NDArray[np.float64]


def make_control() -> Control:
    """Make the control words of a new engine: paused, nobody drained, no leases."""
    words = aligned_words(HEARTBEATS + MOST_WORKERS * LINE_WORDS)
    words[PHASE] = Phase.PAUSE
    return Control(words, np.zeros(8))


assert DEPTH_SLOTS <= LINE_WORDS
