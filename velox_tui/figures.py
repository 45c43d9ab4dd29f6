"""How figures are written for people: the line of each second and the final statistics."""

from __future__ import annotations

from typing import Any

from velox_engine.report import Report
from velox_engine.snapshot import Snapshot


def microseconds(ns: float) -> str:
    """Write a latency in µs with three significant digits."""
    us = ns / 1000
    return f"{us:,.0f}" if us >= 100 else f"{us:.1f}" if us >= 10 else f"{us:.2f}"


def second_line(second: int, snapshot: Snapshot, p99_ns: int) -> str:
    """Write the line of one second; ``p99_ns`` is end to end since the line before."""
    return (
        f"[{second:3d}s] ingress={snapshot.ingress.processed} orderbook={snapshot.orderbook.processed} "
        f"bundles={snapshot.flushed} output={snapshot.output.processed} dropped={snapshot.dropped} "
        f"p99={microseconds(p99_ns)}µs"
    )


def drain_line(report: Report) -> str:
    """Write what the drain did."""
    drained, left = report.drained, report.left_behind["transactions"]
    text = f"drained {drained['transactions']:,} transactions in {drained['bundles']:,} bundles"
    return text + (f", left {left:,} behind" if left else "")


def _percentiles(figures: dict[str, Any]) -> str:
    words = (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p99.9", "p999"), ("max", "max"))
    return "  ".join(f"{word} {microseconds(figures[key]):>7}" for word, key in words)


def _source(report: Report) -> str:
    source = report.source
    if source["kind"] == "synthetic":
        return f"synthetic {source['model']}, seed {report.seed}"
    seed = f", seeded by {source['seed_source']}" if source["seed_source"] else ""
    odd = "".join(
        f", {source[key]:,} {words}"
        for key, words in (("gaps", "gaps"), ("time_back", "times going back"))
        if source[key]
    )
    return f"{source['path']} ({source['format']}){seed}{odd}"


def chaos_counts(chaos: dict[str, Any]) -> str:
    """Write what was made to go wrong on purpose."""
    counts = {name.replace("_", " "): count for name, count in chaos.items() if name not in ("seed", "stalled_s")}
    return f"seed {chaos['seed']}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


def final_statistics(report: Report) -> str:
    """Write the final statistics of a run, several lines."""
    ingress, bundle, latency = report.ingress, report.bundle, report.latency_ns
    hashes, cpu = set(report.checksum.values()), report.cpu["percent_of_a_core"]
    lines = [
        f"{report.name} {report.state}: {report.reason}",
        f"  source      {_source(report)}",
        f"  time        {report.duration_s:.3f} s"
        + (f", paused {report.paused_s:.3f} s" if report.paused_s else "")
        + (f", lag given up {report.lag_abandoned_s:.3f} s" if report.lag_abandoned_s else ""),
        f"  throughput  {report.throughput_per_s:,.0f} transactions/s, {cpu:.1f} % of a core",
        f"  ingress     {ingress['generated']:,} generated, {ingress['accepted']:,} accepted, "
        f"{ingress['dropped']:,} dropped, {ingress['rejected']:,} rejected",
        f"  order book  {report.orderbook['processed']:,} processed"
        + "".join(f", {count:,} {name}" for name, count in report.orderbook["errors"].items() if count),
        f"  bundles     {bundle['flushed']:,} flushed: {bundle['by_size']:,} full, {bundle['by_timeout']:,} late, "
        f"{bundle['by_drain']:,} on drain",
        f"  output      {report.output['transactions']:,} transactions in {report.output['bundles']:,} bundles",
        f"  latency µs  {_percentiles(latency['end_to_end'])}   end to end, from due time",
        f"  host µs     {_percentiles(report.hiccup_ns)}   how late a sleeping thread wakes",
        f"  checksum    {hashes.pop()} in all four stages"
        if len(hashes) == 1
        else f"  checksum    differs: {report.checksum}",
        f"  conserved   {'yes: every transaction is accounted for' if report.conserved else 'NO'}",
        *(f"              {problem}" for problem in report.problems),
    ]
    if report.left_behind["transactions"]:
        where = ", ".join(f"{count:,} in {place}" for place, count in report.left_behind.items() if count)
        lines.append(f"  left behind {where}")
    if report.chaos:
        lines.append(f"  chaos       {chaos_counts(report.chaos)}")
    for name, limit in report.limits.items():
        verdict = "met" if limit["met"] else "NOT MET"
        lines.append(f"  limit       {name} {limit['limit']:,.10g}: {limit['value']:,.10g}, {verdict}")
    return "\n".join(lines) + "\n"
