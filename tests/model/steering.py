"""Models of the hand-shakes between supervisor and workers: orders with their serial, and how a run ends."""

from tests.model.explorer import ACQUIRE, RELAXED, RELEASE, BrokenError, Model, await_, fence, load, store, update

ORDER_BROKEN = (
    "serial not odd while the order is written",
    "order written before the serial is odd",
    "serial closed without release",
    "serial looked up without acquire",
    "serial not looked up again",
    "serial looked up again without the acquire fence",
    "acknowledged before it is adopted",
    "acknowledged without release",
    "pause not waited for",
    "a new gap taken without its schedule",
)

RUN, PAUSE = "run", "pause"
_GAP_OF_SCHEDULE = (0, 1, 1, 2, 3)


def order_model(items, broken=""):
    """`Supervisor._order` and `_acknowledged` against ``_adopt``: rates, a clock step, a pause, a resume.

    A schedule begins with the gap that came with it, a paused ingress takes nothing in, and in the end ingress has what
    was ordered last. The clock step (`_watch_clock`) is not waited for, so the rate behind it may be written while
    ingress still reads the step: the serial is a sequence lock.
    """
    assert broken in ("", *ORDER_BROKEN)

    def supervisor():
        serial = 0

        def order(**words):
            nonlocal serial
            if broken != "serial not odd while the order is written":
                yield store("serial", serial + 1, RELAXED)
                if broken != "order written before the serial is odd":
                    yield fence(RELEASE)
            for name, value in words.items():
                yield store(name, value, RELAXED)
            serial += 2
            yield store("serial", serial, RELAXED if broken == "serial closed without release" else RELEASE)

        def acknowledged():
            while (yield load("acknowledged")) != serial:
                pass

        yield from order(gap=1, rebase=1)
        yield from acknowledged()
        yield from order(rebase=2)  # a clock step
        yield from order(gap=2, rebase=3)
        yield from acknowledged()
        yield from order(phase=PAUSE)
        if broken != "pause not waited for":
            yield from acknowledged()
        before = yield load("passed", RELAXED)
        yield from order(gap=3, rebase=4)
        yield from acknowledged()
        after = yield load("passed", RELAXED)
        if before != after:
            raise BrokenError(f"paused at {before}, and then {after} were passed")
        yield from order(phase=RUN)
        yield from acknowledged()
        yield store("stop", 1)

    def ingress():
        serial, rebase, gap, phase, passed = 0, 0, 0, RUN, 0
        while True:
            stop = yield load("stop")
            new = yield load("serial", RELAXED if broken == "serial looked up without acquire" else ACQUIRE)
            if broken == "a new gap taken without its schedule":
                gap = yield load("gap", RELAXED)
            if new != serial and new % 2 == 0:
                order = []
                for name in ("phase", "gap", "rebase"):
                    order.append((yield load(name, RELAXED)))  # noqa: PERF401
                if broken != "serial looked up again without the acquire fence":
                    yield fence(ACQUIRE)
                if broken != "serial not looked up again" and (yield load("serial", RELAXED)) != new:
                    continue
                serial = new
                early = broken == "acknowledged before it is adopted"
                if early:
                    yield store("acknowledged", serial)
                if early and phase == RUN and passed < items:
                    passed += 1
                    yield store("passed", passed)
                phase, gap, begun = order
                if begun != rebase:
                    rebase = begun
                    if gap != _GAP_OF_SCHEDULE[rebase]:
                        raise BrokenError(f"schedule {rebase} begun with gap {gap}")
                if not early:
                    relaxed = broken == "acknowledged without release"
                    yield store("acknowledged", serial, RELAXED if relaxed else RELEASE)
            if gap != _GAP_OF_SCHEDULE[rebase]:
                raise BrokenError(f"gap {gap} on schedule {rebase}")
            if stop and new == serial:
                return phase, gap, rebase
            if phase == RUN and passed < items:
                passed += 1
                yield store("passed", passed)

    def final(values, returned):
        if returned["ingress"] != (RUN, 3, 4):
            raise BrokenError(f"ordered last: run, gap 3, schedule 4; ingress has {returned['ingress']}")

    words = {"serial": 0, "phase": RUN, "gap": 0, "rebase": 0, "acknowledged": 0, "passed": 0, "stop": 0}
    return Model({"supervisor": supervisor, "ingress": ingress}, words, {}, final)


ENDING_BROKEN = (
    "a drain over before output has drained",
    "finished before the workers have ended",
    "last words not published",
    "stop looked at only while running",
    "second signal not taken while draining",
    "a caller that waits for its answer alone",
)


def ending_model(items, stuck=False, broken=""):
    """How a run ends: one or two signals, a drain, and a caller whose command comes at any moment.

    `Ending.handle` and `Engine._ask` against `Supervisor._run`, `_stop`, `_watch_drain`, `_end` and `run_worker`. One
    worker has all stages; ``stuck``: it never drains, so only the second signal ends the run. What a block of telemetry
    holds is one word here: `telemetry.py` models the lock.
    """
    assert broken in ("", *ENDING_BROKEN)

    def signals():
        """The main thread: `request_stop` twice, the second without a drain, then the report."""
        for command in ("drain", "now"):
            if not (yield load("finished")):
                yield update("queue", lambda waiting, command=command: (*waiting, command))
        yield await_("finished", bool)
        return (yield load("told", RELAXED))

    def caller():
        """`_ask`: a command, an answer or the end."""
        yield update("queue", lambda waiting: (*waiting, "pause"))
        while not (yield load("answered")):
            if broken != "a caller that waits for its answer alone" and (yield load("finished")):
                return

    def supervisor():
        draining, ended_by = False, ""
        while not ended_by:
            waiting = yield update("queue", lambda waiting: waiting[1:])
            command = waiting[0] if waiting else ""
            if command == "pause":
                yield store("answered", 1)
            elif command == "drain":
                draining = True
                yield store("serial", 1)
            elif command == "now" and not (draining and broken == "second signal not taken while draining"):
                ended_by = "now"
            if draining and (broken == "a drain over before output has drained" or (yield load("drained"))):
                ended_by = ended_by or "drained"
        yield store("stop", 1)  # `_end`
        if broken != "finished before the workers have ended":
            yield await_("ended", bool)
        yield store("finished", 1)
        yield update("queue", lambda waiting: ())
        return ended_by

    def worker():
        accepted, out, draining, told = 0, 0, False, False
        while True:
            if not (draining and broken == "stop looked at only while running") and (yield load("stop")):
                break
            if not told and accepted:  # now and then
                told = True
                yield store("told", (accepted, out))
            draining = bool((yield load("serial"))) or draining
            if not draining and accepted < items:
                accepted += 1
            elif out < accepted and not stuck:
                out += 1
            elif draining and not stuck:
                yield store("drained", 1)
        if broken != "last words not published":
            yield store("told", (accepted, out))
        yield store("ended", 1)
        return accepted, out

    def final(values, returned):
        accepted, out = returned["signals"]
        if (accepted, out) != returned["worker"]:
            raise BrokenError(f"reported {(accepted, out)} accepted and out, the worker had {returned['worker']}")
        if returned["supervisor"] == "drained" and out != accepted:
            raise BrokenError(f"drained with {accepted - out} inside")

    words = dict.fromkeys(("serial", "drained", "stop", "ended", "finished", "answered"), 0)
    threads = {"signals": signals, "caller": caller, "supervisor": supervisor, "worker": worker}
    return Model(threads, words | {"queue": (), "told": (0, 0)}, {}, final)
