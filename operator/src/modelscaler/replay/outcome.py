"""What a replay comes to, in a few figures. Pure."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from modelscaler.backtest.trace import DAY_SECONDS
from modelscaler.replay.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run comes to.

    Attributes:
        offered: Requests that arrived.
        violating: Of those, late or refused.
        refused: Of those, refused.
        violating_seconds: Time of steps in which more than 1 % of arrivals were violating.
        mean_hourly_cost: Over the whole run.
        mean_accuracy: Of all answers; NaN where there was none.
        degraded_share: Of answers, given by a cheaper variant than the planned one.
        lost_accuracy: What the mean accuracy would be more had the planned variant given all answers.
        scale_events: Changes of the number of replicas asked for, all pools together.
        direction_changes: How often that went down after it had gone up, or up after down.
        flips: Changes of the pool that serves.
        recovery_seconds: Longest stretch of steps in each of which more than 1 % of arrivals were violating.
        days: Length of the run.
    """

    offered: float
    violating: float
    refused: float
    violating_seconds: float
    mean_hourly_cost: float
    mean_accuracy: float
    degraded_share: float
    lost_accuracy: float
    scale_events: int
    direction_changes: int
    flips: int
    recovery_seconds: float
    days: float

    @property
    def violating_share(self) -> float:
        """Share of the requests that were late or refused."""
        return self.violating / self.offered if self.offered else 0.0

    def as_json(self) -> dict[str, float]:
        """Return all figures by name."""
        return {**asdict(self), "violating_share": self.violating_share}


MISSED_SHARE = 0.01


def outcome_of(run: Timeline, from_seconds: float = 0.0) -> Outcome:
    """Return what a run comes to, from a time on.

    Args:
        run: What happened.
        from_seconds: What came before counts for nothing.
    """
    first = round(from_seconds / run.step_seconds)
    violating, offered, served = run.violating[first:], run.offered[first:], run.served[first:]
    missed = violating > MISSED_SHARE * np.maximum(offered, 1.0)
    asked = (run.ready + run.starting).sum(axis=0)[first:]
    changes, turns = moves(asked)
    answered = float(served.sum())
    each = 1.0 / answered if answered else 0.0
    return Outcome(
        offered=float(offered.sum()),
        violating=float(violating.sum()),
        refused=float(run.refused[first:].sum()),
        violating_seconds=float(missed.sum() * run.step_seconds),
        mean_hourly_cost=float(run.hourly_cost[first:].mean()),
        mean_accuracy=float(run.accuracy[first:].sum()) / answered if answered else float("nan"),
        degraded_share=float(run.degraded[first:].sum()) * each,
        lost_accuracy=float(run.lost_accuracy[first:].sum()) * each,
        scale_events=changes,
        direction_changes=turns,
        flips=int((np.diff(run.serving[first:]) != 0).sum()),
        recovery_seconds=longest_run(missed) * run.step_seconds,
        days=len(offered) * run.step_seconds / DAY_SECONDS,
    )


def moves(asked: NDArray[np.integer] | NDArray[np.floating]) -> tuple[int, int]:
    """Return how often a number of replicas changed, and how often it went down after it had gone up, or up after down."""
    signs = np.sign(np.diff(asked))
    signs = signs[signs != 0]
    return len(signs), int((signs[1:] != signs[:-1]).sum())


def longest_run(flags: NDArray[np.bool_]) -> int:
    """Return the length of the longest run of true values."""
    padded = np.concatenate([[0], np.asarray(flags, dtype=np.int64), [0]])
    edges = np.flatnonzero(np.diff(padded))
    return int((edges[1::2] - edges[::2]).max(initial=0))
