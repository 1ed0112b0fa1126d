"""When requests arrive: a Poisson process whose rate follows a curve."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


def arrival_seconds(rates_rps: Floats, step_seconds: float, rng: np.random.Generator) -> Floats:
    """Draw arrival times of an inhomogeneous Poisson process with piecewise constant rate.

    Given their number, the arrivals of a homogeneous Poisson process within a step are independent and uniform.

    Args:
        rates_rps: Shape (n,), not negative, one rate per step.
        step_seconds: Length of a step.
        rng: Source of randomness; the same state gives the same arrivals.

    Returns:
        Sorted seconds since the start, shape (arrivals,).
    """
    counts = rng.poisson(np.asarray(rates_rps) * step_seconds)
    steps = np.repeat(np.arange(len(counts)), counts)
    return np.sort((steps + rng.random(counts.sum())) * step_seconds)


def steady(rate_rps: float, seconds: float, step_seconds: float = 1.0) -> Floats:
    """Return a constant rate curve, shape (ceil(seconds / step_seconds),)."""
    return np.full(int(np.ceil(seconds / step_seconds)), float(rate_rps))
