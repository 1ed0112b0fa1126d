"""How a load is put to a model: as a ratio to a level, or as a difference from an anchor, and back."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from modelscaler.backtest.cases import Case
from modelscaler.backtest.naive import MEAN_SECONDS, mean_so_far, trailing_mean
from modelscaler.backtest.rivals.anchor import anchored
from modelscaler.backtest.rivals.features import clock_features, load_features
from modelscaler.backtest.trace import Ints
from modelscaler.domain import Floats

# A ratio to almost nothing, as after an outage, would outweigh all others.
LEVEL_FLOOR_SHARE: Final = 0.1
# A model of ratios that saw a burst from nothing would forecast the same factor from any level.
CEILING_TIMES: Final = 3.0

Frame: TypeAlias = Literal["ratio", "difference", "anchor"]


@dataclass(frozen=True, slots=True)
class Framed:
    """Rows for a model, one per origin.

    Attributes:
        features: Shape (n, features), NaN where unknown.
        target: What came, as the model is to forecast it, shape (n,), NaN where unknown.
        middle: What a forecast of 0 means in rps, shape (n,).
        scale: What a forecast of 1 adds to that in rps, shape (n,).
        ceiling: What no forecast exceeds: some times the largest load so far, shape (n,).
    """

    features: Floats
    target: Floats
    middle: Floats
    scale: Floats
    ceiling: Floats

    def back(self, origins: Ints, forecast: Floats) -> Floats:
        """Return a model's quantiles of shape (m, quantiles) in rps, sorted, between 0 and the ceiling."""
        rps = self.middle[origins, None] + forecast * self.scale[origins, None]
        return np.sort(np.clip(rps, 0.0, self.ceiling[origins, None]), axis=1)


def framed(case: Case, track: Floats, ahead: int, frame: Frame) -> Framed:
    """Put a trace to a model; `track` is what came after each origin, shape (n,)."""
    trace = case.trace
    loads, clock = load_features(trace, track, ahead), clock_features(trace, ahead)
    floor = np.maximum(LEVEL_FLOOR_SHARE * mean_so_far(trace.rps), 1e-12)
    level = np.nan_to_num(trailing_mean(trace.rps, max(round(MEAN_SECONDS / trace.step_seconds), 3))) + floor
    mix, error = anchored(trace, track, ahead)
    match frame:
        case "ratio":
            middle, scale = np.zeros_like(level), level
        case "difference":
            middle, scale = trace.rps, np.ones_like(level)
        case "anchor":
            middle, scale = mix, np.maximum(error, floor)
    seen = np.vstack([(loads - middle) / scale, (mix - middle) / scale, error / scale, level, error / level, clock])
    ceiling = CEILING_TIMES * np.maximum.accumulate(np.nan_to_num(trace.rps))
    return Framed(seen.T, (track - middle) / scale, middle, scale, ceiling)
