"""``python -m tests.torture [--rounds N] [--seed S] [--case NAME]``: a case a round; what fails names its seed."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.torture.cases import CASES
from tests.torture.namespaces import Skipped


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", choices=list(CASES))
    asked = parser.parse_args()
    passed, failed = Counter[str](), 0
    for number in range(asked.first, asked.first + asked.rounds):
        choose = random.Random(f"{asked.seed} {number}")
        # in turn, so that a few rounds have a bit of everything; signals are every other one
        name = asked.case or ("signals" if number % 2 else list(CASES)[number // 2 % len(CASES)])
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as home:
            try:
                word = CASES[name](Path(home), choose)
                passed[name] += 1
            except Skipped as reason:
                word = f"cannot be tried here: {reason}"
            except AssertionError as error:
                failed += 1
                word = f"FAILED (--seed {asked.seed} --first {number} --rounds 1): {error}"
        print(f"{number:5} {name:22} {time.monotonic() - began:6.1f} s  {word}", flush=True)
    print(f"{passed.total()} rounds held, {failed} failed: {', '.join(f'{n} {c}' for n, c in passed.items())}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
