"""Tests, and the scripts that measure and attack by hand; all of them share one compile cache."""

import os
from pathlib import Path

import platformdirs

# compiled code of one state of the sources is made once, also for processes that are started with a home of their own
os.environ.setdefault("VELOX_CACHE_DIR", str(Path(platformdirs.user_cache_dir("velox-tui")).resolve()))
