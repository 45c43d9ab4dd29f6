"""Engines as a list: what is known of each at one look, as rows for JSON and as a table for people."""

from __future__ import annotations

from typing import Any, Final

from velox_engine.attached import AttachedEngine, damage_told
from velox_engine.config_rules import printable
from velox_engine.discovery import Found
from velox_engine.errors import RegionError
from velox_engine.snapshot import State
from velox_tui.export import plain_value
from velox_tui.numbers import clock, rate, short

_HEADS: Final = ("NAME", "PID", "STATE", "UPTIME", "RATE", "OUT", "DROPPED", "CONSERVED", "SOURCE")


def row_of(found: Found) -> dict[str, Any]:
    """Return what is known of an engine, ready for JSON."""
    row: dict[str, Any] = {
        "name": found.name,
        "pid": found.pid,
        "alive": found.alive,
        "state": "unreadable" if found.alive else "dead",
        "problem": found.problem,
        "region": str(found.path),
        "control": str(found.control) if found.control.exists() else None,
        "created_unix_ns": found.created_unix_ns,
    }
    if found.problem is not None:
        return row
    try:
        with damage_told(found.path):
            return {**row, **_told(found)}
    except RegionError as error:
        return {**row, "problem": error.problem}


def _told(found: Found) -> dict[str, Any]:
    """Return what an engine's telemetry tells of it."""
    reader = AttachedEngine(found).reader()
    snapshot = reader.read()
    return {
        "state": "dead" if not found.alive else "stalled" if snapshot.stalled_workers else snapshot.state.word,
        "uptime_s": round(snapshot.uptime_s, 3),
        "rate_per_s": plain_value(snapshot.rate_per_s),
        "throughput_per_s": round(reader.throughput(), 1),
        "generated": snapshot.generated,
        "output": snapshot.output.processed,
        "dropped": snapshot.dropped,
        "conserved": snapshot.conservation.holds,
        "source": str(snapshot.config.get("source", {}).get("kind", "")),
    }


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Write rows for people, a line each below a line of heads."""
    lines = [_HEADS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    head = (printable(row["name"]), str(row["pid"]), row["state"])
    if row["problem"] is not None:
        return (*head, "", "", "", "", "", printable(row["problem"]))
    asked = row["rate_per_s"] if isinstance(row["rate_per_s"], str) else rate(row["rate_per_s"], 0)
    if row["state"] == State.STARTING.word:
        asked = ""
    return (
        *head,
        clock(row["uptime_s"]),
        asked,
        rate(row["throughput_per_s"], 0) if row["alive"] else "",
        short(row["dropped"]),
        "yes" if row["conserved"] else "NO",
        printable(row["source"]),
    )
