"""``velox-tui doctor`` says what decides how well it runs, on machines made for it and on this one."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.command import ROOT, environment, velox
from tests.doctor_systems import GOOD, container, desktop, mac, put, server, system
from velox_engine.config import load_config
from velox_engine.placement import this_machine
from velox_tui.doctor import cores, memory, pace, reach, software, surroundings
from velox_tui.doctor.examining import CHECKS, examine
from velox_tui.doctor.findings import Finding, Verdict, as_json, as_text, summary, worst
from velox_tui.doctor.software import fits, supported
from velox_tui.doctor.system import this_system

GOLDENS = Path(__file__).parent / "goldens"
# what changes with the project's own versions and sizes is looked at below
CHANGING = {"telemetry", "log", "python", "versions", "cache"}


def configured(**settings):
    return load_config(
        ROOT / "config.toml",
        overrides={key.replace("__", "."): value for key, value in settings.items()},
        environ={},
    )


@pytest.fixture
def pinning(monkeypatch):
    """Let this system look like one that binds threads to cores, as the trees are of such."""
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None, raising=False)


@pytest.mark.parametrize("make, settings", [(server, {}), (server, {"threads__output_core": 3}), (container, {})])
def test_a_machine_is_judged_as_it_should_be(tmp_path, pinning, make, settings):
    findings = examine(make(tmp_path), configured(**settings))
    found = as_json([each for each in findings if each.name not in CHANGING], "0")
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    path = GOLDENS / f"doctor-{make.__name__}{'-placed' if settings else ''}.json"
    if os.environ.get("VELOX_GOLDENS") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_a_mac_says_what_cannot_be_told_there(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    found = {each.name: each for each in examine(mac(tmp_path), configured())}
    unchecked = {name for name, each in found.items() if each.verdict is Verdict.UNCHECKED}
    assert unchecked == {
        "cgroup", "siblings", "numa", "isolated", "governor", "timers", "steal", "load", "memory", "huge pages",
    }  # fmt: skip
    assert found["platform"].verdict is Verdict.BETTER
    assert "unpinned" in found["platform"].told
    assert found["counter"].verdict is Verdict.OK
    assert found["nofile"].verdict is Verdict.OK
    assert worst(list(found.values())) is not Verdict.HURTS


def found_by(check, tree, **settings):
    return check(tree, configured(**settings))


# ---- the cores


def test_one_core_and_maximum_rate_on_two_could_be_better(tmp_path, pinning):
    desktop(tmp_path, 4)
    here = system(tmp_path)
    assert found_by(cores.check_cores, here).verdict is Verdict.OK
    one = found_by(cores.check_cores, replace(here, allowed=(2,)))
    assert (one.verdict, one.mend) == (Verdict.BETTER, "taskset -c 0-3 velox-tui")
    two = found_by(cores.check_cores, replace(here, allowed=(2, 3)), pipeline__ingress_rate_hz="max")
    assert two.verdict is Verdict.BETTER
    assert "third core" in two.told
    assert found_by(cores.check_cores, here, pipeline__ingress_rate_hz="max").verdict is Verdict.OK


def test_cores_that_are_not_there_or_not_allowed_are_told(tmp_path, pinning):
    desktop(tmp_path, 4)
    missing = found_by(cores.check_cores, system(tmp_path), threads__output_core=9)
    assert (missing.verdict, missing.mend) == (Verdict.HURTS, "velox-tui --set threads.output_core=auto")
    assert "got 9, which this machine does not have" in missing.told
    barred = found_by(cores.check_cores, system(tmp_path, allowed=(0, 1)), threads__output_core=3)
    assert (barred.verdict, barred.mend) == (Verdict.BETTER, "taskset -c 0-3 velox-tui")
    assert "core 3 of output is not allowed" in barred.told


@pytest.mark.parametrize(
    "quota, verdict",
    [("max 100000", Verdict.OK), ("50000 100000", Verdict.HURTS), ("150000 100000", Verdict.BETTER),
     ("200000 100000", Verdict.OK)],
)  # fmt: skip
def test_a_quota_is_compared_with_what_the_workers_want(tmp_path, pinning, quota, verdict):
    desktop(tmp_path, 4)
    put(tmp_path, {"sys/fs/cgroup/user.slice/cpu.max": quota})
    found = found_by(cores.check_quota, system(tmp_path))
    assert found.verdict is verdict
    assert (found.values.get("file") == "/sys/fs/cgroup/user.slice/cpu.max") is (quota != "max 100000")


def test_hyper_threads_of_one_core_are_found_among_the_chosen_ones(tmp_path, pinning):
    here = server(tmp_path)
    apart = {"threads__ingress_core": 8, "threads__orderbook_core": 10, "threads__bundle_core": 10}
    assert found_by(cores.check_siblings, here, **apart, threads__output_core=10).verdict is Verdict.OK
    both = found_by(cores.check_siblings, here, **apart, threads__output_core=11)
    assert both.verdict is Verdict.BETTER
    assert both.values["shared"] == [[10, 11]]
    assert both.mend == "velox-tui --set threads.orderbook_core=0 --set threads.bundle_core=0"
    crowded = found_by(cores.check_siblings, replace(here, allowed=(8, 9, 10, 11)), **apart, threads__output_core=11)
    assert crowded.mend.startswith("none")


def test_workers_on_two_nodes_hurt(tmp_path, pinning):
    here = server(tmp_path)
    assert found_by(cores.check_numa, here).verdict is Verdict.OK
    apart = found_by(cores.check_numa, here, threads__ingress_core=0)
    assert (apart.verdict, apart.mend) == (Verdict.HURTS, "taskset -c 0-7 velox-tui")


def test_isolated_cores_are_to_be_used(tmp_path, pinning):
    here = server(tmp_path)
    assert found_by(cores.check_isolated, here).verdict is Verdict.OK  # the last core is taken first
    elsewhere = {f"threads__{stage}_core": 2 for stage in ("ingress", "orderbook", "bundle", "output")}
    barred = found_by(cores.check_isolated, replace(here, allowed=tuple(range(14))), **elsewhere)
    assert (barred.verdict, barred.mend) == (
        Verdict.BETTER,
        "taskset -c 0-15 velox-tui --set threads.ingress_core=14 --set threads.orderbook_core=15"
        " --set threads.bundle_core=15 --set threads.output_core=15",
    )
    desktop(tmp_path, 4)
    none = found_by(cores.check_isolated, system(tmp_path))
    assert (none.verdict, none.mend) == (Verdict.BETTER, "boot Linux with isolcpus=3 nohz_full=3 rcu_nocbs=3")


@pytest.mark.parametrize("some, text", [((), ""), ((0,), "0"), ((3, 1, 2, 8), "1-3,8"), ((0, 2), "0,2")])
def test_cores_are_written_as_linux_does(some, text):
    assert cores.listed(some) == text


# ---- their pace


@pytest.mark.parametrize(
    "machine, platform, cpuinfo, source, verdict",
    [
        ("x86_64", "linux", "flags : constant_tsc nonstop_tsc", "tsc", Verdict.OK),
        ("x86_64", "linux", "flags : constant_tsc", "kvm-clock", Verdict.BETTER),
        ("x86_64", "linux", "flags : constant_tsc", "hpet", Verdict.HURTS),
        ("aarch64", "linux", "", "arch_sys_counter", Verdict.OK),
        ("arm64", "darwin", "", "", Verdict.OK),
        ("x86_64", "darwin", "", "", Verdict.UNCHECKED),
    ],
)
def test_the_counter_is_judged_by_processor_and_clock_source(tmp_path, machine, platform, cpuinfo, source, verdict):
    put(tmp_path, {"proc/cpuinfo": cpuinfo})
    if source:
        put(tmp_path, {"sys/devices/system/clocksource/clocksource0/current_clocksource": source})
    assert found_by(pace.check_counter, system(tmp_path, machine=machine, platform=platform)).verdict is verdict


def test_a_governor_that_saves_could_be_better(tmp_path, pinning):
    desktop(tmp_path, 4)
    assert found_by(pace.check_governor, system(tmp_path)).verdict is Verdict.OK
    put(tmp_path, {"sys/devices/system/cpu/cpu3/cpufreq/scaling_governor": "schedutil"})
    found = found_by(pace.check_governor, system(tmp_path))
    assert (found.verdict, found.values["governors"]) == (Verdict.BETTER, {"schedutil": [3]})
    put(tmp_path, {"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave"})
    elsewhere = found_by(pace.check_governor, system(tmp_path), threads__ingress_core=1)
    assert elsewhere.values["governors"] == {"performance": [1], "schedutil": [3]}  # core 0 is nobody's


def test_steal_is_told_since_the_start_and_now(tmp_path):
    def stat(stolen, rest):
        put(tmp_path, {"proc/stat": f"cpu  {rest} 0 0 0 0 0 0 {stolen} 900 0"})

    stat(0, 1000)
    assert found_by(pace.check_steal, system(tmp_path)).verdict is Verdict.OK
    now = found_by(pace.check_steal, system(tmp_path, wait=lambda seconds: stat(10, 1030)))
    assert (now.verdict, now.values) == (Verdict.BETTER, {"since_start": 0.0, "now": 0.25})
    stat(200, 800)
    ever = found_by(pace.check_steal, system(tmp_path))
    assert (ever.verdict, ever.values["since_start"]) == (Verdict.HURTS, 0.2)


def test_sleeps_that_cannot_be_sharpened_could_be_better(tmp_path):
    here = system(tmp_path, {"proc/self/timerslack_ns": "50000"})
    assert found_by(pace.check_timers, here).verdict is Verdict.OK
    for slack in (None, 50_000):
        blunt = found_by(pace.check_timers, replace(here, sharpened_ns=lambda slack=slack: slack))
        assert blunt.verdict is Verdict.BETTER
        assert "50,000 ns" in blunt.told


# ---- memory and limits


def test_too_little_memory_hurts_whoever_limits_it(tmp_path):
    here = system(tmp_path, {"proc/meminfo": "MemAvailable: 8000000 kB", "proc/self/cgroup": "0::/a"})
    assert found_by(memory.check_memory, here).verdict is Verdict.OK
    put(tmp_path, {"sys/fs/cgroup/a/memory.max": "200000000"})
    assert found_by(memory.check_memory, here).verdict is Verdict.HURTS
    put(tmp_path, {"sys/fs/cgroup/a/memory.max": "max", "proc/meminfo": "MemAvailable: 100000 kB"})
    assert found_by(memory.check_memory, here).verdict is Verdict.HURTS


def test_telemetry_wants_the_room_that_its_region_takes(tmp_path, pinning):
    from velox_engine.telemetry.region import make_region, region_bytes

    desktop(tmp_path, 4)
    needed = region_bytes(1, 1)
    region, _ = make_region(None, 1, 1)
    assert len(region.words) * 8 == needed
    enough = found_by(memory.check_telemetry, system(tmp_path, free_bytes=lambda path: needed))
    assert (enough.verdict, enough.values["needed"]) == (Verdict.OK, needed)
    less = found_by(memory.check_telemetry, system(tmp_path, free_bytes=lambda path: needed - 1))
    assert less.verdict is Verdict.HURTS
    assert "/dev/shm" in less.mend
    recorded = found_by(memory.check_telemetry, system(tmp_path), source__kind="day.bin")
    assert recorded.values["needed"] > needed


def test_huge_pages_that_are_off_could_be_better(tmp_path):
    name = "sys/kernel/mm/transparent_hugepage/enabled"
    off = found_by(memory.check_huge_pages, system(tmp_path, {name: "always madvise [never]"}))
    assert (off.verdict, off.mend) == (Verdict.BETTER, f"echo madvise | sudo tee /{name}")
    asked = system(tmp_path, {name: "always [madvise] never"})
    assert found_by(memory.check_huge_pages, asked).verdict is Verdict.OK
    without = replace(asked, environ={"NUMPY_MADVISE_HUGEPAGE": "0"})
    assert found_by(memory.check_huge_pages, without).verdict is Verdict.BETTER


@pytest.mark.parametrize(
    "files, verdict", [(None, Verdict.OK), (256, Verdict.OK), (255, Verdict.BETTER), (63, Verdict.HURTS)]
)
def test_few_open_files_are_told(tmp_path, files, verdict):
    here = system(tmp_path, rlimits={"memlock": None, "nofile": files})
    assert found_by(memory.check_files, here).verdict is verdict


# ---- the terminal


@pytest.mark.parametrize(
    "environ, terminal, verdict",
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, True, Verdict.OK),
        ({"TERM": "xterm-256color"}, True, Verdict.BETTER),
        ({"TERM": "linux"}, True, Verdict.BETTER),
        ({"TERM": "linux", "NO_COLOR": "1"}, True, Verdict.OK),
        ({"TERM": "dumb"}, True, Verdict.HURTS),
        ({}, True, Verdict.HURTS),
        ({"TERM": "xterm-256color"}, False, Verdict.UNCHECKED),
    ],
)
def test_colours_are_judged_by_what_the_terminal_says_of_itself(tmp_path, environ, terminal, verdict):
    found = found_by(surroundings.check_colours, system(tmp_path, environ=environ, terminal=terminal))
    assert found.verdict is verdict


@pytest.mark.parametrize(
    "environ, encoding, asked, glyphs, verdict",
    [
        ({"LANG": "C.UTF-8"}, "utf-8", "auto", "braille", Verdict.OK),
        ({"LANG": "C.UTF-8", "TERM": "linux"}, "utf-8", "auto", "block", Verdict.OK),
        ({"LANG": "C"}, "utf-8", "auto", "ascii", Verdict.BETTER),
        ({"LANG": "C.UTF-8"}, "ascii", "auto", "ascii", Verdict.BETTER),
        ({}, "utf-8", "ascii", "ascii", Verdict.OK),
    ],
)
def test_glyphs_are_those_that_the_screen_would_choose(tmp_path, environ, encoding, asked, glyphs, verdict):
    here = system(tmp_path, environ=environ, encoding=encoding)
    found = found_by(surroundings.check_glyphs, here, ui__glyphs=asked)
    assert (found.values["glyphs"], found.verdict) == (glyphs, verdict)


def test_a_locale_that_is_not_there_is_told(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "velox_tui", "doctor", "--json"],
        env=environment(tmp_path, LC_ALL="xx_XX.UTF-8"), cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = {each["name"]: each for each in json.loads(done.stdout)["checks"]}
    assert found["locale"]["verdict"] == "could be better"
    assert found["locale"]["told"] == "the locale xx_XX.UTF-8 is not installed here"


# ---- what others reach it by


def test_a_port_that_is_taken_hurts_where_metrics_are_wanted(tmp_path):
    here = system(tmp_path, port_problem=lambda host, port: "is taken" if port == 9464 else None)
    assert found_by(reach.check_port, here).told == "off"
    taken = found_by(reach.check_port, here, metrics__enabled=True)
    assert (taken.verdict, taken.told) == (Verdict.HURTS, "127.0.0.1:9464: is taken")
    assert found_by(reach.check_port, here, metrics__enabled=True, metrics__port=0).verdict is Verdict.OK
    assert found_by(reach.check_port, here, metrics__enabled=True, metrics__port=9465).verdict is Verdict.OK


def test_a_log_that_cannot_be_written_is_told(tmp_path):
    here = system(tmp_path / "root", environ={"LOGS_DIRECTORY": str(tmp_path / "logs" / "deep")})
    good = found_by(reach.check_log, here)
    assert (good.verdict, good.told) == (Verdict.OK, str(tmp_path / "logs" / "deep" / "velox.log"))
    assert found_by(reach.check_log, here, log__file="none").told == "off"
    assert found_by(reach.check_log, replace(here, free_bytes=lambda path: 5)).verdict is Verdict.BETTER
    (tmp_path / "logs").write_text("no directory")
    assert found_by(reach.check_log, here).verdict is Verdict.BETTER
    assert not (tmp_path / "logs").is_dir()


# ---- the software


@pytest.mark.parametrize(
    "platform, machine, libc, verdict",
    [
        ("linux", "x86_64", "glibc 2.36", Verdict.OK),
        ("linux", "aarch64", "glibc 2.36", Verdict.OK),
        ("linux", "x86_64", "musl", Verdict.HURTS),
        ("linux", "riscv64", "glibc 2.36", Verdict.HURTS),
        ("darwin", "arm64", "", Verdict.BETTER),
        ("darwin", "x86_64", "", Verdict.HURTS),
        ("win32", "amd64", "", Verdict.HURTS),
    ],
)
def test_platforms_without_a_compiler_are_told(tmp_path, platform, machine, libc, verdict):
    here = system(tmp_path, platform=platform, machine=machine, libc=libc)
    assert found_by(software.check_platform, here).verdict is verdict


@pytest.mark.parametrize(
    "python, free_threaded, verdict",
    [
        ((3, 11, 0), False, Verdict.OK),
        ((3, 13, 9), False, Verdict.OK),
        ((3, 10, 4), False, Verdict.HURTS),
        ((3, 99, 0), False, Verdict.BETTER),
        ((3, 13, 1), True, Verdict.HURTS),
    ],
)
def test_pythons_are_compared_with_the_tested_ones(tmp_path, python, free_threaded, verdict):
    here = system(tmp_path, python=python, free_threaded=free_threaded)
    assert found_by(software.check_python, here).verdict is verdict


def test_versions_outside_what_is_supported_hurt_and_are_to_be_installed(tmp_path):
    assert found_by(software.check_versions, system(tmp_path)).verdict is Verdict.OK
    wrong = system(tmp_path, versions={**GOOD, "numba": "0.67.0", "llvmlite": "0.44.0", "zstandard": None})
    found = found_by(software.check_versions, wrong)
    assert found.verdict is Verdict.HURTS
    bounds = supported().packages
    install = " ".join(f"'{name}{bounds[name]}'" for name in ("numba", "llvmlite", "zstandard"))
    assert found.mend == f"pip install {install}"


def test_what_is_supported_is_what_the_project_says():
    bounds = supported()
    assert set(GOOD) <= set(bounds.packages)
    assert all(bounds.packages[name] for name in GOOD)
    assert bounds.minors == (11, 12, 13)


@pytest.mark.parametrize(
    "version, bounds, inside",
    [
        ("0.68.1", ">=0.68,<0.69", True),
        ("0.69", ">=0.68,<0.69", False),
        ("0.69.0rc1", ">=0.68,<0.69", False),
        ("2.3", ">=2.3.0", True),
        ("10.0", ">=9.1", True),
        ("0.50.0", "<0.51,>=0.50.0dev0", True),
        ("1.4", "!=1.4.0", False),
        ("1.4", "", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version, bounds, inside):
    assert fits(version, bounds) is inside


def test_the_cache_is_cold_warm_elsewhere_or_nowhere(tmp_path, monkeypatch):
    from velox_engine import cache_place

    here = replace(system(tmp_path / "root"), environ={})
    monkeypatch.setenv("VELOX_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    cold = found_by(software.check_cache, here)
    assert (cold.verdict, cold.mend) == (Verdict.BETTER, "velox-tui warm")
    assert not (tmp_path / "cache").exists(), "looking leaves no trace"
    place = Path(cold.values["directory"])
    place.mkdir(parents=True, mode=0o700)
    place.parent.chmod(0o700)
    cache_place.complete_mark(place, "exact").touch()
    assert found_by(software.check_cache, here).verdict is Verdict.OK
    assert found_by(software.check_cache, here, book__kind="bucketed").verdict is Verdict.BETTER
    place.chmod(0o777)
    monkeypatch.setattr(cache_place.tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    elsewhere = found_by(software.check_cache, here)
    assert elsewhere.verdict is Verdict.BETTER
    assert f"chmod -R go-w {tmp_path / 'cache'}" in elsewhere.mend
    (tmp_path / "temporary").rmdir()
    (tmp_path / "temporary").write_text("")
    assert found_by(software.check_cache, here).verdict is Verdict.HURTS


# ---- all of it


def test_a_check_that_fails_is_told_and_the_others_go_on(tmp_path, monkeypatch):
    def check_of_ours(system, config):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("velox_tui.doctor.examining.CHECKS", (check_of_ours, memory.check_files))
    found = examine(system(tmp_path), configured())
    assert found[0] == Finding(
        "of ours", Verdict.UNCHECKED, "could not be checked: ZeroDivisionError: division by zero"
    )
    assert found[1].verdict is Verdict.OK


@pytest.mark.parametrize("name", ["present", "isolated", "node0/cpulist", "thread_siblings_list", "stat", "loadavg"])
@pytest.mark.parametrize("text", ["", "nonsense", "9999999", "-1", "0-", "\0"])
def test_strange_files_are_never_an_error(tmp_path, pinning, name, text):
    files = desktop(tmp_path, 4)
    put(tmp_path, {file: text for file in files if file.endswith(name)})
    assert not any("could not be checked" in each.told for each in examine(system(tmp_path), configured()))


def test_findings_are_written_for_people_with_commands_in_one_line():
    mend = "sudo " + "x" * 200
    found = [Finding("a", Verdict.OK, "word " * 40), Finding("b", Verdict.HURTS, "told", mend)]
    lines = as_text(found).splitlines()
    assert all(len(line) <= 118 for line in lines if "->" not in line)
    assert lines[-2] == " " * 29 + f"-> {mend}"
    assert lines[-1] == summary(found) == "1 ok, 1 will hurt"


def test_the_real_machine_is_examined_without_the_compiler_and_the_screen(tmp_path):
    code = "import sys; from velox_tui.cli import main; code = main(['doctor', '--json'])\n"
    code += "assert not {'numba', 'llvmlite', 'textual', 'rich'} & set(sys.modules)\nsys.exit(code)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert (found["schema"], len(found["checks"])) == (1, len(CHECKS))
    assert done.returncode == (found["verdict"] == "will hurt")
    assert not any("could not be checked" in each["told"] for each in found["checks"])
    by_name = {each["name"]: each for each in found["checks"]}
    assert by_name["cores"]["values"]["allowed"] == list(this_machine().allowed)
    assert by_name["platform"]["verdict"] in ("ok", "could be better")
    assert all(each["mend"] for each in found["checks"] if each["verdict"] in ("could be better", "will hurt"))


def test_what_will_hurt_makes_the_exit_code_1(tmp_path):
    done = velox(tmp_path, "doctor", "--set", "threads.ingress_core=1023")
    assert (done.returncode, done.stderr) == (1, "")
    assert "got 1023, which this machine does not have" in " ".join(done.stdout.split())
    wrong = velox(tmp_path, "doctor", "--set", "threads.ingress_core=-1")
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_the_calls_of_this_system_answer():
    here = this_system()
    assert here.free_bytes(Path("/nowhere/at/all")) == here.free_bytes(Path("/"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert here.port_problem("127.0.0.1", port) == "is taken"
    assert here.port_problem("127.0.0.1", port) is None
    assert here.port_problem("no such host.invalid", 1) is not None
