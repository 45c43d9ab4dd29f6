"""The course of a long run as a picture. Needs matplotlib."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

from tests.soak.samples import Sample


def draw(samples: list[Sample], path: Path) -> None:
    """Draw memory, processor, rate, latency, descriptors and threads over time; the name's end says the format."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    minutes = [sample.at_s / 60 for sample in samples]
    steps = list(pairwise(samples))
    rates = [(b.generated - a.generated) / max((b.unix_ns - a.unix_ns) * 1e-9, 1e-9) for a, b in steps]
    cpu = [100 * (b.cpu_s - a.cpu_s) / max(b.at_s - a.at_s, 1e-9) for a, b in steps]
    asked = [s.rate if s.state == "running" and math.isfinite(s.rate) else 0.0 for s in samples]
    figure, axes = plt.subplots(5, 1, sharex=True, figsize=(10, 11), layout="constrained")
    axes[0].plot(minutes, [sample.rss / 1e6 for sample in samples], color="tab:blue")
    axes[0].set_ylabel("resident memory, MB")
    axes[1].plot(minutes[1:], cpu, color="tab:orange", linewidth=0.6)
    axes[1].set_ylabel("processor, % of a core")
    axes[2].plot(minutes, asked, color="lightgray", linewidth=3, label="asked for")
    axes[2].plot(minutes[1:], rates, color="tab:green", linewidth=0.6, label="reached")
    axes[2].set_ylabel("transactions a second")
    axes[2].legend(loc="upper right")
    for name, colour in (("p50_us", "tab:blue"), ("p99_us", "tab:red"), ("hiccup_p99_us", "tab:gray")):
        axes[3].plot(minutes, [getattr(s, name) for s in samples], color=colour, linewidth=0.6, label=name[:-3])
    axes[3].set_yscale("log")
    axes[3].set_ylabel("end to end, µs")
    axes[3].legend(loc="upper right")
    axes[4].plot(minutes, [sample.descriptors for sample in samples], label="file descriptors")
    axes[4].plot(minutes, [sample.threads for sample in samples], label="threads")
    axes[4].set_ylim(bottom=0)
    axes[4].legend(loc="lower right")
    axes[4].set_xlabel("minutes")
    for each in axes:
        each.grid(alpha=0.3)
    figure.savefig(path, dpi=100)
    plt.close(figure)
