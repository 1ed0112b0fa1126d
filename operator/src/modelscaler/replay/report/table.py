"""What a comparison found, as a table for a terminal. Pure."""

import math
from typing import Final

import numpy as np

from modelscaler.replay.comparison import Comparison, Judged, Setting
from modelscaler.replay.offered import ORACLE, OURS

HEADS: Final = (
    "policy",
    "settings",
    "cost",
    "violating",
    "at our cost",
    "accuracy",
    "degraded",
    "events/day",
    "turns/day",
    "flips",
    "missed/day",
    "longest miss",
)


def text(found: Comparison) -> str:
    """Return a comparison as text: our line, then the rivals' by what they violate at our cost."""
    rows = [list(HEADS), *(row_of(found, one) for one in ordered(found))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([title(found), *lines])


def title(found: Comparison) -> str:
    """Return what was compared, in words."""
    setting = found.setting
    return (
        f"{setting.trace.name}, {setting.start_seconds:g} s to start, "
        f"{'with' if setting.variants == 'rung' else 'without'} a rung; days {setting.test.first_day:g} to "
        f"{setting.test.last_day:g}, settings chosen on days {setting.tuning.first_day:g} to {setting.tuning.last_day:g}; "
        f"seeds: {setting.seeds}{_beside(setting)}. Cost: multiples of the fewest replicas that carry the load."
    )


def _beside(setting: Setting) -> str:
    return "".join(
        f"; {each}" for each in (*setting.cluster.nodes, *setting.stock_outs, *setting.crowds, *setting.outages)
    )


def ordered(found: Comparison) -> list[Judged]:
    """Return what was judged: ours first, the clairvoyant last, the others by name; tuned before hindsight."""
    return sorted(found.judged, key=lambda one: (one.policy != OURS, one.policy == ORACLE, one.policy, one.hindsight))


def at_our_cost(found: Comparison, policy: str) -> float:
    """Return the violating share that a policy's grid has at the cost of our tuned settings; NaN where it has no such cost."""
    ours = next((one for one in found.judged if one.policy == OURS and not one.hindsight), None)
    return float("nan") if ours is None else found.violating_at(policy, ours.cost)


def row_of(found: Comparison, one: Judged) -> list[str]:
    """Return the line of one choice of settings."""
    share = at_our_cost(found, one.policy)
    outcomes = one.outcomes
    return [
        f"{one.policy}{', hindsight' if one.hindsight else ''}",
        ", ".join(
            f"{name} {value:g}" if isinstance(value, float | int) else str(value)
            for name, value in one.settings.items()
        ),
        f"{one.cost:.3f}",
        f"{one.violating_share:.4%}",
        "" if one.hindsight or one.policy == OURS or math.isnan(share) else f"{share:.4%}",
        f"{np.mean([o.mean_accuracy for o in outcomes]):.5f}",
        f"{np.mean([o.degraded_share for o in outcomes]):.2%}",
        f"{np.mean([o.scale_events / o.days for o in outcomes]):.0f}",
        f"{np.mean([o.direction_changes / o.days for o in outcomes]):.0f}",
        f"{np.mean([o.flips for o in outcomes]):.0f}",
        f"{np.mean([o.violating_seconds / o.days for o in outcomes]):.0f} s",
        f"{max(o.recovery_seconds for o in outcomes):.0f} s",
    ]
