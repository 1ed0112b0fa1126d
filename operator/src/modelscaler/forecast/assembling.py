"""From quantiles at a few horizons to a forecast for every step, in words and figures that people and the planner read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from modelscaler.domain import Floats, QuantileForecast
from modelscaler.forecast.base import QUANTILES, coherent
from modelscaler.forecast.batch import Answers
from modelscaler.forecast.panel import Floats32, Ints
from modelscaler.forecast.pipeline import MEMBERS, NETWORKS

LEAST_SHARE: Final = 0.05  # smaller ones are not worth naming


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of rows that are forecast from one origin: `waited` steps have passed since, `steps` (B,) are wanted."""

    now: datetime
    step_seconds: float
    waited: int
    steps: Ints

    @property
    def reach(self) -> int:
        """How many steps beyond the origin are needed at most."""
        return self.waited + int(self.steps.max(initial=1))


def forecasts(asked: Asked, answers: Answers, rungs: Sequence[int]) -> list[QuantileForecast]:
    """Return a forecast for each row; `rungs` are the horizons in steps that there are answers for.

    A mix counts as learned when networks have a share worth naming.
    """
    every = coherent(between(answers.quantiles, rungs, asked.waited + 1, asked.reach))
    of_rows = shares_at(answers.shares, rungs, asked.waited + asked.steps).tolist()
    return [_forecast(asked, every[:, row, :steps], of_rows[row]) for row, steps in enumerate(asked.steps.tolist())]


def _forecast(asked: Asked, quantiles: Floats, shares: Sequence[float]) -> QuantileForecast:
    named, learned = named_shares(shares), sum(shares[: len(NETWORKS)]) >= LEAST_SHARE
    method = named[0][0] if len(named) == 1 else "mix: " + ", ".join(f"{name} {share:g}" for name, share in named)
    value, peak = quantiles
    return QuantileForecast(asked.now, asked.step_seconds, QUANTILES, value, peak, method, learned, shares=named)


def between(quantiles: Floats32, rungs: Sequence[int], first: int, last: int) -> Floats:
    """Interpolate quantiles (horizons, 2, B, Q) to every step from `first` to `last`, shape (2, B, steps, Q).

    Beyond the last horizon they stay as there.
    """
    ahead = np.clip(np.arange(first, last + 1), rungs[0], rungs[-1])
    upper = np.maximum(np.searchsorted(rungs, ahead), 1 if len(rungs) > 1 else 0)
    lower = np.maximum(upper - 1, 0)
    at = np.asarray(rungs, dtype=np.float64)
    share = (ahead - at[lower]) / np.maximum(at[upper] - at[lower], 1.0)
    wide = share[:, None, None, None]
    found = quantiles[lower] * (1.0 - wide) + quantiles[upper] * wide
    return np.moveaxis(found, 0, 2)


def shares_at(shares: Floats32, rungs: Sequence[int], reach: Ints) -> Floats32:
    """Return the members' shares (B, members), from (horizons, B, members), at the horizon that covers what a row asks for."""
    rung = np.minimum(np.searchsorted(rungs, reach), len(rungs) - 1)
    found: Floats32 = shares[rung, np.arange(shares.shape[1])]
    return found


def named_shares(shares: Sequence[float]) -> tuple[tuple[str, float], ...]:
    """Return who has a share worth naming, the largest first, rounded to a tenth."""
    named = [(name, share) for name, share in zip(MEMBERS, shares, strict=True) if share >= LEAST_SHARE]
    return tuple((name, max(round(share, 1), 0.1)) for name, share in sorted(named, key=lambda pair: -pair[1]))
