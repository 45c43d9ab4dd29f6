"""A model of the four stages on shared slots, with the drain that travels behind the last transaction.

It follows ``ingress_step``, ``orderbook_step``, ``bundle_step`` and ``output_step`` with what they call, one
transaction a batch: the three rings are cursors only, the transactions lie in slots that `slots_needed` counts, bundles
are descriptors of ranges. So the reuse of a slot hangs on the whole chain of cursors from output back to ingress; and
on output's own cursor where ingress lets the slots begin anew, which it looks up before each transaction.
"""

from tests.model.explorer import ACQUIRE, RELAXED, RELEASE, BrokenError, Model, load, read, store, write
from tests.model.ring import End, ring_publish, ring_ready, ring_release, ring_room, words_of

LINE_BROKEN = (
    "a slot too few",
    "output releases before it reads",
    "output releases without release",
    "bundle releases without release",
    "order book hands on without looking for room",
    "descriptor published before it is written",
    "descriptor published without release",
    "a transaction counted into two bundles",
    "slots begin anew before output has passed all",
    "slots begin anew without acquire",
    "output tells what it has passed without release",
)


def slots_needed(ingress_ring, bundle_ring, output_ring, max_size):
    """`slots_needed` without rounding up, so that the model asks for the very least."""
    return ingress_ring + bundle_ring + (output_ring + 1) * max_size


def line_model(items, rings=(1, 1, 1), max_size=1, broken=""):
    """``items`` pass all four stages, each of which ends behind the last one; nothing is drained."""
    assert broken in ("", *LINE_BROKEN)
    slots = slots_needed(*rings, max_size) - (broken == "a slot too few")

    def ingress():
        end, origin = End("first", rings[0]), 0
        early = broken == "slots begin anew before output has passed all"
        order = RELAXED if broken == "slots begin anew without acquire" else ACQUIRE
        while end.own < items:
            if (yield from ring_room(end, 1)) == 0:
                continue
            out = yield load("passed output", order)
            if end.own not in (origin, 0) and out >= end.own - early:  # `_slot_for`
                origin = end.own
                yield write("origin", origin)
            yield write(f"slot {(end.own - origin) % slots}", end.own)
            yield from ring_publish(end, 1)

    def passed(sequence):
        """`note_passed` reads the record."""
        origin = yield read("origin")
        found = yield read(f"slot {(sequence - origin) % slots}")
        if found != sequence:
            raise BrokenError(f"transaction {sequence} came as {found}")

    def orderbook():
        source, target = End("first", rings[0]), End("second", rings[1])
        while source.own < items:
            if (yield from ring_ready(source)) == 0:
                continue
            if broken != "order book hands on without looking for room" and (yield from ring_room(target, 1)) == 0:
                continue
            yield from passed(source.own)
            yield from ring_publish(target, 1)
            yield from ring_release(source, 1)

    def bundle():
        source, target, opened = End("second", rings[1]), End("third", rings[2]), 0
        while source.own < items or opened:
            ready = 0
            if source.own < items:
                ready = yield from ring_ready(source)
            if opened == max_size or (opened and source.own == items):  # full, or late: nothing more will come
                if (yield from ring_room(target, 1)):  # `_flush_alone`
                    yield from flush(target, source.own - opened, opened)
                    opened = 0
                continue
            if not ready:
                continue
            room = yield from ring_room(target, 1 // max_size + 1)
            yield from passed(source.own)
            opened += 1
            if opened == max_size and room:
                yield from flush(target, source.own + 1 - opened, opened)
                opened = 0
            relaxed = broken == "bundle releases without release"
            yield from ring_release(source, 1, RELAXED if relaxed else RELEASE)

    def flush(target, first, count):
        early = broken == "descriptor published before it is written"
        relaxed = broken == "descriptor published without release"
        at = target.own % rings[2]
        if early:
            yield from ring_publish(target, 1)
        yield write(f"descriptor {at}", (first, count + (broken == "a transaction counted into two bundles")))
        if not early:
            yield from ring_publish(target, 1, RELAXED if relaxed else RELEASE)

    def output():
        source, out = End("third", rings[2]), 0
        while out < items:
            if (yield from ring_ready(source)) == 0:
                continue
            first, count = yield read(f"descriptor {source.own % rings[2]}")
            if first != out or first + count > items:
                raise BrokenError(f"a bundle of {count} begins at {first} after {out}")
            early = broken == "output releases before it reads"
            if early:
                yield from ring_release(source, 1)
            for sequence in range(first, first + count):
                yield from passed(sequence)
            out += count
            unordered = broken == "output tells what it has passed without release"
            yield store("passed output", out, RELAXED if unordered else RELEASE)
            if not early:
                relaxed = broken == "output releases without release"
                yield from ring_release(source, 1, RELAXED if relaxed else RELEASE)
        return out

    def final(values, returned):
        if returned["output"] != items:
            raise BrokenError(f"{returned['output']} of {items} came out")

    plain = {f"slot {slot}": None for slot in range(slots)}
    plain |= {f"descriptor {slot}": None for slot in range(rings[2])} | {"origin": 0}
    threads = {"ingress": ingress, "order book": orderbook, "bundle": bundle, "output": output}
    return Model(threads, words_of("first", "second", "third") | {"passed output": 0}, plain, final)


DRAIN_BROKEN = (
    "drained looked up after the ring was found empty",
    "drained looked up without acquire",
    "drained stored without release",
    "drained stored before the last publish",
    "open bundle not flushed",
    "bundle passes the drain on before its bundle",
    "ingress goes on after it has drained",
)


def drain_model(items, broken=""):
    """Up to ``items`` are on their way when a drain is asked for, at any moment: when output says drained, all are out.

    The order book differs from bundle without a bundle in nothing that a drain touches, so bundle stands for both.
    """
    assert broken in ("", *DRAIN_BROKEN)

    def supervisor():
        """The supervisor asks what the report asks: that everything accepted is in a bundle that is out."""
        yield store("epoch", 1, RELAXED)
        yield store("serial", 1)
        while (yield load("drained output")) != 1:
            pass
        bundles = yield load("bundles out", RELAXED)
        accepted = yield load("passed ingress", RELAXED)
        if bundles != (accepted + 1) // 2:
            raise BrokenError(f"drained with {bundles} bundles out of {accepted} transactions")

    def ingress():
        end = End("ring", items)
        while True:
            if (yield load("serial")) == 1:
                epoch = yield load("epoch", RELAXED)
                yield store("drained ingress", epoch, RELAXED if broken == DRAIN_BROKEN[2] else RELEASE)
                if broken == "ingress goes on after it has drained" and end.own < items:
                    yield store("passed ingress", end.own + 1)
                    yield from ring_publish(end, 1)
                return
            if end.own < items:
                if broken == "drained stored before the last publish" and (yield load("serial", RELAXED)) == 1:
                    yield store("drained ingress", 1)
                yield store("passed ingress", end.own + 1)
                yield from ring_publish(end, 1)

    def bundle():
        source, target, opened, out = End("ring", items), End("bundles", items), 0, 0
        late = broken == "drained looked up after the ring was found empty"
        order = RELAXED if broken == "drained looked up without acquire" else ACQUIRE
        while True:
            upstream = 0 if late else (yield load("drained ingress", order))
            if (yield from ring_ready(source)):
                opened += 1
                if opened == 2:  # max_size
                    yield from ring_publish(target, 1)
                    opened = 0
                yield from ring_release(source, 1)
                continue
            if late:
                upstream = yield load("drained ingress")
            if upstream != out:  # `_idle`: flush what is open, a step later pass the drain on
                if opened and broken != "open bundle not flushed":
                    if broken == "bundle passes the drain on before its bundle":
                        yield store("drained bundle", upstream)
                    yield from ring_publish(target, 1)
                    opened = 0
                    continue
                out = upstream
                yield store("drained bundle", upstream)
                return source.own

    def output():
        source, passed = End("bundles", items), 0
        while True:
            upstream = yield load("drained bundle")
            if (yield from ring_ready(source)):
                # bundles of two, but for the last one; what is open is what bundle took and did not publish before
                passed += 1
                yield from ring_release(source, 1)
                yield store("bundles out", passed)
                continue
            if upstream:
                yield store("drained output", upstream)
                return passed

    def final(values, returned):
        taken, bundles = returned["bundle"], returned["output"]
        if values["passed ingress"] != taken:
            raise BrokenError(f"{values['passed ingress']} accepted, {taken} taken into bundles")
        if bundles != (taken + 1) // 2:
            raise BrokenError(f"{taken} in bundles of two, {bundles} bundles out")

    words = {"epoch": 0, "serial": 0, "passed ingress": 0, "bundles out": 0}
    words |= {f"drained {stage}": 0 for stage in ("ingress", "bundle", "output")} | words_of("ring", "bundles")
    threads = {"supervisor": supervisor, "ingress": ingress, "bundle": bundle, "output": output}
    return Model(threads, words, {}, final)
