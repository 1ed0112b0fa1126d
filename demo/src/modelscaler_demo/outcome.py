"""Write what a run came to: the table, the plot and the page."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from modelscaler_demo.playing import Played
from modelscaler_demo.report.figure import draw, save
from modelscaler_demo.report.page import page
from modelscaler_demo.report.picture import picture
from modelscaler_demo.report.summary import rows, summarize
from modelscaler_demo.snapshot import Snapshot
from modelscaler_demo.view.scene import Scene

PICTURED_AT = 0.62
"""Fraction of the day at which the screen is pictured: the GPU node is away, and what replaced it serves."""
TITLE = "A day of searches, served by Modelscaler"


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run. `notes` say what it was and was not."""

    scene: Scene
    played: Played
    prices: dict[str, float]
    earlier_peak_rps: float
    notes: tuple[str, ...]


def write_outcome(run: Run, directory: Path) -> list[tuple[str, str]]:
    """Write summary.json, day.png, day.html and screen.svg into `directory`; return the figures as rows for people."""
    directory.mkdir(parents=True, exist_ok=True)
    day = [snapshot for snapshot in run.played.snapshots if snapshot.seconds >= 0]
    summary = summarize(
        day, run.played.seconds, run.played.totals, run.scene.target_ms, run.prices, run.earlier_peak_rps
    )
    figures = rows(summary, run.scene.percentile, run.scene.target_ms)
    figure = draw(day, run.scene, TITLE)
    save(figure, directory / "day.png")
    html = page(TITLE, figures, run.notes, figure, day, run.scene)
    (directory / "day.html").write_text(html)
    (directory / "screen.svg").write_text(picture(until(day, run.scene, PICTURED_AT), run.scene, TITLE))
    (directory / "summary.json").write_text(json.dumps(asdict(summary), indent=1))
    return figures


def until(day: Sequence[Snapshot], scene: Scene, fraction: float) -> Sequence[Snapshot]:
    """Return the moments up to a fraction of the day, at least one."""
    return [snapshot for snapshot in day if snapshot.seconds <= fraction * scene.day_seconds] or day[:1]
