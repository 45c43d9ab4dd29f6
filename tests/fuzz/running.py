"""The fuzzer's loop: a child process tries inputs, this one keeps what it was trying when it crashes or hangs.

Input number n of a seed is always the same, so that a run can be repeated, shared out or taken up again.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import random
import resource
import struct
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

import psutil

from velox_engine.errors import VeloxError

HANG_S = 30.0
"""How much processor time one input may take; the slowest honest one takes milliseconds."""
_WAITS = 20
"""So many times as long it may wait for anything: beside others of more importance it may not run at all."""
MOST_GROWTH_KIB = 400 * 1024
_HEAD = struct.Struct("<qqq")  # the input's number, its length, inputs done
_SHARED = _HEAD.size + (1 << 20)


class Target(Protocol):
    """Something that reads bytes."""

    def make(self, choose: random.Random) -> bytes:
        """Make an input."""

    def close(self) -> None:
        """Let go of what it holds."""

    def run(self, data: bytes) -> str:
        """Try an input; return what became of it in a word. Anything that it raises is a finding."""


@dataclass
class Outcome:
    """What a run of the fuzzer came to."""

    done: int = 0
    seconds: float = 0.0
    words: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[bytes, str]] = field(default_factory=list)


def made(target: Target, seed: int, number: int) -> bytes:
    """Input number ``number`` of a seed."""
    return target.make(random.Random(f"{seed} {number}"))


def tried(target: Target, data: bytes) -> tuple[str, str | None]:
    """Try one input; return the word for it, and what is wrong, if anything."""
    try:
        return target.run(data), None
    except VeloxError as error:
        return "finding", f"{type(error).__name__} where the target expects none: {error}"
    except MemoryError:
        raise
    except (Exception, RecursionError):
        return "finding", traceback.format_exc()


def _child(name: str, seed: int, first: int, count: int, until: float, memory: mmap.mmap, answers: Connection) -> None:
    from tests.fuzz.targets import TARGETS

    target: Target = TARGETS[name]()
    grown, words = 0, Counter[str]()
    known: set[str] = set()
    number, start = first, 0
    while number < first + count and time.monotonic() < until:
        data = made(target, seed, number)
        memory[_HEAD.size : _HEAD.size + len(data)] = data
        _HEAD.pack_into(memory, 0, number, len(data), number - first)
        word, wrong = tried(target, data)
        if wrong is not None and (kind := wrong.strip().splitlines()[-1][:60]) not in known:
            known.add(kind)  # one input of each kind is enough to mend it
            answers.send((data, wrong))
        words[word] += 1
        number += 1
        if number - first == 200:
            start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        elif number % 1000 == 0 and start:
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start
            if grown > MOST_GROWTH_KIB:
                answers.send((data, f"memory grew by {grown} KiB up to input {number} of seed {seed}"))
                break
    _HEAD.pack_into(memory, 0, number, 0, number - first)
    answers.send(words)
    target.close()


def fuzz(name: str, seed: int, count: int, minutes: float, *, first: int = 0, most_findings: int = 5) -> Outcome:
    """Try inputs until so many are done, the time is over or enough was found."""
    outcome, begun = Outcome(), time.monotonic()
    until = begun + 60 * minutes
    context = multiprocessing.get_context("spawn")
    memory = _shared()
    while outcome.done < count and time.monotonic() < until and len(outcome.findings) < most_findings:
        heard, said = context.Pipe(duplex=False)
        at = first + outcome.done
        child = context.Process(
            target=_mapped_child, args=(name, seed, at, count - outcome.done, until, str(memory.path), said)
        )
        _HEAD.pack_into(memory.memory, 0, at, 0, 0)
        child.start()
        said.close()
        trying, since, used, ended = -1, time.monotonic(), 0.0, False
        while not ended:
            now = time.monotonic()
            try:
                while heard.poll(0.2):
                    told = heard.recv()
                    if isinstance(told, Counter):
                        outcome.words += told
                        ended = True
                        break
                    outcome.findings.append(told)
            except EOFError:
                ended = True
            number, length, _ = _HEAD.unpack_from(memory.memory, 0)
            if number != trying:
                trying, since, used = number, now, _processor_s(child.pid)
            allowed = HANG_S if number > at else 10 * HANG_S  # the first one may have to compile
            hangs = now - since > allowed and (
                _processor_s(child.pid) - used > allowed or now - since > _WAITS * allowed
            )
            if not ended and (hangs or len(outcome.findings) >= most_findings):
                if hangs:
                    outcome.findings.append(
                        (
                            _current(memory.memory),
                            f"hangs: more than {HANG_S} s of processor time on one input, or no end in sight",
                        )
                    )
                child.kill()
                ended = True
        child.join(HANG_S)
        number, length, done = _HEAD.unpack_from(memory.memory, 0)
        outcome.done += done
        if child.exitcode not in (0, None) and not (outcome.findings and child.exitcode == -9):
            how = f"signal {-child.exitcode}" if child.exitcode < 0 else f"exit code {child.exitcode}"
            outcome.findings.append((_current(memory.memory), f"the process ended by {how} at input {number}"))
        if length:  # it ended inside this input: go on behind it
            outcome.done += 1
    memory.close()
    outcome.seconds = time.monotonic() - begun
    return outcome


def _processor_s(pid: int | None) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system


@dataclass
class _Shared:
    path: Path
    memory: mmap.mmap

    def close(self) -> None:
        self.memory.close()
        self.path.unlink()


def _shared() -> _Shared:
    handle, name = tempfile.mkstemp()
    with os.fdopen(handle, "r+b") as file:
        file.truncate(_SHARED)
        return _Shared(Path(name), mmap.mmap(file.fileno(), _SHARED))


def _mapped_child(name: str, seed: int, first: int, count: int, until: float, path: str, answers: Connection) -> None:
    with Path(path).open("r+b") as file:
        memory = mmap.mmap(file.fileno(), _SHARED)
    _child(name, seed, first, count, until, memory, answers)


def _current(memory: mmap.mmap) -> bytes:
    _, length, _ = _HEAD.unpack_from(memory, 0)
    return memory[_HEAD.size : _HEAD.size + length]
