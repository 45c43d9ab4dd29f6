"""What a benchmark found, as tables for people: one row a figure, or a row a run where a run gives several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from velox_engine.bench.compare import Change, Comparison
from velox_engine.bench.results import FigureResult, Results
from velox_engine.bench.statistics import FEWEST, LEAST_CHANGE, Verdict

_ID_WIDTH: Final = 40
_CELL: Final = 14
_RUN_WIDTH: Final = 28
_CHANGED: Final = (Verdict.WORSE, Verdict.BETTER, Verdict.CHANGED)


def bench_table(results: Results) -> str:
    """Write the results as text that ends with a newline."""
    lines = [_head(results), *_machine(results.environment)]
    groups: dict[str, dict[str, FigureResult]] = {}
    for name, figure in results.figures.items():
        groups.setdefault(name.partition(".")[0], {})[name] = figure
    for group in groups.values():
        lines += ["", *_group(group)]
    for title, reasons in (("not measured", results.skipped), ("FAILED", results.failed)):
        if reasons:
            lines += ["", title, *(f"  {name:{_ID_WIDTH - 2}} {why}" for name, why in reasons.items())]
    if not results.figures:
        lines += ["", "nothing was measured"]
    return "\n".join(lines) + "\n"


def _head(results: Results) -> str:
    early = "" if results.complete else ", ended early"
    rounds = f"{results.rounds} round{'s' if results.rounds > 1 else ''}"
    return f"velox-tui {results.version} bench: {results.mode}, {rounds} in {results.duration_s:.0f} s{early}"


def _machine(environment: Mapping[str, Any]) -> Iterator[str]:
    def of(key: str) -> Any:
        return environment.get(key)

    allowed = of("cores_allowed") or []
    some = f", {len(allowed)} allowed" if allowed and len(allowed) != of("cores") else ""
    limit = f", limited to {of('cores_limit'):g}" if of("cores_limit") else ""
    yield f"  {of('cpu')}, {of('cores')} cores{some}{limit}, {of('system')}"
    yield f"  Python {of('python')}, numba {of('numba')}, numpy {of('numpy')}, clock {of('clock')}"
    words = [f"load {of('load_before')} before, {of('load_after')} after"]
    if of("others_percent") is not None:
        words.append(f"other processes took {of('others_percent'):.0f} % of a core")
    if of("steal_percent") is not None:
        words.append(f"other guests of the host {of('steal_percent'):.1f} %")
    yield f"  {', '.join(words)}"


def _group(figures: Mapping[str, FigureResult]) -> Iterator[str]:
    """Yield the rows of one group, headings over them."""
    runs: dict[str, list[str]] = {}
    for name in figures:
        runs.setdefault(name.rpartition(".")[0], []).append(name)
    before = ""
    for names in runs.values():
        together = len({figures[name].unit for name in names}) > 1  # of one run: they do not count the same thing
        heading = _run_heading(names, figures) if together else _HEADING
        if heading != before:
            yield heading
            before = heading
        if together:
            yield _run_row(names, figures)
        else:
            yield from (_row(name, figures[name]) for name in names)


_HEADING: Final = f"{'':{_ID_WIDTH}} {'median':>9} {'':14} {'least … largest':>19} {'MAD':>7}"


def _row(name: str, figure: FigureResult) -> str:
    told = figure.spread
    between = f"{number(told.least)} … {number(told.largest)}"
    share = f"{100 * told.mad / told.median:.1f} %" if told.median else "–"
    return f"  {name:{_ID_WIDTH - 2}} {number(told.median):>9} {figure.unit:14} {between:>19} {share:>7}"


def _run_heading(names: list[str], figures: Mapping[str, FigureResult]) -> str:
    titles = [f"{name.rpartition('.')[2].replace('_', ' ')} {figures[name].unit.split()[0]}" for name in names]
    return f"{'  median ± MAD':{_RUN_WIDTH}}" + "".join(f"{title:>{_CELL}}" for title in titles)


def _run_row(names: list[str], figures: Mapping[str, FigureResult]) -> str:
    told = [figures[name].spread for name in names]
    cells = "".join(f"{f'{number(each.median)} ± {number(each.mad)}':>{_CELL}}" for each in told)
    return f"  {names[0].rpartition('.')[0]:{_RUN_WIDTH - 2}}{cells}"


def number(value: float) -> str:
    """Write a figure with three digits that count, thousands parted."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 99.95 else f"{value:.1f}" if size >= 9.995 else f"{value:.2f}"


def comparison_table(comparison: Comparison, old: Results, source: str) -> str:
    """Write what changed beyond the noise, as text that ends with a newline."""
    lines = ["", f"compared with {source}: {old.mode} of {old.started}, velox-tui {old.version}"]
    lines += [f"  mind: {doubt}" for doubt in comparison.doubts]
    changed = [each for kind in _CHANGED for each in comparison.changes if each.verdict is kind]
    lines += [_change_row(each) for each in changed]
    same = sum(each.verdict is Verdict.NOISE for each in comparison.changes)
    few = sum(each.verdict is Verdict.TOO_FEW for each in comparison.changes)
    if same:
        rule = f"ranges overlap, or medians lie less than {100 * LEAST_CHANGE:.0f} % apart"
        lines.append(f"  {_figures(same)} within the noise: {rule}")
    if few:
        lines.append(f"  {_figures(few)} not judged: that takes {FEWEST} repetitions on both sides")
    for title, names in (("only in the old one", comparison.gone), ("only in the new one", comparison.added)):
        if names:
            lines.append(f"  {title}: {', '.join(names)}")
    return "\n".join(lines) + "\n"


def _figures(count: int) -> str:
    return f"{count} figure{'s' if count > 1 else ''}"


def _change_row(change: Change) -> str:
    old, new = (
        f"{number(each.median)} ({number(each.least)} … {number(each.largest)})" for each in (change.old, change.new)
    )
    times = "" if change.ratio is None else f", × {change.ratio:.2f}"
    return f"  {change.verdict.value:8}{change.name:{_ID_WIDTH - 2}} {old} → {new} {change.unit}{times}"
