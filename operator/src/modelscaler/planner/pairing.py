"""The cheapest sizes of two pools that share a load. Pure.

A replica of pool p carries r_p requests/s and costs c_p. Of all sizes within the limits the cheapest are taken for which

    n_base r_base + n_side r_side >= near,

the load until a replica of the pool that starts sooner could be ready; what comes later than that, up to `far`, it need only be
able to reach. It is exact: one size is enumerated, the other follows from it. Requests are divided in proportion to n_p r_p, so
both pools are equally busy; with ladders the two carry together what the weaker of them multiplies its own by.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from modelscaler.domain import Floats, Workload
from modelscaler.planner.candidates import ROUNDING, Candidate
from modelscaler.planner.choice import Option

UNLIMITED = 1e12
"""A budget that is not set, and a load that nothing carries."""


@dataclass(frozen=True, slots=True)
class Need:
    """What two pools must carry with their planned variants: `near_rps` soon, `far_rps` at their largest.

    Of `near_rps` what the load only rises to is not missed where it cannot be had: `level_rps` is the rest.
    """

    near_rps: float
    far_rps: float
    level_rps: float

    def times(self, growth: float) -> "Need":
        """Return more or less of it."""
        return Need(self.near_rps * growth, self.far_rps, self.level_rps * growth)


@dataclass(frozen=True, slots=True)
class Mix:
    """Sizes of two pools. `shortfall_rps` is how much of the load they cannot carry; inf where limits allow none at all.

    `side_replicas` may be 0: the serving pool carries what is near, and the other could start in time for what is far.
    """

    base: Option
    side: Option
    base_replicas: int
    side_replicas: int
    shortfall_rps: float = 0.0

    @property
    def hourly_cost(self) -> float:
        """Price of all replicas."""
        base, side = self.base.candidate, self.side.candidate
        return self.base_replicas * base.replica_hourly_cost + self.side_replicas * side.replica_hourly_cost

    @property
    def feasible(self) -> bool:
        """Whether the load is carried."""
        return self.shortfall_rps <= 0.0

    @property
    def rank(self) -> tuple[float, float, float, int, str]:
        """What comes first is better: what is carried, then cost, accuracy and fewer replicas."""
        total = self.base_replicas + self.side_replicas
        return (
            round(self.shortfall_rps, 6),
            round(self.hourly_cost, 9),
            -self.accuracy,
            total,
            str(self.side.candidate.pool),
        )

    @property
    def side_share(self) -> float:
        """Share of the requests that the side pool gets."""
        base = self.base_replicas * self.base.candidate.rps_per_replica
        side = self.side_replicas * self.side.candidate.rps_per_replica
        return side / (base + side)

    @property
    def accuracy(self) -> float:
        """Mean accuracy of the planned variants' answers."""
        share = self.side_share
        return (1.0 - share) * self.base.candidate.accuracy + share * self.side.candidate.accuracy

    @property
    def slow(self) -> Option:
        """The pool whose replicas take longer to start; the base where neither does."""
        return slow_of(self.base, self.side)

    @property
    def fast(self) -> Option:
        """The other pool."""
        return fast_of(self.base, self.side)

    @property
    def slow_replicas(self) -> int:
        """Its size."""
        return self.base_replicas if self.slow is self.base else self.side_replicas

    @property
    def fast_replicas(self) -> int:
        """The other one's."""
        return self.side_replicas if self.slow is self.base else self.base_replicas

    @property
    def ladder_speedup(self) -> float:
        """What the ladders multiply the pools' own rates by; 1 where they are not counted on."""
        return _joint_help(self.base, self.side)

    def sized(self, slow: int, fast: int) -> "Mix":
        """Return the same pools with other sizes."""
        base, side = (slow, fast) if self.slow is self.base else (fast, slow)
        return replace(self, base_replicas=base, side_replicas=side)


def slow_of(base: Option, side: Option) -> Option:
    """Return whose replicas take longer to start."""
    return side if side.candidate.start_seconds > base.candidate.start_seconds else base


def fast_of(base: Option, side: Option) -> Option:
    """Return the other one."""
    return base if slow_of(base, side) is side else side


def need_of(base: Option, side: Option, recent_rps: float) -> Need:
    """Return what two pools must carry.

    Args:
        base: The serving pool.
        side: The other.
        recent_rps: What the scale-down window still remembers.
    """
    fast = fast_of(base, side)
    help_by_ladder = _joint_help(base, side)
    near = max(fast.demand.own_rps, fast.demand.planned_rps / help_by_ladder, recent_rps)
    far = max(fast.far.own_rps, fast.far.planned_rps / help_by_ladder)
    if fast.demand.rising_rps is not None:
        return Need(near, far, min(near, far))
    return Need(near, max(far, near), near)


def cheapest(workload: Workload, base: Option, side: Option, need: Need, slow_replicas: int | None = None) -> Mix:
    """Return the sizes that carry most of what is needed, and of those the cheapest.

    Args:
        workload: For its limits.
        base: The serving pool; it keeps a replica at least.
        side: The other.
        need: What to carry.
        slow_replicas: Size of the pool that takes longer to start; None: any.
    """
    slow = slow_of(base, side)
    fast, fewest_fast = (side, 0) if slow is base else (base, 1)
    fewest_slow = 1 if slow is base else 0
    most = min(slow.candidate.obtainable, workload.max_replicas - fewest_fast)
    counts = np.arange(fewest_slow, max(most, fewest_slow) + 1, dtype=np.float64)
    if slow_replicas is not None:
        counts = np.array([min(max(slow_replicas, fewest_slow), max(most, fewest_slow))], dtype=np.float64)
    reach = _reach(workload, slow.candidate, fast.candidate, counts)
    rps, fast_rps = slow.candidate.rps_per_replica, fast.candidate.rps_per_replica
    wanted = np.ceil((need.near_rps - counts * rps) / fast_rps - ROUNDING)
    wanted = np.maximum(wanted, np.maximum(fewest_fast, workload.min_replicas - counts))
    sizes = np.maximum(np.minimum(wanted, reach), fewest_fast)
    short = np.maximum(need.level_rps - counts * rps - sizes * fast_rps, need.far_rps - counts * rps - reach * fast_rps)
    short = np.where(short > ROUNDING * max(need.far_rps, 1.0), short, 0.0)
    short = np.where((reach < fewest_fast) | (counts + sizes < workload.min_replicas), np.inf, short)
    return _best(workload, Mix(base, side, 1, 0), counts, sizes, short)


def largest(workload: Workload, mix: Mix) -> Mix:
    """Return the sizes of the same pools that carry most within the limits, needed or not."""
    return cheapest(workload, mix.base, mix.side, Need(UNLIMITED, UNLIMITED, UNLIMITED))


def _best(workload: Workload, pair: Mix, slow: Floats, fast: Floats, short: Floats) -> Mix:
    """Return the preferred one of so many sizes of two pools, by what is short, accuracy where one is asked for, and cost."""
    first, second = pair.slow.candidate, pair.fast.candidate
    own = slow * first.rps_per_replica
    share = own / np.maximum(own + fast * second.rps_per_replica, ROUNDING)
    accuracy = share * first.accuracy + (1.0 - share) * second.accuracy
    cost = np.round(slow * first.replica_hourly_cost + fast * second.replica_hourly_cost, 9)
    floor = workload.objective.min_mean_accuracy
    missed = np.zeros(len(slow)) if floor is None else accuracy < floor - ROUNDING
    at = int(np.lexsort((slow + fast, -accuracy, cost, missed, np.round(short, 6)))[0])
    return replace(pair, shortfall_rps=float(short[at])).sized(int(slow[at]), int(fast[at]))


def bridged(workload: Workload, mix: Mix, need: Need, ready: int) -> Mix:
    """Return a mix that carries what is near while replicas of its slower pool are on their way.

    Args:
        workload: For its limits.
        mix: The sizes to be.
        need: What to carry.
        ready: Replicas of the slower pool that are ready.
    """
    return grown(workload, mix, _missing_replicas(mix, need, min(ready, mix.slow_replicas)))


def needed(mix: Mix) -> Mix:
    """Return the sizes that the demand asks for, whatever the limits, with the pool that takes longer to start as it is."""
    missing = _missing_replicas(mix, need_of(mix.base, mix.side, 0.0), mix.slow_replicas)
    return mix.sized(mix.slow_replicas, max(missing, 0))


def grown(workload: Workload, mix: Mix, fast_replicas: int) -> Mix:
    """Return a mix with so many replicas of the pool that starts sooner, or as many as the limits allow, but no fewer."""
    reach = _reach(workload, mix.slow.candidate, mix.fast.candidate, np.array([float(mix.slow_replicas)]))
    return mix.sized(mix.slow_replicas, max(mix.fast_replicas, min(fast_replicas, int(reach[0]))))


def is_accurate(workload: Workload, mix: Mix) -> bool:
    """Tell whether answers reach the mean accuracy asked for.

    With a reflex each pool's servers may use up what their own variant is above it, so either must reach it by itself.
    """
    floor = workload.objective.min_mean_accuracy
    if floor is None:
        return True
    if workload.reflex:
        return mix.base.candidate.keeps_mean_accuracy and mix.side.candidate.keeps_mean_accuracy
    return mix.accuracy >= floor - ROUNDING


def limits_kept(workload: Workload, mix: Mix) -> tuple[bool, bool, bool]:
    """Tell whether either pool is within what it may have, and both together within the budget."""
    budget = UNLIMITED if workload.max_hourly_cost is None else workload.max_hourly_cost
    fit = mix.base_replicas <= mix.base.candidate.most, mix.side_replicas <= mix.side.candidate.most
    return *fit, mix.hourly_cost <= budget + ROUNDING


def _reach(workload: Workload, slow: Candidate, fast: Candidate, counts: Floats) -> Floats:
    """Return the most replicas of the fast pool beside so many of the slow one, within limits and budget."""
    reach = np.minimum(fast.obtainable, workload.max_replicas - counts)
    if fast.replica_hourly_cost > 0.0:
        budget = UNLIMITED if workload.max_hourly_cost is None else workload.max_hourly_cost
        left = budget - counts * slow.replica_hourly_cost
        reach = np.minimum(reach, np.floor(left / fast.replica_hourly_cost + ROUNDING))
    room: Floats = reach
    return room


def _missing_replicas(mix: Mix, need: Need, slow_replicas: int) -> int:
    """Return how many replicas of the fast pool carry what is near, beside so many of the slow one."""
    missing_rps = need.near_rps - slow_replicas * mix.slow.candidate.rps_per_replica
    return math.ceil(missing_rps / mix.fast.candidate.rps_per_replica - ROUNDING)


def _joint_help(base: Option, side: Option) -> float:
    return min(_help(base.candidate), _help(side.candidate))


def _help(candidate: Candidate) -> float:
    """Return what a pool's ladder multiplies its own rate by; 1 where the mean accuracy limits its use."""
    if candidate.rung is None or candidate.rung.allowed_share < 1.0:
        return 1.0
    return candidate.rung.speedup
