"""Fits the learned model: rows from every series, trees for every quantile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from modelscaler.domain import WorkloadKey
from modelscaler.forecast.base import QUANTILES, TARGETS, ladder, steps_within
from modelscaler.forecast.holdout import scored
from modelscaler.forecast.learned import SHORTEST_HISTORY_STEPS, LearnedModel, Regressor, joined
from modelscaler.forecast.rows import Prepared, Rows, TrainingWindow, prepare, rows_of
from modelscaler.forecast.threads import one_thread

# Horizons grow when replicas take longer to start, and a source may lag: the model reaches further than was asked.
SPARE_STEPS = 2


@dataclass(frozen=True, slots=True)
class TrainingBudget:
    """Bounds of the work, in rows and trees; and the least history that is worth learning from, in steps."""

    max_rows: int = 60_000
    max_rows_per_series: int = 6_000
    max_iterations: int = 60
    max_holdout_origins: int = 20_000
    min_history_steps: int = 4 * SHORTEST_HISTORY_STEPS


@dataclass(frozen=True, slots=True)
class TrainingRefused:
    """No model was fitted, and why."""

    reason: str


def train(
    windows: Mapping[WorkloadKey, TrainingWindow], now: datetime, rng: np.random.Generator, budget: TrainingBudget
) -> LearnedModel | TrainingRefused:
    """Fit one model to many series and score it on the newest part of each, which it does not learn from.

    Args:
        windows: Series on one common step.
        now: Nothing after this time is looked at.
        rng: Chooses rows.
        budget: Bounds of the work.

    Returns:
        The model, or why there is none.
    """
    prepared = _prepared(windows, now, budget)
    if not prepared:
        return TrainingRefused(f"no series has {budget.min_history_steps} known steps of history yet")
    longest = max(steps_within(windows[p.key].horizon_seconds, p.step_seconds) for p in prepared)
    rungs = ladder(longest + SPARE_STEPS)
    count = min(budget.max_rows // len(prepared), budget.max_rows_per_series) // len(rungs)
    parts = [rows for p in prepared for ahead in rungs if (rows := rows_of(p, ahead, count, rng)) is not None]
    if not parts:
        return TrainingRefused(f"no stretch of {rungs[-1]} known steps in any of {len(prepared)} series")
    with one_thread():
        regressors = _fitted(parts, int(rng.integers(2**31)), budget.max_iterations)
    model = LearnedModel(
        regressors=regressors,
        shift=np.zeros((TARGETS, len(QUANTILES))),
        step_seconds=prepared[0].step_seconds,
        longest_steps=rungs[-1],
        fitted_until=max(p.cutoff_time for p in prepared),
        rows=sum(len(part.targets[0]) for part in parts),
    )
    return scored(model, prepared, rungs, budget.max_holdout_origins)


def _prepared(windows: Mapping[WorkloadKey, TrainingWindow], now: datetime, budget: TrainingBudget) -> list[Prepared]:
    found = [prepare(key, windows[key], now) for key in sorted(windows)]
    return [p for p in found if p is not None and p.series.counts[-1] >= budget.min_history_steps]


def _fitted(parts: Sequence[Rows], seed: int, iterations: int) -> tuple[tuple[Regressor, ...], ...]:
    fitted = []
    for target in range(TARGETS):
        features = joined([part.frames[target] for part in parts]).features
        # Trees refuse a column without any number; a constant tells them as little.
        features[:, np.isnan(features).all(axis=0)] = 0.0
        targets = np.concatenate([part.targets[target] for part in parts])
        fitted.append(tuple(_regressor(level, seed, iterations).fit(features, targets) for level in QUANTILES))
    return tuple(fitted)


def _regressor(level: float, seed: int, iterations: int) -> HistGradientBoostingRegressor:
    # A tail quantile needs several rows beyond it in every leaf, or it is learned from single outliers.
    rows_per_leaf = max(20, round(2.0 / min(level, 1.0 - level)))
    return HistGradientBoostingRegressor(
        loss="quantile",
        quantile=level,
        learning_rate=0.1,
        max_iter=iterations,
        max_leaf_nodes=12,
        min_samples_leaf=rows_per_leaf,
        l2_regularization=1.0,
        max_bins=63,
        early_stopping=False,
        random_state=seed,
    )
