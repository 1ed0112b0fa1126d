"""Made-up traces and forecasts for tests of backtests."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from modelscaler.backtest.cases import Case
from modelscaler.backtest.method import Progress, Quantiles
from modelscaler.backtest.rivals.histogram import HGB_ANCHOR, HGB_DIFFERENCE, HGB_RATIO, histogram_regressor
from modelscaler.backtest.trace import Trace
from modelscaler.domain import Floats
from modelscaler.forecast.base import QUANTILES, TARGETS

START = datetime(2025, 3, 3, tzinfo=UTC)


def _few_trees(level: float) -> Any:
    return histogram_regressor(level).set_params(max_iter=3)


QUICK_RIVALS = tuple(
    replace(rival, make=_few_trees, refit_shares=(0.6, 0.8)) for rival in (HGB_RATIO, HGB_DIFFERENCE, HGB_ANCHOR)
)
"""The boosted rivals with few trees: what they see is the same."""


def trace_of(rps: Floats, step_seconds: float = 600.0, name: str = "load") -> Trace:
    """Return a trace of these values."""
    return Trace(name, step_seconds, START, np.asarray(rps, dtype=float))


def daily_load(days: int = 8, step_seconds: float = 600.0, seed: int = 0) -> Floats:
    """Return a noisy load that repeats daily, with a few gaps."""
    steps = round(days * 86_400 / step_seconds)
    rng = np.random.default_rng(seed)
    rps = 10.0 + 6.0 * np.sin(2 * np.pi * np.arange(steps) * step_seconds / 86_400) + rng.normal(size=steps)
    rps[rng.integers(0, steps, steps // 50)] = np.nan
    return np.maximum(rps, 0.0)


@dataclass(frozen=True)
class Constant:
    """Says the same quantiles at every origin."""

    quantiles: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0, 5.0)
    name: str = "constant"

    def forecast(self, cases: Sequence[Case], progress: Progress) -> list[Quantiles]:
        """Forecast every case."""
        shapes = [(len(case.horizons), TARGETS, len(case.origins), len(QUANTILES)) for case in cases]
        return [np.broadcast_to(np.array(self.quantiles), shape).copy() for shape in shapes]
