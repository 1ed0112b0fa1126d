"""What is seen."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from modelscaler.api.words import GrantReason
from modelscaler.domain.keys import PoolKey
from modelscaler.domain.readings import Reading, known

LONGEST_START_SECONDS = 3600.0
"""A start counts for no more, as a spec may state no more: who waited longer waited for something that was not there."""


class Rollout(Enum):
    """How far a changed template has got: `FAILED` when its pods did not get ready within the start deadline."""

    DONE = "done"
    UNDER_WAY = "under way"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PoolObservation:
    """A pool's Deployment and pods as the API server has them.

    `unschedulable` pods are those the scheduler could not place; `failing` those that crash, cannot be pulled or exit;
    `refused` is how many cannot even be made (a quota, admission), for `refused_seconds` now. `failure` is the reason of the
    first of these, None when there is none. `start_seconds` is the measured 90th percentile of pod created → ready, as the
    status has it before this process saw one, None where nobody did. `unready_seconds` is how long the oldest pod that is not
    ready has existed, 0 when all are ready; `starting_ages` how long each of those that start has. `budgets` is how full the
    budgets of accuracy of its replicas are, added up (2.5: two full ones and a half, overdrawn ones below 0), None when that
    is not known; `overdraft` by how many times their size they may be overdrawn, None before any says so. `template_digest`
    is of the template that was applied last.
    """

    pool: PoolKey
    replicas: int
    ready: int
    starting: int = 0
    unschedulable: int = 0
    failing: int = 0
    refused: int = 0
    refused_seconds: float = 0.0
    failure: str | None = None
    start_seconds: float | None = None
    terminating: int = 0
    unready_seconds: float = 0.0
    starting_ages: tuple[float, ...] = ()
    budgets: float | None = None
    overdraft: float | None = None
    rollout: Rollout = Rollout.DONE
    template_digest: str = ""

    @property
    def alive(self) -> int:
        """Pods that are not on their way out."""
        return self.ready + self.starting + self.unschedulable + self.failing


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many replicas a ModelDeployment may have on a placement whose accelerators others want, too.

    `wanted` is how many it would have, and `reason` why it may not. `counted_units` are the accelerators in the cluster, None
    where they are not counted.
    """

    placement: str
    replicas: int
    wanted: int
    reason: GrantReason
    counted_units: int | None = None


@dataclass(frozen=True, slots=True)
class RouteObservation:
    """The route from the gateway to the pools, as the API server has it.

    `accepted`: a gateway has taken it up; `current`: with the weights that are written now. `side` is the pool beside the
    serving one that gets `side_share` of the requests, in [0, 1]; None when there is none.
    """

    accepted: bool
    side: PoolKey | None = None
    side_share: float = 0.0
    current: bool = True

    def share_of(self, pool: PoolKey) -> float:
        """Return the share of the requests that a pool gets as the one beside."""
        return self.side_share if pool == self.side else 0.0


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything a plan may look at besides the forecast.

    `latency` is in seconds at the objective's percentile, `answered` in requests per second, late answers too; `waited` is the
    fewest requests that waited at any replica at any scrape of the last rate window. `selected` is the pool the Service
    selects, None when there is no Service yet. `new_readings` is False in an early pass, which looks at the last tick's
    readings again. `served` is (variant, answers per second) for the variants that answer in that pool, and `served_beside`
    likewise for the pool beside it; both are empty when that is not known. `allowances` are of placements with shared
    accelerators; one that is missing is not limited. `unmakeable` are pools that the API server does not let be made at all.
    `route` None: there is no route. `remembered_starts` is (pool, seconds) as the status has them, also of pools that are gone.
    `rise_rps_per_second` is by how much more the offered load rises than noise explains, 0 when it does not or nobody knows.
    `activator_ready`: it may take requests. `held`: the Service selects it, so that it holds what comes until a replica serves.
    """

    now: datetime
    offered: Reading
    queued: Reading
    latency: Reading
    answered: Reading
    waited: Reading
    pools: tuple[PoolObservation, ...] = ()
    selected: PoolKey | None = None
    new_readings: bool = True
    served: tuple[tuple[str, float], ...] = ()
    allowances: tuple[Allowance, ...] = ()
    served_beside: tuple[tuple[str, float], ...] = ()
    unmakeable: tuple[PoolKey, ...] = ()
    route: RouteObservation | None = None
    remembered_starts: tuple[tuple[PoolKey, float], ...] = ()
    rise_rps_per_second: float = 0.0
    activator_ready: bool = False
    held: bool = False

    @property
    def starts(self) -> dict[PoolKey, float]:
        """How many seconds replicas of each pool took to start, as measured; pools that never did are left out."""
        seen = {pool.pool: pool.start_seconds for pool in self.pools if pool.start_seconds is not None}
        return dict(self.remembered_starts) | seen

    @property
    def load_is_known(self) -> bool:
        """Whether it is known how many requests come and how many wait; nothing is left for a saving while it is not."""
        return known(self.offered) is not None and known(self.queued) is not None

    def pool(self, key: PoolKey) -> PoolObservation:
        """Return what was seen of a pool; an empty pool when it does not exist."""
        return next((p for p in self.pools if p.pool == key), PoolObservation(key, 0, 0))
