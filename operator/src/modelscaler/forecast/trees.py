"""The boosted rival as it serves: trees as arrays, walked in numpy. Slower than the network; there to be compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from modelscaler.forecast.network import HEADS, QUANTILE_COUNT, TREES_SCHEMA, Network, WeightsError
from modelscaler.forecast.panel import Floats32, Ints

ROWS_AT_ONCE: Final = 2_048
FEATURES, DEPTH = "features", "depth"  # what the facts must say
# Of every node of every tree: what it looks at, up to which value it goes left and whether it does when that is missing, the
# nodes that follow (a leaf follows itself), and what a leaf adds.
NODE_FIELDS: Final = {
    "feature": np.int16, "threshold": np.float64, "missing_left": np.bool_, "left": np.int32, "right": np.int32,
    "value": np.float32,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trees(Network):
    """Boosted trees for every target and quantile, which answer as a network does.

    `weights` holds an array of shape (nodes,) for each of `NODE_FIELDS`; `roots`, the first node of each tree, of shape
    (targets, quantiles, trees); and `bases`, what a quantile is before any tree adds to it, (targets, quantiles). `facts` say
    how many features a row has, and the most steps from a root to a leaf.
    """

    schema: ClassVar[str] = TREES_SCHEMA

    @property
    def features(self) -> int:
        """How many features a row has."""
        return int(self.facts[FEATURES])

    def quantiles(self, features: Floats32) -> Floats32:
        """Return quantiles of both targets as squashed distances, (rows, features) → (rows, 2, quantiles); NaN is missing."""
        chunks = range(0, len(features), ROWS_AT_ONCE)
        found = [self._of_chunk(features[start : start + ROWS_AT_ONCE]) for start in chunks]
        every = np.concatenate(found) if found else np.empty((0, HEADS, QUANTILE_COUNT), np.float32)
        return np.sort(every, axis=-1)

    def _of_chunk(self, features: Floats32) -> Floats32:
        found = np.empty((len(features), HEADS, QUANTILE_COUNT), dtype=np.float32)
        for target, quantile in np.ndindex(HEADS, QUANTILE_COUNT):
            leaves = self._leaves(features, self.weights["roots"][target, quantile])
            added = self.weights["value"][leaves].sum(axis=1, dtype=np.float64)
            found[:, target, quantile] = self.weights["bases"][target, quantile] + added
        return found

    def _leaves(self, features: Floats32, roots: NDArray[Any]) -> Ints:
        """Return the leaf of every tree that each row comes to, shape (rows, trees)."""
        nodes, rows = self.weights, np.arange(len(features))[:, None]
        at = np.broadcast_to(roots, (len(features), len(roots)))
        for _ in range(int(self.facts[DEPTH])):
            seen = features[rows, nodes["feature"][at]]
            left = np.where(np.isnan(seen), nodes["missing_left"][at], seen <= nodes["threshold"][at])
            at = np.where(left, nodes["left"][at], nodes["right"][at])
        return np.asarray(at, dtype=np.int64)


def checked_trees(path: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, str], features: int) -> Trees:
    """Return trees that were read from a file.

    Raises:
        WeightsError: they were made for other features, or a walk in them would go astray.
    """
    if facts.get(FEATURES) != str(features) or not facts.get(DEPTH, "").isdigit():
        raise WeightsError(f"{path}: trees for {facts.get(FEATURES)} features, expected {features}; remove it")
    expected = {**NODE_FIELDS, "roots": np.int32, "bases": np.float32}
    if {name: array.dtype for name, array in arrays.items()} != {n: np.dtype(kind) for n, kind in expected.items()}:
        raise WeightsError(f"{path}: holds {sorted(arrays)}, expected {sorted(expected)}; remove it")
    count = len(arrays["value"])
    shaped = all(arrays[name].shape == (count,) for name in NODE_FIELDS)
    heads = (HEADS, QUANTILE_COUNT)
    if not shaped or arrays["bases"].shape != heads or arrays["roots"].ndim != 3 or arrays["roots"].shape[:2] != heads:
        raise WeightsError(f"{path}: trees of unexpected shapes; remove it")
    followed = all(_within(arrays[name], count) for name in ("left", "right", "roots"))
    finite = all(np.isfinite(arrays[name]).all() for name in ("value", "bases"))
    if not followed or not finite or not _within(arrays["feature"], features):
        raise WeightsError(f"{path}: a tree leads nowhere; remove it")
    return Trees(arrays, facts)


def _within(numbers: NDArray[Any], count: int) -> bool:
    return bool(numbers.size and numbers.min() >= 0 and numbers.max() < count)
