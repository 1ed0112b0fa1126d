"""The plot of a run: load against forecast and capacity, latency against the objective, and what served."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from modelscaler_demo.snapshot import Snapshot
from modelscaler_demo.view.scene import Scene

LOAD, BAND, CAPACITY, LATE, EVENT = "#1f77b4", "#e8a33d", "#2a9d5c", "#c0392b", "#555555"
POOL_COLOURS = ("#2a9d5c", "#7b5ea7", "#d98c3f", "#3f88c5", "#b56576", "#6b705c")
DOTS_PER_INCH = 130


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened, `seconds` into the day."""

    seconds: float
    text: str


def draw(snapshots: Sequence[Snapshot], scene: Scene, title: str) -> Figure:
    """Draw a run."""
    figure = Figure(figsize=(12, 8), layout="constrained")
    load, latency, pools = figure.subplots(3, 1, sharex=True, height_ratios=(5, 2.2, 1.6))
    hours = [snapshot.seconds / scene.day_seconds * 24 for snapshot in snapshots]
    _load(load, hours, snapshots)
    _latency(latency, hours, snapshots, scene)
    _pools(pools, hours, snapshots)
    _events((load, latency, pools), snapshots, scene)
    load.set_title(title, loc="left", fontsize=12)
    pools.set_xlim(0, 24)
    pools.set_xticks(range(0, 25, 3), [f"{hour:02d}:00" for hour in range(0, 25, 3)])
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the figure; the suffix says how, .png or .svg."""
    if path.suffix == ".png":
        FigureCanvasAgg(figure)
    figure.savefig(path, dpi=DOTS_PER_INCH)


def happenings(snapshots: Sequence[Snapshot]) -> list[Happening]:
    """Return everything that happened, in order."""
    return [Happening(snapshot.seconds, event) for snapshot in snapshots for event in snapshot.events]


def _load(axes: Axes, hours: list[float], snapshots: Sequence[Snapshot]) -> None:
    bands = [snapshot.told.band for snapshot in snapshots]
    lower = [band.lower_rps if band else float("nan") for band in bands]
    planned = [band.planned_rps if band else float("nan") for band in bands]
    carried = [snapshot.capacity_rps for snapshot in snapshots]
    axes.fill_between(hours, lower, planned, color=BAND, alpha=0.35, linewidth=0, label="forecast peak of the horizon")
    axes.plot(hours, planned, color=BAND, linewidth=1, label="planned for")
    axes.plot(hours, [s.served.offered_rps for s in snapshots], color=LOAD, linewidth=1.6, label="offered load")
    axes.step(
        hours,
        [float("nan") if value is None else value for value in carried],
        where="post", color=CAPACITY, linewidth=1.6, label="carried by the ready replicas within the objective",
    )  # fmt: skip
    axes.set_ylabel("requests per second")
    highest = max([s.served.offered_rps for s in snapshots] + [band.planned_rps for band in bands if band])
    axes.set_ylim(0, 1.7 * max(highest, 1.0))  # capacity far above it says nothing more
    axes.legend(loc="upper left", fontsize=8, framealpha=0.9)
    axes.grid(alpha=0.25)


def _latency(axes: Axes, hours: list[float], snapshots: Sequence[Snapshot], scene: Scene) -> None:
    values = [float("nan") if s.served.p99_ms is None else s.served.p99_ms for s in snapshots]
    axes.plot(hours, values, color=LOAD, linewidth=1.2, label="p99 of the last 5 s, at the client")
    axes.axhline(scene.target_ms, color=LATE, linewidth=1, linestyle="--", label=f"objective, {scene.target_ms:.0f} ms")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("milliseconds")
    axes.legend(loc="upper left", fontsize=8, framealpha=0.9)
    axes.grid(alpha=0.25)


def _pools(axes: Axes, hours: list[float], snapshots: Sequence[Snapshot]) -> None:
    """Draw ready replicas as steps, coloured by the placement and variant that serve."""
    served = [f"{s.told.active.placement}/{s.told.active.variant}" if s.told.active else "" for s in snapshots]
    for number, name in enumerate(dict.fromkeys(name for name in served if name)):
        ready = [float(s.told.ready) if name == pool else 0.0 for s, pool in zip(snapshots, served, strict=True)]
        colour = POOL_COLOURS[number % len(POOL_COLOURS)]
        axes.fill_between(hours, ready, step="post", color=colour, alpha=0.75, linewidth=0, label=name)
    axes.set_ylabel("ready replicas")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left", fontsize=8, ncols=4, framealpha=0.9)
    axes.grid(alpha=0.25)


def _events(panels: Sequence[Axes], snapshots: Sequence[Snapshot], scene: Scene) -> None:
    top: Any = panels[0]
    for number, happening in enumerate(h for h in happenings(snapshots) if "node" in h.text or "sale" in h.text):
        hour = happening.seconds / scene.day_seconds * 24
        for axes in panels:
            axes.axvline(hour, color=EVENT, linewidth=0.9, linestyle=":")
        top.annotate(
            happening.text, (hour, 0.97 - 0.055 * (number % 4)), xycoords=("data", "axes fraction"),
            xytext=(4, 0), textcoords="offset points", fontsize=8, color=EVENT, va="top",
        )  # fmt: skip
