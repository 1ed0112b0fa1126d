"""What a forecast says, and the shape that every forecast has."""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelscaler.domain import Floats

QUANTILES: Final = (0.1, 0.5, 0.9, 0.95, 0.99)
LEVELS: Final[Floats] = np.array(QUANTILES)
VALUE, PEAK = 0, 1
TARGETS: Final = 2


def steps_within(horizon_seconds: float, step_seconds: float) -> int:
    """Return how many steps cover a horizon; at least one."""
    return max(math.ceil(horizon_seconds / step_seconds - 1e-9), 1)


def coherent(quantiles: NDArray[np.floating]) -> Floats:
    """Make quantiles of shape (targets, ..., steps, quantiles) possible.

    None is below zero, they do not cross (sorting never worsens their loss: Chernozhukov et al., Econometrica 2010), a
    peak is not below the value at its end, and the peak within a longer time is not below that within a shorter one.
    """
    found = np.maximum(quantiles, 0.0)
    value, peak = np.sort(found, axis=-1) if (found[..., 1:] < found[..., :-1]).any() else found
    return np.stack([value, np.maximum.accumulate(np.maximum(peak, value), axis=-2)])


def pinball(actual: NDArray[np.floating], forecast: NDArray[np.floating]) -> NDArray[Any]:
    """Return the loss of quantile forecasts: `actual` of shape (...), `forecast` of shape (..., quantiles), in rps."""
    error = actual[..., None] - forecast
    return np.maximum(LEVELS * error, (LEVELS - 1.0) * error)
