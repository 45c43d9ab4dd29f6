"""Machines for the doctor to look at: trees of ``/proc`` and ``/sys``, and what only calls would tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from velox_tui.doctor.system import PACKAGES, System

TSC = "processor : 0\nflags : fpu tsc constant_tsc nonstop_tsc avx2\n"
GOOD = {
    "numba": "0.68.1",
    "llvmlite": "0.50.0",
    "numpy": "2.3.0",
    "platformdirs": "4.3.8",
    "psutil": "7.0.0",
    "textual": "8.2.0",
    "tomlkit": "0.13.3",
    "zstandard": "0.23.0",
}


def put(root, files):
    """Write files of a tree, by their names below its root."""
    for name, text in files.items():
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def system(root, files=(), **other):
    """Make a Linux machine with these files where nothing is amiss, and with what is given otherwise."""
    put(root, dict(files))
    assert tuple(GOOD) == PACKAGES
    usual = System(
        root=Path(root),
        environ={"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"},
        platform="linux",
        machine="x86_64",
        allowed=(0, 1, 2, 3),
        libc="glibc 2.36",
        python=(3, 12, 1),
        free_threaded=False,
        versions=GOOD,
        rlimits={"memlock": 8 << 20, "nofile": 1024},
        regions=Path("/dev/shm/velox-1000"),
        terminal=True,
        encoding="utf-8",
        locale_problem=None,
        free_bytes=lambda path: 1 << 30,
        sharpened_ns=lambda: 1,
        port_problem=lambda host, port: None,
        wait=lambda seconds: None,
    )
    return replace(usual, **other)


def desktop(root, cores=4):
    """Give the files of a machine with so many cores of one node, no hyper-threads, all at full speed."""
    files = {
        "sys/devices/system/cpu/present": f"0-{cores - 1}",
        "sys/devices/system/cpu/isolated": "",
        "sys/devices/system/node/online": "0",
        "sys/devices/system/node/node0/cpulist": f"0-{cores - 1}",
        "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
        "sys/fs/cgroup/cpu.max": "max 100000",
        "proc/self/cgroup": "0::/user.slice",
        "proc/self/timerslack_ns": "50000",
        "proc/cpuinfo": TSC,
        "proc/stat": "cpu  1000 0 1000 8000 0 0 0 0 0 0\ncpu0 1 2 3",
        "proc/loadavg": "0.50 0.40 0.30 1/200 4711",
        "proc/meminfo": "MemTotal:       16000000 kB\nMemAvailable:    8000000 kB",
    }
    for core in range(cores):
        files[f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"] = str(core)
        files[f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor"] = "performance"
    put(root, files)
    return files


def server(root):
    """A server of two nodes with eight cores of two threads each; the last cores of the second are isolated."""
    desktop(root, 16)
    put(
        root,
        {
            "sys/devices/system/cpu/isolated": "14-15",
            "sys/devices/system/node/online": "0-1",
            "sys/devices/system/node/node0/cpulist": "0-7",
            "sys/devices/system/node/node1/cpulist": "8-15",
            **{
                f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list": f"{core & ~1}-{core | 1}"
                for core in range(16)
            },
        },
    )
    return system(root, allowed=tuple(range(16)))


def container(root):
    """A container with the first version of control groups on a machine that is not its own."""
    desktop(root, 4)
    put(
        root,
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456",
            "sys/kernel/mm/transparent_hugepage/enabled": "always madvise [never]",
            "sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet",
            "proc/cpuinfo": "flags : fpu tsc",
            "proc/stat": "cpu  1000 0 1000 6000 0 0 0 2000 0 0",
            "proc/loadavg": "9.25 9.00 9.00 12/300 1",
        },
    )
    for core in range(4):
        Path(root, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor").write_text("powersave\n")
    return system(
        root,
        environ={"TERM": "xterm"},
        encoding="utf-8",
        locale_problem="is not installed here",
        rlimits={"memlock": 65536, "nofile": 32},
        free_bytes=lambda path: 100_000,
        sharpened_ns=lambda: None,
    )


def mac(root):
    """A Mac with an Apple processor, which has neither tree."""
    return system(
        root,
        platform="darwin",
        machine="arm64",
        libc="",
        rlimits={"memlock": None, "nofile": 256},
        regions=Path("/Users/a/Library/Caches/TemporaryItems/velox-tui"),
        sharpened_ns=lambda: None,
    )
