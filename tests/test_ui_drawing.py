"""What panels draw: pure functions, compared with what they should look like."""

import math

import numpy as np
import pytest

from tests.ui_recording import scene
from velox_engine.lockfree.histogram_view import BUCKETS, FLOORS, Histogram
from velox_engine.snapshot import BookState, DepthSnapshot
from velox_tui import glyphs, numbers
from velox_tui.arrangement import neighbour, place, size_class, tree
from velox_tui.glyphs import ASCII, BLOCK, BRAILLE
from velox_tui.heat import HeatHistory
from velox_tui.history import PERIOD_S, History
from velox_tui.lines import fitted, plain, width_of
from velox_tui.pace import Pace
from velox_tui.scene import DEPTHS, LAYOUTS, WINDOWS, Look
from velox_tui.screens.main import PANELS
from velox_tui.screens.steering import next_rate
from velox_tui.screens.symbol import matching
from velox_tui.screens.viewing import following, stepped
from velox_tui.widgets.depth import grouped, imbalance, ladder_rows
from velox_tui.widgets.heatmap import heat_rows
from velox_tui.widgets.latency import by_column, decade_axis
from velox_tui.widgets.pipeline import bottleneck, works
from velox_tui.widgets.status import status_line
from velox_tui.widgets.throughput import time_axis

# --- numbers ------------------------------------------------------------------------------------------------------


COUNTS = {
    0: "0", 7: "7", 812: "812", 999.4: "999", 999.6: "1.00k", 1204: "1.20k", 99_949: "99.9k", 99_951: "100k",
    999_499: "999k", 999_501: "1.00M", 1.02e6: "1.02M", 63.9e9: "63.9G", -1500: "-1.50k", 0.25: "0.2", math.nan: "–",
    math.inf: "max",
}  # fmt: skip


@pytest.mark.parametrize("number, text", COUNTS.items())
def test_a_count_is_short_and_never_wider_than_six(number, text):
    assert numbers.short(number) == text
    assert len(text) <= 6


@pytest.mark.parametrize(
    "ns, text",
    [
        (0, "   0ns"),
        (812, " 812ns"),
        (4100, "4.10µs"),
        (18_400, "18.4µs"),
        (1.23e6, "1.23ms"),
        (2e9, " 2.00s"),
        (math.nan, "     –"),
    ],
)
def test_a_latency_has_its_unit_and_six_columns(ns, text):
    assert numbers.latency(ns) == text


@pytest.mark.parametrize(
    "units, decimals, text",
    [(990800, 4, "99.0800"), (-5, 2, "-0.05"), (12, 0, "12"), (0, 3, "0.000"), (2**62, 9, "4611686018.427387904")],
)
def test_prices_are_written_exactly(units, decimals, text):
    assert numbers.scaled(units, decimals) == text


def test_a_share_above_zero_is_never_written_as_zero():
    assert numbers.percent(0.001) == " <1%"
    assert numbers.percent(0.0) == "  0%"


@pytest.mark.parametrize("number", [0, 1, 1.2, 99, 101, 74_999, 75_001, 3e9])
def test_a_scale_ends_at_a_round_number_that_is_not_below(number):
    top = numbers.nice_above(number)
    assert top >= number
    assert top <= max(2 * number, 1)


# --- graphs -------------------------------------------------------------------------------------------------------


def test_a_braille_graph_has_two_values_a_column_and_four_levels_a_row():
    values = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, np.nan])
    assert glyphs.area(values, 2, 8.0, BRAILLE) == ["  ⢀⣴⡇", "⢀⣴⣿⣿⡇"]


def test_a_block_graph_has_eight_levels_a_row():
    assert glyphs.area(np.arange(0, 17.0), 2, 16.0, BLOCK) == ["         ▁▂▃▄▅▆▇█", " ▁▂▃▄▅▆▇█████████"]


def test_an_ascii_graph_holds_nothing_but_ascii():
    rows = glyphs.area(np.arange(0, 9.0), 2, 8.0, ASCII)
    assert rows == ["      .::", " ..::::::"]


def test_what_is_above_zero_is_seen():
    assert glyphs.area(np.array([0.0, 1e-9]), 1, 1e9, BLOCK) == [" ▁"]
    assert glyphs.bar(1e-9, 4, BLOCK) == ("▏", "───")


def test_a_logarithmic_graph_gives_each_decade_the_same_height():
    high = glyphs.levels(np.array([1.0, 10, 100, 1000]), 1000.0, 30, log=True)
    assert list(high) == [1, 10, 20, 30]


def test_a_bar_is_as_wide_as_it_should_be_and_bears_its_mark():
    for share in np.linspace(0, 1, 41):
        full, rest = glyphs.bar(float(share), 10, BRAILLE, 0.95)
        assert len(full + rest) == 10
    assert glyphs.bar(0.25, 8, BRAILLE, 0.9) == ("██", "╌╌╌╌╌▏")


@pytest.mark.parametrize("name", list(glyphs.SETS))
def test_every_sign_is_one_column_wide(name):
    chosen = glyphs.SETS[name]
    for text in (chosen.frame, chosen.eighths, chosen.shades, chosen.steps, chosen.rest, chosen.mark, chosen.running):
        assert width_of(((text, "text"),)) == len(text)
    assert len(chosen.frame) == 6


@pytest.mark.parametrize(
    "locale, term, name",
    [
        ("C.UTF-8", "xterm", "braille"),
        ("POSIX", "xterm", "ascii"),
        ("en_US.UTF-8", "linux", "block"),
        ("de_DE.ISO-8859-1", "xterm", "ascii"),
    ],
)
def test_glyphs_go_by_the_locale(monkeypatch, locale, term, name):
    from types import SimpleNamespace

    monkeypatch.setattr("sys.__stderr__", SimpleNamespace(encoding="utf-8"))
    monkeypatch.setenv("LC_ALL", locale)
    monkeypatch.setenv("TERM", term)
    assert glyphs.choose("auto").name == name
    assert glyphs.choose("ascii").name == "ascii"


def test_a_time_axis_ends_now():
    assert time_axis(40, 1.0, "-") == "        -30s      -20s      -10s     now"


# --- history ------------------------------------------------------------------------------------------------------


def history_of(values, start=1000.0):
    history = History(["x"])
    for number, value in enumerate(values):
        history.add(start + (number + 0.5) * PERIOD_S, [value])
    return history


def test_no_peak_is_lost_when_samples_are_put_together():
    values = np.zeros(600)
    values[123] = 77.0
    shown, seconds = history_of(values).window("x", 60, 50)
    assert shown.max() == 77.0
    assert np.count_nonzero(shown == 77.0) == 1
    assert seconds == pytest.approx(1.2)


def test_a_value_stays_in_its_bucket_while_the_graph_moves():
    values = np.random.default_rng(1).random(800)
    history = History(["x"])
    seen = {}
    for number, value in enumerate(values):
        history.add(1000.0 + (number + 0.5) * PERIOD_S, [value])
        shown, _ = history.window("x", 60, 50)
        bucket = history.last // 12
        for back in range(1, 40):  # those that are complete
            if not math.isnan(shown[-1 - back]) and bucket - back > history.first // 12:
                assert seen.setdefault(bucket - back, shown[-1 - back]) == shown[-1 - back]
    assert len(seen) > 20


def test_missed_samples_get_the_mean_that_covers_them():
    history = History(["x"])
    history.add(1000.05, [1.0])
    history.add(1000.55, [5.0])
    shown, _ = history.window("x", 1, 10)
    assert list(shown[-6:]) == [1, 5, 5, 5, 5, 5]


def test_more_points_than_samples_repeat_each():
    shown, seconds = history_of(range(10)).window("x", 1, 20)
    assert list(shown) == [each for each in range(10) for _ in (0, 1)]
    assert seconds == pytest.approx(PERIOD_S / 2)


def test_a_clock_that_goes_back_writes_nothing():
    history = history_of([1, 2, 3])
    last = history.last
    history.add(900.0, [9.0])
    assert history.last == last
    assert np.nanmax(history.window("x", 10, 100)[0]) == 3


def test_a_copy_stays_as_it_is():
    history = history_of([1, 2, 3])
    twin = history.copy()
    history.add(1010.0, [50.0])
    assert np.nanmax(twin.window("x", 60, 600)[0]) == 3


def test_the_oldest_give_way_after_fifteen_minutes():
    history = history_of(np.arange(10_000.0))
    shown, _ = history.window("x", 900, 9000)
    assert shown[0] == 1000
    assert not np.isnan(shown).any()


# --- the pace ---------------------------------------------------------------------------------------------------


def frames(seconds, frame_s, waiting=lambda now: 0, focused=True):
    pace, now, painted = Pace(10), 1000.0, []
    for _ in range(round(seconds * 10)):
        now += 0.1
        if pace.due(now, frame_s, waiting(now), focused):
            pace.painted(now)
            painted.append(now)
    return painted, pace.slowed(now)


@pytest.mark.parametrize(
    "frame_s, focused, count, slowed",
    [
        (0.01, True, 100, False),
        (math.nan, True, 100, False),
        (0.03, True, 50, True),
        (9.0, True, 10, True),
        (0.01, False, 10, False),
    ],
)
def test_dear_frames_are_fewer(frame_s, focused, count, slowed):
    painted, told = frames(10, frame_s, focused=focused)
    assert abs(len(painted) - count) <= 1
    assert told == slowed


def test_no_frame_is_drawn_before_the_terminal_took_the_last():
    painted, told = frames(10, 0.01, lambda now: int(now % 1 < 0.75))
    assert 20 <= len(painted) <= 40
    assert told


# --- the book -----------------------------------------------------------------------------------------------------

INSTRUMENT = {"symbol": "ABC", "price_decimals": 2, "size_decimals": 0, "tick": 1}


def book_of(bids, asks, approximate=False):
    levels = [np.array(side, np.int64).reshape(-1, 3) for side in (bids, asks)]
    return DepthSnapshot(0, BookState.SYNCED, 1, 1, approximate, *levels)


BOOK = book_of([(1000, 50, 3), (999, 100, 1), (995, 7, 1)], [(1002, 25, 2), (1003, 75, 4), (1010, 5, 1)])


def test_a_ladder_shows_asks_above_bids_with_cumulative_sizes():
    rows = [plain(row).rstrip() for row in ladder_rows(BOOK, INSTRUMENT, 20, 1, 40, 8, BRAILLE)]
    assert rows == [
        "price   size  total  ord",
        "10.10      5    105    1 ▊",
        "10.03     75    100    4 ███████████▎",
        "10.02     25     25    2 ███▊",
        "10.010 mid  spread 0.02  bids  60%  ██▍╌",
        "10.00     50     50    3 ███████▌",
        " 9.99    100    150    1 ███████████████",
        " 9.95      7    157    1 █",
    ]


def test_approximate_prices_are_marked():
    rows = ladder_rows(book_of(BOOK.bids, BOOK.asks, True), INSTRUMENT, 5, 1, 40, 8, BRAILLE)
    assert all("≈" in plain(row) for row in rows[1:])
    ascii_rows = ladder_rows(book_of(BOOK.bids, BOOK.asks, True), INSTRUMENT, 5, 1, 40, 8, ASCII)
    assert all(plain(row).isascii() and "~" in plain(row) for row in ascii_rows[1:])


def test_groups_bear_a_price_that_everything_in_them_reaches():
    bids, asks = grouped(BOOK.bids, 5, 0, 10), grouped(BOOK.asks, 5, 1, 10)
    assert (list(bids.prices), list(bids.sizes), list(bids.orders)) == ([1000, 995], [50, 107], [3, 2])
    assert (list(asks.prices), list(asks.sizes)) == ([1005, 1010], [100, 5])
    assert imbalance(bids, asks) == pytest.approx(157 / 262)


@pytest.mark.parametrize(
    "bids, asks, says", [([], [], "empty"), ([(5, 1, 1)], [], "only bids"), ([], [(5, 1, 1)], "only asks")]
)
def test_one_sided_and_empty_books_are_said(bids, asks, says):
    text = "\n".join(plain(row) for row in ladder_rows(book_of(bids, asks), INSTRUMENT, 5, 1, 30, 9, BRAILLE))
    assert says in text


def test_negative_prices_are_drawn():
    rows = ladder_rows(book_of([(-105, 4, 1)], [(-100, 3, 1)]), INSTRUMENT, 5, 1, 40, 5, BRAILLE)
    assert [plain(row).split()[0] for row in rows[1:]] == ["-1.00", "-1.025", "-1.05"]


def test_a_heat_map_shows_more_where_more_rests():
    heat = HeatHistory()
    for number in range(8):
        heat.add(100 + number / 2, BOOK, ())
    rows = [plain(row) for row in heat_rows(heat, INSTRUMENT, 1, 10, 30, 16, BRAILLE)]
    density = {row[:5].strip() or str(at): row[-1] for at, row in enumerate(rows[:-1])}
    assert "█" in density.values()
    assert "░" in density.values() or "▒" in density.values()
    assert rows[-1].endswith("now")
    assert len({len(row) for row in rows}) == 1


# --- latency and pipeline -----------------------------------------------------------------------------------------


def test_a_histogram_falls_into_equal_parts_of_the_decades():
    buckets = np.zeros(BUCKETS, np.int64)
    for ns, count in ((1_000, 30), (10_000, 60), (1_000_000, 10)):
        buckets[np.searchsorted(FLOORS, ns, "right") - 1] = count
    shares = by_column(Histogram(100, 0, 1000, 1_000_000, buckets), 3, 7, 40)
    assert (shares[0], shares[10], shares[30]) == (pytest.approx(0.3), pytest.approx(0.6), pytest.approx(0.1))


def test_a_decade_axis_names_units():
    assert decade_axis(2, 6, 40, "µ") == "100ns     1µs       10µs      100µs  1ms"


def test_the_stage_behind_those_held_back_is_the_bottleneck():
    made = scene()
    found = works(made.glance.second, made.snapshot)
    assert [work.word for work in found] == ["waiting"] * 4
    assert bottleneck(found) is None
    from dataclasses import replace

    held = [replace(found[0], word="held back"), replace(found[1], word="held back"), found[2], found[3]]
    assert bottleneck(held) == "bundle"


# --- the status bar, the board --------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [*range(1, 60), 80, 120, 200])
def test_the_status_bar_fits_any_width(width):
    row = status_line(scene(), width)
    assert width_of(row) == width
    if width >= 40:
        assert "RUNNING" in plain(row)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("heat", [True, False])
@pytest.mark.parametrize("size", [(40, 10), (80, 22), (120, 38), (200, 58), (300, 98), (61, 17)])
def test_every_cell_of_the_board_belongs_to_one_panel(layout, heat, size):
    width, height = size
    places = place(tree(layout, size_class(width, height), heat), width, height)
    board = np.zeros((height, width), int)
    for at in places.values():
        board[at.y : at.y + at.height, at.x : at.x + at.width] += 1
    assert (board == 1).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrows_reach_every_panel(layout):
    places = place(tree(layout, "medium", True), 120, 38)
    reached, to_visit = set(), [next(iter(places))]
    while to_visit:
        current = to_visit.pop()
        if current not in reached:
            reached.add(current)
            to_visit += [found for way in ("left", "right", "up", "down") if (found := neighbour(places, current, way))]
    assert reached == set(places)


@pytest.mark.parametrize("key", list(PANELS))
@pytest.mark.parametrize("name", list(glyphs.SETS))
def test_no_panel_fails_at_any_size(key, name):
    panel = PANELS[key](key)
    made = scene(glyphs=glyphs.SETS[name])
    for width in (0, 1, 2, 5, 9, 20, 37, 60, 90, 130, 220):
        for height in (0, 1, 2, 3, 5, 8, 13, 21, 40):
            for row in panel.draw(made, width, height).lines:
                text = plain(fitted(row, width))
                assert name != "ascii" or text.isascii(), text


@pytest.mark.parametrize("key", list(PANELS))
def test_every_look_can_be_drawn(key):
    made = scene()
    from dataclasses import replace

    for look in [Look(window=window, log=log) for window in WINDOWS for log in (True, False)] + [
        Look(depth=depth, group=10, symbol=5) for depth in DEPTHS
    ]:
        assert PANELS[key](key).draw(replace(made, look=look), 70, 20).lines


# --- steps ----------------------------------------------------------------------------------------------------------


def test_rates_step_by_one_two_five():
    up = [next_rate(100_000, True)]
    for _ in range(3):
        up.append(next_rate(up[-1], True))
    assert up == [200_000, 500_000, 1_000_000, 2_000_000]
    assert next_rate(100_000, False) == 50_000
    assert next_rate(123_456, False) == 100_000
    assert next_rate(1, False) == 1
    assert next_rate(1e9, True) == 1e9


def test_steps_end_where_they_end():
    assert stepped(WINDOWS, 60, 1) == 300
    assert stepped(WINDOWS, 900, 1) == 900
    assert stepped(WINDOWS, 10, -1) == 10
    assert following(("a", "b"), "b") == "a"
    assert following(("a", "b"), "unknown") == "a"


def test_symbols_that_begin_with_what_was_typed_come_first():
    names = ["XAMZN", "AMZN", "amd", "MSFT"]
    assert [names[index] for index in matching(names, "am")] == ["AMZN", "amd", "XAMZN"]
    assert matching(names, "zzz") == []
    assert matching(names, "") == [0, 1, 2, 3]
