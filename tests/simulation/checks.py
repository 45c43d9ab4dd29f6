"""What must hold of a whole run when it has ended: each promise, worked out anew by plain means."""

import numpy as np

from tests.simulation.people import DAMAGED
from velox_engine.feeds.random_stream import exponential, stream_key
from velox_engine.feeds.synthetic import GAP_STREAM, make_synthetic, synthetic_fill
from velox_engine.jit import compiled, int64
from velox_engine.lockfree.atomics import Words
from velox_engine.lockfree.histogram_view import BUCKETS, FIRST_BUCKET, FLOORS, LARGEST, LEAST, LENGTH, LIMIT, SUM
from velox_engine.records import TRANSACTION, Flags
from velox_engine.stages.bundle import BY_DRAIN, BY_SIZE, BY_TIMEOUT
from velox_engine.stages.content import content_fold, plain_content
from velox_engine.telemetry import layout

DUE = 5
RUN, PAUSE = 1, 2


class Violation(Exception):  # noqa: N818
    """A promise was broken; the text says which, and how."""


def expect(holds, what):
    if not holds:
        raise Violation(what)


# ---- due times: a schedule that is obviously right


@compiled
def plain_schedule(log: Words, rows: int, key: int, duration: int, limit: int, due: Words) -> tuple[int, int]:
    """Follow what ingress was ordered and how much it generated; write when each item was due.

    Returns the lag given up, ticks, and -1, or the row of the log that it does not agree with. At maximum rate an item
    is due when ingress was held back first since the item before, or else now.
    """
    begun, next_at, gap, index = int64(0), 0.0, 0.0, int64(0)
    running, paused, started, shift = False, int64(0), False, int64(0)
    rebased, lag, made, ready, end = int64(0), int64(0), int64(0), int64(0), int64(2**62)
    for row in range(rows):
        now, phase = log[row, 0], log[row, 2]
        if log[row, 1] != 0:
            new_gap = log.view(np.float64)[row, 4]
            if phase == RUN and not running:
                if not started:
                    started, begun = True, now
                    gap = new_gap
                    next_at = exponential(np.uint64(key), index) * gap
                    index += 1
                    end = now + duration if duration > 0 else int64(2**62)
                else:
                    shift = now - paused
                    begun += shift
                    end = end + shift if end < 2**62 else end
                ready = 0
            if running and phase != RUN:
                paused = now
            running = phase == RUN
            if log[row, 3] != rebased:
                rebased = log[row, 3]
                at = now if running or paused == 0 else paused
                if gap > 0.0:
                    lag += max(at - (begun + int64(next_at)), 0)
                begun, ready = at, 0
                next_at = exponential(np.uint64(key), index) * new_gap
                index += 1
            gap = new_gap
        if log[row, 7] != lag:
            return lag, row
        while made < log[row, 5]:
            if gap == 0.0:
                due[made] = ready if ready > 0 else now
            else:
                due[made] = begun + int64(next_at)
                if due[made] > now or due[made] >= end:
                    return lag, row
                next_at += exponential(np.uint64(key), index) * gap
                index += 1
            made += 1
            if gap != 0.0:
                continue
            if made == log[row, 5]:
                ready = 0
        if made > limit:
            return lag, row
        if gap == 0.0 and running and log[row, 9] == 2 and ready == 0:
            ready = now
    return lag, -1


def check_due_times(world):
    """Published items were due when the schedule says; lag given up is counted to the tick."""
    ghost, config = world.ghost, world.config
    if world.recorded or config.pipeline.stamp == "each":
        return
    rows, generated = world.rows, world.generated
    due = np.zeros(generated + 1, np.int64)
    duration = world.assembly.clock.to_ticks(config.pipeline.run_duration_secs * 1e9)
    limit = config.pipeline.count or 2**62
    key = stream_key(world.assembly.seed, GAP_STREAM)
    lag, wrong = plain_schedule(ghost.log, rows, key, duration, limit, due)
    expect(wrong < 0, f"the schedule is left at row {wrong} of {rows}: lag {lag}, ingress {ghost.log[wrong].tolist()}")
    items = items_published(world)
    found = ghost.records[: len(items), DUE].astype(np.int64)
    differ = np.flatnonzero(found != due[items])
    expect(not len(differ), f"sequence {differ[:1]} was due at {due[items][differ[:1]]}, and is at {found[differ[:1]]}")


# ---- content: what came out is what the source holds, less what was dropped


def items_published(world):
    """Which items of a source were taken and not dropped, in order: all but those of steps that dropped."""
    log, rows = world.ghost.log, world.rows
    parts, taken, dropped = [], 0, 0
    for made, lost, seeded in log[:rows, [5, 8, 10]].tolist():
        if lost == dropped:
            parts.append(np.arange(taken, made + seeded))
        taken, dropped = made + seeded, lost
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def expected_records(world):
    """The records that must have been published, but for due times; words, shape (n, 8)."""
    items = items_published(world)
    if world.recorded:
        made = world.decoder.records
        valid = world.decoder.is_valid()
    else:
        source = make_synthetic(world.config.source.model, world.assembly.seed, world.config.source.live_orders)
        made, valid = np.zeros(world.generated, TRANSACTION), np.ones(world.generated, bool)
        synthetic_fill(source, made, 0, world.generated)
    through = np.zeros(len(made), bool)
    through[items] = True
    through &= valid
    taken = items[-1] + 1 if len(items) else 0
    lost = np.flatnonzero(valid[:taken] & ~through[:taken])
    flags = made["flags"].copy()
    for symbol in np.unique(made["symbol"][lost]):  # the first of a symbol that goes through after a loss says so
        own = np.flatnonzero(through & (made["symbol"] == symbol))
        behind = np.searchsorted(own, lost[made["symbol"][lost] == symbol])
        flags[own[np.unique(behind[behind < len(own)])]] |= int(Flags.GAP)
    records = made[through].copy()
    records["flags"] = flags[through]
    records["sequence"] = np.arange(len(records))
    return records.view(np.uint64).reshape(-1, 8)


def check_content(world):
    """Sequence numbers without a gap, the source's content, and the same hash in every stage."""
    ghost, accepted = world.ghost, world.accepted
    found, expected = ghost.records[:accepted].copy(), expected_records(world)
    expect(len(expected) == accepted, f"{len(expected)} should have been published, {accepted} were")
    found[:, DUE] = expected[:, DUE] = 0
    differ = np.flatnonzero((found != expected).any(axis=1))
    expect(not len(differ), f"transaction {differ[:1]} is not what the source holds")
    for stage, passed in enumerate(world.passed):
        words = ghost.records[:passed]
        lanes = world.stage(stage).lanes
        told = f"{content_fold(lanes) % 2**64:016x}"
        expect(told == plain_content(words), f"{layout.STAGE_NAMES[stage]} hashes {told}, not {plain_content(words)}")


def check_books(world):
    """The book is what the same transactions make of an empty one, applied at once."""
    passed = world.passed[layout.ORDERBOOK]
    if passed:
        records = world.ghost.records[:passed].copy().view(TRANSACTION).reshape(-1)
        ours, theirs = world.plain_book(records), world.assembly.book.summary(0)
        expect(ours == theirs, f"the book is {theirs}, and should be {ours}")


# ---- bundles and the sink


def check_bundles(world):
    """Bundles cover what bundle took without a gap; their counters are right."""
    count, image = world.bundles, world.image(layout.BUNDLE)
    bundles = world.ghost.bundles[:count]
    held = int(image[layout.BUNDLE_OPEN])
    expect(int(bundles[:, 1].sum()) + held == world.passed[layout.BUNDLE], "bundles and the open one miss some")
    for reason, name in ((BY_SIZE, "size"), (BY_TIMEOUT, "timeout"), (BY_DRAIN, "drain")):
        told, found = int(image[layout.BUNDLE_BY_SIZE + reason]), int((bundles[:, 2] == reason).sum())
        expect(told == found, f"{told} bundles by {name} are counted, {found} went out")
    sizes = image[layout.BUNDLE_SIZES : layout.BUNDLE_SIZES + 257]
    found = np.bincount(bundles[:, 1], minlength=257)
    expect((sizes == found).all(), "the counts of bundles by size are off")
    out = int(world.image(layout.OUTPUT)[layout.OUTPUT_BUNDLES])
    through = int(bundles[:out, 1].sum())
    expect(through == world.passed[layout.OUTPUT], f"{out} bundles hold {through}, output passed {world.passed[3]}")


def check_sink(world):
    """The sink was given what output passed, whole bundles in order; what it lost is counted."""
    sink = world.sink
    if sink is None:
        return
    out = int(world.image(layout.OUTPUT)[layout.OUTPUT_BUNDLES])
    given = np.concatenate(sink.records) if sink.records else np.zeros((0, 8), np.uint64)
    sizes = [size for each in sink.sizes for size in each]
    expect(len(given) == world.passed[layout.OUTPUT], f"output passed {world.passed[3]}, the sink got {len(given)}")
    expect((given == world.ghost.records[: len(given)]).all(), "the sink got something else than output passed")
    expect(sizes == world.ghost.bundles[:out, 1].tolist(), "the sink got other bundles than output passed")
    expect(sink.written + sink.lost == len(given), "written and lost do not add up")
    told = world.report.sink
    expect((told["written"], told["lost"]) == (sink.written, sink.lost), f"the report tells {told} of the sink")


# ---- histograms


def check_histograms(world):
    """Every latency and service time is in its histogram, once, in the right bucket."""
    for stage, passed in enumerate(world.passed):
        due = world.ghost.records[:passed, DUE].astype(np.int64)
        values = np.maximum(world.ghost.times[stage, :passed] - due, 0)[due != 0]
        check_histogram(world, stage, layout.STAGE_LATENCY, values)
        service = world.image(stage)[layout.STAGE_SERVICE : layout.STAGE_SERVICE + LENGTH]
        expect(int(service[0]) == world.served[stage], f"{service[0]} service times of {world.served[stage]}")
        total = int(service[FIRST_BUCKET:].sum())
        expect(total == int(service[0]), f"the service histogram holds {total} of {service[0]}")


def check_histogram(world, stage, at, values):
    words, name = world.image(stage)[at : at + LENGTH], layout.STAGE_NAMES[stage]
    expect(int(words[0]) == len(values), f"{name}: {words[0]} latencies are counted, {len(values)} were there")
    if len(values):
        told, found = int(words[SUM]), int(values.sum())
        expect(told == found, f"{name}: latencies add up to {found}, the histogram says {told}")
        ends, found = (int(words[LEAST]), int(words[LARGEST])), (int(values.min()), int(values.max()))
        expect(ends == found, f"{name}: latencies are from {found[0]} to {found[1]}, the histogram says {ends}")
    buckets = np.searchsorted(FLOORS[:-1], np.minimum(values, LIMIT - 1), side="right") - 1
    same = (np.bincount(buckets, minlength=BUCKETS) == words[FIRST_BUCKET:]).all()
    expect(same, f"{name}: a latency is in a wrong bucket")


# ---- the report and the commands


def check_report(world):
    """The report tells what there is, and what is left is left where it says."""
    report, passed = world.report, world.passed
    image = world.image(layout.BUNDLE)
    expect(report.conserved, f"the report says that it is not conserved: {report.problems}")
    told = [report.ingress["accepted"], report.orderbook["processed"], report.bundle["transactions"]]
    expect([*told, report.output["transactions"]] == passed, f"the report tells {told}, the stages passed {passed}")
    ingress = world.image(layout.INGRESS)
    rejected = int(ingress[layout.INGRESS_REJECTED :][: layout.REJECTIONS].sum())
    refused = int(ingress[layout.INGRESS_DROPPED]) + rejected
    seeded = int(ingress[layout.INGRESS_SEEDED])
    expect(
        world.generated + seeded == passed[0] + refused,
        f"{world.generated} generated and {seeded} seeded, {passed[0]} accepted and {refused} refused",
    )
    held = int(image[layout.BUNDLE_OPEN])
    left = {
        "ingress_ring": passed[0] - passed[1],
        "bundle_ring": passed[1] - passed[2],
        "open_bundle": held,
        "output_ring": passed[2] - passed[3] - held,
        "transactions": passed[0] - passed[3],
    }
    expect(report.left_behind == left, f"left behind is {left}, the report says {report.left_behind}")
    whole = not report.drain_timed_out and not world.dead and world.drained_at_the_end
    expect(not whole or left["transactions"] == 0, f"drained with {left}")
    if world.recorded:
        invalid = int((~world.decoder.is_valid()[: world.generated + seeded]).sum())
        expect(rejected == invalid, f"{rejected} records were rejected, {invalid} are not valid")
        all_taken = world.generated + seeded == world.decoder.staged
        reasons = {"end of file", DAMAGED}
        if not world.config.pipeline.run_duration_secs:
            reasons.add("duration reached")  # there was none: only the source can have ended
        ended = world.supervisor.reason in reasons
        expect(not ended or all_taken, f"{world.decoder.staged} were read, {world.generated + seeded} taken")


def check_commands(world):
    """Every command was answered, and none refused that should not have been."""
    for kind, command in world.commands:
        expect(command.done.is_set(), f"{kind} was never answered")
    expect(world.publications > 0, "nothing was ever published")


ALL = (
    check_report,
    check_content,
    check_due_times,
    check_bundles,
    check_sink,
    check_histograms,
    check_books,
    check_commands,
)
