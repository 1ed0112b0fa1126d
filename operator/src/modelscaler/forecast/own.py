"""What a series' own trees see and say: loads as differences from its last value, in its own unit.

Networks are shared by all series, so everything they see is relative to the anchor and its typical error. Trees that are fitted
to one series need no common unit, and what they make of plain differences differs enough from a network's answer that both
together are better than either: that, not the kind of model, is what they are for.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np

from modelscaler.forecast.activation import sinh
from modelscaler.forecast.base import QUANTILES, TARGETS
from modelscaler.forecast.calendar import Calendar, clocks
from modelscaler.forecast.frames import LOAD_FEATURES, Frame
from modelscaler.forecast.panel import Flags, Floats32, Ints, Panel
from modelscaler.forecast.trees import Trees

Own: TypeAlias = Sequence[tuple[int, Trees]]
"""Which of a panel's series have trees of their own for a horizon, and those."""

NONE: Final[Own] = ()


def own_features(panel: Panel, origins: Ints, ahead: int, seen: Frame, calendar: Calendar) -> Floats32:
    """Return what trees see of each origin, shape (B, G, features), NaN where unknown.

    Args:
        panel: The series.
        origins: Columns that are forecast from, shape (G,).
        ahead: The horizon in steps.
        seen: What networks see there: loads are put back into rps, the rest stays as it is.
        calendar: The series' clocks.
    """
    last, anchor = last_values(panel, origins), seen.anchor
    squashed = np.moveaxis(seen.features[..., :LOAD_FEATURES], -1, 0)
    loads = anchor.point[0] + anchor.scale[0] * sinh(squashed)
    guessed = seen.guesses.points.reshape(-1, *last.shape)
    rest = np.moveaxis(seen.features[..., LOAD_FEATURES + len(guessed) :], -1, 0)
    columns = [
        *(np.concatenate([loads, guessed, anchor.point]) - last),
        *anchor.scale,
        last,
        *rest,
        *clocks(calendar, panel.end_seconds(origins + ahead)),
    ]
    return np.ascontiguousarray(np.moveaxis(np.stack(columns).astype(np.float32), 0, -1))


def last_values(panel: Panel, origins: Ints) -> Floats32:
    """Return the loads at origins, (B, G), rps: what trees forecast is a difference from them."""
    return panel.value(origins, 0)


def own_quantiles(
    panel: Panel, origins: Ints, ahead: int, seen: Frame, calendar: Calendar, own: Own, able: Flags
) -> Floats32:
    """Return what trees say of the series that have some, (2, B, G, quantiles), rps; NaN elsewhere.

    Args:
        panel: The series.
        origins: Columns that are forecast from, shape (G,).
        ahead: The horizon in steps.
        seen: What networks see there.
        calendar: The series' clocks.
        own: The trees.
        able: Where enough is known, (B, G).
    """
    found = np.full((TARGETS, panel.series, len(origins), len(QUANTILES)), np.nan, dtype=np.float32)
    rows = np.array([row for row, _ in own], dtype=np.int64)
    if not len(rows) or not able[rows].any():
        return found
    features, last = own_features(panel, origins, ahead, seen, calendar), last_values(panel, origins)
    for row, trees in own:
        told = able[row]
        said = last[row, told][:, None, None] + trees.quantiles(features[row, told])
        found[:, row, told] = np.moveaxis(np.maximum(said, 0.0), 1, 0)
    return found
