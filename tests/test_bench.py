"""The benchmark's own reckoning: medians, spreads, verdicts, the file, the tables, and rounds that alternate."""

import json
from dataclasses import replace

import pytest

from velox_engine.bench.compare import compare
from velox_engine.bench.measure import BenchError, Cancel, Counted, Figure, Measure
from velox_engine.bench.results import FigureResult, Results, ResultsError, read_results
from velox_engine.bench.runner import alternate
from velox_engine.bench.statistics import Spread, Verdict, spread, verdict
from velox_tui.bench_table import bench_table, comparison_table, number

# ---- statistics


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([5.0], Spread(1, 5.0, 0.0, 5.0, 5.0)),
        ([3.0, 1.0], Spread(2, 2.0, 1.0, 1.0, 3.0)),
        ([1.0, 2.0, 3.0, 4.0, 100.0], Spread(5, 3.0, 1.0, 1.0, 100.0)),
        ([-2.0, -2.0, 7.0], Spread(3, -2.0, 0.0, -2.0, 7.0)),
    ],
)
def test_one_outlier_moves_neither_median_nor_mad(samples, expected):
    assert spread(samples) == expected


OLD = [10.0, 11.0, 12.0]


@pytest.mark.parametrize(
    ("new", "better", "expected"),
    [
        ([13.0, 14.0, 15.0], "higher", Verdict.BETTER),
        ([13.0, 14.0, 15.0], "lower", Verdict.WORSE),
        ([7.0, 8.0, 9.0], "higher", Verdict.WORSE),
        ([7.0, 8.0, 9.0], "lower", Verdict.BETTER),
        ([13.0, 14.0, 15.0], "neither", Verdict.CHANGED),
        ([12.0, 14.0, 15.0], "higher", Verdict.NOISE),  # the ranges touch
        ([1.0, 14.0, 15.0], "higher", Verdict.NOISE),  # one repetition reaches back
        ([13.0, 14.0], "higher", Verdict.TOO_FEW),
    ],
)
def test_a_change_is_where_ranges_have_nothing_in_common(new, better, expected):
    assert verdict(spread(OLD), spread(new), better) is expected


def test_a_change_below_five_percent_is_none_however_narrow_the_ranges():
    assert verdict(spread([100.0] * 7), spread([104.9] * 7), "higher") is Verdict.NOISE
    assert verdict(spread([100.0] * 7), spread([105.3] * 7), "higher") is Verdict.BETTER
    assert verdict(spread([0.0] * 7), spread([0.0] * 7), "lower") is Verdict.NOISE


# ---- the file

ENVIRONMENT = {
    "python": "3.12.1",
    "system": "Linux 6.1",
    "machine": "x86_64",
    "cpu": "A CPU",
    "cores": 4,
    "cores_allowed": [1, 2],
    "cores_limit": 1.5,
    "clock": "counter",
    "numba": "0.68.1",
    "numpy": "2.4.6",
    "llvmlite": "0.50.0",
    "load_before": 0.1,
    "load_after": 2.5,
    "others_percent": 3.4,
    "steal_percent": 0.25,
}


def results(**figures):
    return Results(
        version="1.2.3",
        mode="full",
        rounds=3,
        complete=True,
        started="2026-01-02T03:04:05+00:00",
        duration_s=65.4,
        environment=ENVIRONMENT,
        figures=figures,
    )


RING = FigureResult("M items/s", "higher", (190.0, 200.0, 210.0))
NANOSECONDS = FigureResult("ns", "lower", (2.5, 2.1, 2.0))
LATENCY = {
    "latency.1000.spin.p50": FigureResult("µs", "lower", (52.0, 53.0, 54.5)),
    "latency.1000.spin.p99": FigureResult("µs", "lower", (1040.0, 1020.0, 2000.0)),
    "latency.1000.spin.cpu": FigureResult("% of a core", "lower", (99.0, 99.1, 99.2)),
}
ALL = results(
    **{"ring.batch64.two_cores": RING, "ring.batch64.one_core": RING, "histogram.record": NANOSECONDS, **LATENCY}
)


def written(tmp_path, content):
    path = tmp_path / "old.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_results_come_back_from_their_json_as_they_were(tmp_path):
    whole = replace(ALL, skipped={"pipeline.x": "needs 4 cores"}, failed={"feed.itch": "lost"}, complete=False)
    assert read_results(written(tmp_path, whole.as_dict())) == whole


def test_the_json_tells_what_its_samples_mean():
    assert results(ring=RING).as_dict() == {
        "kind": "velox-tui bench",
        "schema": 1,
        "version": "1.2.3",
        "mode": "full",
        "rounds": 3,
        "complete": True,
        "started": "2026-01-02T03:04:05+00:00",
        "duration_s": 65.4,
        "environment": ENVIRONMENT,
        "figures": {
            "ring": {
                "unit": "M items/s",
                "better": "higher",
                "median": 200.0,
                "mad": 10.0,
                "min": 190.0,
                "max": 210.0,
                "samples": [190.0, 200.0, 210.0],
            }
        },
        "skipped": {},
        "failed": {},
    }


def without(key):
    return {name: value for name, value in ALL.as_dict().items() if name != key}


def with_samples(samples):
    figure = {**results(ring=RING).as_dict()["figures"]["ring"], "samples": samples}
    return {**ALL.as_dict(), "figures": {"ring": figure}}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "no JSON at line 1; expected what velox-tui bench --json writes"),
        ('{\n"kind": ', "no JSON at line 2"),
        ("[" * 100_000, "no JSON"),
        ("[]", "not the results of a benchmark; expected what velox-tui bench --json writes"),
        ('{"schema": 1, "conserved": true}', "not the results of a benchmark"),
        ({**ALL.as_dict(), "schema": 2}, "schema 2; this version reads 1"),
        (without("figures"), "damaged results: figures is missing"),
        (without("environment"), "damaged results: environment is missing"),
        ({**ALL.as_dict(), "figures": [1]}, "damaged results"),
        ({**ALL.as_dict(), "rounds": "many"}, "damaged results: invalid literal"),
        (with_samples([]), "damaged results: figures.ring.samples: expected a list of numbers"),
        (with_samples([1.0, "2"]), "damaged results: figures.ring.samples: got '2'; expected numbers"),
        (with_samples([float("nan")]), "damaged results: figures.ring.samples: got nan; expected numbers"),
        (with_samples([True]), "damaged results: figures.ring.samples: got True"),
    ],
    ids=range(14),
)
def test_a_file_that_holds_no_results_is_told_of_in_one_line(tmp_path, content, why):
    path = written(tmp_path, content)
    with pytest.raises(ResultsError) as refused:
        read_results(path)
    assert str(refused.value).startswith(f"{path}: {why}")
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_told_of_in_one_line(tmp_path):
    for path, why in (
        (tmp_path / "none", "No such file"),
        (tmp_path, "Is a directory"),
        ("a\0b", "embedded null byte"),
    ):
        with pytest.raises(ResultsError, match=why):
            read_results(path)
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(17 << 20)
    with pytest.raises(ResultsError, match="larger than 16 MiB, which no results are"):
        read_results(large)


# ---- tables

TABLE = """\
velox-tui 1.2.3 bench: full, 3 rounds in 65 s
  A CPU, 4 cores, 2 allowed, limited to 1.5, Linux 6.1
  Python 3.12.1, numba 0.68.1, numpy 2.4.6, clock counter
  load 0.1 before, 2.5 after, other processes took 3 % of a core, other guests of the host 0.2 %

                                            median                    least … largest     MAD
  ring.batch64.two_cores                       200 M items/s                190 … 210   5.0 %
  ring.batch64.one_core                        200 M items/s                190 … 210   5.0 %

                                            median                    least … largest     MAD
  histogram.record                            2.10 ns                     2.00 … 2.50   4.8 %

  median ± MAD                      p50 µs        p99 µs         cpu %
  latency.1000.spin            53.0 ± 1.00  1,040 ± 20.0   99.1 ± 0.10
"""


def test_the_table():
    assert bench_table(ALL) == TABLE


def test_the_table_says_what_was_not_measured_and_why():
    early = replace(
        results(), complete=False, rounds=1, skipped={"ring.x": "needs 2 cores"}, failed={"feed.itch": "3 of 4"}
    )
    assert bench_table(early).endswith(
        """\
velox-tui 1.2.3 bench: full, 1 round in 65 s, ended early
  A CPU, 4 cores, 2 allowed, limited to 1.5, Linux 6.1
  Python 3.12.1, numba 0.68.1, numpy 2.4.6, clock counter
  load 0.1 before, 2.5 after, other processes took 3 % of a core, other guests of the host 0.2 %

not measured
  ring.x                                 needs 2 cores

FAILED
  feed.itch                              3 of 4

nothing was measured
"""
    )


def test_the_table_does_without_what_the_system_does_not_tell():
    bare = replace(ALL, environment={**ENVIRONMENT, "steal_percent": None, "others_percent": None, "cores_limit": None})
    assert "  A CPU, 4 cores, 2 allowed, Linux 6.1\n" in bench_table(bare)
    assert "  load 0.1 before, 2.5 after\n" in bench_table(bare)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00"),
        (0.123, "0.12"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (99.94, "99.9"),
        (99.96, "100"),
        (1e6, "1,000,000"),
    ],
)
def test_a_number_has_three_digits_that_count(value, text):
    assert number(value) == text


def scaled(figure, factor):
    return replace(figure, samples=tuple(factor * sample for sample in figure.samples))


def test_the_comparison_shows_what_changed_and_counts_the_rest():
    old = replace(
        results(a=RING, b=RING, c=RING, d=NANOSECONDS, few=RING, gone=RING, unit=RING),
        mode="quick",
        environment={**ENVIRONMENT, "cpu": "Another", "steal_percent": 7.1, "others_percent": 90.0},
    )
    new = replace(
        results(
            a=scaled(RING, 2),
            b=scaled(RING, 0.5),
            c=RING,
            d=scaled(NANOSECONDS, 3),
            new=RING,
            few=replace(RING, samples=(1.0,)),
            unit=NANOSECONDS,
        ),
        complete=False,
    )
    comparison = compare(old, new)
    assert comparison_table(comparison, old, "old.json") == (
        """\

compared with old.json: quick of 2026-01-02T03:04:05+00:00, velox-tui 1.2.3
  mind: cpu was Another, is A CPU
  mind: the old one is quick, the new one full: their runs are of different length
  mind: the old one lost 7.1 % of the processor to other guests of its host
  mind: other processes took 90 % of a core during the old one
  mind: the new one was ended early
  worse   b                                      200 (190 … 210) → 100 (95.0 … 105) M items/s, × 0.50
  worse   d                                      2.10 (2.00 … 2.50) → 6.30 (6.00 … 7.50) ns, × 3.00
  better  a                                      200 (190 … 210) → 400 (380 … 420) M items/s, × 2.00
  1 figure within the noise: ranges overlap, or medians lie less than 5 % apart
  1 figure not judged: that takes 3 repetitions on both sides
  only in the old one: gone, unit
  only in the new one: new, unit
"""
    )
    told = comparison.as_dict()
    assert told["figures"]["a"] == {"old": 200.0, "new": 400.0, "ratio": 2.0, "verdict": "better"}
    assert told["figures"]["few"]["verdict"] == "fewer than 3 repetitions"
    assert (told["gone"], told["added"]) == (["gone", "unit"], ["new", "unit"])


def test_a_run_compared_with_itself_has_not_changed():
    assert comparison_table(compare(ALL, ALL), ALL, "x") == (
        "\ncompared with x: full of 2026-01-02T03:04:05+00:00, velox-tui 1.2.3\n"
        "  6 figures within the noise: ranges overlap, or medians lie less than 5 % apart\n"
    )


# ---- rounds


def noted(calls, name, *, fails_at=None):
    """A measure that takes down its name, and fails the n-th time that it is called."""

    def run():
        calls.append(name)
        if calls.count(name) == fails_at:
            raise BenchError(f"{name} lost an item")
        return (float(len(calls)),)

    return Measure(name, (Figure("", "x", "higher"),), run)


def test_measures_alternate_and_the_first_round_is_not_counted():
    calls, seen = [], []
    measures = [noted(calls, "a"), noted(calls, "b")]
    samples, failed = alternate(measures, 2, lambda what, done, total: seen.append((what, done, total)), Cancel())
    assert calls == ["a", "b"] * 3
    assert (samples, failed) == ({"a": [3.0, 5.0], "b": [4.0, 6.0]}, {})
    assert seen[0] == ("warming up a", 0, 6)
    assert seen[2:] == [("a", 2, 6), ("b", 3, 6), ("a", 4, 6), ("b", 5, 6), ("done", 6, 6)]


def test_a_measure_that_fails_is_told_of_and_the_others_go_on():
    calls = []
    measures = [noted(calls, "a", fails_at=1), noted(calls, "b", fails_at=3), noted(calls, "c")]
    samples, failed = alternate(measures, 3, lambda *_: None, Cancel())
    assert calls == ["a", "b", "c", "b", "c", "b", "c", "c"]
    assert failed == {"a": "a lost an item", "b": "b lost an item"}
    assert {name: len(found) for name, found in samples.items()} == {"b": 1, "c": 3}


def test_what_was_measured_before_it_was_ended_is_kept():
    calls, cancel = [], Cancel()

    def end():
        if len(calls) == 3:
            cancel.request_stop("SIGINT")
            raise OSError("in the middle of its work")
        return noted(calls, "a").run()

    samples, failed = alternate([Measure("a", (Figure("", "x", "higher"),), end)], 9, lambda *_: None, cancel)
    assert (samples, failed) == ({"a": [2.0, 3.0]}, {})


def test_a_run_s_length_follows_from_the_runs_before():
    counted = Counted(1000, 0.5)
    counted.note(0.25)
    assert counted.count == 2000
    counted.note(1e-9)  # a measurement that cannot be is not followed further than tenfold
    assert counted.count == 20_000
    counted.note(0.0)
    assert counted.count == 20_000
    counted.note(1e9)
    assert counted.count == 2000
