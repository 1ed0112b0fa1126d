"""How much load to plan for. Pure.

The reactive guard is the measured load plus what it takes to work off the queue, so a forecast that is too low cannot starve
a workload. A rise that is more than noise is taken to go on for a while (`rising.py`). A reading that is not knowledge (absent,
stale, error) never lowers anything: what runs is then assumed needed.

With a reflex there are two demands. What is measured, what it rises to, and the peak that is more likely than not, must be
carried by the planned variant itself: a share of cheaper answers that lasts is demand for capacity. The peak at the planned
quantile, and a backlog, may be answered by the cheaper variants of the ladder (`recourse.py`), as far as enough is saved for
them: the less is, the nearer to the planned quantile is what the planned variant carries.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from modelscaler.domain import Demand, Floats, Observation, QuantileForecast, Workload, known, least
from modelscaler.planner.rising import FOLLOWED_SECONDS
from modelscaler.planner.savings import Account, account_of

LIKELY = 0.5
"""Quantile of the peak that the planned variant carries itself at least, where the settings say nothing."""

STARTS_COVERED = 3.0
"""With savings for so many starts of nothing but cheaper answers no more than the settings say is carried for want of them."""

LEVELS: Floats = (np.arange(40, dtype=np.float64) + 0.5) / 40.0
"""Quantiles at which the distribution of the load is read, each standing for the same probability."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What is to be carried: `quantile` of the demand, `own_quantile` of it at least by the planned variant.

    Both `growth` times. `own_quantile` None: there is no ladder, and the planned variant carries everything.
    """

    quantile: float
    own_quantile: float | None = None
    growth: float = 1.0


def aim_of(workload: Workload, account: Account) -> Aim:
    """Return what a workload's settings aim at; the quantile of its forecast settings where the policy has none."""
    policy = workload.policy
    quantile = workload.forecast.quantile if policy.quantile is None else policy.quantile
    own = LIKELY if policy.recourse_quantile is None else policy.recourse_quantile
    growth = 1.0 + headroom_of(workload, account)
    return Aim(quantile, min(own, quantile) if workload.reflex else None, growth)


def headroom_of(workload: Workload, account: Account) -> float:
    """Return what is added to all demand, as a share of it.

    Below 0 it leaves demand to the cheaper variants of the ladder. They answer it as long as more is saved than servers keep
    for bursts: the less, the less is lent, since a share of cheaper answers that lasts is demand for capacity. Where there is
    no ladder, or no mean to keep, all of it counts, as it did where it was chosen.
    """
    headroom = workload.policy.headroom
    if headroom >= 0.0 or not workload.reflex or workload.objective.min_mean_accuracy is None:
        return headroom
    return headroom * account.lendable_share


@dataclass(frozen=True, slots=True)
class Load:
    """What is known about the load, before a horizon is chosen.

    `measured_rps` is None when the load is not known in full; at least `least_rps` is, and `rise_rps_per_second` is by how much
    it rises. `assumed_rps`, what replicas of which nobody knows the load can carry, comes on top. `saved_share` says how full
    servers' budgets of cheaper answers are, and `saved_seconds` for how long they and their overdrafts last.
    """

    measured_rps: float | None
    least_rps: float
    queued_requests: float
    assumed_rps: float
    forecast: QuantileForecast | None
    forecast_age_seconds: float
    aim: Aim
    saved_share: float
    saved_seconds: float
    rise_rps_per_second: float = 0.0

    @property
    def rises(self) -> bool:
        """Whether there is a rise to follow."""
        return self.rise_rps_per_second > 0.0

    def level(self) -> "Load":
        """Return the same as if it did not rise: what it rises to is for sizes, and no reason to do anything for good."""
        return replace(self, rise_rps_per_second=0.0)

    @property
    def lends(self) -> bool:
        """Whether something is left to cheaper variants, which pools without a ladder cannot answer."""
        return self.aim.growth < 1.0 and self.aim.own_quantile is not None

    def unlent(self) -> "Load":
        """Return the same with nothing left to cheaper variants."""
        return replace(self, aim=replace(self.aim, growth=1.0))

    def within(self, horizon_seconds: float) -> Demand:
        """Return the demand to plan for: the larger of the forecast's peak within the horizon and what is there now.

        A backlog is to be gone by the horizon, when the capacity that is planned now serves. Headroom is added to what is
        known, not to what running replicas are assumed to carry: else they would grow with every tick without metrics.
        """
        growth = self.aim.growth
        rising_rps = self.least_rps + self.rise_rps_per_second * min(horizon_seconds, FOLLOWED_SECONDS)
        coming_rps = rising_rps * growth + self.assumed_rps
        ahead_rps, carried_rps, likely_rps = self._peaks(horizon_seconds)
        present_rps = coming_rps + self.queued_requests / horizon_seconds * growth
        demand = Demand(
            self.measured_rps,
            ahead_rps,
            max(present_rps, (ahead_rps or 0.0) * growth),
            horizon_seconds,
            rising_rps=rising_rps if self.rises else None,
            forecast_leads=ahead_rps is not None and ahead_rps * growth >= present_rps,
        )
        if self.aim.own_quantile is None:
            return demand
        base_rps, lasting_rps = max(coming_rps, carried_rps * growth), max(coming_rps, likely_rps * growth)
        return replace(demand, base_rps=base_rps, lasting_base_rps=lasting_rps)

    def spread_rps(self, horizon_seconds: float) -> list[float]:
        """Return equally likely loads at the horizon, rising, without headroom; none without a forecast."""
        if self.forecast is None:
            return []
        row = self.forecast.values(horizon_seconds + self.forecast_age_seconds)
        loads: list[float] = (_interpolation(self.forecast.quantiles) @ row).tolist()
        return loads

    def _peaks(self, horizon_seconds: float) -> tuple[float | None, float, float]:
        """Return the forecast's peaks: planned for, None without one; carried by the planned variant; with any savings."""
        if self.forecast is None:
            return None, 0.0, 0.0
        quantile, likely = self.aim.quantile, self.aim.own_quantile
        own = quantile if likely is None else likely
        carried = quantile - (quantile - own) * self._saved_for(horizon_seconds)
        reach_seconds = horizon_seconds + self.forecast_age_seconds
        planned, base, lasting = self.forecast.peaks((quantile, carried, own), reach_seconds)
        return planned, base, lasting

    def _saved_for(self, horizon_seconds: float) -> float:
        """Return how much of what is to be left to cheaper answers may be, in [0, 1]: the less, the sooner savings would end.

        What was spent on one burst is not there for the next, and is earned again in hours.
        """
        return min(self.saved_seconds / (STARTS_COVERED * horizon_seconds), 1.0)


@lru_cache(maxsize=16)
def _interpolation(quantiles: tuple[float, ...]) -> Floats:
    """Return what takes values at some quantiles to values at LEVELS, shape (levels, quantiles)."""
    return np.column_stack([np.interp(LEVELS, quantiles, unit) for unit in np.eye(len(quantiles))])


def load_from(
    workload: Workload, observation: Observation, forecast: QuantileForecast | None, assumed_rps: float
) -> Load:
    """Return what is known about the load.

    Args:
        workload: Whose load; a reactive policy leaves the forecast out of account.
        observation: What is seen now. An unknown queue does not count: it only keeps replicas from being taken away.
        forecast: The forecast, None when there is none.
        assumed_rps: Load to assume of replicas that it is not known of.
    """
    heeded = forecast if workload.policy.forecaster == "Forecast" else None
    age = (observation.now - heeded.made_at).total_seconds() if heeded is not None else 0.0
    account = account_of(workload, observation.pools)
    return Load(
        measured_rps=known(observation.offered),
        least_rps=least(observation.offered),
        queued_requests=known(observation.queued) or 0.0,
        assumed_rps=assumed_rps,
        forecast=heeded,
        forecast_age_seconds=max(age, 0.0),
        aim=aim_of(workload, account),
        saved_share=account.saved_share,
        saved_seconds=account.seconds,
        rise_rps_per_second=observation.rise_rps_per_second,
    )
