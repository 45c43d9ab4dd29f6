"""What the supervisor looks after while an engine runs: the workers' hearts, the clock, the source and the sink."""

from __future__ import annotations

from typing import Final

from velox_engine.assembly import Assembly, write_instruments
from velox_engine.lockfree.clock import read_ticks
from velox_engine.lockfree.ring import RELEASED
from velox_engine.stages import control as word
from velox_engine.stages.handles import get_word
from velox_engine.telemetry import layout
from velox_engine.telemetry.chronicle import Chronicle
from velox_engine.telemetry.layout import LINE_WORDS, Block

_STALL_NS: Final = 1_000_000_000
_SUSPENDED_NS: Final = 50_000_000


class Lookout:
    """Looks, and tells the chronicle what it sees. Only the supervisor's thread asks it."""

    def __init__(self, assembly: Assembly, chronicle: Chronicle) -> None:
        self._assembly = assembly
        self._words = assembly.stages.control.words
        self._chronicle = chronicle
        self._stalled = 0
        self._drift_ns = 0
        self._pretended_ns = 0
        self._instruments_known = len(assembly.source.instruments)
        self.failure_of_source = ""

    def look_at_hearts(self) -> None:
        """Tell which workers have stalled, and which beat again."""
        now = read_ticks()
        for index in range(len(self._assembly.workers)):
            beat = get_word(self._words, word.HEARTBEATS + index * LINE_WORDS)
            late = beat > 0 and (now - beat) * self._assembly.clock.ns_per_tick > _STALL_NS
            was = self._stalled >> index & 1
            names = ", ".join(self._assembly.placement.workers[index].names)
            if late and not was:
                text = f"worker {index} ({names}) stalled: no heartbeat for a second"
                self._chronicle.event("warning", text, worker=index, stages=names)
            elif was and not late:
                self._chronicle.event("info", f"worker {index} ({names}) beats again", worker=index, stages=names)
            self._stalled = self._stalled & ~(1 << index) | int(late) << index
        self._chronicle.control[layout.CONTROL_STALLED] = self._stalled

    def clock_step(self) -> float:
        """Return by how many seconds the clock and the monotonic clock have parted since it was last asked.

        0 where they have not: a step is what only a machine that was suspended or moved does.
        """
        drift = self._assembly.clock.behind_monotonic_ns() + self._pretended_ns
        step, self._drift_ns = drift - self._drift_ns, drift
        return step / 1e9 if abs(step) > _SUSPENDED_NS else 0.0

    def pretend_step(self, ns: int) -> None:
        """Chaos: let the clock seem to have stepped."""
        self._pretended_ns += ns

    def publish_ends(self) -> None:
        """Publish what the source and the sink have learned."""
        source, sink = self._assembly.source, self._assembly.sink
        if len(source.instruments) != self._instruments_known:
            self._instruments_known = len(source.instruments)
            write_instruments(self._assembly.region, source.instruments)
        if sink is not None:
            self._chronicle.control[layout.CONTROL_SINK_WRITTEN] = sink.sink.written
            self._chronicle.control[layout.CONTROL_SINK_LOST] = sink.sink.lost
            if sink.failure:
                written, lost = sink.sink.written, sink.sink.lost
                self._chronicle.event_once("error", sink.failure, sink_written=written, sink_lost=lost)

    def why_source_ended(self) -> str:
        """Return why nothing comes any more, and tell of a file that was cut off or damaged."""
        decoder, count = self._assembly.source.decoder, self._assembly.config.pipeline.count
        generated = int(self._assembly.region.payload(Block.CURSORS)[layout.CURSOR_GENERATED])
        if count and generated >= count:
            return "count reached"
        # a short file may be read to its end long before all of it is taken
        taken = get_word(self._assembly.source.staging.ring.words, RELEASED)
        if decoder is None or not decoder.ended or taken < decoder.staged:
            return "duration reached"
        if decoder.feed.oddities.cut_off:
            self._chronicle.event("warning", f"{decoder.feed.path}: {decoder.feed.oddities.cut_off}")
        if decoder.failure:
            self._chronicle.event("error", decoder.failure)
            self.failure_of_source = decoder.failure
            return decoder.failure
        return "end of file"
