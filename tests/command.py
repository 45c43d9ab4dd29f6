"""Run ``velox-tui`` as a real process, away from the developer's own settings."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def environment(home, **more):
    """Make an environment without settings of Velox, with a home directory of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VELOX_")}
    own = {"HOME": str(home), "PYTHONPATH": str(ROOT)}
    own |= {f"XDG_{name}_HOME": str(Path(home) / name.lower()) for name in ("CONFIG", "STATE")}
    return {**clean, **own, "COLUMNS": "100", **more}


def velox(home, *arguments, **how):
    """Run ``python -m velox_tui`` in ``home``; return the finished process with its output as text."""
    more = how.pop("env", {})
    return subprocess.run(
        [sys.executable, "-m", "velox_tui", *arguments],
        cwd=home,
        env=environment(home, **more),
        text=True,
        check=False,
        timeout=60,
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how},
    )
