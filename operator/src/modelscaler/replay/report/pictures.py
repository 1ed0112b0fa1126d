"""Pictures of a comparison. Needs matplotlib, which comes with the extra modelscaler[backtest]."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from modelscaler.backtest.report.pictures import COLOURS, new_figure
from modelscaler.replay.comparison import LEAST_SHARE, Comparison
from modelscaler.replay.offered import ORACLE, OURS
from modelscaler.replay.timeline import Timeline
from modelscaler.replay.tuning import goal_of

COLUMNS: Final = 2
OTHERS: Final = COLOURS[1:]
STYLES: Final = ("-", "--", ":")
LEAST_SHOWN: Final = 1e-6
MINUTE_SECONDS: Final = 60.0


def fronts(found: Sequence[Comparison]) -> Any:
    """Return what each policy's grid can do: violating requests over cost, one panel per trace and cold start."""
    rows = -(-len(found) // COLUMNS)
    figure = new_figure(12.0, 4.6 * rows + 0.6)
    panels = np.atleast_1d(figure.subplots(rows, min(COLUMNS, len(found)), squeeze=False)).ravel()
    for panel, one in zip(panels, found, strict=False):
        draw_front(panel, one)
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    return figure


def draw_front(axes: Any, found: Comparison) -> None:
    """Draw the fronts of one comparison; a dot is what the settings chosen on the older part came to."""
    names = [name for name in dict.fromkeys(one.policy for one in found.judged) if name != ORACLE]
    for number, name in enumerate(sorted(names, key=lambda name: name != OURS)):
        colour = COLOURS[0] if name == OURS else OTHERS[(number - 1) % len(OTHERS)]
        style = STYLES[0 if name == OURS else (number - 1) // len(OTHERS) % len(STYLES)]
        front = found.front(name)
        costs, shares = np.array(front).T if front else (np.empty(0), np.empty(0))
        shown = np.maximum(shares, LEAST_SHOWN)
        axes.plot(
            costs,
            shown,
            style,
            color=colour,
            linewidth=2.4 if name == OURS else 1.2,
            label=name,
            drawstyle="steps-post",
        )
        tuned = next(one for one in found.judged if one.policy == name and not one.hindsight)
        axes.plot(
            tuned.cost, max(tuned.violating_share, LEAST_SHOWN), "o", color=colour, markersize=7 if name == OURS else 4
        )
    axes.axhline(goal_of(found.setting.workload.objective).violating_share, color="#999999", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_xlim(0.9, 4.0)
    axes.set_xlabel("cost, multiples of the clairvoyant minimum")
    axes.set_ylabel("violating requests, share")
    rung = "with" if found.setting.variants == "rung" else "without"
    axes.set_title(
        f"{found.setting.trace.name}, {found.setting.start_seconds:g} s to start, {rung} a rung", fontsize=10
    )
    axes.legend(fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def course(runs: Sequence[tuple[str, Timeline]], carried_rps: float) -> Any:
    """Return what happened in runs over the same load: load, what was ready for it, and violations.

    Args:
        runs: Named.
        carried_rps: Of one replica.
    """
    figure = new_figure(12.0, 5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    first = runs[0][1]
    every = max(round(MINUTE_SECONDS / first.step_seconds), 1)
    hours = first.seconds[::every][: len(first.offered) // every] / 3600.0
    above.plot(
        hours,
        by_minute(first.offered, every) / (every * first.step_seconds),
        color="#222222",
        label="load",
        linewidth=1,
    )
    for number, (name, run) in enumerate(runs):
        each = max(round(MINUTE_SECONDS / run.step_seconds), 1)
        ready = by_minute(run.ready.sum(axis=0).astype(np.float64), each) / each
        above.plot(
            hours, ready[: len(hours)] * carried_rps, color=COLOURS[number], label=f"ready: {name}", linewidth=1.2
        )
        share = by_minute(run.violating, each) / np.maximum(by_minute(run.offered, each), LEAST_SHARE)
        below.plot(hours, share[: len(hours)], color=COLOURS[number], label=name, linewidth=1)
    above.set_ylabel("requests/s")
    below.set_ylabel("violating, share")
    below.set_xlabel("hours")
    for axes in (above, below):
        axes.legend(fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def by_minute(values: Any, every: int) -> Any:
    """Return sums over each `every` values; what does not fill the last is left out."""
    whole = len(values) // every * every
    return values[:whole].reshape(-1, every).sum(axis=1)
