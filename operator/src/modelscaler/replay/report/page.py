"""A comparison of policies as one HTML file that needs no network."""

from collections.abc import Sequence
from html import escape
from typing import Final

from modelscaler.backtest.report.page import STYLE, image, table
from modelscaler.backtest.report.pictures import png
from modelscaler.replay.comparison import Comparison, Job, choices
from modelscaler.replay.offered import ORACLE, OURS
from modelscaler.replay.policies.knowledge import carried_rps
from modelscaler.replay.report import pictures
from modelscaler.replay.report.table import HEADS, ordered, row_of, title
from modelscaler.replay.running import timeline_of
from modelscaler.replay.tuning import goal_of

EXPLANATION: Final = (
    "Cost is a multiple of the fewest replicas of one pool, without a rung, that carry the load at each tick. Each policy "
    "stands here twice: with the settings that did best on the days before, and with hindsight, the best of its settings on "
    "these days. A request is violating when it is answered later than the objective says, or not at all. The column `at our "
    "cost` is what a policy's settings come to when they cost what ours do."
)


def page(found: Sequence[Comparison]) -> str:
    """Return the page: fronts, and for each comparison its table and the course of ours beside the best rival."""
    parts = [
        f"<h1>Replay</h1><p>{EXPLANATION}</p>",
        image(png(pictures.fronts(found)), "Violating requests over cost"),
        *(_section(one) for one in found),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Replay</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _section(found: Comparison) -> str:
    rows = [row_of(found, one) for one in ordered(found)]
    return f"<h2>{escape(title(found))}</h2>{table(HEADS, rows)}{_course(found)}"


def _course(found: Comparison) -> str:
    """Return the picture of our run beside that of the rival that violates least with tuned settings."""
    tuned = {one.policy: one for one in found.judged if not one.hindsight}
    rivals = sorted(
        (one for name, one in tuned.items() if name not in (OURS, ORACLE)), key=lambda one: one.violating_share
    )
    names = [OURS] * (OURS in tuned) + [one.policy for one in rivals[:1]]
    goal = goal_of(found.setting.workload.objective)
    places = {choice.policy: choice.place for choice in choices(found.tried, goal) if not choice.hindsight}
    runs = [(name, timeline_of(found.setting, found.grids, Job("test", 0, name, places[name]))) for name in names]
    if not runs:
        return ""
    picture = png(pictures.course(runs, carried_rps(found.setting.workload, found.setting.pool)))
    return image(picture, f"Course of {' and '.join(names)}")
