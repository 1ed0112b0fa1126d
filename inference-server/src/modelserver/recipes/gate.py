"""The build's gate: a variant that answers wrongly, or lets one row change another's answer, is refused."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelserver.model import Network
from modelserver.recipes.family import Bounds
from modelserver.tensors import Arrays

BATCH_SIZES = (1, 3, 8, 32)
"""Rows per batch at which a variant must answer as it does all at once, and as `full` does."""
PROBED_ROWS = 128
OUTLIERS = 8

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """What the gate measured of a variant.

    Attributes:
        accuracy: On the validation set.
        accuracy_of_full: Of the variant it stands in for.
        cosine: Between its outputs and those of `full`, each centred, the least over batch sizes; 1 is the same direction.
        batch_drift: Largest change of an output over batch sizes, relative to the spread of outputs.
        outlier_drift: The same, when outlier rows join the batch.
    """

    accuracy: float
    accuracy_of_full: float
    cosine: float
    batch_drift: float
    outlier_drift: float


@dataclass(frozen=True)
class Answers:
    """What a network says of the probe.

    Attributes:
        by_batch_size: Rows per batch, all of them included -> outputs, flattened.
        beside_outliers: Outputs of the same rows when outliers are in the batch, flattened.
    """

    by_batch_size: Mapping[int, Floats]
    beside_outliers: Floats

    @property
    def whole(self) -> Floats:
        """Return the outputs when all rows were one batch."""
        return self.by_batch_size[max(self.by_batch_size)]


def _flat(answers: Sequence[Arrays], rows: slice = slice(None)) -> Floats:
    """Return all outputs of all batches, one after another, [rows * values]."""
    joined = [np.concatenate([batch[name] for batch in answers])[rows] for name in sorted(answers[0])]
    return np.concatenate([values.reshape(len(values), -1) for values in joined], axis=1).astype(np.float64).ravel()


def _batches(arrays: Arrays, size: int) -> Iterator[Arrays]:
    rows = len(next(iter(arrays.values())))
    for start in range(0, rows, size):
        yield {name: array[start : start + size] for name, array in arrays.items()}


def ask(network: Network, probe: Arrays, outliers: Arrays) -> Answers:
    """Ask a network about the probe in batches of several sizes, and once beside outliers."""
    rows, strange = (len(next(iter(arrays.values()))) for arrays in (probe, outliers))
    mixed = {name: np.concatenate([outliers[name], probe[name]]) for name in probe}
    return Answers(
        by_batch_size={
            size: _flat([network(batch) for batch in _batches(probe, size)]) for size in {*BATCH_SIZES, rows}
        },
        beside_outliers=_flat([network(mixed)], slice(strange, None)),
    )


def cosine(left: Floats, right: Floats) -> float:
    """Return the cosine between two vectors, each centred: a constant shift changes no ranking and no largest logit."""
    left, right = left - left.mean(), right - right.mean()
    return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))


def _drift(answers: Floats, whole: Floats) -> float:
    return float(np.abs(answers - whole).max() / np.ptp(whole))


def compare(answers: Answers, of_full: Answers, accuracy: float, accuracy_of_full: float) -> Figures:
    """Return a variant's figures from what it and `full` said."""
    return Figures(
        accuracy=accuracy,
        accuracy_of_full=accuracy_of_full,
        cosine=min(cosine(outputs, of_full.whole) for outputs in answers.by_batch_size.values()),
        batch_drift=max(_drift(outputs, answers.whole) for outputs in answers.by_batch_size.values()),
        outlier_drift=_drift(answers.beside_outliers, answers.whole),
    )


def objections(figures: Figures, bounds: Bounds, variant: str, is_smaller: bool, is_half: bool) -> tuple[str, ...]:
    """Return what speaks against a variant: every figure that failed, with its bound; empty when nothing does.

    Args:
        figures: Of the variant.
        bounds: Of the family.
        variant: Its name.
        is_smaller: Whether its weights are others than those of `full`: pruned or distilled.
        is_half: Whether it computes in 16-bit numbers.
    """
    min_cosine = bounds.min_cosine_of_smaller if is_smaller else bounds.min_cosine
    max_drift = bounds.max_drift_of_half if is_half else bounds.max_drift
    max_loss = bounds.allowed_losses.get(variant, bounds.max_accuracy_loss)
    checks = (
        ("accuracy", figures.accuracy, ">=", bounds.min_accuracy),
        ("accuracy lost", figures.accuracy_of_full - figures.accuracy, "<=", max_loss),
        ("cosine to full", figures.cosine, ">=", min_cosine),
        ("drift over batch sizes", figures.batch_drift, "<=", max_drift),
        ("drift beside outliers", figures.outlier_drift, "<=", max_drift),
    )
    return tuple(
        f"{name} {value:.5f}, expected {sign} {bound}"
        for name, value, sign, bound in checks
        if not (value >= bound if sign == ">=" else value <= bound)  # NaN fails either way
    )
