"""Whether forecasting works as it should for a series, for the condition ForecastHealthy."""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from modelscaler.api.words import ConditionReason
from modelscaler.forecast.assembling import LEAST_SHARE
from modelscaler.forecast.cohort import Chosen, Cohort
from modelscaler.forecast.panel import Flags, Floats32

# Of the 0.9 quantile of the peak over the last few outcomes. Below it, too little is covered to plan on, whatever serves. One
# spike stays in several overlapping windows; that alone does not get there.
LEAST_COVERAGE: Final = 0.6
# What is said of a series changes back only when the opposite is clear, or it would flip with every outcome.
RECOVERED_COVERAGE: Final = 0.7
FORGOTTEN_SHARE: Final = 0.5 * LEAST_SHARE

Health: TypeAlias = tuple[bool, ConditionReason, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of the forecasts of one series.

    `served` whether it is forecast, `wanted` whether the user lets networks serve, `able` whether enough is known for them,
    `learned` whether they have a share worth naming, `failing` whether their last forecasts were far worse than the rules',
    `uncovered` whether outcomes were above the 0.9 quantile of the peak much too often lately.
    """

    served: bool
    wanted: bool
    able: bool
    learned: bool
    failing: bool
    uncovered: bool


@dataclass(frozen=True, slots=True)
class Learning:
    """Where the networks stand: `trouble` why one cannot be used, `failure` why the last training failed; None: nothing did."""

    has_network: bool
    trouble: str | None
    failure: str | None


def note_standing(cohort: Cohort, rows: Chosen, shares: Floats32, able: Flags, failing: Flags) -> None:
    """Keep where rows stand after a forecast.

    Args:
        cohort: The state.
        rows: Which rows.
        shares: How much of the upper quantiles of the peak is the networks', (B,).
        able: Whether enough is known for networks, (B,).
        failing: Whether networks have failed lately, (B,).
    """
    table = cohort.table
    reached = np.searchsorted(cohort.rungs, table["steps"][rows]) + 1
    asked = np.arange(len(cohort.rungs)) < reached[:, None]
    coverage = np.where(asked, table["recent"][rows], 1.0).min(axis=1)
    table["uncovered"][rows] = coverage < np.where(table["uncovered"][rows], RECOVERED_COVERAGE, LEAST_COVERAGE)
    table["named"][rows] = shares >= np.where(table["named"][rows], FORGOTTEN_SHARE, LEAST_SHARE)
    table["able"][rows], table["failing"][rows] = able, failing


def standings(cohort: Cohort, rows: Chosen) -> list[Standing]:
    """Return what is known of the forecasts of rows that are forecast."""
    wanted, able, named, failing, uncovered = (
        cohort.table[name][rows].tolist() for name in ("learned", "able", "named", "failing", "uncovered")
    )
    return [Standing(True, *each) for each in zip(wanted, able, named, failing, uncovered, strict=True)]


def judged(standing: Standing | None, learning: Learning) -> Health:
    """Return whether forecasts are healthy, one word and one sentence why.

    The sentence holds no figure that moves by itself, so that a condition does not change every tick.
    """
    if standing is None or not standing.served:
        return (
            False,
            ConditionReason.NO_HISTORY,
            "no known load that is new enough to forecast from; planned on what is measured",
        )
    if standing.uncovered:
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


def _working(standing: Standing, learning: Learning) -> Health:
    if not standing.learned:
        why = "baselines serve: they have had smaller losses than the network lately"
        return True, ConditionReason.BASELINE, why
    if learning.failure is not None:
        why = f"the network serves as it was before the last training: {learning.failure}; training is tried again"
        return False, ConditionReason.LEARNED, why
    return True, ConditionReason.LEARNED, "the network serves, mixed with baselines by recent loss"
