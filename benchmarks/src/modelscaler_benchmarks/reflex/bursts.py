"""A burst: its load, what is noted while it runs, and what that says."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelscaler_benchmarks.http_client import Answer
from modelscaler_benchmarks.open_loop import Sample, poisson_arrivals

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


@dataclass
class Recorder:
    """What is noted while the load runs.

    Attributes:
        fast_marker: What an answer of the fast variant has in its body.
        tick: Told how far the load is, in seconds.
    """

    fast_marker: bytes
    tick: Callable[[float], None]
    due: Any = field(default_factory=lambda: array("d"))
    latency: Any = field(default_factory=lambda: array("d"))
    late: Any = field(default_factory=lambda: array("d"))
    status: Any = field(default_factory=lambda: array("q"))
    degraded: Any = field(default_factory=lambda: array("b"))
    failures: list[str] = field(default_factory=list)

    def note(self, sample: Sample, answer: Answer) -> None:
        """Note one request."""
        self.due.append(sample.due_seconds)
        self.latency.append(sample.latency_seconds)
        self.late.append(sample.late_seconds)
        self.status.append(sample.status)
        self.degraded.append(sample.status == 200 and self.fast_marker in answer.body)
        if sample.status not in {200, 429, 503, 504} and len(self.failures) < 20:
            self.failures.append(f"{sample.due_seconds:.2f} s: {answer.status} {answer.reason or answer.body[:200]!r}")
        self.tick(sample.due_seconds)

    def requests(self) -> "Requests":
        """Return what was noted, in the order in which requests were due."""
        order = np.argsort(np.array(self.due), kind="stable")
        columns = (self.due, self.latency, self.late, self.status, self.degraded)
        due, latency, late, status, degraded = (np.array(column)[order] for column in columns)
        return Requests(due, latency, late, status, degraded.astype(bool))


@dataclass(frozen=True)
class Requests:
    """Requests, one element each.

    Attributes:
        due: When it was to leave, seconds from the beginning.
        latency: From then to the answer, seconds.
        late: How much later it left: the generator's own fault, seconds.
        status: HTTP status, 0 for none.
        degraded: Whether the fast variant answered.
    """

    due: NDArray[np.float64]
    latency: NDArray[np.float64]
    late: NDArray[np.float64]
    status: NDArray[np.int64]
    degraded: NDArray[np.bool_]

    def between(self, start: float, end: float) -> "Requests":
        """Return those that were due in a time."""
        kept = (self.due >= start) & (self.due < end)
        return Requests(self.due[kept], self.latency[kept], self.late[kept], self.status[kept], self.degraded[kept])

    def violating(self, objective_seconds: float) -> NDArray[np.bool_]:
        """Return which were refused, failed or answered too late."""
        violating: NDArray[np.bool_] = np.logical_or(self.status != 200, self.latency > objective_seconds)
        return violating


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


def judge(requests: Requests, burst: Burst, objective_seconds: float, accuracies: tuple[float, float]) -> Figures:
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
    ends = requests.due + requests.latency
    refused = np.isin(counted.status, (429, 503))
    expired = counted.status == 504
    latencies = 1e3 * within.latency[ok] if ok.any() else np.zeros(1)
    full, fast = accuracies
    return Figures(
        requests=len(counted.due),
        late=int(((counted.status == 200) & counted.violating(objective_seconds)).sum()),
        refused=int(refused.sum()),
        expired=int(expired.sum()),
        failed=int(((counted.status != 200) & ~refused & ~expired).sum()),
        violation_share=float(counted.violating(objective_seconds).mean()) if len(counted.due) else 0.0,
        degraded_share=float(within.degraded[ok].mean()) if ok.any() else 0.0,
        mean_accuracy=float(np.where(requests.degraded[all_ok], fast, full).mean()) if all_ok.any() else 0.0,
        back_to_full_seconds=_last_after(ends[requests.degraded], burst.end_seconds),
        back_in_time_seconds=_last_after(ends[requests.violating(objective_seconds)], burst.end_seconds),
        p50_milliseconds=float(np.quantile(latencies, 0.5)),
        p99_milliseconds=float(np.quantile(latencies, 0.99)),
        generator_late_p99_milliseconds=float(1e3 * np.quantile(requests.late, 0.99)) if len(requests.late) else 0.0,
    )


def _last_after(times: NDArray[np.float64], end: float) -> float:
    return max(0.0, float(times.max()) - end) if len(times) else 0.0
