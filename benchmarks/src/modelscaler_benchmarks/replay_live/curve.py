"""A run as a curve in steps of five seconds, lived or replayed, and how close two of them are. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from modelscaler.domain import Floats
from modelscaler.replay.outcome import moves
from modelscaler.replay.timeline import Timeline

STEP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Curve:
    """One run; every array has shape (steps,), requests are per step, replicas and cost are means over it.

    Attributes:
        offered: Requests that arrived.
        answered: Requests that were answered.
        late: Of those, later than the objective says.
        refused: Requests that got no answer.
        degraded: Answers by a cheaper variant than the planned one.
        ready: Replicas that serve.
        starting: Replicas that are asked for and do not serve.
        hourly_cost: Price of all replicas.
    """

    offered: Floats
    answered: Floats
    late: Floats
    refused: Floats
    degraded: Floats
    ready: Floats
    starting: Floats
    hourly_cost: Floats

    def as_json(self) -> dict[str, list[float]]:
        """Return the arrays by name."""
        return {field.name: [round(float(each), 4) for each in getattr(self, field.name)] for field in fields(self)}


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run comes to.

    Attributes:
        mean_replicas: That serve.
        most_replicas: Ditto, in any step.
        mean_hourly_cost: Of all that are asked for.
        violating_share: Of the requests, late or without an answer.
        degraded_share: Of the answers, by a cheaper variant.
        scale_events: Changes of the number of replicas asked for.
        direction_changes: How often that went down after up, or up after down.
    """

    mean_replicas: float
    most_replicas: float
    mean_hourly_cost: float
    violating_share: float
    degraded_share: float
    scale_events: float
    direction_changes: float


def curve_of(timeline: Timeline, skipped_seconds: float = 0.0) -> Curve:
    """Return a replay's timeline as a curve.

    Args:
        timeline: In steps of STEP_SECONDS.
        skipped_seconds: Of its beginning, that are left out.

    Raises:
        ValueError: The timeline's steps are of another length.
    """
    if timeline.step_seconds != STEP_SECONDS:
        raise ValueError(f"timeline.step_seconds: got {timeline.step_seconds:g}, expected {STEP_SECONDS:g}")
    kept = slice(round(skipped_seconds / STEP_SECONDS), None)
    return Curve(
        offered=timeline.offered[kept],
        answered=timeline.served[kept],
        late=timeline.late[kept],
        refused=timeline.refused[kept],
        degraded=timeline.degraded[kept],
        ready=timeline.ready.sum(axis=0)[kept].astype(np.float64),
        starting=timeline.starting.sum(axis=0)[kept].astype(np.float64),
        hourly_cost=timeline.hourly_cost[kept],
    )


def figures_of(curve: Curve, asked: Sequence[int] | None = None) -> Figures:
    """Return what a run comes to.

    Args:
        curve: The run.
        asked: Replicas asked for, as often as they were looked at; None: as the curve has them.
    """
    changes, turns = moves(curve.ready + curve.starting if asked is None else np.asarray(asked))
    offered, answered = float(curve.offered.sum()), float(curve.answered.sum())
    return Figures(
        mean_replicas=float(curve.ready.mean()),
        most_replicas=float(curve.ready.max()),
        mean_hourly_cost=float(curve.hourly_cost.mean()),
        violating_share=float((curve.late + curve.refused).sum()) / offered if offered else 0.0,
        degraded_share=float(curve.degraded.sum()) / answered if answered else 0.0,
        scale_events=float(changes),
        direction_changes=float(turns),
    )


def replicas_apart(one: Curve, other: Curve) -> float:
    """Return by how many serving replicas two runs differ, as a mean over their common steps."""
    steps = min(len(one.ready), len(other.ready))
    return float(np.abs(one.ready[:steps] - other.ready[:steps]).mean())


def apart_among(curves: Sequence[Curve]) -> float:
    """Return by how much runs differ from each other, as a mean over all pairs; 0 where there is only one."""
    pairs = [replicas_apart(one, two) for place, one in enumerate(curves) for two in curves[:place]]
    return float(np.mean(pairs)) if pairs else 0.0
