"""How sure a ratio of losses is: moving-block bootstrap, which keeps what neighbouring errors have in common."""

from typing import Final

import numpy as np

from modelscaler.backtest.trace import Ints
from modelscaler.domain import Floats

RESAMPLES: Final = 500
BOUNDS: Final = (0.025, 0.975)
FEWEST_BLOCKS: Final = 4


def ratio(loss: Floats, bar: Floats) -> Floats:
    """Return the ratio of two losses of one shape; 1 where both are 0, infinite where only the second is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(loss == bar, 1.0, loss / bar)


def ratio_interval(loss: Floats, bar: Floats, block: int, seed: int) -> Floats:
    """Return bounds of the ratio of two mean losses: Künsch (Annals of Statistics 1989), 95 %.

    Args:
        loss: At each origin, shape (m, quantiles).
        bar: The same of what it is compared with; which naive forecast is the best is not chosen anew.
        block: How many neighbouring origins stay together: a day. Shorter when there would be fewer than FEWEST_BLOCKS.
        seed: Of the resampling.

    Returns:
        Shape (quantiles, 2).
    """
    count = len(loss)
    length = max(min(block, count // FEWEST_BLOCKS), 1)
    blocks = -(-count // length)
    starts = np.random.default_rng(seed).integers(0, count - length + 1, (RESAMPLES, blocks))
    sums = ratio(_resampled(loss, starts, length), _resampled(bar, starts, length))
    bounds: Floats = np.quantile(sums, BOUNDS, axis=0, method="nearest").T
    return bounds


def _resampled(loss: Floats, starts: Ints, length: int) -> Floats:
    """Return the loss summed over the blocks of each resample, shape (resamples, quantiles)."""
    running = np.concatenate((np.zeros((1, loss.shape[1])), np.cumsum(loss, axis=0)))
    sums: Floats = (running[starts + length] - running[starts]).sum(axis=1)
    return sums
