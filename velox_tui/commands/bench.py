"""``velox-tui bench``: what this machine can do with this engine, and what changed since another such run."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from velox_tui.options import Parser, UsageError
from velox_tui.progress import Progress
from velox_tui.signals import EXIT_BASE, Ending
from velox_tui.streams import complain, put

if TYPE_CHECKING:
    from velox_engine.bench.results import Results

_LOOK_S: Final = 0.1
_MOST_ROUNDS: Final = 1000
_MEASURED: Final = """\
measures, whose names --only takes whole or up to a dot:
  ring       items of 64 bytes between two threads: by batch, on two cores and on one; the round trip
  histogram  recording a latency
  book       bucketed and exact books, on the synthetic market's flow
  feed       the decoders of recorded files, on samples that are written here
  pipeline   all of it at maximum rate: by book, placement of the stages, rings, stamp
  latency    from due time to output, and processor time, by rate and by what an idle worker does

Each is run once uncounted and then once a round, all in turn, so that a machine that changes its pace does so for all.
A change against --compare counts where the ranges of all repetitions have nothing in common and the medians lie at
least 5 % apart. Ctrl-C ends it with what there is so far.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code: 1 where a measure failed, 2 for an OLD.json that is none."""
    parser = Parser(
        "velox-tui bench",
        "velox-tui bench [options]",
        "Measure what this machine can do, in a few minutes; nothing else should run on it meanwhile.",
        _MEASURED,
    )
    parser.option("--quick", action="store_true", help="shorter runs and fewer of them: well under a minute")
    parser.option("--json", action="store_true", help="say it as JSON, with every repetition")
    parser.option("--compare", metavar="OLD.json", help="show what changed since a run whose --json went to OLD.json")
    parser.option("--only", metavar="ID,...", help="measure only these")
    parser.option("--rounds", metavar="N", help="repetitions of each measure; default 7, with --quick 5")
    asked = parser.read(arguments)
    rounds = _rounds(asked.rounds)
    only = [] if asked.only is None else [name.strip() for name in asked.only.split(",")]

    from velox_engine.bench.compare import compare
    from velox_engine.bench.results import ResultsError, read_results
    from velox_tui.bench_table import bench_table, comparison_table

    try:
        old = None if asked.compare is None else read_results(asked.compare)
    except ResultsError as error:
        complain(f"--compare: {error}")
        return 2
    results, ended = _measure(asked.quick, rounds, only)
    comparison = None if old is None else compare(old, results)
    if asked.json:
        told = results.as_dict() | ({} if comparison is None else {"comparison": comparison.as_dict()})
        text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    else:
        text = bench_table(results)
        if comparison is not None and old is not None:
            text += comparison_table(comparison, old, asked.compare)
    wrote = put(text)
    if ended is not None:
        return EXIT_BASE + ended
    return 1 if results.failed else wrote


def _rounds(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_ROUNDS):
        raise UsageError(f"--rounds: got {text}; allowed is a whole number from 1 to {_MOST_ROUNDS}")
    return int(text)


def _measure(quick: bool, rounds: int | None, only: Sequence[str]) -> tuple[Results, int | None]:
    """Measure in a thread of its own, because the compiler leaves no room for signals in the one that it works in.

    Return the results and the signal that ended it, if one did; a second signal leaves at once.
    """
    from velox_engine.bench.measure import Cancel

    cancel = Cancel()
    ending = Ending(cancel)
    found: list[Results] = []
    failed: list[BaseException] = []

    def work(progress: Progress) -> None:
        from velox_engine.bench.runner import UnknownMeasureError, run_bench

        try:
            found.append(run_bench(only, brief=quick, rounds=rounds, progress=progress, cancel=cancel))
        except UnknownMeasureError as error:
            failed.append(UsageError(f"--only: {error}"))
        except BaseException as error:
            failed.append(error)

    with (
        ending.installed(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
        Progress("measuring", lines=False) as progress,
    ):
        thread = threading.Thread(target=work, args=(progress,), name="vx-bench", daemon=True)
        thread.start()
        told = False
        while thread.is_alive():
            thread.join(_LOOK_S)
            if ending.count and not told:
                told = True
                progress.close()
                complain(f"{ending.name}: ending with what there is so far")
            if ending.count > 1:
                progress.close()
                os._exit(EXIT_BASE + (ending.signal or 0))  # the interpreter would end in the middle of a measure
    if failed:
        raise failed[0]
    return found[0], ending.signal
