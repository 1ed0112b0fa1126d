"""What happened in a replay, step by step."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from modelscaler.backtest.trace import Ints
from modelscaler.domain import Floats, PoolKey


@dataclass(frozen=True, slots=True)
class Timeline:
    """One run, in steps of equal length. All arrays have shape (steps,) unless said otherwise; requests are per step.

    Attributes:
        step_seconds: Length of a step.
        offered: Requests that arrived.
        served: Requests that were answered.
        late: Arrivals that were or will be answered later than the objective says.
        refused: Arrivals that were turned away.
        degraded: Answers by a cheaper variant than the planned one.
        accuracy: Sum of the accuracy of all answers.
        lost_accuracy: What that would be more had the planned variant given them all.
        queued: Requests that wait at the end of the step.
        pools: Which pools there were.
        ready: Replicas that serve, shape (pools, steps).
        starting: Replicas that are asked for and do not serve, shape (pools, steps).
        hourly_cost: Price of all replicas at the time.
        serving: Index into `pools` of the pool that gets all requests; -1: all of them.
    """

    step_seconds: float
    offered: Floats
    served: Floats
    late: Floats
    refused: Floats
    degraded: Floats
    accuracy: Floats
    lost_accuracy: Floats
    queued: Floats
    pools: tuple[PoolKey, ...]
    ready: Ints
    starting: Ints
    hourly_cost: Floats
    serving: Ints

    def since(self, seconds: float) -> "Timeline":
        """Return what happened from a time on; it begins at 0 then."""
        first = round(seconds / self.step_seconds)
        every = {field.name: getattr(self, field.name) for field in fields(self)}
        kept: dict[str, Any] = {name: of[..., first:] for name, of in every.items() if isinstance(of, np.ndarray)}
        return replace(self, **kept)

    @property
    def violating(self) -> Floats:
        """Arrivals that the objective is not kept for."""
        violating: Floats = self.late + self.refused
        return violating

    @property
    def seconds(self) -> Floats:
        """When each step begins."""
        begins: Floats = np.arange(len(self.offered), dtype=np.float64) * self.step_seconds
        return begins
