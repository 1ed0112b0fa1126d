"""Boosted trees as they serve: arrays, walked in numpy. Slower than the network, so there for fleets that are not large."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from modelscaler.forecast.network import HEADS, QUANTILE_COUNT, TREES_SCHEMA, Network, WeightsError
from modelscaler.forecast.panel import Floats32, Ints

ROWS_AT_ONCE: Final = 128  # of a walk, whose arrays then stay in the cache: half as long as with 512
FEATURES, DEPTH = "features", "depth"  # what the facts must say
# Of every node of every tree: which column it looks at, of the features with missing ones as the largest number and then of
# those with missing ones as the least; up to which value the walk goes to the first of its two children, which are neighbours,
# and which that is (a leaf's is itself, up to infinity); and what a leaf adds.
NODE_FIELDS: Final = {"column": np.int16, "threshold": np.float32, "child": np.int32, "value": np.float32}
PARTS: Final = {**NODE_FIELDS, "roots": np.int32, "bases": np.float32}  # of all that trees are made of


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
        added = self.weights["value"][self._leaves(features)]
        found: Floats32 = self.weights["bases"] + added.sum(axis=-1, dtype=np.float64).astype(np.float32)
        return found

    def _leaves(self, features: Floats32) -> Ints:
        """Return the leaf of every tree that each row comes to, shape (rows, targets, quantiles, trees)."""
        column, child, roots = (self.weights[name].astype(np.int64) for name in ("column", "child", "roots"))
        threshold = self.weights["threshold"]
        missing = np.isnan(features)
        seen = np.concatenate([np.where(missing, np.inf, features), np.where(missing, -np.inf, features)], axis=1)
        flat, width = seen.astype(np.float32).ravel(), seen.shape[1]
        first = (width * np.arange(len(features)))[:, None]
        at = np.broadcast_to(roots.ravel(), (len(features), roots.size))
        for _ in range(int(self.facts[DEPTH])):
            at = child.take(at) + (flat.take(first + column.take(at)) > threshold.take(at))
        return at.reshape(len(features), *roots.shape)


def checked_trees(path: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, str], features: int) -> Trees:
    """Return trees that were read from a file.

    Raises:
        WeightsError: they were made for other features, or a walk in them would go astray.
    """
    if facts.get(FEATURES) != str(features) or not facts.get(DEPTH, "").isdigit():
        raise WeightsError(f"{path}: trees for {facts.get(FEATURES)} features, expected {features}; remove it")
    if {name: array.dtype for name, array in arrays.items()} != {n: np.dtype(kind) for n, kind in PARTS.items()}:
        raise WeightsError(f"{path}: holds {sorted(arrays)}, expected {sorted(PARTS)}; remove it")
    count = len(arrays["value"])
    shaped = all(arrays[name].shape == (count,) for name in NODE_FIELDS)
    heads = (HEADS, QUANTILE_COUNT)
    if not shaped or arrays["bases"].shape != heads or arrays["roots"].ndim != 3 or arrays["roots"].shape[:2] != heads:
        raise WeightsError(f"{path}: trees of unexpected shapes; remove it")
    last = arrays["child"] + np.isfinite(arrays["threshold"])  # the second child, which a leaf does not have
    followed = _within(arrays["roots"], count) and _within(arrays["child"], count) and _within(last, count)
    finite = all(np.isfinite(arrays[name]).all() for name in ("value", "bases"))
    if not followed or not finite or not _within(arrays["column"], 2 * features):
        raise WeightsError(f"{path}: a tree leads nowhere; remove it")
    return Trees(arrays, facts)


def _within(numbers: NDArray[Any], count: int) -> bool:
    return bool(numbers.size and numbers.min() >= 0 and numbers.max() < count)
