"""Which stages share a worker, and where it runs: on 1, 2, 4 and 8 cores, and where not all of them may be used."""

import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.settings import configured
from velox_engine.control_groups import Limit, core_limit, cores_of_quota, memory_limit
from velox_engine.errors import ConfigError
from velox_engine.placement import Machine, WorkerPlan, parse_cores, plan, this_machine

STAGES = ("ingress", "orderbook", "bundle", "output")
ALL = 0b1111


def machine(cores, allowed=None, limit=math.inf, pins=True):
    present = tuple(range(cores))
    return Machine(present, present if allowed is None else tuple(allowed), limit, pins)


def placed(where, rate=100_000, **cores):
    """Plan with these cores asked for; return (names, core) of each worker, and the warnings."""
    given = {"pipeline__ingress_rate_hz": rate, **{f"threads__{stage}_core": core for stage, core in cores.items()}}
    made = plan(configured(**given), where)
    masks = [worker.stages for worker in made.workers]
    assert sum(masks) == ALL, "each stage has one worker"
    assert len({worker.core for worker in made.workers if worker.core is not None}) in (0, len(masks))
    return [(worker.names, worker.core) for worker in made.workers], made.warnings


@pytest.mark.parametrize("cores", [1, 2, 4, 8])
def test_a_paced_flow_runs_in_one_worker_on_the_last_core(cores):
    assert placed(machine(cores)) == ([(STAGES, cores - 1)], ())


@pytest.mark.parametrize("cores", [1, 2])
def test_at_maximum_rate_few_cores_are_not_taken_from_the_screen(cores):
    assert placed(machine(cores), "max") == ([(STAGES, cores - 1)], ())


@pytest.mark.parametrize("cores", [3, 4, 8, 64])
def test_at_maximum_rate_ingress_has_a_core_of_its_own_and_one_is_left_free(cores):
    workers, warnings = placed(machine(cores), "max")
    assert workers == [(("ingress",), cores - 2), (STAGES[1:], cores - 1)]
    assert warnings == ()


@pytest.mark.parametrize(
    ("limit", "workers"),
    [(0.1, 1), (0.99, 1), (1.0, 1), (1.9, 1), (2.0, 1), (2.99, 1), (3.0, 2), (8.0, 2), (100.0, 2), (math.inf, 2)],
)
def test_a_limit_of_the_control_group_counts_like_so_many_cores(limit, workers):
    assert len(placed(machine(8, limit=limit), "max")[0]) == workers


@pytest.mark.parametrize("rate", [100_000, "max"])
def test_automatic_placement_takes_allowed_cores_only(rate):
    workers, warnings = placed(machine(8, allowed=(1, 4, 6)), rate)
    assert {core for _, core in workers} <= {1, 4, 6}
    assert warnings == ()


def test_cores_asked_for_are_taken_and_stages_on_one_core_share_a_worker():
    workers, warnings = placed(machine(4), ingress=2, orderbook=0, bundle=2, output=3)
    assert workers == [(("ingress", "bundle"), 2), (("orderbook",), 0), (("output",), 3)]
    assert warnings == ()
    assert placed(machine(4), ingress=1, orderbook=1, bundle=1, output=1)[0] == [(STAGES, 1)]
    four = placed(machine(4), ingress=3, orderbook=2, bundle=1, output=0)[0]
    assert four == [((stage,), core) for stage, core in zip(STAGES, (3, 2, 1, 0), strict=True)]


def test_some_cores_may_be_asked_for_and_the_rest_found():
    assert placed(machine(4), ingress=0)[0] == [(("ingress",), 0), (STAGES[1:], 3)]
    assert placed(machine(1), output=0)[0] == [(STAGES, 0)]


@pytest.mark.parametrize(("cores", "asked"), [(1, 1), (2, 2), (2, 1_000), (8, 8)])
@pytest.mark.parametrize("stage", STAGES)
def test_a_core_that_the_machine_does_not_have_is_an_error(stage, cores, asked):
    with pytest.raises(ConfigError) as caught:
        placed(machine(cores), **{stage: asked})
    assert (caught.value.key, caught.value.value) == (f"threads.{stage}_core", asked)
    assert str(asked) in str(caught.value)
    assert "auto" in caught.value.allowed
    assert str(cores - 1) in caught.value.allowed


def test_a_core_that_is_not_allowed_is_replaced_with_a_warning_for_each_stage():
    workers, warnings = placed(machine(8, allowed=(2, 3)), ingress=5, orderbook=2, bundle=7)
    assert {core for _, core in workers} <= {2, 3}
    assert len(warnings) == 2
    assert all("not allowed" in warning for warning in warnings)
    assert "core 5 of ingress" in warnings[0]
    assert "core 7 of bundle" in warnings[1]


def test_replaced_cores_are_spread_over_what_is_allowed():
    workers, _ = placed(machine(8, allowed=(0, 1)), ingress=4, orderbook=5, bundle=6, output=7)
    assert [core for _, core in workers] == [0, 1]


@pytest.mark.parametrize("rate", [100_000, "max"])
def test_where_threads_cannot_be_bound_workers_run_unpinned_and_say_so(rate):
    workers, warnings = placed(machine(4, pins=False), rate)
    assert {core for _, core in workers} == {None}
    assert len(warnings) == 1
    assert "unpinned" in warnings[0]


def test_unpinned_stages_are_grouped_all_the_same():
    workers, _ = placed(machine(4, pins=False), ingress=0, orderbook=1, bundle=1, output=1)
    assert workers == [(("ingress",), None), (STAGES[1:], None)]


@given(
    cores=st.integers(1, 16),
    keep=st.lists(st.booleans(), min_size=16, max_size=16),
    limit=st.sampled_from([0.5, 1.0, 2.5, 4.0, math.inf]),
    rate=st.sampled_from([1, 10**6, "max"]),
    asked=st.lists(st.integers(0, 15) | st.just("auto"), min_size=4, max_size=4),
)
def test_whatever_is_asked_every_stage_runs_once_and_on_an_allowed_core(cores, keep, limit, rate, asked):
    allowed = [core for core in range(cores) if keep[core]] or [cores - 1]
    given = {stage: core if core == "auto" else core % cores for stage, core in zip(STAGES, asked, strict=True)}
    workers, warnings = placed(machine(cores, allowed, limit), rate, **given)
    assert {core for _, core in workers} <= set(allowed)
    refused = [stage for stage, core in given.items() if core != "auto" and core not in allowed]
    assert len(warnings) == len(refused)


def test_a_worker_names_its_stages():
    assert WorkerPlan(0b0101, 3).names == ("ingress", "bundle")
    assert WorkerPlan(ALL, None).names == STAGES


@pytest.mark.parametrize(
    ("text", "cores"),
    [("0\n", (0,)), ("0-3\n", (0, 1, 2, 3)), ("0-1,4,6-7", (0, 1, 4, 6, 7)), ("12-12", (12,)), ("0,2", (0, 2))],
)
def test_lists_of_cores_are_read_as_linux_writes_them(text, cores):
    assert parse_cores(text) == cores


@pytest.mark.parametrize(
    ("text", "limit"),
    [("max 100000\n", math.inf), ("50000 100000\n", 0.5), ("200000 100000", 2.0), ("150000 50000\n", 3.0)],
)
def test_limits_are_read_as_control_groups_write_them(text, limit):
    assert cores_of_quota(text) == limit


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A system of eight cores, all allowed, in the control group /a/b."""
    put(tmp_path, "sys/devices/system/cpu/present", "0-7\n")
    put(tmp_path, "proc/self/cgroup", "12:cpuset:/old\n0::/a/b\n")
    (tmp_path / "sys/fs/cgroup/a/b").mkdir(parents=True)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    return tmp_path


def put(root, file, text):
    """Write a file of a system's tree."""
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(text)


def test_this_machine_is_what_the_system_tells(system, monkeypatch):
    assert this_machine(system) == Machine(tuple(range(8)), tuple(range(8)), math.inf, True)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5, 2})
    assert (this_machine(system).allowed, this_machine(system).usable) == ((2, 5), 2)


@pytest.mark.parametrize(
    ("limits", "usable"),
    [
        ({"a/b": "300000 100000"}, 3),
        ({"a": "300000 100000"}, 3),
        ({"": "300000 100000"}, 3),
        ({"a": "200000 100000", "a/b": "max 100000"}, 2),
        ({"a": "400000 100000", "a/b": "100000 100000"}, 1),
        ({"a/b": "1000 100000"}, 1),
        ({"a/b": "max 100000", "a": "max 100000"}, 8),
        ({"a/b": "nonsense", "a": "200000 100000"}, 2),
        ({"a/b": ""}, 8),
        ({"a/b": "100000 0"}, 8),
    ],
)
def test_the_tightest_limit_of_the_own_group_and_those_above_it_counts(system, limits, usable):
    for group, text in limits.items():
        put(system, f"sys/fs/cgroup/{group}/cpu.max", text)
    assert this_machine(system).usable == usable


@pytest.mark.parametrize("text", ["", "nonsense", "11:cpu:/a\n", "0::/../../outside\n"])
def test_a_group_that_cannot_be_told_leaves_the_limit_of_the_root(system, text):
    put(system, "proc/self/cgroup", text)
    put(system, "sys/fs/cgroup/cpu.max", "500000 100000")
    assert this_machine(system).usable == 5


def test_without_linux_all_cores_are_taken_to_be_there(system, monkeypatch):
    for name in ("sys/devices/system/cpu/present", "proc/self/cgroup"):
        (system / name).unlink()
    for name in ("sched_getaffinity", "sched_setaffinity"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert this_machine(system) == Machine((0, 1, 2), (0, 1, 2), math.inf, False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert this_machine(system) == Machine((0,), (0,), math.inf, False)


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize(
    ("quotas", "limit", "file"),
    [
        ({"g": "150000"}, 1.5, "g"),
        ({"": "300000", "g": "-1"}, 3.0, ""),
        ({"": "100000", "g": "250000"}, 1.0, ""),
        ({"g": "-1"}, math.inf, None),
        ({"g": "nonsense"}, math.inf, None),
    ],
)
def test_quotas_of_the_first_version_count_as_well(system, mount, quotas, limit, file):
    put(system, "proc/self/cgroup", "3:cpu,cpuacct:/g\n1:memory:/m\n0::/\n")
    for group, text in quotas.items():
        put(system, f"sys/fs/cgroup/{mount}/{group}/cpu.cfs_quota_us", text)
        put(system, f"sys/fs/cgroup/{mount}/{group}/cpu.cfs_period_us", "100000\n")
    read = core_limit(system)
    assert read.value == limit
    if file is None:
        assert read.file is None
    else:
        assert read.file == os.path.normpath(f"sys/fs/cgroup/{mount}/{file}/cpu.cfs_quota_us")
    assert this_machine(system).limit == limit


def test_both_versions_side_by_side_the_tighter_one_counts(system):
    put(system, "proc/self/cgroup", "3:cpu:/\n0::/u\n")
    put(system, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000")
    put(system, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000")
    assert core_limit(system).value == 3.0
    (system / "sys/fs/cgroup/a/b").rmdir()
    (system / "sys/fs/cgroup/a").rmdir()
    put(system, "sys/fs/cgroup/cpu.max", "200000 100000")
    assert core_limit(system) == Limit(2.0, "sys/fs/cgroup/cpu.max")


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory.max": "max\n", "a/memory.max": "1073741824\n"}, Limit(1 << 30, "sys/fs/cgroup/a/memory.max")),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, Limit()),
        ({"memory/m/memory.limit_in_bytes": "5000\n"}, Limit(5000, "sys/fs/cgroup/memory/m/memory.limit_in_bytes")),
        ({}, Limit()),
    ],
)
def test_memory_limits_of_both_versions_are_read(system, files, limit):
    put(system, "proc/self/cgroup", "1:memory:/m\n0::/a/b\n")
    for file, text in files.items():
        put(system, f"sys/fs/cgroup/{file}", text)
    assert memory_limit(system) == limit


def test_the_machine_that_runs_this_can_be_planned_for():
    here = this_machine()
    assert here.usable >= 1
    assert set(here.allowed) <= set(here.present)
    workers, _ = placed(here, "max")
    assert {core for _, core in workers} <= {*here.allowed, None}
