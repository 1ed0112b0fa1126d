"""A burst: its load, what is noted while it runs, and what that says."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelscaler_benchmarks.open_loop import Samples, poisson_arrivals

ANSWERED_OR_REFUSED = frozenset({200, 429, 503, 504})
"""What a burst beyond capacity may be answered; anything else is a failure."""
RECOVERY_SECONDS = 5.0
"""After a burst: requests that are due by then count to it."""


@dataclass(frozen=True)
class Burst:
    """Load over time: base, burst, base.

    Attributes:
        factor: Of the full variant's capacity, during the burst.
        seconds: Of the burst.
        base_factor: Of the capacity, before and after.
        before_seconds: Before the burst.
        after_seconds: After it.
    """

    factor: float
    seconds: float
    base_factor: float = 0.5
    before_seconds: float = 15.0
    after_seconds: float = 10.0

    @property
    def start_seconds(self) -> float:
        """Return when the burst begins, from the beginning."""
        return self.before_seconds

    @property
    def end_seconds(self) -> float:
        """Return when it ends."""
        return self.before_seconds + self.seconds

    @property
    def total_seconds(self) -> float:
        """Return how long all of it takes."""
        return self.end_seconds + self.after_seconds

    def arrivals(self, capacity_rps: float, seed: int) -> NDArray[np.float64]:
        """Return arrival times of Poisson processes, ascending.

        Args:
            capacity_rps: Of the full variant.
            seed: The same gives the same times.
        """
        generator = np.random.default_rng(seed)
        parts = [
            (0.0, self.before_seconds, self.base_factor),
            (self.start_seconds, self.seconds, self.factor),
            (self.end_seconds, self.after_seconds, self.base_factor),
        ]
        return np.concatenate(
            [start + poisson_arrivals(factor * capacity_rps, length, generator) for start, length, factor in parts]
        )


@dataclass(frozen=True)
class Figures:
    """What a burst did.

    Attributes:
        requests: Due from its start to RECOVERY_SECONDS after its end.
        late: Of them, answered after the objective.
        refused: Answered 429 or 503.
        expired: Answered 504.
        failed: Any other status, or none.
        violation_share: All of these, of the requests.
        degraded_share: Of the answers to requests due in the burst, those of the fast variant.
        mean_accuracy: Of all answers from beginning to end.
        back_to_full_seconds: From the end of the burst to the last answer of the fast variant; 0 when that came before.
        back_in_time_seconds: From the end of the burst to the last violation; 0 when that came before.
        p50_milliseconds: Of answers to requests due in the burst.
        p99_milliseconds: Ditto.
        generator_late_p99_milliseconds: By how much requests left later than due.
    """

    requests: int
    late: int
    refused: int
    expired: int
    failed: int
    violation_share: float
    degraded_share: float
    mean_accuracy: float
    back_to_full_seconds: float
    back_in_time_seconds: float
    p50_milliseconds: float
    p99_milliseconds: float
    generator_late_p99_milliseconds: float


def violating(requests: Samples, objective_seconds: float) -> NDArray[np.bool_]:
    """Return which were refused, failed or answered too late."""
    violate: NDArray[np.bool_] = np.logical_or(requests.status != 200, requests.latency_seconds > objective_seconds)
    return violate


def judge(requests: Samples, burst: Burst, objective_seconds: float, accuracies: tuple[float, float]) -> Figures:
    """Return what a burst did.

    Args:
        requests: All of them, base load included.
        burst: That was offered.
        objective_seconds: Later answers violate.
        accuracies: Of the full and of the fast variant.
    """
    counted = requests.between(burst.start_seconds, burst.end_seconds + RECOVERY_SECONDS)
    within = requests.between(burst.start_seconds, burst.end_seconds)
    ok, all_ok = within.status == 200, requests.status == 200
    ends = requests.due_seconds + requests.latency_seconds
    refused = np.isin(counted.status, (429, 503))
    expired = counted.status == 504
    latencies = 1e3 * within.latency_seconds[ok] if ok.any() else np.zeros(1)
    full, fast = accuracies
    return Figures(
        requests=len(counted.due_seconds),
        late=int(((counted.status == 200) & violating(counted, objective_seconds)).sum()),
        refused=int(refused.sum()),
        expired=int(expired.sum()),
        failed=int(((counted.status != 200) & ~refused & ~expired).sum()),
        violation_share=float(violating(counted, objective_seconds).mean()) if len(counted.due_seconds) else 0.0,
        degraded_share=float(within.marked[ok].mean()) if ok.any() else 0.0,
        mean_accuracy=float(np.where(requests.marked[all_ok], fast, full).mean()) if all_ok.any() else 0.0,
        back_to_full_seconds=_last_after(ends[requests.marked], burst.end_seconds),
        back_in_time_seconds=_last_after(ends[violating(requests, objective_seconds)], burst.end_seconds),
        p50_milliseconds=float(np.quantile(latencies, 0.5)),
        p99_milliseconds=float(np.quantile(latencies, 0.99)),
        generator_late_p99_milliseconds=float(1e3 * np.quantile(requests.late_seconds, 0.99))
        if len(requests.late_seconds)
        else 0.0,
    )


def _last_after(times: NDArray[np.float64], end: float) -> float:
    return max(0.0, float(times.max()) - end) if len(times) else 0.0
