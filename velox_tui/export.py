"""What ``x`` writes: the picture, the snapshot and the history, beside one another in the current directory."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velox_engine.lockfree.histogram_view import Histogram
from velox_engine.report import latency_figures
from velox_engine.snapshot import Snapshot


def plain_value(value: Any) -> Any:
    """Turn a snapshot's value into one that JSON knows; histograms become their figures, infinity ``"max"``.

    Not-a-number, of a rate asked for the pace of the record, is ``"recorded"``.
    """
    if isinstance(value, Histogram):
        return latency_figures(value)
    if isinstance(value, Enum):
        return value.name.lower()
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain_value(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): plain_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "recorded" if math.isnan(value) else "max"
    return value


def snapshot_json(snapshot: Snapshot) -> str:
    """Write a snapshot as indented JSON."""
    return json.dumps(plain_value(snapshot), indent=1, ensure_ascii=False) + "\n"


def history_csv(times: NDArray[np.float64], values: NDArray[np.float64], names: Sequence[str]) -> str:
    """Write samples as CSV: time in UTC, then a column a series; empty where nothing is known."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["time_utc", *names])
    for unix_s, row in zip(times, values, strict=True):
        when = datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")
        writer.writerow([when, *("" if math.isnan(each) else f"{each:.6g}" for each in row)])
    return out.getvalue()


def exported(
    snapshot: Snapshot,
    picture: str,
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    names: Sequence[str],
) -> tuple[str, dict[str, str]]:
    """Return a name for what is exported, and the three files' texts by their suffix."""
    stem = f"{snapshot.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    return stem, {"svg": picture, "json": snapshot_json(snapshot), "csv": history_csv(times, values, names)}


def write_files(stem: str, files: Mapping[str, str]) -> Path:
    """Write files beside one another; return their common path without its suffix.

    They go to the current directory, or where that cannot be written to the one for temporary files.
    """
    here = Path.cwd() if os.access(Path.cwd(), os.W_OK) else Path(tempfile.gettempdir())
    number = 0
    while (here / f"{stem}{f'-{number}' if number else ''}.svg").exists():
        number += 1
    base = here / f"{stem}{f'-{number}' if number else ''}"
    for suffix, text in files.items():
        Path(f"{base}.{suffix}").write_text(text, encoding="utf-8")
    return base


def archive(stem: str, files: Mapping[str, str]) -> bytes:
    """Return a ZIP archive of files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as together:
        for suffix, text in files.items():
            together.writestr(f"{stem}.{suffix}", text)
    return packed.getvalue()
