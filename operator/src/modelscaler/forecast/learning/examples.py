"""What the global model learns from: rows of features, and what came, as squashed distances from the anchor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelscaler.forecast.anchor import Judgements, judge_stride, judged
from modelscaler.forecast.base import TARGETS
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.frames import frame
from modelscaler.forecast.learning.parts import clocks_of, part_of
from modelscaler.forecast.panel import Floats32, Ints, Panel

MOST_DISTANCE: Final = 7.0  # as far as `Anchor.absolute` goes
LEAST_SCALE_RPS: Final = (
    2e-9  # the floor of the anchor's scale is 1e-9: a series that has always been zero teaches nothing
)
SERIES_AT_ONCE: Final = 64
ORIGINS_AT_ONCE: Final = 4_096
ANCHOR_ONLY: Final = 1


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows to learn from.

    Attributes:
        features: Shape (rows, features), float32 or float16, NaN where unknown.
        came: Squashed distances from the anchor of the value and of the peak, shape (rows, 2), within ±7; NaN where unknown.
        weights: How much each row counts, shape (rows,).
    """

    features: NDArray[np.floating]
    came: Floats32
    weights: Floats32

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.features)

    def weighted(self, factor: float) -> "Examples":
        """Return the same rows, counting `factor` times as much."""
        return Examples(self.features, self.came, self.weights * np.float32(factor))


@dataclass(frozen=True, slots=True)
class Span:
    """Columns to draw origins from, `count` for each horizon: from `first` on, and what came is known by `cutoff`.

    `lateness` 0 draws origins anywhere alike; towards 1, mostly late ones, which have more history.
    """

    first: int
    cutoff: int
    count: int
    lateness: float = 0.0


def examples_of(
    panel: Panel, calendar: Calendar, aheads: Sequence[int], cutoff: int, count: int, rng: np.random.Generator
) -> Examples:
    """Draw origins, shared by some dozens of series of a panel, and describe each series there with what came after it.

    Args:
        panel: The series.
        calendar: Their clocks and holidays.
        aheads: Horizons in steps.
        cutoff: The last column that is looked at, be it for features or for what came.
        count: How many origins for each horizon.
        rng: Draws the origins.

    Returns:
        Rows whose newest value is known, and at least one of value and peak. None of them when there are no origins.
    """
    return examples_between(panel, calendar, aheads, [Span(0, cutoff, count)], rng)[0]


def examples_between(
    panel: Panel, calendar: Calendar, aheads: Sequence[int], spans: Sequence[Span], rng: np.random.Generator
) -> list[Examples]:
    """Return examples as `examples_of` does, for several spans of the same panel; no span sees what is after its cutoff."""
    parts: list[list[Examples]] = [[_nothing(panel, calendar)] for _ in spans]
    for rows in _chunks(panel.series):
        some = part_of(panel, rows, max(span.cutoff for span in spans))
        clocks = clocks_of(calendar, rows)
        for ahead in aheads:
            columns = np.arange(0, some.columns, judge_stride(some.step_seconds))
            record = judged(some, ahead, columns, None, members=ANCHOR_ONLY)
            for span, found in zip(spans, parts, strict=True):
                found.extend(_described(some, clocks, ahead, _origins(span, ahead, rng), record))
    return [joined(found) for found in parts]


def joined(parts: Sequence[Examples]) -> Examples:
    """Return all rows together."""
    return Examples(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.came for part in parts]),
        np.concatenate([part.weights for part in parts]),
    )


def _chunks(series: int) -> Iterator[slice]:
    for start in range(0, series, SERIES_AT_ONCE):
        yield slice(start, min(start + SERIES_AT_ONCE, series))


def _origins(span: Span, ahead: int, rng: np.random.Generator) -> Ints:
    """Draw origins without repetition; all of them when there are not more."""
    there = np.arange(span.first, span.cutoff - ahead + 1)
    if len(there) <= span.count:
        return there
    if span.lateness == 0.0:
        return np.sort(rng.choice(there, span.count, replace=False))
    where = rng.random(span.count) ** (1.0 - span.lateness)
    return np.unique(there[(where * len(there)).astype(np.int64)])


def _described(panel: Panel, calendar: Calendar, ahead: int, origins: Ints, record: Judgements) -> Iterator[Examples]:
    at_once = max(ORIGINS_AT_ONCE // panel.series, 1)
    for start in range(0, len(origins), at_once):
        yield _rows(panel, calendar, ahead, origins[start : start + at_once], record)


def _rows(panel: Panel, calendar: Calendar, ahead: int, origins: Ints, record: Judgements) -> Examples:
    seen = frame(panel, origins, ahead, record, calendar)
    came = np.stack([panel.value(origins + ahead, 0), panel.peak(origins + ahead, 0, ahead)])
    relative = np.moveaxis(np.clip(seen.anchor.relative(came), -MOST_DISTANCE, MOST_DISTANCE), 0, -1)
    good = (
        np.isfinite(panel.value(origins, 0))
        & np.isfinite(relative).any(axis=-1)
        & (seen.anchor.scale[0] > LEAST_SCALE_RPS)
    )
    return Examples(
        seen.features[good].astype(np.float16),
        relative[good].astype(np.float32),
        np.ones(int(good.sum()), dtype=np.float32),
    )


def _nothing(panel: Panel, calendar: Calendar) -> Examples:
    """Return no rows, as wide as rows are."""
    record = judged(panel, 1, np.arange(1), None, members=ANCHOR_ONLY)
    features = frame(panel, np.zeros(1, dtype=np.int64), 1, record, calendar).features[:0, 0]
    return Examples(features.astype(np.float16), np.empty((0, TARGETS), np.float32), np.empty(0, np.float32))
