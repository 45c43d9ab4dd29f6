"""``python -m tests.fuzz [--target NAME|all] [--minutes N] [--count N] [--seed S]``, or ``--input FILE``.

Findings are kept in ``--keep`` (a folder); each is tried again by ``--target NAME --input FILE``. Exit code 1 with any.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path

import platformdirs

os.environ.setdefault("VELOX_CACHE_DIR", str(Path(platformdirs.user_cache_dir("velox-tui")).resolve()))

from tests.fuzz.running import fuzz, tried
from tests.fuzz.targets import TARGETS, each


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--target", default="all", choices=["all", *TARGETS])
    parser.add_argument("--minutes", type=float, default=1.0, help="at most so long for each target")
    parser.add_argument("--count", type=int, default=10**9, help="at most so many inputs for each target")
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("findings"))
    parser.add_argument("--input", type=Path, help="try this file alone")
    asked = parser.parse_args()
    if asked.input is not None:
        word, wrong = tried(TARGETS[asked.target](), asked.input.read_bytes())
        print(wrong or word)
        return int(wrong is not None)
    found = 0
    for name in TARGETS if asked.target == "all" else [asked.target]:
        outcome = fuzz(name, asked.seed, asked.count, asked.minutes, first=asked.first)
        done = outcome.done * each(name)
        rate = done / max(outcome.seconds, 1e-9)
        words = ", ".join(f"{word} {count:,}" for word, count in outcome.words.most_common())
        print(f"{name:14} seed {asked.seed}: {done:>11,} executions, {rate:>7,.0f}/s ({words})", flush=True)
        for data, wrong in outcome.findings:
            asked.keep.mkdir(parents=True, exist_ok=True)
            file = asked.keep / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
            file.write_bytes(data)
            print(f"  {file}: {wrong.strip()}", flush=True)
        found += len(outcome.findings)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
