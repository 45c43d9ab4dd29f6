"""What the keys do to the engine. Every command runs in the commander's thread and its result is told."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any, Final

from velox_engine.snapshot import State
from velox_tui.numbers import rate
from velox_tui.screens.base import Dashboard
from velox_tui.screens.confirm import LeaveScreen, StopScreen

_RATES: Final = (1, 2, 5)
LEAST_RATE: Final = 1.0
GREATEST_RATE: Final = 1e9


def next_rate(now: float, up: bool) -> float:
    """Return the next of 1, 2, 5 × 10^n above or below a rate."""
    power = math.floor(math.log10(max(now, LEAST_RATE)))
    steps = [step * 10.0**each for each in (power - 1, power, power + 1) for step in _RATES]
    if up:
        return min(next(step for step in steps if step > now * 1.0001), GREATEST_RATE)
    return max(next(step for step in reversed(steps) if step < now * 0.9999), LEAST_RATE)


class Steering(Dashboard):
    """A part of the dashboard's screen."""

    _rate_before = math.nan
    _slot: int | None = None
    _leaving = False
    _told_end = False

    def answered(self, what: str, error: Exception | None) -> None:
        """Take a command's answer from the commander's thread to the screen's, and show what it changed."""
        self.soon(self._told, what, error)
        self.sampler.hurry()

    def soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function in the screen's thread, from any other; not at all where that has ended."""
        with contextlib.suppress(RuntimeError):  # its loop may be closed by now
            self.call_later(function, *arguments)

    def _told(self, what: str, error: Exception | None) -> None:
        if error is not None:
            self.note("error" if isinstance(error, RuntimeError) else "warning", f"{error}", notice=True)
        elif what:
            self.notify(what, timeout=2, markup=False)

    def action_pause(self) -> None:
        """Pause or go on."""
        if self.engine.state in (State.PAUSED, State.DRAINED):
            self.commander.give("going on", self.engine.resume)
        else:
            self.commander.give("paused", self.engine.pause)

    def action_drain(self) -> None:
        """Drain."""
        self.commander.give("drained", self.engine.drain)

    def _asked_rate(self) -> float:
        glance = self.sampler.latest
        return float(glance.snapshot.rate_per_s) if glance is not None else math.nan

    def _reached_rate(self) -> float:
        glance = self.sampler.latest
        return glance.rate("ingress") if glance is not None else math.nan

    def _set_rate(self, per_second: float) -> None:
        self.commander.give(f"rate {rate(per_second, 0)}", lambda: self.engine.set_rate(per_second))

    def action_faster(self) -> None:
        """Go a step up, from the recorded pace to just above what is reached; at maximum rate there is none."""
        now = self._asked_rate()
        if not math.isinf(now) and (begin := self._reached_rate() if math.isnan(now) else now) > 0:
            self._set_rate(next_rate(begin, True))

    def action_slower(self) -> None:
        """Go a step down; from maximum rate and the recorded pace to just below what is reached."""
        now = self._asked_rate()
        begin = now if math.isfinite(now) else self._reached_rate()
        if begin > 0:
            self._set_rate(next_rate(begin, False))

    def action_maximum(self) -> None:
        """Go to maximum rate, or back to the rate before."""
        now = self._asked_rate()
        if math.isinf(now):
            self._set_rate(self._rate_before if math.isfinite(self._rate_before) else 100_000.0)
        else:
            self._rate_before = now
            self._set_rate(math.inf)

    def watch_symbol(self, symbol: int) -> None:
        """Have a symbol's book published, and the one before no more."""

        def change() -> None:
            before, self._slot = self._slot, self.engine.watch(symbol)
            if before is not None:
                self.engine.unwatch(before)

        self.commander.give("", change)

    # ---- leaving

    async def action_quit(self) -> None:
        """Leave; where something runs, ask how. Who is attached only detaches: the engine runs on."""
        if self._leaving:
            return
        if self.attached is not None:
            self._leaving = self.velox.leaving = True
            self.app.exit()
            return
        if self.engine.state in (State.RUNNING, State.PAUSED, State.DRAINING):
            self.app.push_screen(LeaveScreen(), self._decided)
        else:
            self.leave(drain=True)

    def _decided(self, answer: str | None) -> None:
        if answer in ("drain", "leave"):
            self.leave(drain=answer == "drain")

    def leave(self, *, drain: bool) -> None:
        """Stop the engine and leave when it has stopped; until then the screen shows how it empties."""
        self._leaving = self.velox.leaving = True
        self.engine.request_stop("left by the user", drain)
        if self.engine.wait_stopped(0):
            self.app.exit()

    def stopped(self) -> None:
        """Leave, if that is what it stopped for; an engine that failed stays to be looked at."""
        if self.velox.leaving:
            self.app.exit()
        elif self.attached is not None and not self._told_end:
            self._told_end = True
            who, died = self.attached.found.who, self.attached.died  # Events tell it as well, in the engine's words
            told = f"{who} has {'died' if died else 'ended'}: what is shown is the last that it wrote"
            self.notify(told, severity="error" if died else "information", timeout=8, markup=False)

    # ---- stopping it, and staying

    def action_stop(self) -> None:
        """Stop the engine, after asking; it stays to be looked at."""
        if self.engine.state < State.STOPPED:
            who = self.attached.found.who if self.attached is not None else "the engine"
            self.app.push_screen(StopScreen(who), self._stop_decided)

    def _stop_decided(self, answer: str | None) -> None:
        if answer in ("drain", "now"):
            drain = answer == "drain"
            self.commander.give_apart("asked to stop", lambda: self.engine.request_stop("stopped by the user", drain))
