"""The picture: the load, and the replicas that served, live and replayed."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot

from modelscaler_benchmarks.replay_live.curve import STEP_SECONDS, Curve
from modelscaler_benchmarks.replay_live.document import Compared


def draw(found: Compared, path: Path) -> None:
    """Write the picture as PNG."""
    live = found.live
    seconds = np.arange(len(live.offered)) * STEP_SECONDS
    figure, (above, middle, below) = pyplot.subplots(3, 1, figsize=(9.0, 7.5), sharex=True)
    above.step(seconds, live.offered / STEP_SECONDS, where="post", color="black")
    above.set_ylabel("requests/s")
    above.set_title("The same load, live and replayed")
    for name, replays in _sides(found):
        ready = np.array([curve.ready[: len(seconds)] for curve in replays])
        bad = np.array([(curve.late + curve.refused)[: len(seconds)] for curve in replays]) / STEP_SECONDS
        shown = seconds[: ready.shape[1]]
        middle.fill_between(shown, ready.min(axis=0), ready.max(axis=0), step="post", alpha=0.2)
        middle.step(shown, ready.mean(axis=0), where="post", label=f"{name}, mean and range")
        below.step(shown, bad.mean(axis=0), where="post", label=f"{name}, mean")
    middle.step(seconds, live.ready, where="post", color="black", label="live")
    middle.set_ylabel("replicas that serve")
    middle.legend(loc="lower right")
    below.step(seconds, (live.late + live.refused) / STEP_SECONDS, where="post", color="black", label="live")
    below.set_ylabel("violating requests/s")
    below.set_xlabel("seconds")
    below.legend(loc="upper left")
    for axes in (above, middle, below):
        axes.set_ylim(bottom=0)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _sides(found: Compared) -> list[tuple[str, Sequence[Curve]]]:
    sides = [("replayed at the measured speed", found.replays)]
    return [*sides, (f"at {found.speed:.2f} of it", found.as_fast)] if found.as_fast else sides
