"""The picture of a burst: latency and the degraded share over time, with the ladder and without."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot

from modelscaler_benchmarks.open_loop import Samples
from modelscaler_benchmarks.reflex.bursts import Burst, violating

WINDOW_SECONDS = 0.5


def draw(burst: Burst, runs: dict[str, Samples], objective_milliseconds: float, path: Path) -> None:
    """Write the picture as PNG.

    Args:
        burst: That was offered.
        runs: What was noted, by what to call it.
        objective_milliseconds: Shown as a line.
        path: Of the picture.
    """
    figure, (above, middle, below) = pyplot.subplots(3, 1, figsize=(9.0, 7.0), sharex=True)
    for label, requests in runs.items():
        windows = np.arange(0.0, burst.total_seconds, WINDOW_SECONDS)
        parts = [requests.between(start, start + WINDOW_SECONDS) for start in windows]
        above.plot(windows, [_p99_milliseconds(part) for part in parts], label=label)
        middle.plot(windows, [_share(violating(part, objective_milliseconds / 1e3)) for part in parts], label=label)
        below.plot(windows, [_share(part.marked) for part in parts], label=label)
    above.axhline(objective_milliseconds, color="grey", linestyle=":", label="objective")
    above.set_ylabel("p99 of answers, ms")
    middle.set_ylabel("violating share")
    below.set_ylabel("degraded share")
    below.set_xlabel("seconds")
    for axes in (above, middle, below):
        axes.axvspan(burst.start_seconds, burst.end_seconds, alpha=0.1, color="grey")
        axes.set_ylim(bottom=0)
    above.legend(loc="upper left")
    above.set_title(f"{burst.factor:g} × the full variant's capacity for {burst.seconds:g} s")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _p99_milliseconds(part: Samples) -> float:
    answered = part.latency_seconds[part.status == 200]
    return float(1e3 * np.quantile(answered, 0.99)) if len(answered) else float("nan")


def _share(which: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> float:
    return float(which.mean()) if len(which) else 0.0
