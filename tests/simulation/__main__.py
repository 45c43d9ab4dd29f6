"""``python -m tests.simulation``: many seeds, one after the other; a seed that fails is told, and fails again alone."""

import argparse
import sys
import time
import traceback

from tests.simulation import clock

clock.own_cache()


def main():
    """Run; return 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many (200)")
    parser.add_argument("--first", type=int, help="the first seed; default: one at random")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--minutes", type=float, help="go on for so long, however many seeds that makes")
    asked = parser.parse_args()

    from tests.simulation.world import World, make_ghost, prepare

    prepare()
    ghost = make_ghost()
    first = asked.seed if asked.seed is not None else asked.first
    first = first if first is not None else time.time_ns() // 1000 % 10**9
    count = 1 if asked.seed is not None else asked.seeds
    runs = steps = transactions = 0
    begun = None
    while (runs < count) if asked.minutes is None else (begun is None or time.monotonic() - begun < 60 * asked.minutes):
        seed = first + runs
        world = World(seed, ghost)
        try:
            world.run()
        except Exception as error:
            lines = traceback.format_exc() if type(error).__name__ != "Violation" else ""
            print(f"{lines}seed {seed} after {world.steps:,} steps: {error}", flush=True)
            print(f"again: python -m tests.simulation --seed {seed}", flush=True)
            return 1
        runs, steps, transactions = runs + 1, steps + world.steps, transactions + world.accepted
        if begun is None:  # what comes before is the compiler's time
            begun = time.monotonic()
        if asked.seed is not None:
            report = world.report
            print(f"{world.config.as_dict()}\n{report.state} {report.reason} {report.checksum} {report.left_behind}")
        elif runs % 1000 == 0:
            print(f"{runs:,} seeds, {steps:,} steps, {transactions:,} transactions", flush=True)
    spent = max(time.monotonic() - begun, 1e-9)
    print(
        f"{runs:,} seeds from {first} on, {steps:,} steps, {transactions:,} transactions: no promise broken; "
        f"{60 * runs / spent:,.0f} seeds and {60 * steps / spent:,.0f} steps a minute"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
