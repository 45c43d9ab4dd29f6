"""Numbers only, for terminals too small for anything else."""

from __future__ import annotations

from velox_tui.lines import Drawn, Line, line
from velox_tui.numbers import latency, percent, rate, short
from velox_tui.sampler import recent
from velox_tui.scene import Scene
from velox_tui.widgets.panel import Panel


def figure_rows(scene: Scene) -> list[Line]:
    """Write the key figures, the most important first."""
    glance, snapshot, glyphs = scene.glance, scene.snapshot, scene.glyphs
    ends = recent(glance.ten.output.latency, snapshot.output.latency)
    times = [latency(ends.percentile(percent), glyphs.micro) for percent in (50, 99)]
    kept = snapshot.conservation.holds
    rings = " ".join(percent(ring.waiting / ring.capacity if ring.capacity else 0.0) for ring in snapshot.rings)
    return [
        line(("in    ", "dim"), (rate(glance.rate("ingress"), 8), "ingress")),
        line(("out   ", "dim"), (rate(glance.rate("output"), 8), "output")),
        line(("bundl ", "dim"), (rate(glance.rate("bundles"), 8), "bundles")),
        line(("drops ", "dim"), (f"{short(snapshot.dropped):>6}", "bad" if snapshot.dropped else "text")),
        line(("p50   ", "dim"), (times[0], "text"), ("  p99 ", "dim"), (times[1], "text")),
        line(("rings ", "dim"), (rings, "text")),
        line(("inside", "dim"), (f" {snapshot.inside:,}", "text")),
        line(("conserved ", "dim"), (glyphs.yes if kept else glyphs.no, "good" if kept else "bad")),
    ]


class Figures(Panel):
    """The tiny layout."""

    title = "Velox"
    every = 0.2

    def draw(self, scene: Scene, width: int, height: int) -> Drawn:
        """Write as many figures as there are rows."""
        return Drawn(scene.snapshot.state.word, figure_rows(scene)[:height])
