"""From quantiles at a few horizons to a forecast for every step, in words and figures that people and the planner read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

import numpy as np

from modelscaler.domain import Floats, QuantileForecast
from modelscaler.forecast.base import QUANTILES, coherent
from modelscaler.forecast.batch import Answers
from modelscaler.forecast.panel import Floats32, Ints
from modelscaler.forecast.pipeline import LEARNED, MEMBERS

LEAST_SHARE: Final = 0.05  # smaller ones are not worth naming
MOST_MIXES: Final = 4_096  # whose words are remembered


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


def forecasts(asked: Asked, answers: Answers, rungs: Sequence[int], notes: Sequence[str]) -> list[QuantileForecast]:
    """Return a forecast for each row; `rungs` are the horizons in steps that there are answers for, `notes` why it is so.

    A mix counts as learned when networks have a share worth naming.
    """
    value, peak = coherent(between(answers.quantiles, rungs, asked.waited + 1, asked.reach))
    shares = shares_at(answers.shares, rungs, asked.waited + asked.steps)
    learned = (shares[:, : len(LEARNED)].sum(axis=1) >= LEAST_SHARE).tolist()
    now, step, usual = asked.now, asked.step_seconds, np.nan_to_num(answers.usual).tolist()
    return [
        QuantileForecast(
            made_at=now,
            step_seconds=step,
            quantiles=QUANTILES,
            rps=value[row, :count],
            peak_rps=peak[row, :count],
            method=who.method,
            learned=learned[row],
            note=note,
            shares=who.named,
            usual_rps=usual[row],
        )
        for row, (count, who, note) in enumerate(zip(asked.steps.tolist(), makers(shares), notes, strict=True))
    ]


@dataclass(frozen=True, slots=True)
class Makers:
    """Who made a forecast: those with a share worth naming, and the words for it."""

    named: tuple[tuple[str, float], ...]
    method: str


def makers(shares: Floats32) -> list[Makers]:
    """Return who made each forecast, from shares (B, members): the largest first, in tenths."""
    order = np.argsort(-shares, axis=1, kind="stable")
    sizes = np.take_along_axis(shares, order, axis=1)
    tenths = np.maximum(np.rint(10.0 * sizes), 1.0).astype(np.int64)
    keys = np.where(sizes >= LEAST_SHARE, 16 * order + tenths, 0)
    return [_makers(tuple(key)) for key in keys.tolist()]


@lru_cache(maxsize=MOST_MIXES)
def _makers(key: tuple[int, ...]) -> Makers:
    """Return who is meant by 16 times the number of each member and how many tenths are its; 0 for who is not named."""
    named = tuple((MEMBERS[each // 16], (each % 16) / 10.0) for each in key if each)
    method = named[0][0] if len(named) == 1 else "mix: " + ", ".join(f"{name} {share:g}" for name, share in named)
    return Makers(named, method)


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
