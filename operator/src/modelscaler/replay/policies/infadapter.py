"""InfAdapter: several variants at once, sized for the next minute's largest rate.

After Salmani et al., "Reconciling High Accuracy, Cost-Efficiency, and Low Latency of Inference Serving Systems", EuroMLSys
2023, and reconfigurable-ml-pipeline/InfAdapter, `auto_tuner/adapter/reconfig.py` (commit 27d78b2: all sizes of all variants
that carry the rate together; the more accurate take what they can carry, the rest goes on; the best by
mean accuracy - alpha x size / largest size - beta x time to load / longest time to load; where nothing carries the rate, the
least accurate variant at full size), `main.py` (commit 1ad0373: every minute, the forecast and 10 % for its errors; a lower
rate is only followed when three decisions in a row have asked for it; new servers are ready before old ones go) and
`starter.py` (alpha 0.04, beta 0.01).

A size is replicas here, cores there. Three things differ. The forecast there is a network trained on two weeks of the same
trace that reads ten one-minute maxima; here it is the largest of the last minutes' maxima, of rates over 5 s. Requests are
spread over the variants by what they carry, not by quota. And where a mean accuracy is asked for, choices below it are left
out, which its authors have no term for.
"""

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from modelscaler.capacity.latency import sustainable_rps
from modelscaler.domain import PoolKey, Workload
from modelscaler.replay.sight import Policy, Sight, Targets

ASKED_SECONDS = 5.0
MINUTE = 60.0
MOST_VARIANTS = 3
"""Sizes of so many variants are combined; each more multiplies the choices by the largest size."""


@dataclass(frozen=True, slots=True)
class InfAdapter:
    """The adapter with its solver.

    Attributes:
        alpha: Weight of the size, a share of the largest, against accuracy in [0, 1].
        beta: Weight of the time to load.
        pad: Added to the forecast, as a share: `PREDICTION_ERROR_PERCENTAGE`.
        minutes: Whole ones whose maxima the forecast looks back on, besides the one that has begun.
        steady_decisions: `STABILIZATION_INTERVAL`: so many decisions in a row must ask for less.
        decision_seconds: Between decisions.
    """

    alpha: float = 0.04
    beta: float = 0.01
    pad: float = 0.1
    minutes: int = 1
    steady_decisions: int = 3
    decision_seconds: float = MINUTE
    name: str = "infadapter"

    @property
    def settings(self) -> Mapping[str, float | str]:
        """The settings by name."""
        return {"alpha": self.alpha, "beta": self.beta, "pad": self.pad, "minutes": self.minutes}

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        """Return the policy for a run."""
        solver = Solver(
            options(workload, pool),
            workload.max_replicas,
            self.alpha,
            self.beta,
            workload.objective.min_mean_accuracy or 0.0,
            max(workload.min_replicas, 1),
        )
        return _Adapter(self, pool, solver)


@dataclass(frozen=True, slots=True)
class Option:
    """A variant on the planned placement, and what a replica of it carries."""

    pool: PoolKey
    rps: float
    accuracy: float


def options(workload: Workload, pool: PoolKey) -> tuple[Option, ...]:
    """Return the variants that may be used, most accurate first; the least accurate of those beyond the bound are left out."""
    objective = workload.objective
    found = [
        Option(capacity.pool, rps, accuracy)
        for capacity in workload.capacities
        if capacity.pool.placement == pool.placement
        and (accuracy := workload.variant(capacity.pool.variant).accuracy) >= objective.min_accuracy
        and (rps := sustainable_rps(capacity, objective)) > 0.0
    ]
    return tuple(sorted(found, key=lambda option: (-option.accuracy, option.pool))[:MOST_VARIANTS])


@dataclass(frozen=True, slots=True)
class Solver:
    """Finds the best sizes.

    Attributes:
        options: Most accurate first.
        most: Replicas of all together.
        alpha: Weight of the size.
        beta: Weight of the time to load.
        floor: Mean accuracy below which a choice is left out.
        least: Replicas of all together.
    """

    options: tuple[Option, ...]
    most: int
    alpha: float
    beta: float
    floor: float = 0.0
    least: int = 1

    def solve(self, rps: float, now: Sequence[int]) -> tuple[int, ...]:
        """Return the best sizes.

        Args:
            rps: To carry.
            now: The sizes now; a variant whose size changes has to be loaded.
        """
        most = self._enough(rps)
        best, best_value = None, -float("inf")
        for sizes in self._sizes(rps, now, most):
            value, accuracy = self._value(sizes, rps, now)
            if value > best_value and accuracy >= self.floor - 1e-12:
                best, best_value = sizes, value
        return best if best is not None else (*(0 for _ in self.options[1:]), self.most)

    def _enough(self, rps: float) -> int:
        """Return how many replicas are worth looking at: as many as the most accurate needs alone."""
        alone = -int(-rps // self.options[0].rps)
        return min(max(alone, self.least), self.most)

    def _sizes(self, rps: float, now: Sequence[int], most: int) -> Iterator[tuple[int, ...]]:
        """Return the sizes that carry the rate and may be best.

        Of the least accurate variant more than is needed changes no share, so it is only worth its price where it saves
        loading: at the size that there is.
        """
        *better, last = self.options
        for sizes in _up_to([most] * len(better)):
            left = rps - sum(size * option.rps for size, option in zip(sizes, better, strict=True))
            least = max(-int(-left // last.rps), self.least - sum(sizes), 0)
            for size in {least, max(least, now[-1])}:
                if sum(sizes) + size <= most:
                    yield (*sizes, size)

    def _value(self, sizes: Sequence[int], rps: float, now: Sequence[int]) -> tuple[float, float]:
        left, gained = rps, 0.0
        for size, option in zip(sizes, self.options, strict=True):
            taken = min(size * option.rps, left)
            gained += taken * option.accuracy
            left -= taken
        accuracy = gained / rps if rps > 0.0 else self.options[0].accuracy
        loads = any(size and size != before for size, before in zip(sizes, now, strict=True))
        return accuracy - self.alpha * sum(sizes) / self.most - self.beta * loads, accuracy


def _up_to(most: Sequence[int]) -> Iterator[tuple[int, ...]]:
    if not most:
        yield ()
        return
    for rest in _up_to(most[1:]):
        for first in range(most[0] + 1):
            yield (first, *rest)


@dataclass(slots=True)
class _Adapter:
    kind: InfAdapter
    pool: PoolKey
    solver: Solver
    interval_seconds: float = ASKED_SECONDS
    wanted: tuple[int, ...] = ()
    carried_rps: float = 0.0
    steady: int = 0
    minute: int = 0
    maxima: deque[float] = field(init=False)
    due_seconds: float = field(init=False)

    def __post_init__(self) -> None:
        self.maxima = deque([0.0], maxlen=self.kind.minutes + 1)
        self.due_seconds = self.kind.decision_seconds

    def decide(self, sight: Sight) -> Targets:
        keys = [option.pool for option in self.solver.options]
        now = [sight.pool(key).replicas for key in keys]
        if not self.wanted:
            self.wanted = tuple(now)
            self.carried_rps = sum(n * option.rps for n, option in zip(now, self.solver.options, strict=True))
        if self._looked(sight) and sight.seconds >= self.due_seconds and self._replaced(sight, keys):
            self.due_seconds = sight.seconds + self.kind.decision_seconds
            self._choose()
        kept = [0] * len(keys) if self._replaced(sight, keys) else now
        sizes = {key: max(counts) for key, *counts in zip(keys, self.wanted, kept, strict=True)}
        return Targets({key: count for key, count in sizes.items() if count})

    def _replaced(self, sight: Sight, keys: Sequence[PoolKey]) -> bool:
        return all(sight.pool(key).ready >= count for key, count in zip(keys, self.wanted, strict=True))

    def _looked(self, sight: Sight) -> bool:
        """Note the largest rate of each minute; tell whether there was one to note: its decision fails where there was not."""
        rps = sight.prometheus.offered_rps(ASKED_SECONDS)
        if math.isnan(rps):
            return False
        minute = int(sight.seconds // MINUTE)
        if minute > self.minute:
            self.minute = minute
            self.maxima.append(0.0)
        self.maxima[-1] = max(self.maxima[-1], rps)
        return True

    def _choose(self) -> None:
        rps = max(self.maxima) * (1.0 + self.kind.pad)
        if rps <= self.carried_rps and self.steady < self.kind.steady_decisions:
            self.steady += 1
            return
        self.steady, self.carried_rps = 0, rps
        self.wanted = self.solver.solve(rps, self.wanted)
