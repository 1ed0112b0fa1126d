"""Write what a run came to: the table, the plot and the page."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from modelscaler_demo.playing import Played
from modelscaler_demo.report.figure import draw, save
from modelscaler_demo.report.page import page
from modelscaler_demo.report.summary import rows, summarize
from modelscaler_demo.view.scene import Scene

TITLE = "A day of searches, served by Modelscaler"


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run. `notes` say what it was and was not."""

    scene: Scene
    played: Played
    prices: dict[str, float]
    notes: tuple[str, ...]


def write_outcome(run: Run, directory: Path) -> list[tuple[str, str]]:
    """Write summary.json, day.png and day.html into `directory`; return the figures as rows for people."""
    directory.mkdir(parents=True, exist_ok=True)
    day = [snapshot for snapshot in run.played.snapshots if snapshot.seconds >= 0]
    summary = summarize(day, run.played.seconds, run.played.totals, run.scene.target_ms, run.prices)
    figures = rows(summary, run.scene.percentile, run.scene.target_ms)
    figure = draw(day, run.scene, TITLE)
    save(figure, directory / "day.png")
    html = page(TITLE, figures, run.notes, figure, day, run.scene)
    (directory / "day.html").write_text(html)
    (directory / "summary.json").write_text(json.dumps(asdict(summary), indent=1))
    return figures
