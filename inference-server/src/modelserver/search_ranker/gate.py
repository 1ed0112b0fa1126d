"""The build's gate: a variant that answers wrongly, or lets one row change another's answer, is refused."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelserver.errors import BuildError
from modelserver.search_ranker.features import KIND_COUNT, SEQUENCE_LENGTH, Pairs
from modelserver.search_ranker.recipe import Recipe
from modelserver.search_ranker.scorers import Scorer

_BATCH_SIZES = (1, 3, 8, 32)
_OUTLIERS = 8
_MAX_DRIFT = 2e-3
"""Largest change of a score, relative to the spread of all scores, that regrouped floating-point sums may cause."""


@dataclass(frozen=True)
class GateFigures:
    """What the gate measured of a variant.

    Attributes:
        accuracy: On held-out searches.
        accuracy_of_full: Of the variant it stands in for.
        cosine: Between its scores and those of `full`; 1 is the same direction.
        batch_drift: Largest change of a score over batch sizes, relative to the spread of scores.
        outlier_drift: The same, when outlier rows join the batch.
    """

    accuracy: float
    accuracy_of_full: float
    cosine: float
    batch_drift: float
    outlier_drift: float


def cosine(left: NDArray[np.floating], right: NDArray[np.floating]) -> float:
    """Return the cosine between two score vectors, each centred: a constant shift does not change a ranking."""
    left, right = left - left.mean(), right - right.mean()
    return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))


def _in_batches(scorer: Scorer, pairs: Pairs, size: int) -> NDArray[np.float32]:
    groups = (slice(start, start + size) for start in range(0, len(pairs.tokens), size))
    return np.concatenate([scorer(Pairs(pairs.tokens[rows], pairs.kinds[rows])) for rows in groups])


def batch_drift(scorer: Scorer, pairs: Pairs) -> float:
    """Return how much a score depends on the size of its batch."""
    whole = scorer(pairs)
    drift = max(float(np.abs(_in_batches(scorer, pairs, size) - whole).max()) for size in _BATCH_SIZES)
    return drift / float(np.ptp(whole))


def outlier_drift(scorer: Scorer, pairs: Pairs, buckets: int, rng: np.random.Generator) -> float:
    """Return how much a score depends on rows unlike anything trained on: one token all over, kinds that contradict it."""
    alone = scorer(pairs)
    strange = (_OUTLIERS, 1), (1, SEQUENCE_LENGTH)
    tokens = np.tile(rng.integers(1, buckets, size=strange[0]), strange[1])
    kinds = np.tile(rng.integers(1, KIND_COUNT, size=strange[0]), strange[1])
    joined = scorer(Pairs(np.concatenate([tokens, pairs.tokens]), np.concatenate([kinds, pairs.kinds])))
    return float(np.abs(joined[_OUTLIERS:] - alone).max()) / float(np.ptp(alone))


def refuse_unfit(variant: str, figures: GateFigures, recipe: Recipe) -> None:
    """Refuse a variant that is inaccurate, unlike `full`, or whose rows are not independent.

    Raises:
        BuildError: Naming every figure that failed and its bound.
    """
    bounds = (
        ("accuracy", figures.accuracy, ">=", recipe.min_accuracy),
        ("accuracy lost", figures.accuracy_of_full - figures.accuracy, "<=", recipe.max_accuracy_loss),
        ("cosine to full", figures.cosine, ">=", recipe.min_cosine),
        ("drift over batch sizes", figures.batch_drift, "<=", _MAX_DRIFT),
        ("drift beside outliers", figures.outlier_drift, "<=", _MAX_DRIFT),
    )
    failed = [
        f"{name} {value:.5f}, expected {sign} {bound}"
        for name, value, sign, bound in bounds
        if not (value >= bound if sign == ">=" else value <= bound)  # NaN fails either way
    ]
    if failed:
        raise BuildError(f"variant {variant!r} refused by the gate: {'; '.join(failed)}")
