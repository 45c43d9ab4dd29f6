"""Bugs planted on purpose, one for each promise: ``python -m tests.simulation.planted [NAME ...]`` finds them all.

Each is a change to the engine's sources, made in a temporary copy; the simulation must then break a promise, and break
it again with the seed that it tells. ``--list`` names them.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
MINUTES = 2
QUICKLY = {"NUMBA_OPT": "1"}
"""For short runs: the compiler takes longer than what it compiles."""


class Planted(NamedTuple):
    """A bug: its name, the file below ``velox_engine``, what stands there, and what stands there instead."""

    name: str
    file: str
    old: str
    new: str

    @property
    def is_compiled(self):
        """Whether the compiler must work for it."""
        return self.file != "supervisor.py"

    def plant(self, root):
        """Change a copy of the sources; what is to be changed must be there."""
        path = root / "velox_engine" / self.file
        text = path.read_text()
        if self.old not in text:
            raise LookupError(f"{self.name}: {self.file} does not hold {self.old!r} any more")
        path.write_text(text.replace(self.old, self.new))


PLANTED = (
    Planted(
        "lost on drain",
        "stages/orderbook.py",
        "    if ready == 0:\n        if upstream != load_relaxed(control.words, _OUT):\n",
        "    if upstream != load_relaxed(control.words, _OUT):\n        store_release(control.words, _OUT, upstream)\n"
        "    if ready == 0:\n        if upstream != load_relaxed(control.words, _OUT):\n",
    ),
    Planted(
        "duplicated on resume",
        "stages/ingress.py",
        "            words[_PAUSED] = 0\n",
        "            words[_PAUSED] = 0\n            ingress.source.words[2] = max(ingress.source.words[2] - 1, 0)\n",
    ),
    Planted(
        "bundle over its size",
        "stages/bundle.py",
        "words[_BATCH], words[_MAX_SIZE], words[_TIMEOUT] = batch, max_size, timeout_ticks",
        "words[_BATCH], words[_MAX_SIZE], words[_TIMEOUT] = batch, max_size + 1, timeout_ticks",
    ),
    Planted(
        "a step that never ends",
        "stages/bundle.py",
        "take = min(left, max_size - words[_OPEN_COUNT])",
        "take = min(left, max_size - words[_OPEN_COUNT] + (left > max_size))",
    ),
    Planted(
        "timeout not honoured",
        "stages/bundle.py",
        "if full or draining or now >= bundle_wake(bundler):",
        "if full or draining or now >= bundle_wake(bundler) + words[_TIMEOUT]:",
    ),
    Planted(
        "partial bundle not flushed",
        "stages/bundle.py",
        "    if words[_OPEN_COUNT] > 0:\n        draining",
        "    if words[_OPEN_COUNT] > 1:\n        draining",
    ),
    Planted(
        "reordered on the way to the sink",
        "stages/sinking.py",
        "slots.records[slot_of(slots, first + step)]",
        "slots.records[slot_of(slots, first + count - 1 - step)]",
    ),
    Planted(
        "a transaction left out of the checksum",
        "stages/common.py",
        "content_add(slots.words, start, count, sequence, stage.lanes)",
        "content_add(slots.words, start, count - (count > 7), sequence, stage.lanes)",
    ),
    Planted(
        "drop not counted",
        "stages/ingress.py",
        "image[INGRESS_DROPPED] += dropped",
        "image[INGRESS_DROPPED] += dropped - (dropped > 1)",
    ),
    Planted(
        "gap in the sequence",
        "stages/ingress.py",
        ".sequence = sequence + step\n",
        ".sequence = sequence + step + (step > 6)\n",
    ),
    Planted(
        "ring overfilled",
        "lockfree/ring.py",
        "        room = words[CAPACITY] - (",
        "        room = 1 + words[CAPACITY] - (",
    ),
    Planted(
        "slot written again too early",
        "stages/slots.py",
        "most = ingress_ring + bundle_ring + (output_ring + 1) * max_size",
        "most = ingress_ring + bundle_ring + max_size",
    ),
    Planted(
        "slots begun anew too early",
        "stages/ingress.py",
        "load_acquire(ingress.stage.cursors, CURSOR_OUTPUT) == cursor:",
        "load_acquire(ingress.stage.cursors, CURSOR_OUTPUT) >= cursor - 3:",
    ),
    Planted(
        "stamped before the transaction before",
        "feeds/synthetic.py",
        "            records[start + step].due_ticks = ticks()\n        word",
        "            records[start + step - 1].due_ticks = ticks()\n        word",
    ),
    Planted(
        "a latency of eight left out",
        "lockfree/histogram.py",
        "            builder.store(builder.add(builder.load(total), value), total)\n",
        "            builder.store(builder.add(builder.load(low), value), total)\n",
    ),
    Planted(
        "histogram total off",
        "stages/common.py",
        "        histogram_record(stage.image, STAGE_LATENCY, int64((now - due) * scale), run)\n\n",
        "        histogram_record(stage.image, STAGE_LATENCY, int64((now - due) * scale), run - (run > 3))\n\n",
    ),
    Planted(
        "latency in the wrong bucket",
        "lockfree/histogram.py",
        "    return ((shift + 1) << STEP_BITS)",
        "    return (max(shift, 1) << STEP_BITS)",
    ),
    Planted(
        "torn read under the sequence lock",
        "lockfree/seqlock.py",
        "    return entered & 1 == 0 and load_relaxed(words, lock) == entered\n",
        "    return entered & 1 == 0\n",
    ),
    Planted(
        "rate change loses due time",
        "stages/ingress.py",
        "            image[INGRESS_LAG_ABANDONED_TICKS] += late\n",
        "            image[INGRESS_LAG_ABANDONED_TICKS] += 0\n",
    ),
    Planted(
        "pause does not shift the schedule",
        "stages/ingress.py",
        "            words[_ZERO] += shift\n",
        "            words[_ZERO] += 0\n",
    ),
    Planted(
        "taken in while paused",
        "stages/ingress.py",
        "    if words[_PHASE] != _RUN or words[_DONE]:\n        if words[_PHASE] == _DRAIN:",
        "    if words[_PHASE] == _DRAIN or words[_DONE]:\n        if words[_PHASE] == _DRAIN:",
    ),
    Planted(
        "more than the count asked for",
        "stages/ingress.py",
        "    most = min(most, ingress.words[_LIMIT] - image[INGRESS_GENERATED])\n",
        "",
    ),
    Planted(
        "end of the source taken too early",
        "stages/ingress.py",
        "    if ready == 0:\n        if closed:",
        "    if ready == 0 or closed:\n        if closed:",
    ),
    Planted(
        "woken too late",
        "stages/ingress.py",
        "    if 0 < words[_END] < due:\n        return words[_END]\n    return due\n",
        "    if 0 < words[_END] < due:\n        return words[_END]\n    return due + 1000\n",
    ),
    Planted(
        "late bundle counted as full",
        "stages/bundle.py",
        "BY_SIZE if full else BY_DRAIN if draining else BY_TIMEOUT, now)",
        "BY_SIZE if full else BY_DRAIN if draining else BY_SIZE, now)",
    ),
    Planted(
        "drained before output has",
        "supervisor.py",
        "_DRAINED_OUTPUT: Final = word.DRAINED + layout.OUTPUT * LINE_WORDS",
        "_DRAINED_OUTPUT: Final = word.DRAINED + layout.ORDERBOOK * LINE_WORDS",
    ),
    Planted(
        "a stop that is never answered",
        "supervisor.py",
        "        for command in (*self._stopping, *self._draining):",
        "        for command in (*self._stopping[-1:], *self._draining):",
    ),
    Planted(
        "last words of a failed engine not told",
        "supervisor.py",
        "        self.chronicle.write_control()  # one that",
        "        # one that",
    ),
)


class Hunt(NamedTuple):
    """How a hunt ended: what was told, the seed (``None``: nothing found), and how much processor time it took, s."""

    told: str
    seed: int | None
    seconds: float


def spent_s():
    """How much processor time ended child processes took: what the machine does besides does not count."""
    times = os.times()
    return times.children_user + times.children_system


def hunt(bug, minutes=MINUTES, first=1):
    """Plant a bug in a copy and look for it; what is found must be found again with its seed."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree(ROOT / "velox_engine", root / "velox_engine", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "tests/simulation", root / "tests/simulation")
        (root / "tests/__init__.py").touch()
        bug.plant(root)
        environment = {**os.environ, "PYTHONPATH": folder, **QUICKLY}
        if bug.is_compiled:  # a cache of its own, which goes with the copy
            environment |= {"VELOX_CACHE_DIR": str(root / "cache")}

        def simulate(*words):
            command = [sys.executable, "-m", "tests.simulation", *words]
            return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)

        begun = spent_s()
        done = simulate("--first", str(first), "--minutes", str(minutes))
        spent = spent_s() - begun
        found = re.search(r"^seed (\d+) after .*$", done.stdout, re.MULTILINE)
        if done.returncode != 1 or found is None:
            return Hunt(done.stdout + done.stderr, None, spent)
        again = simulate("--seed", found[1])
        if found[0] not in again.stdout:
            return Hunt(f"found, but not again: {found[0]}\n{again.stdout}{again.stderr}", None, spent)
        return Hunt(found[0], int(found[1]), spent)


def main():
    """Hunt; return 1 where a bug was not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.planted", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="these alone")
    parser.add_argument("--list", action="store_true", help="name them")
    asked = parser.parse_args()
    chosen = [bug for bug in PLANTED if not asked.names or bug.name in asked.names]
    if asked.list:
        print("\n".join(bug.name for bug in chosen))
        return 0
    missed = 0
    for bug in chosen:
        found = hunt(bug)
        missed += found.seed is None
        word = "NOT FOUND" if found.seed is None else "found"
        print(f"{bug.name}: {word} in {found.seconds:.0f} s, the compiler included: {found.told}")
        sys.stdout.flush()
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
