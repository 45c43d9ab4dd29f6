"""Child processes that share out numbered steps of work among them; whoever is free takes the next.

What crosses the pipes is only numbers: a step's goes to a child's standard input, and comes back on its standard output
when it is done. What a child leaves behind lies elsewhere, in the compile cache.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

_POLL_S: Final = 0.05


@contextlib.contextmanager
def _started(
    command: Sequence[str], environment: dict[str, str], count: int
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start the children; none of them outlives the context."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    # a session of their own: ctrl+c in the terminal is for us to handle, and to pass on
    how: dict[str, Any] = {"env": environment, "start_new_session": True, "bufsize": 0, **pipes}
    children: list[subprocess.Popen[bytes]] = []
    try:
        while len(children) < count:
            children.append(subprocess.Popen(command, **how))
        yield children
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


def share_out(
    command: Sequence[str],
    environment: dict[str, str],
    steps: int,
    *,
    children: int,
    joint: int,
    begun: Callable[[int], None],
    given_up: Callable[[], bool],
) -> bool:
    """Have children do the steps 0 … ``steps - 1`` in this order; but step ``joint`` when all before it are done.

    What stands behind it does not wait for it. ``begun(step)`` is called as each is given out; ``given_up()`` is asked
    often, and ends it. Return whether all were done: not where a child cannot be started, or has died.
    """
    try:
        with _started(command, environment, children) as started:
            return _watch(started, steps, joint, begun, given_up)
    except OSError:
        return False


def _watch(
    children: list[subprocess.Popen[bytes]],
    steps: int,
    joint: int,
    begun: Callable[[int], None],
    given_up: Callable[[], bool],
) -> bool:
    waiting, before, done = list(range(steps)), set(range(joint)), 0
    free = list(children)
    outputs = {child.stdout.fileno(): child for child in children if child.stdout is not None}
    working: dict[int, int] = {}
    while done < steps:
        while free and (step := next((each for each in waiting if each != joint or not before), None)) is not None:
            waiting.remove(step)
            child = free.pop(0)
            begun(step)
            if child.stdin is not None and child.stdout is not None:
                working[child.stdout.fileno()] = step
                child.stdin.write(f"{step}\n".encode())
        for output in select.select(list(outputs), [], [], _POLL_S)[0]:
            if not (answer := os.read(output, 4096)):
                return False
            if answer.endswith(b"\n"):  # it may come in pieces; a child has one step at a time
                done += 1
                before.discard(working[output])
                free.append(outputs[output])
        if given_up():
            return False
    return True
