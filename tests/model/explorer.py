"""A weak-memory explorer: every execution of a few small threads that acquire, release and relaxed accesses allow.

Memory is a list of messages a word. A thread has a *view*: for each word the oldest message that it may still read, and
for each thread how many of its plain accesses it knows of. A load may read any message that its view allows, not just
the newest; a release store puts the writer's view into the message, an acquire load takes it over; a relaxed load keeps
it for the next acquire fence, a relaxed store carries the view of the last release fence. Plain accesses must be
ordered by what the views know, else there is a race. This is the release-acquire fragment of C++11 with relaxed
accesses and fences, as in J. Kang et al., "A promising semantics for relaxed-memory concurrency" (POPL 2017), without
promises.

Limits, as in the checkers that are in use: messages are appended, which is exact for words with one writer and for
read-modify-writes; a load never reads a store that comes later in its own thread's program (no load buffering).

A program is a generator that yields operations and is sent their results; a `BrokenError` raised in it is a violation.
Its state is what its frames' variables hold, so two histories that lead to the same state are one, and endless polling
is a loop in a finite graph. A result must therefore go into a variable before the next operation is yielded. Beside
what programs raise, the explorer finds races, final states that the model refuses, and *hangs*: states from which no
end can be reached any more.
"""

import math
from collections import deque
from typing import NamedTuple

RELAXED, ACQUIRE, RELEASE = "relaxed", "acquire", "release"


class BrokenError(Exception):
    """A promise is broken; the text says which."""


class Op(NamedTuple):
    """One access or fence, as a program yields it."""

    kind: str
    place: str = ""
    order: str = RELAXED
    value: object = None


def load(place, order=ACQUIRE):
    """Load a word; gives its value."""
    return Op("load", place, order)


def await_(place, holds, order=ACQUIRE):
    """Load a word again and again until ``holds(value)``; gives that value."""
    return Op("await", place, order, holds)


def store(place, value, order=RELEASE):
    """Store a word."""
    return Op("store", place, order, value)


def update(place, change):
    """Read, change and write the newest value in one (acquire and release); gives the value before."""
    return Op("update", place, RELEASE, change)


def fence(order):
    """An acquire or a release fence."""
    return Op("fence", order=order)


def read(place):
    """Read a plain place; gives its value."""
    return Op("read", place)


def write(place, value):
    """Write a plain place."""
    return Op("write", place, value=value)


class Model(NamedTuple):
    """``threads``: generator functions by name; ``words`` and ``plain``: places and their first values; ``final`` is
    given the newest values and what the threads returned, and raises `BrokenError` if it does not like them.
    """

    threads: dict
    words: dict
    plain: dict
    final: object = lambda values, returned: None


class Found(NamedTuple):
    """What an exploration found: states seen, and the first problem with the steps that lead to it, if any."""

    states: int
    problem: str
    steps: tuple = ()


class _Program:
    """One thread's program as a graph of its own states, discovered by running it anew from its history."""

    def __init__(self, make):
        self._make = make
        self._nodes = {}
        self.ops, self.returned, self.histories, self._after = [], [], [], {}
        self.first = self._node(())

    def _node(self, history):
        program, returned = self._make(), None
        try:
            op = next(program)
            for result in history:
                op = program.send(result)
        except StopIteration as ended:
            op, returned = None, ended.value
        key, frame = [repr(returned)], program
        while op is not None and frame is not None:
            key.append(f"{frame.gi_code.co_name} {frame.gi_frame.f_lasti} {frame.gi_frame.f_locals}")
            frame = frame.gi_yieldfrom
        node = self._nodes.setdefault(tuple(key), len(self.ops))
        if node == len(self.ops):
            self.ops.append(op)
            self.returned.append(returned)
            self.histories.append(history)
        return node

    def after(self, node, result):
        """Return the node that follows when the node's operation gives this result."""
        found = self._after.get((node, result))
        if found is None:
            found = self._after[node, result] = self._node((*self.histories[node], result))
        return found


def _join(one, other):
    return one if one == other else tuple(map(max, one, other))


class _Explorer:
    def __init__(self, model):
        self.model = model
        self.names = list(model.threads)
        self.programs = [_Program(make) for make in model.threads.values()]
        self.word = {name: at for at, name in enumerate(model.words)}
        self.plain = {name: at for at, name in enumerate(model.plain)}
        self.epoch = len(self.word)  # a view's words come first, then a count for each thread
        self.ended = ((0,) * (self.epoch + len(self.names)),) * 3

    def begin(self):
        """Give the first state: nodes, (current, acquired, released) views, messages a word, plain places."""
        threads = len(self.programs)
        zero = (0,) * (self.epoch + threads)
        memory = tuple(((value, zero),) for value in self.model.words.values())
        plain = tuple((value, (-1, 0), (0,) * threads) for value in self.model.plain.values())
        nodes = tuple(program.first for program in self.programs)
        state = (nodes, ((zero,) * 3,) * threads, memory, plain)
        for thread in range(threads):
            state = self.settle(state, thread)
        return state

    def settle(self, state, thread):
        """Run a thread through what others cannot see: plain accesses, which must not race, and fences."""
        program = self.programs[thread]
        nodes, views, memory, plain = state
        while (op := program.ops[nodes[thread]]) is not None and op.kind in ("read", "write", "fence"):
            current, acquired, released = views[thread]
            result = None
            if op.kind == "fence":
                current, released = (acquired, released) if op.order == ACQUIRE else (current, current)
            else:
                own = self.epoch + thread
                current = (*current[:own], current[own] + 1, *current[own + 1 :])
                result, plain = self.touch(op, plain, thread, current)
            views = (*views[:thread], (current, _join(acquired, current), released), *views[thread + 1 :])
            nodes = (*nodes[:thread], program.after(nodes[thread], result), *nodes[thread + 1 :])
        return self.normal(nodes, views, memory, plain)

    def touch(self, op, plain, thread, view):
        """Read or write a plain place; what it conflicts with must be known to the thread's view."""
        at = self.plain[op.place]
        value, (writer, written), reads = plain[at]
        known, now = view[self.epoch :], view[self.epoch + thread]
        others = [(writer, written)] if writer >= 0 else []
        if op.kind == "write":
            others += enumerate(reads)
        for other, when in others:
            if other != thread and when > known[other]:
                raise BrokenError(f"race on {op.place} between {self.names[other]} and {self.names[thread]}")
        if op.kind == "read":
            place = (value, (writer, written), (*reads[:thread], now, *reads[thread + 1 :]))
        else:
            place = (op.value, (thread, now), (0,) * len(reads))
        return value, (*plain[:at], place, *plain[at + 1 :])

    def normal(self, nodes, views, memory, plain):
        """Forget messages that nobody can read any more, and the views of threads that have ended."""
        running = [self.programs[at].ops[node] is not None for at, node in enumerate(nodes)]
        if not all(running):
            views = tuple(view if runs else self.ended for view, runs in zip(views, running, strict=True))
        newest = tuple(len(messages) - 1 for messages in memory)
        low = tuple(map(min, newest, newest, *(view[0] for view, runs in zip(views, running, strict=True) if runs)))
        if any(low):
            less, known = (*low, *(0,) * len(nodes)), {}

            def lowered(view):
                if view not in known:
                    known[view] = tuple(one - by if one > by else 0 for one, by in zip(view, less, strict=True))
                    known[view] = known[view][: self.epoch] + view[self.epoch :]
                return known[view]

            views = tuple(tuple(map(lowered, each)) for each in views)
            memory = tuple(
                tuple((value, lowered(view)) for value, view in messages[oldest:])
                for messages, oldest in zip(memory, low, strict=True)
            )
        return nodes, views, memory, plain

    def successors(self, state):
        """Yield (what was done, the state that follows) for everything that can happen next."""
        nodes, views, memory, _ = state
        for thread, program in enumerate(self.programs):
            op = program.ops[nodes[thread]]
            if op is None:
                continue
            at = self.word[op.place]
            messages, (current, _, _) = memory[at], views[thread]
            first = len(messages) - 1 if op.kind in ("update", "store") else current[at]
            for index in range(first, len(messages)):
                value = messages[index][0]
                if op.kind == "await" and not op.value(value):
                    continue
                yield from self.access(state, thread, op, at, index)

    def access(self, state, thread, op, at, index):
        nodes, views, memory, plain = state
        messages = memory[at]
        current, acquired, released = views[thread]
        value, carried = messages[index]
        told = f"{self.names[thread]} {op.kind} {op.place} {op.value if op.kind == 'store' else value}"
        result = None
        if op.kind != "store":
            result = value
            current = (*current[:at], max(current[at], index), *current[at + 1 :])
            acquired = _join(_join(acquired, carried), current)
            current = current if op.order == RELAXED else _join(current, carried)
        if op.kind in ("store", "update"):
            last = len(messages)
            new = op.value if op.kind == "store" else op.value(value)
            carried = (0,) * len(current) if op.kind == "store" else carried  # an update goes on with a release
            base = _join(carried, released if op.order == RELAXED else current)

            def stamped(view, where):
                return (*view[:at], where, *view[at + 1 :])

            if (new, stamped(base, last - 1)) == messages[-1]:
                last -= 1  # once more the same by the same: nobody could tell
            else:
                memory = (*memory[:at], (*messages, (new, stamped(base, last))), *memory[at + 1 :])
            current = stamped(current, last)
        views = (*views[:thread], (current, _join(acquired, current), released), *views[thread + 1 :])
        try:
            node = self.programs[thread].after(nodes[thread], result)
            nodes = (*nodes[:thread], node, *nodes[thread + 1 :])
            yield told, self.settle((nodes, views, memory, plain), thread), ""
        except BrokenError as broken:
            yield told, None, str(broken)

    def judge(self, state):
        """Say what is wrong with a state in which all threads have ended."""
        nodes, _, memory, plain = state
        values = {name: memory[at][-1][0] for name, at in self.word.items()}
        values |= {name: plain[at][0] for name, at in self.plain.items()}
        returned = {name: self.programs[at].returned[nodes[at]] for at, name in enumerate(self.names)}
        try:
            self.model.final(values, returned)
        except BrokenError as broken:
            return str(broken)
        return ""


def explore(model, most=math.inf):
    """Go through every state of a model, nearest first, and return what was found."""
    explorer = _Explorer(model)
    first = explorer.begin()
    numbers, came, before = {first: 0}, [(0, "")], [[]]
    waiting, ends = deque([first]), []

    def steps(at, *last):
        found = list(last)
        while at:
            at, told = came[at][0], came[at][1]
            found.append(told)
        return tuple(reversed(found))

    while waiting:
        state = waiting.popleft()
        number = numbers[state]
        if all(program.ops[node] is None for program, node in zip(explorer.programs, state[0], strict=True)):
            problem = explorer.judge(state)
            if problem:
                return Found(len(numbers), problem, steps(number))
            ends.append(number)
        for told, after, problem in explorer.successors(state):
            if problem:
                return Found(len(numbers), problem, steps(number, told))
            if after not in numbers:
                numbers[after] = len(came)
                came.append((number, told))
                before.append([])
                waiting.append(after)
            before[numbers[after]].append(number)
        if len(numbers) > most:
            raise RuntimeError(f"more than {most:,} states")
    alive, look = set(ends), list(ends)
    while look:
        for number in before[look.pop()]:
            if number not in alive:
                alive.add(number)
                look.append(number)
    for number in range(len(came)):
        if number not in alive:
            return Found(len(numbers), "hang: from here no end can be reached", steps(number))
    return Found(len(numbers), "")
