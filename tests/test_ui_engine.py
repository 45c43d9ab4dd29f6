"""The dashboard on a real engine: what the keys do to it, and that the screen follows."""

from tests.ui_driving import driven, text_of, until
from velox_engine.snapshot import State


def test_keys_steer_a_real_engine_and_the_screen_follows():
    async def steps(app, pilot, engine):
        await pilot.press("p")
        await until(pilot, lambda: engine.state is State.PAUSED and "PAUSED" in text_of(app))
        await pilot.press("p")
        await until(pilot, lambda: engine.state is State.RUNNING and "RUNNING" in text_of(app))
        await pilot.press("greater_than_sign")
        await until(pilot, lambda: engine.snapshot().rate_per_s == 50_000 and "of 50.0k/s" in text_of(app))
        await pilot.press("m")
        await until(pilot, lambda: "of max" in text_of(app))
        await pilot.press("m", "d")
        await until(pilot, lambda: engine.state is State.DRAINED and "DRAINED" in text_of(app))
        await until(pilot, lambda: "alike in all four" in text_of(app))

    report = driven(steps)
    assert report.conserved
    assert report.left_behind["transactions"] == 0
