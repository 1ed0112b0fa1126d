"""Fits each series' own trees: small ones, so that dozens of series take minutes."""

from typing import Final

import numpy as np
from threadpoolctl import threadpool_limits

from modelscaler.forecast.anchor import judge_stride, judged
from modelscaler.forecast.base import QUANTILES, TARGETS
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.frames import frame
from modelscaler.forecast.learning.boosting import regressor_of, trees_of
from modelscaler.forecast.own import last_values, own_features
from modelscaler.forecast.panel import Panel
from modelscaler.forecast.trees import Trees

MOST_ROWS: Final = 16_000
FEWER_ROWS: Final = 4_000
"""So many at least, where many series share the time: all rather get trees of their own than some get better ones."""
ROWS_OF_ALL: Final = 640_000
"""Of all series and horizons together: a core fits them in three minutes."""
LEAST_ROWS: Final = 500
ITERATIONS: Final = 40
LEAVES: Final = 8
LEARNING_RATE: Final = 0.15
ROWS_PER_LEAF: Final = 30
FIRST_ORIGIN: Final = 64


def rows_of_trees(fits: int) -> int:
    """Return how many rows each of so many series and horizons may learn from."""
    return min(max(ROWS_OF_ALL // max(fits, 1), FEWER_ROWS), MOST_ROWS)


def own_trees(panel: Panel, calendar: Calendar, ahead: int, seed: int, most_rows: int = MOST_ROWS) -> Trees | None:
    """Fit trees to one series for one horizon; None when too little is known.

    Args:
        panel: The series alone; all of its columns may be learned of.
        calendar: Its clocks.
        ahead: The horizon in steps.
        seed: What the draw of rows follows from.
        most_rows: So many are drawn, where there are more.
    """
    origins = np.arange(FIRST_ORIGIN, panel.columns - ahead)
    if not len(origins):
        return None
    came = np.stack([panel.value(origins + ahead, 0), panel.peak(origins + ahead, 0, ahead)])[:, 0]
    last = last_values(panel, origins)[0]
    known = np.flatnonzero(np.isfinite(last) & np.isfinite(came).all(axis=0))
    if len(known) < LEAST_ROWS:
        return None
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(known)[:most_rows])
    record = judged(panel, ahead, np.arange(0, panel.columns, judge_stride(panel.step_seconds)), None)
    seen = frame(panel, origins[chosen], ahead, record, calendar)
    features = own_features(panel, origins[chosen], ahead, seen, calendar)[0]
    features[:, np.isnan(features).all(axis=0)] = 0.0  # trees refuse a column without any number; zeros tell as little
    fitted = []
    for target in range(1 if ahead == 1 else TARGETS):
        difference = came[target, chosen] - last[chosen]
        for level in QUANTILES:
            regressor = regressor_of(level, seed, ITERATIONS, LEAVES, LEARNING_RATE, ROWS_PER_LEAF)
            with threadpool_limits(1):  # threads that wait for each other on shared cores take many times longer
                fitted.append(regressor.fit(features, difference))
    if ahead == 1:  # value and peak are the same then
        fitted = fitted * TARGETS
    return trees_of(fitted, features.shape[1])
