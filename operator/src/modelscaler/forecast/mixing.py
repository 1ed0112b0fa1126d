"""The online mix: each member serves in proportion to how well it has done lately, per series, horizon, target and quantile."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelscaler.forecast.base import LEVELS, QUANTILES, TARGETS, pinball
from modelscaler.forecast.panel import Flags, Floats32

# exp(-20 * relative excess loss) and a week of memory measured best on real traces: losses are heavy-tailed, a day says little.
SHARPNESS: Final = 20.0
FAST_MEMORY: Final = 30  # outcomes
# So much worse than the best over a few outcomes a member may be before that costs it weight. Neighbouring outcomes share their
# errors: whoever rightly expects a burst looks bad until it comes.
FAST_TOLERANCE: Final = 4.0
# Outcomes that the prior is worth: the rarer what a quantile is about, the longer its losses say little.
PRIOR_COUNT: Final = np.round(10.0 / np.minimum(LEVELS, 1.0 - LEVELS)).astype(np.float32)
MOST_EXCESS: Final = 6.0
# So much of all weight, by level, two members share evenly that lose no more than the best one. The mean of two good forecasts
# is better than weights can be told from losses (the "forecast combination puzzle": Smith and Wallis, Oxford Bulletin of
# Economics and Statistics 71, 2009). At the outer levels, where rare moments tell, an even share measured no better.
EVEN_SHARE: Final = np.array([0.0, 0.5, 0.5, 0.5, 0.0], dtype=np.float32)
GOOD_EXCESS: Final = 0.5
"""They share nothing when either loses so much more than the best one, as a share of that; in between the less, the worse."""
JOINING_COUNT: Final = 1440
"""Outcomes that all members have behind them at most when another one joins: a day of minutes."""


@dataclass(slots=True)
class Mixture:
    """Recent losses of M members for B series at R horizons, and the weights that follow from them.

    Losses are in units of the anchor's scale. `slow` has shape (B, R, M, 2, quantiles), the mean over `memory` outcomes;
    `fast` (B, R, M, 2) that over a few, all quantiles together; `counts` (B, R, M). `prior` (M,) is each member's loss relative
    to the others' before anything is known. `pair`: who shares weight evenly where both are good; empty: nobody.
    """

    prior: Floats32
    memory: int
    slow: Floats32
    fast: Floats32
    counts: Floats32
    pair: tuple[int, ...] = ()

    @classmethod
    def of(cls, series: int, rungs: int, prior: Floats32, memory: int, pair: tuple[int, ...] = ()) -> "Mixture":
        """Start without outcomes."""
        shape = (series, rungs, len(prior))
        return cls(
            prior,
            memory,
            np.zeros((*shape, TARGETS, len(QUANTILES)), dtype=np.float32),
            np.ones((*shape, TARGETS), dtype=np.float32),
            np.zeros(shape, dtype=np.float32),
            pair,
        )

    def learn(self, rung: int, actual: Floats32, members: Floats32, scale: Floats32) -> None:
        """Add one outcome of every series at a horizon.

        Args:
            rung: Which horizon.
            actual: What came, shape (2, B), rps; NaN where unknown.
            members: What each member had said, shape (M, 2, B, quantiles), rps; NaN where it could not tell.
            scale: The anchor's typical error when it was said, shape (2, B), rps.
        """
        loss = np.moveaxis(pinball(actual, members) / scale[..., None], 2, 0)
        known = np.asarray(np.isfinite(loss).all(axis=(2, 3)))
        self._welcome(rung, known)
        self.counts[:, rung] += known
        rate = np.where(known, 1.0 / np.clip(self.counts[:, rung], 1.0, self.memory), 0.0)
        loss = np.where(known[..., None, None], loss, 0.0)
        self.slow[:, rung] += rate[..., None, None] * (loss - self.slow[:, rung])
        quick = known[..., None] * (loss.sum(axis=-1) - self.fast[:, rung])
        self.fast[:, rung] += quick / FAST_MEMORY

    def _welcome(self, rung: int, known: Flags) -> None:
        """Start a member that was never judged where the best one is, not where nothing is known of any.

        Lately, as long as it was not judged; over its memory when it is judged for the first time, `known` (B, M).
        """
        fast, new = self.fast[:, rung], self.counts[:, rung] == 0
        best = np.where(new[..., None], np.inf, fast).min(axis=1, keepdims=True)
        np.copyto(fast, np.broadcast_to(best, fast.shape), where=new[..., None] & np.isfinite(best))
        joining = new & known
        joined = joining.any(axis=1) & ~new.all(axis=1)
        if joined.any():
            self._join(rung, joined, joining)

    def _join(self, rung: int, joined: Flags, joining: Flags) -> None:
        """Let all members of the `joined` series (B,) go on with the same number of outcomes behind them.

        So they learn at the same pace: else a burst would say more of who is `joining` (B, M) than of who has seen quiet days.
        """
        counts, slow = self.counts[:, rung], self.slow[:, rung]
        judged = (counts[joined] > 0)[..., None, None]
        usual = np.where(judged, slow[joined], np.inf).min(axis=1, keepdims=True)
        expected = self.prior[:, None, None] * usual
        slow[joined] = np.where(joining[joined, :, None, None], expected, slow[joined])
        behind = np.minimum(counts[joined].max(axis=1, keepdims=True), JOINING_COUNT)
        counts[joined] = np.where(joining[joined], behind, np.minimum(counts[joined], behind))

    def losses(self, rung: int) -> Floats32:
        """Return the recent loss of each member with its prior, shape (B, M, 2, quantiles)."""
        return np.moveaxis(self._losses(rung), -1, 0)

    def weights(self, rung: int, able: Flags) -> Floats32:
        """Return weights of shape (B, M, 2, quantiles) that add up to one; `able` (B, M) is False for who cannot answer."""
        slow, fast = self._losses(rung), _last(self.fast[:, rung])[:, :, None]
        out = ~_last(able)[:, None, None]
        excess = np.maximum(_excess(slow, out, 1.0), _excess(fast, out, FAST_TOLERANCE))
        np.minimum(excess, MOST_EXCESS, out=excess)
        even = self._even_share(excess, able)
        excess *= -SHARPNESS
        raw = np.exp(excess, out=excess)
        np.copyto(raw, 0.0, where=out)
        raw /= np.maximum(raw.sum(axis=0), 1e-30)
        if even is not None:
            raw *= 1.0 - even
            raw[list(self.pair)] += even / len(self.pair)
        return np.moveaxis(raw, -1, 0)

    def _even_share(self, excess: Floats32, able: Flags) -> Floats32 | None:
        """Return what share of all weight the pair has evenly, (2, quantiles, B); None where no series has both of it."""
        both = able[:, self.pair].all(axis=1)
        if not self.pair or not both.any():
            return None
        worse = excess[list(self.pair)].max(axis=0)
        share: Floats32 = EVEN_SHARE[:, None] * np.clip(1.0 - worse / GOOD_EXCESS, 0.0, 1.0) * both
        return share

    def _losses(self, rung: int) -> Floats32:
        """Return the same with the series last, (M, 2, quantiles, B): numpy is quick along a long axis only."""
        counts, slow = _last(self.counts[:, rung])[:, None, None], _last(self.slow[:, rung])
        judged = np.where(counts > 0, slow, np.inf).min(axis=0)
        reference = np.where(np.isfinite(judged), judged, 1.0)
        prior = (self.prior[:, None, None] * PRIOR_COUNT)[..., None] * reference
        blended: Floats32 = counts * slow
        blended += prior
        blended /= counts + PRIOR_COUNT[:, None]
        return blended


def mixed(members: Floats32, weights: Floats32) -> Floats32:
    """Mix members (M, 2, B, quantiles) by weights (B, M, 2, quantiles), shape (2, B, quantiles)."""
    known = np.where(np.isfinite(members), members, 0.0)
    mix: Floats32 = np.einsum("mtbq,bmtq->tbq", known, weights)
    return mix


def _excess(losses: Floats32, out: Flags, tolerance: float) -> Floats32:
    """Return how much more each of the members, which come first, loses than the best one, as a share of that."""
    best = np.where(out, np.inf, losses).min(axis=0)
    excess: Floats32 = losses * (1.0 / (np.maximum(best, 1e-12) * tolerance))
    excess -= 1.0
    return excess


def _last(rows: NDArray[Any]) -> NDArray[Any]:
    """Return an array with its first axis, the series, last."""
    return np.ascontiguousarray(np.moveaxis(rows, 0, -1))
