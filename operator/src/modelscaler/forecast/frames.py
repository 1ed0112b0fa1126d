"""What the learned model sees: the past at several resolutions and at the phase of earlier periods, relative to the anchor."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from modelscaler.forecast.activation import asinh
from modelscaler.forecast.anchor import Anchor, Judgements, anchored, excess_shares
from modelscaler.forecast.calendar import Calendar, phases
from modelscaler.forecast.panel import Floats32, Ints, Panel
from modelscaler.forecast.rules import DAY_SECONDS, WEEK_DAYS, Guesses, guesses, known_most

MEAN_LENGTHS: Final = (2, 4, 8, 16, 32, 64, 128)
PEAK_LENGTHS: Final = (4, 16, 64)
SINGLE_STEPS: Final = 4
LEVEL_SECONDS: Final = (7_200.0, 21_600.0, DAY_SECONDS, WEEK_DAYS * DAY_SECONDS)
LOAD_FEATURES: Final = SINGLE_STEPS + 1 + len(MEAN_LENGTHS) + len(LEVEL_SECONDS) + len(PEAK_LENGTHS)
"""The first so many features are loads as squashed distances from the anchor; guesses of the rules follow."""
BURSTS: Final = (1.5, 2.5)  # times the mean of the last two hours before it
BURST_LEVEL_SECONDS: Final = 7_200.0
MOST: Final = 8.0


@dataclass(frozen=True, slots=True)
class Frame:
    """What is seen of B series at G origins for one horizon: `features` (B, G, features), NaN where unknown, and the anchor."""

    features: Floats32
    anchor: Anchor
    guesses: Guesses


def frame(panel: Panel, origins: Ints, ahead: int, record: Judgements, calendar: Calendar) -> Frame:
    """Describe each origin for a forecast `ahead` steps on, from values up to the origin only.

    Args:
        panel: The series.
        origins: Columns that are forecast from, shape (G,).
        ahead: The horizon in steps.
        record: What was judged of the rules at this horizon or the nearest one.
        calendar: The series' clocks and holidays.
    """
    made = guesses(panel, origins, ahead)
    anchor = anchored(panel, made, origins, record)
    columns = [
        *_loads(panel, origins, anchor),
        *_guessed(made, anchor),
        *_doubts(anchor),
        *_records(record, origins),
        *_phase_lags(made, anchor),
        *_bursts(panel, origins),
        *_shape(panel, origins, ahead, anchor),
        *phases(calendar, panel.end_seconds(origins + ahead)),
    ]
    features = np.empty((len(columns), panel.series, len(origins)), dtype=np.float32)
    for number, column in enumerate(columns):
        features[number] = column
    np.clip(features, -MOST, MOST, out=features)
    return Frame(np.ascontiguousarray(np.moveaxis(features, 0, -1)), anchor, made)


def _loads(panel: Panel, origins: Ints, anchor: Anchor) -> list[Floats32]:
    """Return recent values, means and peaks as distances from the anchor of the value."""
    loads = [panel.value(origins, back) for back in range(SINGLE_STEPS + 1)]
    loads += [panel.mean(origins, 0, length) for length in MEAN_LENGTHS]
    loads += [panel.mean(origins, 0, panel.steps(seconds)) for seconds in LEVEL_SECONDS]
    loads += [panel.peak(origins, 0, length) for length in PEAK_LENGTHS]
    distances = np.stack(loads)
    distances -= anchor.point[0]
    distances /= anchor.scale[0]
    return list(asinh(distances))


def _guessed(made: Guesses, anchor: Anchor) -> list[Floats32]:
    """Return the guesses of every rule as distances from the anchors."""
    relative = asinh((made.points - anchor.point[:, None]) / anchor.scale[:, None])
    return list(relative.reshape(-1, *relative.shape[2:]))


def _doubts(anchor: Anchor) -> list[Floats32]:
    """Return how large the error of every rule has been next to the smallest."""
    doubts = np.log((anchor.errors + 1e-9) / anchor.scale[:, None])
    return list(doubts.reshape(-1, *doubts.shape[2:]))


def _records(record: Judgements, origins: Ints) -> list[Floats32]:
    """Return how often the anchor's residuals were above each threshold lately, and how much was judged."""
    shares, weight = excess_shares(record, origins)
    return [*shares[:, 0].reshape(-1, *shares.shape[3:]) * 4.0, weight[0, 0]]


def _phase_lags(made: Guesses, anchor: Anchor) -> list[Floats32]:
    """Return the least and the most at the same phase of earlier periods, for both tracks."""
    found = []
    for track, lags in enumerate(made.lags):
        extremes = [-known_most(-lags.days), known_most(lags.days), lags.most_half_hours, lags.most_hours]
        found += [asinh((extreme - anchor.point[track]) / anchor.scale[track]) for extreme in extremes]
    return found


def _bursts(panel: Panel, origins: Ints) -> list[Floats32]:
    """Return how long ago the last bursts began, and how long the time between the last two was, in log minutes."""
    found: list[Floats32] = []
    minute = panel.step_seconds / 60.0
    for times in BURSTS:
        began, previous = panel.bursts(origins, times, BURST_LEVEL_SECONDS)
        age = np.where(began >= 0, np.log1p((origins - began) * minute), np.nan)
        gap = np.where(previous >= 0, np.log1p((began - previous) * minute), np.nan)
        found += [(age - 4.0).astype(np.float32), (gap - 4.0).astype(np.float32)]
    return found


def _shape(panel: Panel, origins: Ints, ahead: int, anchor: Anchor) -> list[Floats32]:
    """Return scales, horizon, step and how much is known, as logarithms around zero."""
    level = panel.mean(origins, 0, panel.steps(DAY_SECONDS))
    level = np.where(level > 0, level, np.nan)
    known = panel.known(origins) * panel.step_seconds / DAY_SECONDS
    return [
        np.log(anchor.scale[0] / level),
        np.log(anchor.scale[1] / anchor.scale[0]),
        asinh((anchor.point[1] - anchor.point[0]) / anchor.scale[0]),
        np.log(np.maximum(anchor.point[0], 1e-9) / level),
        np.full(level.shape, np.log(ahead) - 2.0),
        np.full(level.shape, np.log(ahead * panel.step_seconds / 600.0)),
        np.full(level.shape, np.log(panel.step_seconds / 60.0) / 2.0),
        np.log(known + 0.05),
    ]
