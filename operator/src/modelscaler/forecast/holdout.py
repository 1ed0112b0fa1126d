"""Scores forecasters on origins that nothing was fitted to, so that the choice between them starts well."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from modelscaler.domain import Floats, WorkloadKey
from modelscaler.forecast.base import LEVELS, QUANTILES, TARGETS, pinball
from modelscaler.forecast.baselines import BASELINES, naive_quantiles
from modelscaler.forecast.learned import NAME, HoldoutLosses, LearnedModel
from modelscaler.forecast.rows import Prepared, usable
from modelscaler.forecast.series import Ints, Series, at

# A shift from few rows is mostly noise: it is taken in full only when there are many more rows than this.
SHIFT_PRIOR_ROWS = 200
MOST_ORIGINS_PER_SERIES = 200
LEAST_ORIGINS_PER_SERIES = 10
UPPER: Final = LEVELS > 0.5


def scored(model: LearnedModel, prepared: Sequence[Prepared], rungs: Sequence[int], max_origins: int) -> LearnedModel:
    """Return the model with its losses on the holdout, and with the shift of its quantiles that its coverage there asks for."""
    count = min(max(max_origins // len(prepared), LEAST_ORIGINS_PER_SERIES), MOST_ORIGINS_PER_SERIES)
    holdout: dict[WorkloadKey, HoldoutLosses] = {}
    residuals: list[Floats] = []
    for one in prepared:
        origins = spread(usable(one, np.arange(one.cutoff, one.series.last - rungs[-1] + 1), rungs[-1]), count)
        if not len(origins):
            continue
        losses = baseline_losses(one.series, rungs, one.cutoff, origins)
        learned, beyond = _learned(model, one, rungs, origins)
        residuals.append(beyond)
        holdout[one.key] = HoldoutLosses(len(origins), {**losses, NAME: learned})
    if not residuals:
        return model
    return replace(model, holdout=holdout, shift=_shift(np.concatenate(residuals, axis=1)))


def baseline_losses(series: Series, rungs: Sequence[int], known_until: int, origins: Ints) -> Mapping[str, Floats]:
    """Return mean losses of the baselines that can answer at all origins, shape (targets, quantiles), in rps.

    Their errors are known up to the index `known_until`; the origins lie after it.
    """
    losses = {}
    for baseline in BASELINES:
        quantiles = naive_quantiles(baseline.rule, series, rungs, known_until, origins)
        actual = [[at(t, origins + ahead) for ahead in rungs] for t in (series.values,)]
        peaks = [at(series.peaks(ahead), origins + ahead) for ahead in rungs]
        losses[baseline.name] = _mean(pinball(np.array([actual[0], peaks]), quantiles))
    return {name: loss for name, loss in losses.items() if np.isfinite(loss).all()}


def _learned(model: LearnedModel, one: Prepared, rungs: Sequence[int], origins: Ints) -> tuple[Floats, Floats]:
    """Return the model's mean losses, and its residuals in squashed units, shape (targets, rows, quantiles)."""
    losses, residuals = [], []
    for ahead in rungs:
        actual, seen = one.actual(origins, ahead), one.frames(origins, ahead)
        quantiles = model.quantiles(seen)
        losses.append(pinball(actual, quantiles))
        relative = [
            seen[t].relative(actual[t])[:, None] - np.column_stack([seen[t].relative(q) for q in quantiles[t].T])
            for t in range(TARGETS)
        ]
        residuals.append(np.stack(relative))
    return _mean(np.stack(losses, axis=1)), np.concatenate(residuals, axis=1)


def _mean(losses: Floats) -> Floats:
    """Return the mean over the known entries of losses of shape (targets, rungs, origins, quantiles)."""
    known = np.isfinite(losses)
    count = known.sum(axis=(1, 2))
    total = np.where(known, losses, 0.0).sum(axis=(1, 2))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _shift(residuals: Floats) -> Floats:
    """Return how far to move the upper quantiles so that they cover the holdout, shape (targets, quantiles).

    This is split conformal prediction on the residuals of quantiles (Romano, Patterson and Candès, NeurIPS 2019).
    """
    clean = residuals[:, np.isfinite(residuals).all(axis=(0, 2))]
    rows = clean.shape[1]
    shift = np.zeros((TARGETS, len(QUANTILES)))
    for column in np.flatnonzero(UPPER):
        rank = min(np.ceil((rows + 1) * LEVELS[column]) / max(rows, 1), 1.0)
        shift[:, column] = np.quantile(clean[:, :, column], rank, axis=1) if rows else 0.0
    trusted: Floats = shift * rows / (rows + SHIFT_PRIOR_ROWS)
    return trusted


def spread(origins: Ints, count: int) -> Ints:
    """Return up to `count` of the origins, evenly apart."""
    if len(origins) <= count:
        return origins
    return origins[np.linspace(0, len(origins) - 1, count).astype(np.int64)]
