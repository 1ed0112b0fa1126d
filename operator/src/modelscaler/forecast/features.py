"""What the learned model sees: the past at several resolutions and one season ago, relative to an anchor.

Loads differ by orders of magnitude and drift, so nothing is seen in requests per second. The anchor is a naive guess, mixed
from several rules by how well each did lately; features and targets are distances from it in units of its typical error,
squashed by asinh. That normalisation, not the kind of model, is where most of the accuracy comes from.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from modelscaler.domain import Floats
from modelscaler.forecast.points import CHANGE, LAST, MEAN, MEAN_CHANGE, SEASONAL, Rule
from modelscaler.forecast.series import Ints, Series, at, running_mean

ANCHOR_RULES: Final[tuple[Rule, ...]] = (LAST, MEAN, SEASONAL, CHANGE, MEAN_CHANGE)
ANCHOR_SHARPNESS = 12.0
SHORTEST_ERROR_MEMORY_STEPS = 60
LEAST_SCALE = 0.003  # of the level: a perfectly steady load still has a scale

MEAN_LENGTHS: Final = (1, 2, 4, 8, 16, 32, 64, 128)
PEAK_LENGTHS: Final = (4, 16, 64)
SEASONS_BACK: Final = (1, 2, 7)
SEASONS_AVERAGED = 7
CONTEXT_STEPS = 4
PARTS_OF_SEASON: Final = (1, 2, 24)  # the season, its half, and the hour of a day


@dataclass(frozen=True, slots=True)
class Frame:
    """Features of m origins at one horizon, and what turns distances back into rps.

    `features` has shape (m, features), NaN where unknown; `anchor` and `scale` have shape (m,) and are in rps.
    """

    features: Floats
    anchor: Floats
    scale: Floats

    def relative(self, rps: Floats) -> Floats:
        """Return loads of shape (m,) as squashed distances from the anchor."""
        return np.arcsinh((rps - self.anchor) / self.scale)

    def absolute(self, relative: Floats) -> Floats:
        """Return squashed distances of shape (m, ...) as loads in rps, not below zero."""
        wide = (slice(None),) + (None,) * (relative.ndim - 1)
        return np.maximum(self.anchor[wide] + self.scale[wide] * np.sinh(relative), 0.0)


@dataclass(frozen=True, slots=True)
class Past:
    """What is the same for every horizon: origins of a series, and means before them and one to seven seasons earlier.

    `level` has shape (m,), `recent` and `earlier` are lists of such columns; all in rps, NaN where unknown.
    """

    series: Series
    origins: Ints
    level: Floats
    recent: list[Floats]
    here: Floats
    earlier: list[Floats]


def past_of(series: Series, origins: Ints) -> Past:
    """Describe the past of origins, which are indices of known values, shape (m,)."""
    means = [series.mean(origins, length) for length in MEAN_LENGTHS]
    return Past(
        series=series,
        origins=origins,
        level=series.mean(origins, max(series.season, *MEAN_LENGTHS)),
        recent=means + [at(series.peaks(length), origins) for length in PEAK_LENGTHS],
        here=series.mean(origins, CONTEXT_STEPS),
        earlier=[series.mean(origins - back * series.season, CONTEXT_STEPS) for back in range(1, SEASONS_AVERAGED + 1)],
    )


def frame(past: Past, track: Floats, ahead: int, phases: Floats) -> Frame:
    """Describe each origin for a forecast of `track` at origin + `ahead`, from values up to the origin only.

    Args:
        past: The origins and what came before them.
        track: What is forecast: the values, or at each index the peak of the last `ahead` values.
        ahead: The horizon in steps.
        phases: Phase of the season at each origin + `ahead`, in [0, 1), shape (m,).
    """
    series, origins, level = past.series, past.origins, np.abs(past.level)
    points = np.stack([rule.points(series, track, origins, ahead) for rule in ANCHOR_RULES])
    errors = np.stack([recent_error(rule, series, track, origins, ahead) for rule in ANCHOR_RULES])
    errors = np.where(np.isfinite(points), errors, np.nan)
    anchor, error = _mixed(points, errors)
    scale = error + LEAST_SCALE * level + 1e-9
    loads = np.column_stack([points.T, *past.recent, *_seasons(past, track, ahead)])
    distances = np.arcsinh((loads - anchor[:, None]) / scale[:, None])
    doubts = np.log((errors.T + 1e-9) / scale[:, None])
    horizon = np.full(len(origins), np.log2(ahead))
    shape = np.column_stack([np.log((scale + 1e-9) / (level + 1e-9)), horizon, *_phase(phases)])
    return Frame(np.column_stack([distances, doubts, shape]), anchor, scale)


def recent_error(rule: Rule, series: Series, track: Floats, origins: Ints, ahead: int) -> Floats:
    """Return the mean absolute error of a rule over the last season, as known at each origin, shape (m,); NaN if none is."""
    memory = max(series.season, SHORTEST_ERROR_MEMORY_STEPS)
    first = max(int(origins.min()) - memory - ahead + 1, 0) if len(origins) else 0
    stop = int(origins.max()) + 1 if len(origins) else 0
    made_at = np.arange(first - ahead, stop - ahead)
    errors = np.abs(at(track, made_at + ahead) - rule.points(series, track, made_at, ahead))
    known = np.isfinite(errors) & (made_at >= 0)
    sums = np.concatenate(([0.0], np.cumsum(np.where(known, errors, 0.0))))
    counts = np.concatenate(([0.0], np.cumsum(known)))
    return running_mean(sums, counts, origins - first, memory)


def _mixed(points: Floats, errors: Floats) -> tuple[Floats, Floats]:
    """Return the mix of guesses (rules, m) by their recent errors, and the smallest of those errors, each of shape (m,)."""
    usable = np.where(np.isfinite(errors), errors, np.inf)
    usable[0] = np.where(np.isfinite(usable).any(axis=0), usable[0], np.abs(points[0]) + 1e-9)
    least = usable.min(axis=0)
    excess = (usable - least) / (least + 1e-9)
    weights = np.exp(-ANCHOR_SHARPNESS * np.minimum(excess, 50.0))
    known = np.where(np.isfinite(points), points, 0.0)
    weights = np.where(np.isfinite(points), weights, 0.0)
    return (weights * known).sum(axis=0) / np.maximum(weights.sum(axis=0), 1e-300), least


def _seasons(past: Past, track: Floats, ahead: int) -> list[Floats]:
    """Return what was at the same phase some seasons ago, as it was and moved by how the level has changed since."""
    columns: list[Floats] = []
    moved_all: list[Floats] = []
    for seasons, before in enumerate(past.earlier, start=1):
        back = seasons * past.series.season
        then = past.series.near(track, np.where(ahead <= back, past.origins + ahead - back, -2))
        moved = past.here + then - before
        moved_all.append(moved)
        if seasons in SEASONS_BACK:
            columns += [then, moved]
    known = np.isfinite(moved_all)
    average = np.where(known, moved_all, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return [*columns, np.where(known.any(axis=0), average, np.nan)]


def _phase(phases: Floats) -> list[Floats]:
    waves: list[Callable[[Floats], Floats]] = [np.sin, np.cos]
    angles = [wave(2.0 * np.pi * parts * phases) for parts in PARTS_OF_SEASON for wave in waves]
    return [*angles, phases, phases * PARTS_OF_SEASON[-1] % 1.0]
