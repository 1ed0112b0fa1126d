"""Fits the boosted rival: pooled gradient-boosted quantile trees on the same rows that the network learns from."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from modelscaler.forecast.base import QUANTILES, TARGETS
from modelscaler.forecast.learning.examples import Examples
from modelscaler.forecast.trees import DEPTH, FEATURES, NODE_FIELDS, Trees

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor

MOST_ROWS: Final = 60_000
ITERATIONS: Final = 80
LEAVES: Final = 20
BINS: Final = 63
LEARNING_RATE: Final = 0.08


class OutOfTimeError(Exception):
    """There was no time to fit all trees."""


def boosted(
    examples: Examples,
    seed: int,
    in_time: Callable[[], bool],
    tell: Callable[[str], None],
    iterations: int = ITERATIONS,
) -> Trees:
    """Fit trees for every target and quantile.

    Args:
        examples: What to learn from; of more than `MOST_ROWS` that many are drawn.
        seed: What the draw follows from.
        in_time: Whether there is time for more.
        tell: Told how far it is.
        iterations: Trees of each target and quantile.

    Raises:
        OutOfTimeError: there was not.
    """
    rows = np.random.default_rng(seed).permutation(examples.rows)[:MOST_ROWS]
    features = examples.features[rows].astype(np.float32)
    features[:, np.isnan(features).all(axis=0)] = 0.0  # trees refuse a column without any number; zeros tell as little
    fitted = []
    for target, level in product(range(TARGETS), QUANTILES):
        if not in_time():
            raise OutOfTimeError
        came = examples.came[rows, target]
        known = np.isfinite(came)
        weights = examples.weights[rows][known]
        regressor = regressor_of(level, seed, iterations)  # made first: the limit holds for libraries that are loaded
        with threadpool_limits(1):  # threads that wait for each other on shared cores take many times longer
            fitted.append(regressor.fit(features[known], came[known], sample_weight=weights))
        tell(f"boosted {len(fitted)} of {TARGETS * len(QUANTILES)}")
    return trees_of(fitted, features.shape[1])


def regressor_of(
    level: float,
    seed: int,
    iterations: int,
    leaves: int = LEAVES,
    learning_rate: float = LEARNING_RATE,
    least_rows_per_leaf: int = 40,
) -> "HistGradientBoostingRegressor":
    """Return a regressor of one quantile that has not learned anything yet."""
    from sklearn.ensemble import HistGradientBoostingRegressor  # noqa: PLC0415 - dear to import, and few need it

    # A tail quantile needs several rows beyond it in every leaf, or it is learned from single outliers.
    rows_per_leaf = max(least_rows_per_leaf, round(2.0 / min(level, 1.0 - level)))
    return HistGradientBoostingRegressor(
        loss="quantile",
        quantile=level,
        learning_rate=learning_rate,
        max_iter=iterations,
        max_leaf_nodes=leaves,
        min_samples_leaf=rows_per_leaf,
        l2_regularization=1.0,
        max_bins=BINS,
        early_stopping=False,
        random_state=seed,
    )


def trees_of(fitted: Sequence["HistGradientBoostingRegressor"], features: int) -> Trees:
    """Return what regressors have learned, in the order of targets and quantiles, as plain arrays."""
    predictors = [predictor for regressor in fitted for (predictor,) in regressor._predictors]
    firsts = np.cumsum([0, *(len(predictor.nodes) for predictor in predictors)])
    parts = [_nodes(predictor.nodes, first, features) for predictor, first in zip(predictors, firsts, strict=False)]
    heads = (TARGETS, len(QUANTILES))
    bases = [regressor._baseline_prediction.item() for regressor in fitted]
    weights: dict[str, NDArray[Any]] = {name: np.concatenate([part[name] for part in parts]) for name in NODE_FIELDS}
    weights["roots"] = firsts[:-1].reshape(*heads, -1).astype(np.int32)
    weights["bases"] = np.array(bases, dtype=np.float32).reshape(heads)
    depth = max(int(predictor.nodes["depth"].max()) for predictor in predictors)
    return Trees(weights, {FEATURES: str(features), DEPTH: str(depth)})


def _nodes(nodes: NDArray[Any], first: int, features: int) -> dict[str, NDArray[Any]]:
    """Return a tree's nodes as plain arrays in another order, with the children of each side by side."""
    order, child = _side_by_side(nodes)
    nodes = nodes[order]
    leaf = nodes["is_leaf"].astype(bool)
    column = nodes["feature_idx"] + np.where(nodes["missing_go_to_left"], features, 0)
    found = {
        "column": np.where(leaf, 0, column),
        "threshold": np.where(leaf, np.inf, _rounded_down(nodes["num_threshold"])),
        "child": first + child,
        "value": np.where(leaf, nodes["value"], 0.0),
    }
    return {name: array.astype(NODE_FIELDS[name]) for name, array in found.items()}


def _side_by_side(nodes: NDArray[Any]) -> tuple[list[int], NDArray[np.int64]]:
    """Return the nodes in an order in which children are neighbours, and each one's first child there; a leaf's is itself."""
    order, child = [0], []
    for place, node in enumerate(order):  # grows while it is walked
        if nodes["is_leaf"][node]:
            child.append(place)
        else:
            child.append(len(order))
            order += [int(nodes["left"][node]), int(nodes["right"][node])]
    return order, np.array(child, dtype=np.int64)


def _rounded_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the largest 32-bit numbers that are not above thresholds: the same features are not above them either.

    An infinite one sets those that are missing apart from all others.
    """
    most = np.finfo(np.float32).max
    near = np.minimum(thresholds, most).astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)
