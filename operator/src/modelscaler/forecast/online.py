"""What is learned from outcomes as they come: the mix of the members and the correction of its quantiles."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from modelscaler.forecast.conformal import Calibration
from modelscaler.forecast.mixing import Mixture, mixed
from modelscaler.forecast.panel import Floats32
from modelscaler.forecast.pipeline import MEMBERS, OWN, TUNED, able

# Losses of members relative to the pretrained network's: on generated load that it had not learned from, as `make pretrained`
# tells them; for the tuned one what tuning was worth on real load.
PRIOR: Final = np.array([0.95, 1.0, 1.0, 1.15, 1.55, 1.85, 3.25, 1.9], dtype=np.float32)
PAIR: Final = (MEMBERS.index(TUNED), MEMBERS.index(OWN))
"""Both have learned from the series, each in its own way."""
MEMORY_SECONDS: Final = 7 * 86_400.0
LEAST_MEMORY: Final = 100  # outcomes


def memory_of(step_seconds: float) -> int:
    """Return over how many outcomes losses are remembered."""
    return max(round(MEMORY_SECONDS / step_seconds), LEAST_MEMORY)


@dataclass(slots=True)
class Online:
    """The mix and its correction, for B series at R horizons."""

    mixture: Mixture
    calibration: Calibration

    @classmethod
    def of(cls, series: int, rungs: int, memory: int) -> "Online":
        """Start without outcomes; `memory` in outcomes."""
        if len(PRIOR) != len(MEMBERS):
            raise ValueError(f"{len(PRIOR)} priors, expected one for each of {MEMBERS}")
        return cls(Mixture.of(series, rungs, PRIOR, memory, PAIR), Calibration.of(series, rungs))

    def serve(self, rung: int, members: Floats32, scale: Floats32) -> Floats32:
        """Return what is served at a horizon, (members, 2, B, quantiles) → (2, B, quantiles), rps; `scale` (2, B)."""
        mix = mixed(members, self.mixture.weights(rung, able(members)))
        return self.calibration.apply(rung, mix, scale)

    def learn(self, rung: int, actual: Floats32, members: Floats32, served: Floats32, scale: Floats32) -> None:
        """Add an outcome of every series: `actual` (2, B), NaN where unknown, of what was said and served for it."""
        self.mixture.learn(rung, actual, members, scale)
        self.calibration.learn(rung, actual, served)
