"""Models of `velox_engine.lockfree.seqlock` with `telemetry.writer.publish`, and of both of its readers.

A block's payload is written and read as plain words in the code, while others do the same; such a word is never torn
on the machines that there are, and nothing orders it. Here that is a relaxed access.
"""

from tests.model.explorer import ACQUIRE, RELAXED, RELEASE, BrokenError, Model, fence, load, store

SEQLOCK_BROKEN = (
    "lock not odd while writing",
    "opened without the release fence",
    "closed without release",
    "entered without acquire",
    "left without the acquire fence",
    "left without a second look",
    "an odd lock taken for whole",
)


def publish(writing, words, checksum, broken):
    """`seqlock_begin`, the payload and its checksum, `seqlock_end`; word ``i`` of writing ``n`` is ``n``."""
    lock = 2 * writing
    if broken != "lock not odd while writing":
        yield store("lock", lock + 1, RELAXED)
    if broken != "opened without the release fence":
        yield fence(RELEASE)
    for word in range(words):
        yield store(f"word {word}", writing + 1, RELAXED)
    if checksum:
        yield store("checksum", ((writing + 1,) * words, lock + 2), RELAXED)
    yield store("lock", lock + 2, RELAXED if broken == "closed without release" else RELEASE)


def seqlock_model(writings, words, copies, broken=""):
    """A stage that publishes ``writings`` times, and a reader that asks the lock alone, as compiled readers do."""
    assert broken in ("", *SEQLOCK_BROKEN)

    def writer():
        for writing in range(writings):
            yield from publish(writing, words, False, broken)

    def reader():
        last = 0
        for _ in range(copies):
            # seqlock_enter
            entered = yield load("lock", RELAXED if broken == "entered without acquire" else ACQUIRE)
            copy = []
            for word in range(words):
                copy.append((yield load(f"word {word}", RELAXED)))  # noqa: PERF401
            # seqlock_leave
            if broken != "left without the acquire fence":
                yield fence(ACQUIRE)
            now = entered if broken == "left without a second look" else (yield load("lock", RELAXED))
            if now != entered or (entered & 1 and broken != "an odd lock taken for whole"):
                continue
            if len(set(copy)) != 1:
                raise BrokenError(f"a torn copy: {copy}")
            if 2 * copy[0] != entered:
                raise BrokenError(f"lock {entered} over writing {copy[0]}")
            if copy[0] < last:
                raise BrokenError(f"writing {copy[0]} after {last}")
            last = copy[0]

    places = {"lock": 0, **{f"word {word}": 0 for word in range(words)}}
    return Model({"writer": writer, "reader": reader}, places, {})


CHECKSUM_BROKEN = (
    "checksum not compared",
    "lock not part of the checksum",
    "a block that was never written taken without its checksum",
)


def checksum_model(writings, words, copies, broken=""):
    """The same block as `TelemetryReader.block` reads it: no fence at all, the checksum alone tells what is whole.

    The checksum is taken as perfect here: it matches what was summed up and nothing else.
    """
    assert broken in ("", *CHECKSUM_BROKEN)

    def writer():
        for writing in range(writings):
            yield from publish(writing, words, True, "")

    def reader():
        for _ in range(copies):
            before = yield load("lock", RELAXED)
            checksum = yield load("checksum", RELAXED)
            copy = []
            for word in range(words):
                copy.append((yield load(f"word {word}", RELAXED)))  # noqa: PERF401
            after = yield load("lock", RELAXED)
            if before & 1 or after != before:
                continue
            if broken == "lock not part of the checksum":
                checksum = (checksum[0], before)
            unwritten = broken == CHECKSUM_BROKEN[2] and before == 0
            if broken != "checksum not compared" and not unwritten and checksum != (tuple(copy), before):
                continue
            if len(set(copy)) != 1 or 2 * copy[0] != before:
                raise BrokenError(f"lock {before} over a copy {copy}")

    places = {"lock": 0, "checksum": ((0,) * words, 0), **{f"word {word}": 0 for word in range(words)}}
    return Model({"writer": writer, "reader": reader}, places, {})


LIVE_BROKEN = ("cursors read along the stream", "cursor stored after the publish", "cursors read without order")


def live_model(items, broken=""):
    """`note_passed`'s cursors against `TelemetryReader._passed`: a watcher never sees a count grow downstream.

    Two neighbours stand for all: each stage stores its cursor before it publishes, and the reader looks downstream
    first. Python's reads have no order of their own; they take that of the interpreter's atomics between them.
    """
    assert broken in ("", *LIVE_BROKEN)

    def up():
        for item in range(1, items + 1):
            if broken != "cursor stored after the publish":
                yield store("cursor up", item)
            yield store("published", item)
            if broken == "cursor stored after the publish":
                yield store("cursor up", item)

    def down():
        seen = 0
        while seen < items:
            seen = yield load("published")
            yield store("cursor down", seen)

    def watcher():
        order = RELAXED if broken == "cursors read without order" else ACQUIRE
        for _ in range(2):
            if broken == "cursors read along the stream":
                above = yield load("cursor up", order)
                below = yield load("cursor down", order)
            else:
                below = yield load("cursor down", order)
                above = yield load("cursor up", order)
            if below > above:
                raise BrokenError(f"{below} downstream of {above}")

    words = {"cursor up": 0, "cursor down": 0, "published": 0}
    return Model({"up": up, "down": down, "watcher": watcher}, words, {})
