"""Whether an engine lives and is ready, judged from a snapshot, and what speaks against it.

It *lives* while every worker's heart beats: a worker that is stalled, or an engine that failed, is a reason to start it
anew. It is *ready* while it also runs: not while it starts, is paused, drains, is drained or has stopped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from velox_engine.snapshot import Snapshot, State

STALL_S: Final = 1.0
"""A worker without a heartbeat for so long has stalled (design §6)."""
_WORKING: Final = (State.RUNNING, State.PAUSED, State.DRAINING, State.DRAINED)


@dataclass(frozen=True, slots=True)
class Health:
    """The judgement: it lives where nothing is ``against_life``, and is ready where nothing else is either."""

    state: State
    uptime_s: float = 0.0
    against_life: tuple[str, ...] = ()
    against_readiness: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def live(self) -> bool:
        """Whether it lives."""
        return not self.against_life

    @property
    def ready(self) -> bool:
        """Whether it is ready."""
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against either."""
        return self.against_life + self.against_readiness

    def to_json(self) -> str:
        """Write it as one JSON object: live, ready, state, uptime_s, reasons, warnings."""
        held = {"live": self.live, "ready": self.ready, "state": self.state.word, "uptime_s": round(self.uptime_s, 3)}
        return json.dumps({**held, "reasons": self.reasons, "warnings": self.warnings}, ensure_ascii=False) + "\n"


def judge(snapshot: Snapshot | None) -> Health:
    """Judge an engine by a snapshot; ``None`` stands for one that still starts."""
    if snapshot is None:
        return Health(State.STARTING, against_readiness=(State.STARTING.word,))
    state = snapshot.state
    against_life = [State.FAILED.word] if state is State.FAILED else []
    if state in _WORKING:
        against_life += [
            f"worker {worker.index} ({', '.join(worker.stages)}) has stalled: "
            f"no heartbeat for {worker.heartbeat_age_s:.1f} s"
            for worker in snapshot.workers
            # by our own look too: the supervisor that tells the stalled is a thread like others
            if worker.heartbeat_age_s > STALL_S or worker.index in snapshot.stalled_workers
        ]
    against_readiness = () if state in (State.RUNNING, State.FAILED) else (state.word,)
    return Health(state, snapshot.uptime_s, tuple(against_life), against_readiness, snapshot.warnings)
