"""What a run calls in compiled code, and how it comes to be compiled: ahead, in child processes, into the cache.

Compiling takes fifteen seconds of one core and some hundred megabytes. Children do it side by side, so that the
engine's own process stays small and can give up at once; it then loads what they left in the cache. Where there is no
cache, or a child fails, the engine compiles for itself.

A child is this module run with a kind of book.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from velox_engine.assembly import Assembly, assemble, worker_arguments
from velox_engine.cache_place import complete_mark
from velox_engine.compile_children import share_out
from velox_engine.config import BookSettings, Config, PipelineSettings
from velox_engine.feeds.staging import close_staging, stage_records
from velox_engine.feeds.synthetic import synthetic_fill
from velox_engine.jit import Interrupted, cache_directory, compile_for, interruptible
from velox_engine.lockfree.backoff import backoff_idle
from velox_engine.lockfree.clock import Clock
from velox_engine.lockfree.seqlock import seqlock_begin, seqlock_end
from velox_engine.placement import this_machine
from velox_engine.stages.bundle import bundle_step
from velox_engine.stages.handles import get_word, set_word
from velox_engine.stages.hiccup import run_hiccup
from velox_engine.stages.ingress import ingress_step
from velox_engine.stages.orderbook import orderbook_step
from velox_engine.stages.output import output_step
from velox_engine.stages.sinking import take_bundles
from velox_engine.stages.worker import publish_worker, rest_worker, run_worker
from velox_engine.telemetry import layout
from velox_engine.telemetry.writer import publish

Progress = Callable[[str, int, int], None]
"""``progress(what, done, total)``: called as each step of the start begins, and when all are done."""

Step = tuple[str, Callable[..., Any], tuple[Any, ...]]
"""What it is called, a compiled function, and arguments of the types that it is called with."""

_MOST_CHILDREN: Final = 3
# the workers' loop holds their code: loaded, it makes their own entries unnecessary
_IN_LOOP: Final = (
    orderbook_step,
    ingress_step,
    bundle_step,
    output_step,
    synthetic_fill,
    backoff_idle,
    publish_worker,
    rest_worker,
)


# those that take long, from experience: begun first, so that no child works on one of them while the others have ended.
# The source stands before ingress, which holds it, with something longer between the two
_LONG: Final = ("synthetic_fill", "publish_worker", "ingress_step", "bundle_step", "rest_worker", "output_step")
_LONG_BESIDE: Final = ("apply_rare_entry", "apply_batch", "open_level_entry", "run_hiccup")


def loop_step(assembly: Assembly) -> Step:
    """Return the workers' loop, which is made of all that is in `parts`."""
    return "workers", run_worker, worker_arguments(assembly, 0)


def parts(assembly: Assembly) -> tuple[list[Step], list[Step]]:
    """Return what the workers' loop is made of, and what else is called; of both, what takes long comes first."""
    stages, book = assembly.stages, assembly.book.state
    control, slots, staging, outlet = stages.control, stages.slots, assembly.source.staging, stages.output.outlet
    rings = (stages.ingress_ring, stages.bundle_ring)
    worker = assembly.workers[0]
    words = np.zeros(layout.HISTOGRAM_LENGTH + layout.GUARD_WORDS, np.int64)
    image = np.zeros(layout.HISTOGRAM_LENGTH, np.int64)
    steps: list[Step] = [
        *(("order book", function, given) for function, given in assembly.book.entries()),
        ("source", synthetic_fill, (stages.ingress.source, slots.records, 0, 0)),
        ("telemetry", publish_worker, (worker, stages, book, 0, 0)),
        ("ingress", ingress_step, (stages.ingress, control, slots, stages.ingress_ring, 0)),
        ("order book", orderbook_step, (stages.orderbook, book, control, slots, *rings, 0)),
        ("bundle", bundle_step, (stages.bundler, control, slots, stages.bundle_ring, stages.output_ring, 0)),
        ("output", output_step, (stages.output, control, slots, stages.output_ring, 0)),
        ("workers", rest_worker, (worker, stages, 0, 0)),
        ("hiccup meter", run_hiccup, (control, image, words, 0, 1.0)),
        ("source", stage_records, (staging, staging.records, 0, 0)),
        ("output", take_bundles, (outlet, outlet.records, outlet.sizes)),
        ("source", close_staging, (staging,)),
        ("workers", backoff_idle, (worker.backoff, 0, 0, False, False, False)),
        ("telemetry", publish, (words, 0, image)),
        ("control", get_word, (words, 0)),
        ("control", set_word, (words, 0, 0)),
        ("control", seqlock_begin, (words, 0)),
        ("control", seqlock_end, (words, 0)),
    ]
    within = [step for step in steps if step[1] in _IN_LOOP]
    beside = [step for step in steps if step[1] not in _IN_LOOP]
    return _sorted(within, _LONG), _sorted(beside, _LONG_BESIDE)


def _sorted(steps: list[Step], first: tuple[str, ...]) -> list[Step]:
    places = {name: place for place, name in enumerate(first)}
    return sorted(steps, key=lambda step: places.get(step[1].__name__, len(places)))


def _all_steps(assembly: Assembly) -> tuple[list[Step], int]:
    """Return all steps, and which of them is the loop, that needs those before it."""
    within, beside = parts(assembly)
    return [*within, loop_step(assembly), *beside], len(within)


def compile_stages(assembly: Assembly, progress: Progress, given_up: Callable[[], bool] = lambda: False) -> None:
    """Compile everything that this assembly's run calls, or load it from the cache.

    ``progress`` is called before each step and at the end. Raises `Interrupted` soon after ``given_up()`` is true.
    """
    steps, loop = _all_steps(assembly)
    total = len(steps)
    _compile_ahead(assembly.config.book.kind, steps, loop, progress, given_up)
    with interruptible(given_up):
        for what, function, arguments in reversed(steps):
            if function not in _IN_LOOP:
                progress(what, total - 1, total)
                compile_for(function, arguments)
        assembly.book.complete()
    progress("done", total, total)


def _compile_ahead(kind: str, steps: list[Step], loop: int, progress: Progress, given_up: Callable[[], bool]) -> None:
    """Have children fill the cache, unless that was done before; what goes wrong is left to the caller's compiler."""
    directory = cache_directory()
    if directory is None or not sys.executable or (mark := complete_mark(directory, kind)).exists():
        return
    package = str(Path(__file__).parents[1])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    done = share_out(
        [sys.executable, "-m", "velox_engine.compiling", kind],
        {**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        len(steps),
        children=max(2, min(this_machine().usable, _MOST_CHILDREN)),
        joint=loop,
        begun=lambda step: progress(steps[step][0], step, len(steps)),
        given_up=given_up,
    )
    if given_up():
        raise Interrupted
    if done:
        with contextlib.suppress(OSError):
            mark.touch()


def _compile_what_is_asked(kind: str) -> None:
    """Compile the steps whose numbers come on standard input, and answer each with its number."""
    gc.set_threshold(50_000, 20, 100)  # the compiler makes much that stays, and little rubbish
    settings: Any = BookSettings(kind=kind)  # type: ignore[arg-type]  # checked by the settings themselves
    assembly = assemble(
        Config(book=settings, pipeline=PipelineSettings(name="compiling")), Clock(1.0, 0, 0, 0, "counter"), attach=False
    )
    steps, _ = _all_steps(assembly)
    for line in sys.stdin:
        _, function, arguments = steps[int(line)]
        compile_for(function, arguments)
        print(int(line), flush=True)


if __name__ == "__main__":
    _compile_what_is_asked(sys.argv[1])
