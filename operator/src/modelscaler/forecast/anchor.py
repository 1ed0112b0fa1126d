"""The adaptive anchor: rules mixed by how well each did lately, and the record that says so.

Loads differ by orders of magnitude and drift. Everything that a model sees or says is therefore a distance from the anchor in
units of its typical error, squashed by asinh: that normalisation, not the kind of model, is where most of the accuracy comes
from.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.signal import lfilter

from modelscaler.forecast.activation import asinh, sinh
from modelscaler.forecast.panel import Floats32, Ints, Panel
from modelscaler.forecast.rules import NAIVE_COLUMNS, RULES, Guesses, guesses

SHARPNESS: Final = 12.0
LEAST_SCALE: Final = 0.003  # of the level: a perfectly steady load still has a scale
# Of the level, counted as one judgement: what a rule is worth before it was judged. The last value is trusted first, or a load
# that fell would be held to its mean.
PRIOR_ERRORS: Final = np.array([{"last": 0.3, "short": 0.36}.get(name, 0.6) for name in RULES], dtype=np.float32)
JUDGE_SECONDS: Final = 600.0
MEMORY_SECONDS: Final = 86_400.0
LEAST_MEMORY: Final = 48  # judgements
RECORD_DAYS: Final = 4
EXCESSES: Final = np.array([-2.5, -1.5, -0.8, -0.3, 0.0, 0.3, 0.6, 1.0, 1.5, 2.0, 2.6, 3.3, 4.2, 5.5], dtype=np.float32)
MEMBERS: Final = 1 + len(NAIVE_COLUMNS)  # the anchor and the naive rules keep a record of their residuals


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where forecasts start from: `point` and `scale` of shape (2, B, G), rps; `errors` (2, rules, B, G), rps."""

    point: Floats32
    scale: Floats32
    errors: Floats32

    def relative(self, rps: Floats32) -> Floats32:
        """Return loads of shape (2, B, G) as squashed distances."""
        distances: Floats32 = asinh((rps - self.point) / self.scale)
        return distances

    def absolute(self, relative: Floats32) -> Floats32:
        """Return squashed distances of shape (2, B, G, ...) as loads in rps, not below zero."""
        wide = (...,) + (None,) * (relative.ndim - 3)
        rps: Floats32 = np.maximum(self.point[wide] + self.scale[wide] * sinh(np.clip(relative, -7.0, 7.0)), 0.0)
        return rps


@dataclass(frozen=True, slots=True)
class Judgements:
    """How rules did, judged at columns of a panel for one horizon: exponentially weighted sums.

    `errors`, `weights` have shape (2, rules, B, J): of absolute errors in rps, and of how many are known. `excess`,
    `counts` have shape (2, members, excesses, B, J) and (2, members, B, J): how often residuals in units of the scale were
    above each of `EXCESSES`. J columns, `first` the first of them, `stride` steps apart.
    """

    first: int
    stride: int
    errors: Floats32
    weights: Floats32
    excess: Floats32
    counts: Floats32

    def known_at(self, origins: Ints) -> Ints:
        """Return which judgement is the newest known at each origin; -1 before the first."""
        newest: Ints = np.minimum((origins - self.first) // self.stride, self.errors.shape[-1] - 1)
        return np.maximum(newest, -1)

    def last(self) -> "Judgements":
        """Return only the newest judgement, to go on from."""
        count = self.errors.shape[-1]
        return Judgements(
            self.first + (count - 1) * self.stride,
            self.stride,
            self.errors[..., -1:],
            self.weights[..., -1:],
            self.excess[..., -1:],
            self.counts[..., -1:],
        )


def judge_stride(step_seconds: float) -> int:
    """Return how many steps lie between judgements."""
    return max(round(JUDGE_SECONDS / step_seconds), 1)


def judged(panel: Panel, ahead: int, columns: Ints, before: Judgements | None, members: int = MEMBERS) -> Judgements:
    """Judge the forecasts that fell due at columns, and go on from earlier judgements.

    Args:
        panel: The series; the forecasts were made `ahead` steps before each column.
        ahead: The horizon in steps.
        columns: Columns `judge_stride` apart, shape (J,), following those of `before`.
        before: The judgements so far; None when there are none.
        members: How many keep a record of their residuals, the anchor being the first. To learn from, the anchor's is enough.
    """
    stride = judge_stride(panel.step_seconds)
    decay, slow = _decays(panel.step_seconds * stride)
    made = guesses(panel, columns - ahead, ahead)
    came = np.stack([panel.value(columns, 0), panel.peak(columns, 0, ahead)])
    missed = np.abs(made.points - came[:, None])
    known = np.isfinite(missed)
    errors = _smoothed(
        np.where(known, missed, np.float32(0.0)), decay, None if before is None else before.errors[..., -1]
    )
    weights = _smoothed(known.astype(np.float32), decay, None if before is None else before.weights[..., -1])
    level = panel.mean(columns - ahead, 0, panel.steps(MEMORY_SECONDS))
    start = _anchor(made, _shifted(errors, before, "errors"), _shifted(weights, before, "weights"), level, decay)
    above, seen = _excess(made, start, came, NAIVE_COLUMNS[: members - 1])
    excess = _smoothed(above, slow, None if before is None else before.excess[..., -1])
    counts = _smoothed(seen, slow, None if before is None else before.counts[..., -1])
    return Judgements(int(columns[0]), stride, errors, weights, excess, counts)


def anchored(panel: Panel, made: Guesses, origins: Ints, record: Judgements) -> Anchor:
    """Return the anchor at origins, from guesses there and what was judged until then."""
    decay, _ = _decays(panel.step_seconds * record.stride)
    newest = record.known_at(origins)
    errors = _picked(record.errors, newest)
    weights = _picked(record.weights, newest)
    level = panel.mean(origins, 0, panel.steps(MEMORY_SECONDS))
    return _anchor(made, errors, weights, level, decay)


def excess_shares(record: Judgements, origins: Ints) -> tuple[Floats32, Floats32]:
    """Return the recent share of residuals above each of `EXCESSES`, shape (2, members, excesses, B, G), and their weight.

    The weight of shape (2, members, B, G) is between 0, nothing judged, and 1.
    """
    newest = record.known_at(origins)
    counts = _picked(record.counts, newest)
    shares = (_picked(record.excess, newest) / np.maximum(counts, 1e-9)[:, :, None]).astype(np.float32)
    return shares, counts


def _decays(judge_seconds: float) -> tuple[float, float]:
    memory = max(MEMORY_SECONDS / judge_seconds, LEAST_MEMORY)
    return 1.0 / memory, 1.0 / (RECORD_DAYS * memory)


def _anchor(made: Guesses, errors: Floats32, weights: Floats32, level: Floats32, decay: float) -> Anchor:
    """Mix guesses by their errors: weights fall with the relative excess over the smallest error."""
    level = np.where(np.isfinite(level), np.abs(level), 0.0)
    prior = PRIOR_ERRORS[:, None, None] * (decay * level)
    error = (errors + prior) / (weights + decay)
    usable = np.where(np.isfinite(made.points), error, np.inf)
    least = usable.min(axis=1, keepdims=True)
    least = np.where(np.isfinite(least), least, 0.0)
    excess = (usable - least) / (least + 1e-9 * level + 1e-30)
    raw = np.where(np.isfinite(usable), np.exp(-SHARPNESS * np.minimum(excess, 40.0)), 0.0)
    total = raw.sum(axis=1)
    points = np.where(np.isfinite(made.points), made.points, 0.0)
    point = np.where(total > 0, (raw * points).sum(axis=1) / np.maximum(total, 1e-30), level)
    scale = np.where(total > 0, least[:, 0], level) + LEAST_SCALE * level + 1e-9
    return Anchor(point.astype(np.float32), scale.astype(np.float32), error.astype(np.float32))


def _excess(made: Guesses, start: Anchor, came: Floats32, naive_columns: tuple[int, ...]) -> tuple[Floats32, Floats32]:
    """Return whether residuals were above each threshold, (2, members, excesses, B, J), and whether they are known."""
    guessed = np.isfinite(made.points).any(axis=1)  # where nothing was known yet, the anchor was no forecast
    anchor = np.where(guessed, start.point, np.float32(np.nan))
    points = np.concatenate([anchor[:, None], made.points[:, naive_columns]], axis=1)
    scales = np.concatenate([start.scale[:, None], start.errors[:, naive_columns] + 1e-9], axis=1)
    residual = asinh((came[:, None] - points) / scales)
    seen = np.isfinite(residual)
    above = (residual[:, :, None] > EXCESSES[:, None, None]) & seen[:, :, None]
    return above.astype(np.float32), seen.astype(np.float32)


def _smoothed(values: Floats32, decay: float, before: Floats32 | None) -> Floats32:
    """Return exponentially weighted sums along the last axis, going on from `before`."""
    if before is not None and values.shape[-1] == 1:
        return decay * values + (1.0 - decay) * before[..., None]
    past = np.zeros(values.shape[:-1], dtype=np.float64) if before is None else before
    found, _ = lfilter([decay], [1.0, decay - 1.0], values, axis=-1, zi=((1.0 - decay) * past)[..., None])
    sums: Floats32 = found.astype(np.float32)
    return sums


def _shifted(sums: Floats32, before: Judgements | None, name: str) -> Floats32:
    """Return what was known before each judgement: the one before it."""
    first = np.zeros_like(sums[..., :1]) if before is None else getattr(before, name)[..., -1:]
    return np.concatenate([first, sums[..., :-1]], axis=-1)


def _picked(sums: Floats32, newest: Ints) -> Floats32:
    found = sums[..., np.maximum(newest, 0)]
    if (newest < 0).any():
        found[..., newest < 0] = 0.0
    return found
