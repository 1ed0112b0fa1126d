"""Quantiles of all errors that were known at an origin."""

from typing import Final

import numpy as np

from modelscaler.backtest.trace import Ints
from modelscaler.domain import Floats
from modelscaler.forecast.base import QUANTILES

BLOCKS: Final = 50
FEWEST_ERRORS: Final = 20


def expanding_quantiles(errors: Floats, origins: Ints, ahead: int, blocks: int = BLOCKS) -> Floats:
    """Return quantiles of the errors whose targets were observed by each origin.

    They are taken anew at the first origin of each block, and so never know more than an origin does.

    Args:
        errors: By the origin they were made from, shape (n,), NaN where unknown.
        origins: Increasing indices, shape (m,).
        ahead: The horizon in steps: the error of origin s is observed at s + ahead.
        blocks: In how many blocks the origins are taken.

    Returns:
        Shape (m, quantiles); NaN while fewer than FEWEST_ERRORS are known.
    """
    quantiles = np.full((len(origins), len(QUANTILES)), np.nan)
    ordered, seen = np.empty(0), 0
    for block in np.array_split(np.arange(len(origins)), min(blocks, max(len(origins), 1))):
        if not len(block):
            continue
        known_until = max(int(origins[block[0]]) - ahead + 1, 0)
        fresh = errors[seen:known_until]
        # A stable sort of two sorted runs is a merge.
        ordered = np.sort(np.concatenate((ordered, np.sort(fresh[np.isfinite(fresh)]))), kind="stable")
        seen = max(seen, known_until)
        if len(ordered) >= FEWEST_ERRORS:
            quantiles[block] = quantiles_of_sorted(ordered)
    return quantiles


def quantiles_of_sorted(ordered: Floats) -> Floats:
    """Return the quantiles of sorted values, interpolated linearly, shape (quantiles,)."""
    places = np.array(QUANTILES) * (len(ordered) - 1)
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, len(ordered) - 1)
    quantiles: Floats = ordered[below] + (places - below) * (ordered[above] - ordered[below])
    return quantiles
