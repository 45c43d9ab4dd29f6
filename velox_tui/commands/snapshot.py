"""``velox-tui snapshot``: one look at an engine, also at one that has died."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from velox_tui.options import Parser, UsageError
from velox_tui.streams import put

if TYPE_CHECKING:
    from velox_engine.discovery import Found
    from velox_engine.snapshot import Snapshot

_ABOUT: Final = """\
ENGINE is a name or a pid; with one engine running it may be left out.

exit codes:
  0  printed, also of an engine that has died
  1  its telemetry cannot be read: damaged, or of another layout
  2  wrong use, no such engine, or more than one
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    what = "Print one snapshot of an engine of this machine; of one that has died, the last that it wrote."
    parser = Parser("velox-tui snapshot", "velox-tui snapshot [ENGINE] [options]", what, _ABOUT)
    parser.add_argument("engine", metavar="ENGINE", nargs="*", help="name or pid")
    parser.option("--json", action="store_true", help="print all of it as JSON")
    asked = parser.read(arguments)
    if len(asked.engine) > 1:
        raise UsageError(f"unexpected argument {asked.engine[1]}")

    from velox_engine.attached import AttachedEngine, damage_told
    from velox_engine.errors import EngineError, RegionError
    from velox_tui.finding import the_one, who

    found = the_one(asked.engine[0] if asked.engine else None)
    try:
        with damage_told(found.path):
            reader = AttachedEngine(found).reader()
            seen = (reader.read(), reader.throughput(), reader.silent_s())
            text = as_json(found, *seen) if asked.json else told(found, *seen)
    except RegionError as error:
        raise EngineError(f"{who(found)} cannot be read: it {error.problem}") from None
    return put(text)


def as_json(found: Found, snapshot: Snapshot, throughput: float, age_s: float) -> str:
    """Write a snapshot as JSON: whether its process lives, how old it is, and everything that the engine tells."""
    from velox_tui.export import plain_value

    head: dict[str, Any] = {
        "alive": found.alive,
        "written_s_ago": round(age_s, 3),
        "throughput_per_s": round(throughput, 1),
    }
    return json.dumps({**head, **plain_value(snapshot)}, indent=2, ensure_ascii=False) + "\n"


def told(found: Found, snapshot: Snapshot, throughput: float, age_s: float) -> str:
    """Write a snapshot for people, several lines."""
    from velox_engine.attached import SILENT_S
    from velox_engine.config_rules import printable
    from velox_engine.snapshot import State
    from velox_tui.figures import microseconds
    from velox_tui.finding import who
    from velox_tui.numbers import clock, rate

    asked = "recorded pace" if math.isnan(snapshot.rate_per_s) else rate(snapshot.rate_per_s, 0)
    if snapshot.state is State.STARTING:
        asked = "nothing yet"
    latency, rejected = snapshot.output.latency, sum(snapshot.rejected.values())
    percentiles = "  ".join(
        f"{name} {microseconds(latency.percentile(percent)):>7}"
        for name, percent in (("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9))
    )
    rings = "  ".join(
        f"{ring.name} {ring.waiting:,} of {ring.capacity:,}, most {ring.high_water:,}" for ring in snapshot.rings
    )
    state = snapshot.state.word
    if not found.alive:
        state = f"DEAD: its process has gone; this is the last that it wrote, {clock(age_s)} ago"
    elif snapshot.state is not State.STARTING and snapshot.stalled_workers and age_s > SILENT_S:
        state += f", but has written nothing for {age_s:,.0f} s: it is stopped, or hangs"
    lines = [
        f"{who(found)} {state}",
        f"  source      {printable(str(snapshot.config.get('source', {}).get('kind', '')))}, seed {snapshot.seed}",
        f"  time        up {clock(snapshot.uptime_s)}"
        + (f", paused {snapshot.paused_s:.3f} s" if snapshot.paused_s else ""),
        f"  rate        {rate(throughput, 0)} out over the last second, {asked} asked for",
        f"  ingress     {snapshot.generated:,} generated, {snapshot.ingress.processed:,} accepted, "
        f"{snapshot.dropped:,} dropped, {rejected:,} rejected",
        f"  order book  {snapshot.orderbook.processed:,} processed"
        + "".join(f", {count:,} {printable(name)}" for name, count in snapshot.book_errors.items() if count),
        f"  bundles     {snapshot.flushed:,} flushed: {snapshot.by_size:,} full, {snapshot.by_timeout:,} late, "
        f"{snapshot.by_drain:,} on drain",
        f"  output      {snapshot.output.processed:,} transactions in {snapshot.bundles_out:,} bundles",
        f"  rings       {rings}",
        f"  latency µs  {percentiles}  max {microseconds(latency.largest):>7}   end to end, from due time",
        f"  conserved   {'yes, as far as one look can tell' if snapshot.conservation.holds else 'NO'}",
        *(f"              {printable(problem)}" for problem in snapshot.conservation.problems),
        *(f"  warning     {printable(warning)}" for warning in snapshot.warnings),
    ]
    if snapshot.stale:
        lines.append(f"  stale       could not be read whole: {', '.join(snapshot.stale)}")
    return "\n".join(lines) + "\n"
