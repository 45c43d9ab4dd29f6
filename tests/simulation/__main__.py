"""``python -m tests.simulation``: many seeds, one after the other; a seed that fails is told, and fails again alone."""

import argparse
import os
import sys
import threading
import time
import traceback

from tests.simulation import clock

clock.own_cache()

STUCK_S = 20.0  # a step takes a millionth of it


def watch(worlds):
    """Tell a seed with a step that never ends, and leave: compiled code cannot be interrupted."""
    last, since = None, 0.0
    while True:
        time.sleep(1)
        world = worlds.current
        # before the first step it may be the compiler that takes its time
        seen = (world.seed, world.steps) if world is not None and world.driving and world.steps else None
        if seen is None or seen != last:
            last, since = seen, time.monotonic()
        elif time.monotonic() - since > STUCK_S:
            tell(*seen, "a step never ends")
            os._exit(1)


def tell(seed, steps, what):
    """Say what went wrong, and how to see it again."""
    print(f"seed {seed} after {steps:,} steps: {what}\nagain: python -m tests.simulation --seed {seed}", flush=True)


def main():
    """Run; return 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many (200)")
    parser.add_argument("--first", type=int, help="the first seed; default: one at random")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--minutes", type=float, help="go on for so long, however many seeds that makes")
    asked = parser.parse_args()

    from tests.simulation.checks import Violation
    from tests.simulation.world import World, make_ghost, prepare

    prepare()
    threading.Thread(target=watch, args=(World,), daemon=True).start()
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
            if not isinstance(error, Violation):
                traceback.print_exc(file=sys.stdout)
            tell(seed, world.steps, error)
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
