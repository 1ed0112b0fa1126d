"""What the ladder costs when it has nothing to do. Pure.

Servers with and without it are loaded by turns for short slices, A B B A: a slow moment of the machine hits both of a pair
alike, and a drift cancels within four slices. The interval says how much of the rest is noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SLICES_PER_BLOCK = 4
PAIRS_PER_BLOCK = 2
_RESAMPLES = 10_000
_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class IdleCost:
    """Share of throughput that the ladder costs; below 0 when it was faster with it.

    Attributes:
        median: Of the pairs.
        low: Lower end of its 95 % interval.
        high: Upper end.
        pairs: That it was taken from.
    """

    median: float
    low: float
    high: float
    pairs: int


def block_order(one: str, other: str) -> list[str]:
    """Return a block's slices: the first two are a pair, and the last two."""
    return [one, other, other, one]


def idle_cost(ratios: Sequence[float], seed: int) -> IdleCost:
    """Return the cost, with a percentile bootstrap interval of the median of the pairs' log-ratios.

    Args:
        ratios: Throughput with the ladder ÷ without, of each pair; at least one.
        seed: Of the resampling.
    """
    logs = np.log(np.asarray(ratios, dtype=np.float64))
    drawn = np.random.default_rng(seed).choice(logs, size=(_RESAMPLES, len(logs)))
    least, most = np.quantile(np.median(drawn, axis=1), _INTERVAL)
    return IdleCost(
        float(1.0 - np.exp(np.median(logs))), float(1.0 - np.exp(most)), float(1.0 - np.exp(least)), len(logs)
    )
