"""Where the recorded files are that some tests read; they are never part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE_REPOSITORY = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def recorded(*parts: str) -> Path:
    """The recorded file or folder; skips the test, and says why, where it is absent.

    Looked for under ``VELOX_TEST_DATA`` if that is set, else in ``../shared/data`` from the repository's root.
    """
    root = Path(os.environ.get("VELOX_TEST_DATA") or _BESIDE_REPOSITORY)
    path = root.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"recorded file {'/'.join(parts)} is not in {root} (set VELOX_TEST_DATA to its folder)")
    return path
