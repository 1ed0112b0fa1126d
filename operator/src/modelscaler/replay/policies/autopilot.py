"""A percentile of what was used lately, and a margin: the recommender of Google's Autopilot that needs no learning.

Rzadca et al., "Autopilot: workload autoscaling at Google", EuroSys 2020, on histograms that forget; in the form and with the
numbers of kubernetes/autoscaler's vertical pod autoscaler, which took it over: `vertical-pod-autoscaler/pkg/recommender/`,
`model/aggregations_config.go` (commit 1150875: a sample a minute, buckets that grow by 5 %, half forgotten in 24 hours),
`util/decaying_histogram.go` (commit 43e197d) and the recommender's flags (90th percentile, margin 15 %). There it sizes a pod,
here the number of replicas: usage is the rate of arrivals in units of what a replica carries. It forecasts that the near future
is as the near past was, busy hours included.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from modelscaler.domain import Floats, PoolKey, Workload
from modelscaler.replay.policies.knowledge import carried_rps
from modelscaler.replay.sight import Policy, Sight, Targets

SAMPLE_SECONDS: Final = 60.0
FIRST_BUCKET: Final = 0.01
RATIO: Final = 1.05
BUCKETS: Final = 200
"""The last one begins above 3,000 replicas."""


@dataclass(frozen=True, slots=True)
class Autopilot:
    """The recommender.

    Attributes:
        percentile: Of usage, in (0, 1].
        margin: Added to it, as a share.
        half_life_hours: In which a sample loses half of its weight.
    """

    percentile: float = 0.9
    margin: float = 0.15
    half_life_hours: float = 24.0
    name: str = "autopilot"

    @property
    def settings(self) -> Mapping[str, float | str]:
        """The settings by name."""
        return {"percentile": self.percentile, "margin": self.margin, "half_life_hours": self.half_life_hours}

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        """Return the policy for a run."""
        kept = 0.5 ** (SAMPLE_SECONDS / 3600.0 / self.half_life_hours)
        least = max(workload.min_replicas, 1)
        return _Recommender(self, pool, carried_rps(workload, pool), least, workload.max_replicas, Histogram(kept))


@dataclass(slots=True)
class Histogram:
    """Samples by size, in buckets each 5 % wider than the last; older ones weigh less.

    Attributes:
        kept: Share of a sample's weight that is left when the next one comes.
    """

    kept: float
    _weights: Floats = field(default_factory=lambda: np.zeros(BUCKETS))

    def add(self, value: float) -> None:
        """Add a sample, not below 0."""
        self._weights *= self.kept
        self._weights[min(int(math.log(value * (RATIO - 1.0) / FIRST_BUCKET + 1.0, RATIO)), BUCKETS - 1)] += 1.0

    def percentile(self, share: float) -> float:
        """Return the upper end of the bucket up to which that share of the weight lies; 0 when there is none."""
        sums = np.cumsum(self._weights)
        if sums[-1] <= 0.0:
            return 0.0
        bucket = int(np.searchsorted(sums, share * sums[-1] * (1.0 - 1e-12)))
        return float(FIRST_BUCKET * (RATIO ** (bucket + 1) - 1.0) / (RATIO - 1.0))


@dataclass(slots=True)
class _Recommender:
    kind: Autopilot
    pool: PoolKey
    rps: float
    least: int
    most: int
    usage: Histogram
    interval_seconds: float = SAMPLE_SECONDS

    def decide(self, sight: Sight) -> Targets:
        if not sight.seconds:
            return Targets({self.pool: sight.pool(self.pool).replicas}, self.pool)
        self.usage.add(sight.meter.offered_rps(SAMPLE_SECONDS) / self.rps)
        wanted = math.ceil(self.usage.percentile(self.kind.percentile) * (1.0 + self.kind.margin))
        return Targets({self.pool: min(max(wanted, self.least), self.most)}, self.pool)
