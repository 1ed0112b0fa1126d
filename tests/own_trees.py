"""Trees for tests that say one thing whatever they see."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelscaler.forecast.base import QUANTILES, TARGETS
from modelscaler.forecast.networks import own_width
from modelscaler.forecast.trees import DEPTH, FEATURES, Trees


def saying(difference_rps: float) -> Trees:
    """Return trees, one leaf each, whose every quantile is so much above the last value."""
    heads = (TARGETS, len(QUANTILES))
    weights: dict[str, NDArray[Any]] = {
        "column": np.zeros(1, dtype=np.int16),
        "threshold": np.full(1, np.inf, dtype=np.float32),
        "child": np.zeros(1, dtype=np.int32),
        "value": np.zeros(1, dtype=np.float32),
        "roots": np.zeros((*heads, 1), dtype=np.int32),
        "bases": np.full(heads, difference_rps, dtype=np.float32),
    }
    return Trees(weights, {FEATURES: str(own_width()), DEPTH: "0"})
