"""What a batch will take: the line of the warm-up, corrected by what batches really take."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from modelserver.timing import LinearCost

_WEIGHT = 0.2
"""Of the newest batch in a correction."""
_LARGEST_STEP = 2.0
"""An observation counts as at most so many times what was expected, and at least one such part: one outlier moves little."""
_FRESH_SECONDS = 2.0
"""A variant that has not run for longer is corrected by what the machine has done to the others meanwhile."""
_RATIOS = 256
"""Batches whose observed / predicted the margin is taken from."""
_RATIOS_FOR_MARGIN = 32
_RATIOS_PER_MARGIN = 8
"""The margin is taken anew after so many batches."""
_MARGIN_QUANTILE = 0.99
_FIRST_MARGIN = 1.3
"""Until there are enough batches to tell."""
_LEAST_MARGIN, _LARGEST_MARGIN = 1.05, 3.0
_LEAST_SECONDS = 1e-7
_LARGEST_SCALE = 100.0
"""No correction is larger, nor smaller than one such part."""


@dataclass
class _Correction:
    """A variant's: observed / warm-up, smoothed.

    Attributes:
        scale: Of its compute time.
        machine: The machine's scale when this was last observed.
        at: When.
    """

    scale: float = 1.0
    machine: float = 1.0
    at: float = -math.inf


class CostModel:
    """Predicts the seconds of batches. What depends on rows is scaled per variant; what comes on top of it is added.

    Args:
        costs: By variant, as the warm-up measured them.
    """

    def __init__(self, costs: Mapping[str, LinearCost]) -> None:
        self._costs = dict(costs)
        self._corrections = {variant: _Correction() for variant in costs}
        self._machine = 1.0
        self._transfer_seconds = 0.0
        self._ratios: deque[float] = deque(maxlen=_RATIOS)
        self._observations = 0
        self._margin = _FIRST_MARGIN
        self.observed_at = -math.inf

    @property
    def margin(self) -> float:
        """Return m: by how many times a batch may exceed what is predicted, in all but the rarest cases."""
        return self._margin

    def add(self, variant: str, cost: LinearCost) -> None:
        """Learn of a variant, unless it is known."""
        if variant not in self._costs:
            self._costs[variant] = cost
            self._corrections[variant] = _Correction(machine=self._machine)

    def line(self, variant: str, now: float) -> LinearCost:
        """Return a variant's line as it is now, transfer included."""
        cost = self._costs[variant]
        scale = self._scale(variant, now)
        return LinearCost(
            cost.per_request_seconds * scale, cost.overhead_seconds * scale + self._transfer_seconds, cost.r2
        )

    def observe(self, variant: str, rows: int, seconds: float, computed_seconds: float, now: float) -> None:
        """Learn from a batch.

        Args:
            variant: That ran.
            rows: Of the batch.
            seconds: From hand-over to result.
            computed_seconds: Of them, in decode, predict and encode.
            now: When it was done.
        """
        self._note_ratio(seconds / max(self.line(variant, now).seconds(rows), _LEAST_SECONDS))
        scale = self._scale(variant, now)
        expected = max(self._costs[variant].seconds(rows), _LEAST_SECONDS)
        moved = _step(computed_seconds / (expected * scale))
        self._machine = _bounded(self._machine * moved)
        self._corrections[variant] = _Correction(_bounded(scale * moved), self._machine, now)
        transfer = min(max(0.0, seconds - computed_seconds), _LARGEST_STEP * self._transfer_seconds + expected * scale)
        self._transfer_seconds += _WEIGHT * (transfer - self._transfer_seconds)
        self.observed_at = now

    def _scale(self, variant: str, now: float) -> float:
        correction = self._corrections[variant]
        if now - correction.at <= _FRESH_SECONDS:
            return correction.scale
        return correction.scale * self._machine / correction.machine

    def _note_ratio(self, ratio: float) -> None:
        """Keep the ratio; now and then, take the margin from all that are kept."""
        self._ratios.append(ratio)
        self._observations += 1
        if len(self._ratios) < _RATIOS_FOR_MARGIN or self._observations % _RATIOS_PER_MARGIN:
            return
        ordered = sorted(self._ratios)
        # Never the greatest of all: a single outlier must not set the margin.
        quantile = ordered[min(int(_MARGIN_QUANTILE * len(ordered)), len(ordered) - 2)]
        self._margin = min(max(quantile, _LEAST_MARGIN), _LARGEST_MARGIN)


def _bounded(scale: float) -> float:
    return min(max(scale, 1 / _LARGEST_SCALE), _LARGEST_SCALE)


def _step(ratio: float) -> float:
    """Return the factor by which one observation moves a correction."""
    return math.pow(min(max(ratio, 1 / _LARGEST_STEP), _LARGEST_STEP), _WEIGHT)
