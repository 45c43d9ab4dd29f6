"""Where the log of a run lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from velox_engine.config import Config


def wanted_path(config: Config, environ: Mapping[str, str]) -> Path | None:
    """Return the file that ``log.file`` names, ``None`` for none; another engine may be writing it."""
    if config.log.file == "none":
        return None
    if config.log.file != "auto":
        return Path(config.log.file).expanduser().absolute()
    import platformdirs

    # what a unit's LogsDirectory= and StateDirectory= give, systemd.exec(5)
    given = environ.get("LOGS_DIRECTORY") or environ.get("STATE_DIRECTORY") or platformdirs.user_state_dir("velox-tui")
    return Path(given.split(":")[0]) / f"{config.pipeline.name}.log"
