"""What came: the value at the horizon, and the largest value until then."""

from typing import Final

import numpy as np

from modelscaler.domain import Floats
from modelscaler.forecast.base import TARGETS
from modelscaler.forecast.stretches import KNOWN_SHARE_OF_PEAK

TARGET_NAMES: Final = ("value", "peak")


def targets(rps: Floats, ahead: int) -> Floats:
    """Return what came after every origin.

    Args:
        rps: The load, shape (n,), NaN where missing.
        ahead: The horizon in steps, at least 1.

    Returns:
        The value at the horizon and the maximum from the next step to the horizon, shape (targets, n) by origin; NaN where
        unknown, for the maximum when less than KNOWN_SHARE_OF_PEAK of it is known.
    """
    found = np.full((TARGETS, len(rps)), np.nan)
    count = len(rps) - ahead
    if count > 0:
        found[0, :count] = rps[ahead:]
        found[1, :count] = _maxima(rps, ahead)[1:]
    return found


def _maxima(rps: Floats, length: int) -> Floats:
    """Return the maximum of each stretch of `length` values, by doubling; NaN where too few are known."""
    largest, covered = rps, 1
    while covered < length:
        shift = min(covered, length - covered)
        largest, covered = np.fmax(largest[:-shift], largest[shift:]), covered + shift
    known = np.concatenate(([0], np.cumsum(np.isfinite(rps))))
    return np.where(known[length:] - known[:-length] >= KNOWN_SHARE_OF_PEAK * length - 1e-9, largest, np.nan)
