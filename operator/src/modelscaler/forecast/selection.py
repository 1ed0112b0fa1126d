"""The online choice between forecasters: each serves in proportion to how well it has done lately, quantile by quantile."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from modelscaler.domain import Floats, QuantileForecast
from modelscaler.forecast.base import LEVELS, PEAK, QUANTILES, TARGETS, coherent

# exp(-12 * relative excess loss), the sharpness that measured best on real traces: 10 % worse is a third of the weight.
SHARPNESS = 12.0
SHORTEST_MEMORY_STEPS = 60
LONGEST_MEMORY_STEPS = 1500
LEAST_SHARE = 0.05
UPPER: Final = LEVELS > 0.5


class LossWeights:
    """Recent losses of the forecasters of one series, and the weights that follow from them.

    A loss has shape (targets, quantiles), in rps; it is remembered for about one season.
    """

    def __init__(self, season_steps: int) -> None:
        self._memory = min(max(season_steps, SHORTEST_MEMORY_STEPS), LONGEST_MEMORY_STEPS)
        self._losses: dict[str, Floats] = {}
        self._counts: dict[str, int] = {}

    def seed(self, losses: Mapping[str, Floats], count: int) -> None:
        """Start forecasters from losses in a backtest over `count` origins, whatever was known of them before."""
        for name, loss in losses.items():
            self._losses[name], self._counts[name] = loss, max(count, 1)

    def learn(self, losses: Mapping[str, Floats]) -> None:
        """Add the losses of forecasts that have matured."""
        for name, loss in losses.items():
            count = min(self._counts.get(name, 0) + 1, self._memory)
            before = self._losses.get(name, loss)
            self._losses[name], self._counts[name] = before + (loss - before) / count, count

    def forget(self, name: str) -> None:
        """Drop what is known of a forecaster."""
        self._losses.pop(name, None)
        self._counts.pop(name, None)

    def loss(self, name: str) -> Floats | None:
        """Return the recent loss of a forecaster; None when it has none yet."""
        return self._losses.get(name)

    def best(self, names: Sequence[str]) -> Floats | None:
        """Return the smallest recent loss among forecasters, for each target and quantile; None when none has any."""
        known = [self._losses[name] for name in names if name in self._losses]
        return np.min(known, axis=0) if known else None

    def weights(self, names: Sequence[str]) -> Floats:
        """Return weights of shape (names, targets, quantiles) that add up to one for each target and quantile.

        A forecaster without any loss yet gets none, unless nobody has: then all are equal.
        """
        best = self.best(names)
        if best is None:
            return np.full((len(names), TARGETS, len(QUANTILES)), 1.0 / len(names))
        floor = np.maximum(best, 1e-12)
        raw = np.stack([self._raw(name, best, floor) for name in names])
        weights: Floats = raw / raw.sum(axis=0)
        return weights

    def _raw(self, name: str, best: Floats, floor: Floats) -> Floats:
        loss = self._losses.get(name)
        return np.zeros_like(best) if loss is None else np.exp(-SHARPNESS * (loss - best) / floor)


def shares(weights: Floats) -> Floats:
    """Return each forecaster's mean weight in the upper quantiles of the peak, shape (names,): plans are made on those."""
    mean: Floats = weights[:, PEAK, UPPER].mean(axis=-1)
    return mean


def mixed(forecasts: Sequence[QuantileForecast], weights: Floats) -> QuantileForecast:
    """Mix forecasts of the same steps, quantile by quantile; `weights` of shape (forecasts, targets, quantiles).

    The method says who has how large a share; a mix counts as learned when a learned forecaster has one worth naming.
    """
    value = sum(w[0] * f.rps for w, f in zip(weights, forecasts, strict=True))
    peak = sum(w[1] * f.peak_rps for w, f in zip(weights, forecasts, strict=True))
    rps, peak_rps = coherent(np.stack([np.asarray(value), np.asarray(peak)]))
    named = [(f, s) for f, s in zip(forecasts, shares(weights), strict=True) if s >= LEAST_SHARE]
    return replace(
        forecasts[0],
        rps=rps,
        peak_rps=peak_rps,
        method=_method([(f.method, float(share)) for f, share in named]),
        learned=any(f.learned for f, _ in named),
    )


def _method(named: list[tuple[str, float]]) -> str:
    if len(named) == 1:
        return named[0][0]
    ordered = sorted(named, key=lambda pair: -pair[1])
    return "mix: " + ", ".join(f"{name} {share:.1f}" for name, share in ordered)
