"""Run ``velox-tui`` for long, steer it as a person would, sample it from outside, judge it, draw its course."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.command import environment
from tests.soak import judgement, pictures, samples
from tests.soak.steering import Person
from tests.ui_terminal import Terminal, shared_cache
from velox_engine.discovery import Found, find_engines
from velox_engine.telemetry.reader import TelemetryReader
from velox_engine.telemetry.region_file import open_region

_KEPT_OUTPUT = 1 << 16
_START_S = 300.0


def main() -> int:
    """Return 0 where everything is as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long; a day has 1440")
    parser.add_argument("--rate", type=int, default=20_000, help="transactions a second to begin with")
    parser.add_argument("--headless", action="store_true", help="without the dashboard, and without steering")
    parser.add_argument("--act-every", type=float, default=20, help="seconds between two acts, on average")
    parser.add_argument("--lively", type=float, default=0, help="minutes at first with an act every 2 s")
    parser.add_argument("--look-every", type=float, default=2, help="seconds between two samples")
    parser.add_argument("--seed", type=int, default=0, help="what is done, and when; 0: one is picked and told")
    parser.add_argument("--out", type=Path, default=Path("soak"), help="the folder for samples, picture and verdicts")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value", help="passed on")
    asked = parser.parse_args()
    asked.seed = asked.seed or random.SystemRandom().randrange(1, 2**31)
    asked.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as home:
        return _soak(asked, Path(home))


def _soak(asked: argparse.Namespace, home: Path) -> int:
    name = f"soak-{asked.seed}"
    report = home / "report.json"
    options = ["--name", name, "--rate", str(asked.rate), "--report", str(report)]
    for each in asked.set:
        options += ["--set", each]
    terminal: Terminal | None = None
    if asked.headless:
        command = [sys.executable, "-m", "velox_tui", "--no-ui", "--duration", str(asked.minutes * 60), *options]
        env = environment(home) | shared_cache()
        process = subprocess.Popen(command, cwd=home, env=env, stdout=subprocess.DEVNULL)
    else:
        terminal = Terminal(home, *options, size=(120, 40))
        process = terminal.process
    try:
        taken, person = _watch(asked, name, process, terminal)
        code = _end(process, terminal)
    finally:
        process.kill()
        process.wait()
    samples.write(taken, asked.out / "samples.csv")
    verdicts = judgement.judge(taken, code, json.loads(report.read_text()))
    lines = [f"{'good' if each.good else 'BAD '}  {each.what}: {each.found}" for each in verdicts]
    acts = ", ".join(f"{what} {count}" for what, count in sorted(person.done.items())) if person else "none"
    text = f"seed {asked.seed}, {taken[-1].at_s / 60:.1f} minutes, {taken[-1].output:,} transactions, acts: {acts}\n"
    text += "\n".join(lines) + "\n"
    (asked.out / "verdicts.txt").write_text(text)
    print(text, end="", flush=True)
    try:
        pictures.draw(taken, asked.out / "course.svg")
    except ImportError:
        print("no picture: matplotlib is not installed")
    return 0 if all(each.good for each in verdicts) else 1


def _found(name: str, process: subprocess.Popen[bytes], terminal: Terminal | None) -> Found:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        if terminal is not None:
            terminal.read(0.1)
        for each in find_engines():
            if each.name == name and each.alive and each.problem is None:
                return each
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"the engine did not start: {terminal.output[-500:] if terminal else process.poll()!r}")


def _watch(
    asked: argparse.Namespace, name: str, process: subprocess.Popen[bytes], terminal: Terminal | None
) -> tuple[list[samples.Sample], Person | None]:
    sampler = samples.Sampler(process.pid, TelemetryReader(open_region(_found(name, process, terminal).path)))
    person = Person(terminal, asked.seed, asked.act_every, asked.lively * 60) if terminal is not None else None
    taken: list[samples.Sample] = []
    begun = due = time.monotonic()
    while process.poll() is None and time.monotonic() - begun < asked.minutes * 60:
        due += asked.look_every
        while (left := due - time.monotonic()) > 0:
            if terminal is None:
                time.sleep(left)
                continue
            terminal.read(min(left, 0.2))
            terminal.output = terminal.output[-_KEPT_OUTPUT:]
        try:
            sample = sampler.take()
        except (OSError, LookupError):
            break  # it has just ended
        if sample.state == "starting":
            continue
        taken.append(sample)
        if person is not None:
            person.look(sample.state, sample.rate)
        if len(taken) % 150 == 0:
            samples.write(taken, asked.out / "samples.csv")
            print(f"{sample.at_s / 60:6.1f} min  {sample.output:,} out  {sample.rss / 1e6:.1f} MB", flush=True)
    return taken, person


def _end(process: subprocess.Popen[bytes], terminal: Terminal | None) -> int:
    """Leave as a person does: drain, wait for it, quit."""
    if terminal is None:
        return process.wait(60)
    for key, patience in (("\x1b", 1.0), ("d", 5.0), ("q", 1.0)):
        if process.poll() is None:
            terminal.press(key)
            end = time.monotonic() + patience
            while time.monotonic() < end:
                terminal.read(0.1)
                terminal.output = terminal.output[-_KEPT_OUTPUT:]
    return terminal.ends(60)


if __name__ == "__main__":
    sys.exit(main())
