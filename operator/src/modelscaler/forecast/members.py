"""Quantiles of the anchor and of the naive rules: a guess, and around it how far it was off lately."""

from typing import Final

import numpy as np

from modelscaler.forecast.activation import sinh
from modelscaler.forecast.anchor import EXCESSES, Anchor
from modelscaler.forecast.base import LEVELS
from modelscaler.forecast.panel import Floats32
from modelscaler.forecast.rules import NAIVE, NAIVE_COLUMNS, Guesses

ANCHOR: Final = "anchor"
RULE_MEMBERS: Final = (ANCHOR, *NAIVE)
# Before anything was judged: 0.2, 0.27 and 0.4 of the level above the last value, by the error that is assumed of it.
PRIOR_RESIDUALS: Final = np.array([-0.6, 0.0, 0.6, 0.8, 1.1], dtype=np.float32)
BEYOND: Final = 1.5
FULL_WEIGHT: Final = 0.02
ENDS: Final = np.concatenate([[EXCESSES[0] - BEYOND], EXCESSES, [EXCESSES[-1] + BEYOND]]).astype(np.float32)


def rule_quantiles(made: Guesses, anchor: Anchor, shares: Floats32, weight: Floats32) -> Floats32:
    """Return quantiles of the anchor and each naive rule, (members, 2, B, G, quantiles), rps; NaN where a rule cannot tell.

    Args:
        made: Guesses of the rules.
        anchor: The anchor.
        shares: Recent share of residuals above each threshold, shape (2, members, excesses, B, G).
        weight: How much was judged, shape (2, members, B, G).
    """
    points = np.concatenate([anchor.point[:, None], made.points[:, NAIVE_COLUMNS]], axis=1)
    scales = np.concatenate([anchor.scale[:, None], anchor.errors[:, NAIVE_COLUMNS] + np.float32(1e-9)], axis=1)
    trust = np.minimum(weight / np.float32(FULL_WEIGHT), np.float32(1.0))
    quantiles = residual_quantiles(shares)
    quantiles *= trust
    quantiles += (1.0 - trust) * _levels(PRIOR_RESIDUALS, trust.ndim)
    quantiles = sinh(quantiles)
    quantiles *= scales
    quantiles += points
    np.maximum(quantiles, np.float32(0.0), out=quantiles)
    return np.moveaxis(quantiles, (0, 2), (-1, 0))


def residual_quantiles(shares: Floats32) -> Floats32:
    """Return quantiles of residuals from the shares above thresholds, (..., excesses, B, G) → (quantiles, ..., B, G).

    The distribution is linear between thresholds and ends as far beyond the outermost as `BEYOND`.
    """
    below = np.maximum.accumulate(1.0 - np.moveaxis(shares, -3, 0), axis=0)
    levels = _levels(LEVELS.astype(np.float32), below.ndim - 1)
    quantiles = np.full((len(LEVELS), *below.shape[1:]), ENDS[0], dtype=np.float32)
    passed = np.empty_like(quantiles)
    low, one = np.zeros_like(below[0]), np.ones_like(below[0])
    for high, width in zip([*below, one], np.diff(ENDS), strict=True):  # how much of each stretch lies below a level
        np.subtract(levels, low, out=passed)
        passed *= width / np.maximum(high - low, np.float32(1e-6))
        quantiles += np.clip(passed, 0.0, width, out=passed)
        low = high
    return quantiles


def _levels(by_level: Floats32, axes: int) -> Floats32:
    """Return one number for each level, to be told apart along an axis before so many others."""
    return by_level.reshape(-1, *[1] * axes)
