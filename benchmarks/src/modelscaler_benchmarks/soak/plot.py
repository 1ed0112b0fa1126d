"""The picture of a soak: memory and latency over time."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot

from modelscaler_benchmarks.open_loop import Samples
from modelscaler_benchmarks.soak.verdict import Memory, by_window

WINDOW_SECONDS = 5.0


def draw(memory: Memory, samples: Samples, warm_seconds: float, path: Path) -> None:
    """Write the picture as PNG."""
    figure, (above, below) = pyplot.subplots(2, 1, figsize=(9.0, 5.5), sharex=True)
    for process in range(memory.bytes.shape[1]):
        above.plot(
            memory.seconds, memory.bytes[:, process] / 2**20, label="front" if process == 0 else f"process {process}"
        )
    above.set_ylabel("resident MiB")
    above.set_ylim(bottom=0)
    middles, p50s, p99s = by_window(samples, WINDOW_SECONDS)
    below.plot(middles, p50s, label="p50")
    below.plot(middles, p99s, label="p99")
    below.set_ylabel(f"latency, ms, {WINDOW_SECONDS:g}-s windows")
    below.set_xlabel("seconds")
    below.set_ylim(bottom=0)
    for axes in (above, below):
        axes.axvspan(0, warm_seconds, color="#eeeeee", label="warm-up")
        axes.legend(loc="lower right", fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
