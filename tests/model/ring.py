"""Models of `velox_engine.lockfree.ring`, of the staging ring and of the outlet, function by function.

A thread's private words (``_PRODUCED`` and ``_RELEASED_SEEN``, ``_CONSUMED`` and ``_PUBLISHED_SEEN``) are an `End`; the
slots are plain, so an access that the cursors do not order is a race.
"""

from dataclasses import dataclass

from tests.model.explorer import ACQUIRE, RELAXED, RELEASE, BrokenError, Model, load, read, store, write


@dataclass
class End:
    """One side of a ring: its own cursor, and its copy of the other's."""

    name: str
    capacity: int
    own: int = 0
    seen: int = 0


def words_of(*names):
    """The words that both sides of these rings touch."""
    return {f"{name}.{cursor}": 0 for name in names for cursor in ("published", "released")}


# ---- ring.py


def ring_room(end, wanted, order=ACQUIRE):
    room = end.capacity - (end.own - end.seen)
    if room < wanted:
        end.seen = yield load(f"{end.name}.released", order)
        room = end.capacity - (end.own - end.seen)
    return room


def ring_publish(end, count, order=RELEASE):
    end.own += count
    yield store(f"{end.name}.published", end.own, order)


def ring_ready(end, order=ACQUIRE):
    ready = end.seen - end.own
    if ready == 0:
        end.seen = yield load(f"{end.name}.published", order)
        ready = end.seen - end.own
    return ready


def ring_release(end, count, order=RELEASE):
    end.own += count
    yield store(f"{end.name}.released", end.own, order)


# ---- a producer and a consumer, as `tests.test_threads_truth` has them

RING_BROKEN = (
    "published without release",
    "published before the slots are written",
    "published more than was written",
    "published seen without acquire",
    "released without release",
    "released before the slots are read",
    "released seen without acquire",
    "room for one more than there is",
    "room never looked up again",
)


def ring_model(items, capacity, batch, broken=""):
    """``items`` through a ring, at most ``batch`` at a time on either side."""
    assert broken in ("", *RING_BROKEN)

    def relaxed(what, order):
        return RELAXED if broken == what else order

    def producer():
        end, made = End("ring", capacity + (broken == "room for one more than there is")), 0
        while made < items:
            wanted = min(batch, items - made)
            if broken == "room never looked up again" and made:
                yield load("ring.published")
                room = end.capacity - (end.own - end.seen)
            else:
                room = yield from ring_room(end, wanted, relaxed("released seen without acquire", ACQUIRE))
            count = min(room, wanted)
            if count == 0:
                continue
            early = broken == "published before the slots are written"
            first = end.own
            if early:
                yield from ring_publish(end, count)
            for cursor in range(first, first + count):
                yield write(f"slot {cursor % capacity}", cursor)
            if not early:
                more = broken == "published more than was written" and made + count < items
                yield from ring_publish(end, count + more, relaxed("published without release", RELEASE))
                end.own -= more
            made += count

    def consumer():
        end, taken = End("ring", capacity), 0
        while taken < items:
            ready = yield from ring_ready(end, relaxed("published seen without acquire", ACQUIRE))
            count = min(ready, batch)
            if count == 0:
                continue
            early = broken == "released before the slots are read"
            first = end.own
            if early:
                yield from ring_release(end, count)
            for cursor in range(first, first + count):
                found = yield read(f"slot {cursor % capacity}")
                if found != cursor:
                    raise BrokenError(f"item {cursor} came as {found}")
            if not early:
                yield from ring_release(end, count, relaxed("released without release", RELEASE))
            taken += count

    slots = {f"slot {slot}": None for slot in range(capacity)}
    return Model({"producer": producer, "consumer": consumer}, words_of("ring"), slots)


# ---- feeds/staging.py with stages/ingress.py: the end of a source

CLOSING_BROKEN = ("closed looked up after the ring was found empty", "closed without release", "closed without acquire")


def closing_model(items, broken=""):
    """`Decoder._run` (``stage_records``, ``close_staging``) against ``_recorded_step``: nothing is left unread."""
    assert broken in ("", *CLOSING_BROKEN)

    def decoder():
        end = End("staging", items)
        for cursor in range(items):
            yield write(f"staged {cursor}", cursor)
            yield from ring_publish(end, 1)
        yield store("closed", 1, RELAXED if broken == "closed without release" else RELEASE)

    def ingress():
        end, late = End("staging", items), broken == "closed looked up after the ring was found empty"
        order = RELAXED if broken == "closed without acquire" else ACQUIRE
        while True:
            closed = 0 if late else (yield load("closed", order))
            ready = yield from ring_ready(end)
            if ready == 0:
                if late:
                    closed = yield load("closed", order)
                if closed:
                    return end.own
                continue
            yield read(f"staged {end.own}")
            yield from ring_release(end, 1)

    def final(values, returned):
        if returned["ingress"] != items:
            raise BrokenError(f"{items} were staged, {returned['ingress']} taken")

    slots = {f"staged {slot}": None for slot in range(items)}
    return Model({"decoder": decoder, "ingress": ingress}, {"closed": 0, **words_of("staging")}, slots, final)


# ---- stages/sinking.py with sinks.py: whole bundles to the sink

OUTLET_BROKEN = (
    "sizes published before their records are written",
    "records released before they are read",
    "sizes published without release",
    "ended looked up after the outlet was found empty",
)


def outlet_model(bundles, room, broken=""):
    """``hand_bundle`` and `Supervisor._end` against ``take_bundles`` in `SinkThread._run`, bundles of 2 and 1."""
    assert broken in ("", *OUTLET_BROKEN)
    sizes = [2 - bundle % 2 for bundle in range(bundles)]

    def output():
        records, lengths, first = End("records", room), End("sizes", room), 0
        for size in sizes:
            while True:  # `outlet_room`
                left = yield from ring_room(records, size)
                places = yield from ring_room(lengths, 1)
                if left >= size and places >= 1:
                    break
            early, relaxed = broken == OUTLET_BROKEN[0], broken == "sizes published without release"
            if early:
                yield write(f"size {lengths.own % room}", size)
                yield from ring_publish(lengths, 1)
            for step in range(size):
                yield write(f"record {(records.own + step) % room}", first + step)
            first += size
            yield from ring_publish(records, size)
            if not early:
                yield write(f"size {lengths.own % room}", size)
                yield from ring_publish(lengths, 1, RELAXED if relaxed else RELEASE)
        yield store("ended", 1)  # the supervisor, once the worker has been joined

    def sink():
        records, lengths, first = End("records", room), End("sizes", room), 0
        late = broken == "ended looked up after the outlet was found empty"
        while True:
            ended = 0 if late else (yield load("ended"))
            ready = yield from ring_ready(lengths)
            if ready == 0:
                if late:
                    ended = yield load("ended")
                if ended:
                    return first
                continue
            total = 0
            for bundle in range(ready):
                total += yield read(f"size {(lengths.own + bundle) % room}")
            yield from ring_ready(records)
            if broken == "records released before they are read":
                yield from ring_release(records, total)
                records.own -= total
            for step in range(total):
                found = yield read(f"record {(records.own + step) % room}")
                if found != first + step:
                    raise BrokenError(f"record {first + step} came as {found}")
            first += total
            yield from ring_release(records, total)
            yield from ring_release(lengths, ready)

    def final(values, returned):
        if returned["sink"] != sum(sizes):
            raise BrokenError(f"{sum(sizes)} were handed over, {returned['sink']} written")

    plain = {f"{what} {slot}": None for what in ("record", "size") for slot in range(room)}
    words = {"ended": 0, **words_of("records", "sizes")}
    return Model({"output": output, "sink": sink}, words, plain, final)
