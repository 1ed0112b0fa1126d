"""Looking back along a trace."""

import numpy as np

from modelscaler.domain import Floats


def earlier(track: Floats, steps: int) -> Floats:
    """Return a track of shape (n,) as it was `steps` earlier, NaN before its beginning."""
    shifted = np.full(len(track), np.nan)
    kept = len(track) - steps
    if kept > 0:
        shifted[steps:] = track[:kept]
    return shifted
