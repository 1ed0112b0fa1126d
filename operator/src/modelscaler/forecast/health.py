"""Whether forecasting works as it should for a series, for the condition ForecastHealthy."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from modelscaler.api.words import ConditionReason
from modelscaler.domain import QuantileForecast, WorkloadKey
from modelscaler.forecast.cohort import Cohort

# Of the 0.9 quantile of the peak over the last few outcomes. Below it, too little is covered to plan on, whatever serves. One
# spike stays in several overlapping windows; that alone does not get there.
LEAST_COVERAGE: Final = 0.6


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of the forecasts of one series.

    `served` whether it is forecast, `wanted` whether the user lets networks serve, `able` whether enough is known for them,
    `learned` whether they have a share worth naming, `failing` whether their last forecasts were far worse than the rules',
    `coverage` the recent share of outcomes within the 0.9 quantile of the peak, at the horizon that covers it worst.
    """

    served: bool
    wanted: bool
    able: bool
    learned: bool
    failing: bool
    coverage: float


@dataclass(frozen=True, slots=True)
class Learning:
    """Where the networks stand: `trouble` why one cannot be used, `failure` why the last training failed; None: nothing did."""

    has_network: bool
    trouble: str | None
    failure: str | None


def standing_of(cohort: Cohort, key: WorkloadKey, served: QuantileForecast | None) -> Standing:
    """Return what is known of the forecasts of a series; `served` is the last one, None without any."""
    row, table = cohort.rows[key], cohort.table
    reached = int(np.searchsorted(cohort.rungs, table["steps"][row])) + 1
    return Standing(
        served=served is not None,
        wanted=bool(table["learned"][row]),
        able=bool(table["able"][row]),
        learned=served is not None and served.learned,
        failing=bool(table["failing"][row]),
        coverage=float(table["recent"][row, :reached].min()),
    )


def judged(standing: Standing | None, learning: Learning) -> tuple[bool, ConditionReason, str]:
    """Return whether forecasts are healthy, one word and one sentence why.

    The sentence holds no figure that moves by itself, so that a condition does not change every tick.
    """
    if standing is None or not standing.served:
        return (
            False,
            ConditionReason.NO_HISTORY,
            "no known load that is new enough to forecast from; planned on what is measured",
        )
    if standing.coverage < LEAST_COVERAGE:
        why = "the load was above the 0.9 quantile of its peak much too often lately; calibration is catching up"
        return False, ConditionReason.COVERAGE_LOST, why
    if not standing.wanted:
        return True, ConditionReason.BASELINE, "baselines serve, as spec.scaling.forecast.model asks"
    if not learning.has_network:
        return False, ConditionReason.BASELINE, f"baselines serve: {learning.trouble or 'there is no network'}"
    if not standing.able:
        return (
            False,
            ConditionReason.SHORT_HISTORY,
            "too little known load for the network; baselines serve until there is more",
        )
    if standing.failing:
        why = "the network's last forecasts were far worse than the baselines', which serve until it recovers"
        return False, ConditionReason.DEMOTED, why
    return _working(standing, learning)


def _working(standing: Standing, learning: Learning) -> tuple[bool, ConditionReason, str]:
    if not standing.learned:
        why = "baselines serve: they have had smaller losses than the network lately"
        return True, ConditionReason.BASELINE, why
    if learning.failure is not None:
        why = f"the network serves as it was before the last training: {learning.failure}; training is tried again"
        return False, ConditionReason.LEARNED, why
    return True, ConditionReason.LEARNED, "the network serves, mixed with baselines by recent loss"
