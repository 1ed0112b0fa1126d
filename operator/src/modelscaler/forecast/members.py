"""Quantiles of the anchor and of the naive rules: a guess, and around it how far it was off lately."""

from typing import Final

import numpy as np

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


def rule_quantiles(made: Guesses, anchor: Anchor, shares: Floats32, weight: Floats32) -> Floats32:
    """Return quantiles of the anchor and each naive rule, (members, 2, B, G, quantiles), rps; NaN where a rule cannot tell.

    Args:
        made: Guesses of the rules.
        anchor: The anchor.
        shares: Recent share of residuals above each threshold, shape (2, members, excesses, B, G).
        weight: How much was judged, shape (2, members, B, G).
    """
    points = np.concatenate([anchor.point[:, None], made.points[:, NAIVE_COLUMNS]], axis=1)
    scales = np.concatenate([anchor.scale[:, None], anchor.errors[:, NAIVE_COLUMNS] + 1e-9], axis=1)
    trust = np.minimum(weight / FULL_WEIGHT, 1.0)[..., None]
    residuals = trust * residual_quantiles(shares) + (1.0 - trust) * PRIOR_RESIDUALS
    quantiles = np.maximum(points[..., None] + scales[..., None] * np.sinh(residuals), 0.0)
    by_member: Floats32 = np.moveaxis(quantiles, 1, 0).astype(np.float32)
    return by_member


def residual_quantiles(shares: Floats32) -> Floats32:
    """Return quantiles of residuals from the shares above thresholds, (..., excesses, B, G) → (..., B, G, quantiles).

    The distribution is linear between thresholds and ends as far beyond the outermost as `BEYOND`.
    """
    below = np.maximum.accumulate(1.0 - np.moveaxis(shares, -3, -1), axis=-1)
    ends = np.concatenate([[EXCESSES[0] - BEYOND], EXCESSES, [EXCESSES[-1] + BEYOND]])
    zero, one = np.zeros_like(below[..., :1]), np.ones_like(below[..., :1])
    cumulative = np.concatenate([zero, below, one], axis=-1)
    low, high = cumulative[..., None, :-1], cumulative[..., None, 1:]
    passed = (LEVELS.astype(np.float32)[:, None] - low) / np.maximum(high - low, np.float32(1e-6))
    np.clip(passed, 0.0, 1.0, out=passed)  # how much of each stretch between thresholds lies below a level
    widths = np.diff(ends).astype(np.float32)
    quantiles: Floats32 = (ends[0] + passed @ widths).astype(np.float32)
    return quantiles
