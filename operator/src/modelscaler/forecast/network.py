"""The global model as it serves: a small residual network in numpy, on weights that training has written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from modelscaler.forecast.activation import gelu
from modelscaler.forecast.panel import Floats32

SCHEMA: Final = 1
TREES_SCHEMA: Final = "trees-2"
QUANTILE_COUNT: Final = 5
HEADS: Final = 2
MEDIAN: Final = 1
LAYER_NORM_EPSILON: Final = 1e-5
SOFTPLUS_SHIFT: Final = 0.5
MOST_FILE_BYTES: Final = 16 * 2**20


class WeightsError(ValueError):
    """A weights file that cannot be used: what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Network:
    """Weights by name, float32, and what is known of them: `facts` of JSON values, `features` wide, `blocks` deep."""

    weights: Mapping[str, Floats32]
    facts: Mapping[str, str]
    schema: ClassVar[str] = str(SCHEMA)

    @property
    def features(self) -> int:
        """How many features a row has."""
        return int(self.weights["entry.weight"].shape[1]) // 2

    @property
    def blocks(self) -> int:
        """How many residual blocks there are."""
        return sum(name.endswith("norm.weight") for name in self.weights)

    def quantiles(self, features: Floats32) -> Floats32:
        """Return quantiles of both targets as squashed distances, (rows, features) → (rows, 2, quantiles); NaN is missing."""
        w, seen = self.weights, Seen.of(features)
        hidden = gelu(seen.times(w["entry.weight"]) + w["entry.bias"])
        for block in range(self.blocks):
            name = f"blocks.{block}"
            inner = gelu(self._widened(hidden, name))
            hidden += inner @ w[f"{name}.narrow.weight"].T
            hidden += w[f"{name}.narrow.bias"]
        out = hidden @ w["exit.weight"].T + w["exit.bias"] + seen.times(w["skip.weight"]) + w["skip.bias"]
        return spread(out.reshape(len(features), HEADS, QUANTILE_COUNT))

    def _widened(self, hidden: Floats32, name: str) -> Floats32:
        """Return the first layer of a block; the gains of its normalisation are in the weights of what follows it."""
        gain, shift, weight = (self.weights[f"{name}.{part}"] for part in ("norm.weight", "norm.bias", "wide.weight"))
        wide: Floats32 = normalised(hidden) @ (weight * gain).T
        wide += self.weights[f"{name}.wide.bias"] + weight @ shift
        return wide

    def save(self, path: Path) -> None:
        """Write the weights with their schema version, in one step: readers see the old file or the new one."""
        beside = path.with_name(path.name + ".new")
        save_file(dict(self.weights), beside, metadata={**self.facts, "schema": self.schema})
        beside.replace(path)


def load_network(path: Path, features: int) -> Network:
    """Read weights.

    Raises:
        WeightsError: the file is missing, corrupt, too large, of another schema, or made for other features.
    """
    weights, facts = read_weights(path, MOST_FILE_BYTES)
    if facts.get("schema") == TREES_SCHEMA:
        from modelscaler.forecast.trees import checked_trees  # noqa: PLC0415 - trees are networks to those who ask

        return checked_trees(path, weights, facts, features)
    return _checked(path, Network(weights, facts), features)


def read_weights(path: Path, most_bytes: int) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read the arrays of a file by name, and what it says of itself.

    Raises:
        WeightsError: the file is missing, corrupt or too large.
    """
    try:
        if path.stat().st_size > most_bytes:
            raise WeightsError(f"{path}: {path.stat().st_size} bytes, expected at most {most_bytes}; remove it")
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            return arrays, dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{path}: cannot be read as weights ({error}); remove it, and training writes it anew"
        ) from error


def _checked(path: Path, network: Network, features: int) -> Network:
    schema = network.facts.get("schema", "none")
    if schema != str(SCHEMA):
        raise WeightsError(f"{path}: schema {schema}, expected {SCHEMA}; it was written by another version: remove it")
    found = {name: weight.shape for name, weight in network.weights.items()}
    blocks = sum(name.endswith("norm.weight") for name in found)
    width = found.get("entry.bias", (0,))[0]
    expected = shapes(features, width, blocks)
    if found != expected:
        wrong = sorted(set(found.items()) ^ set(expected.items()))
        raise WeightsError(f"{path}: unexpected weights {wrong[:4]}, made for other features; remove it")
    if not all(np.isfinite(weight).all() for weight in network.weights.values()):
        raise WeightsError(f"{path}: holds numbers that are not finite; remove it")
    return network


def shapes(features: int, width: int, blocks: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight."""
    outputs = HEADS * QUANTILE_COUNT
    found: dict[str, tuple[int, ...]] = {
        "entry.weight": (width, 2 * features), "entry.bias": (width,),
        "exit.weight": (outputs, width), "exit.bias": (outputs,),
        "skip.weight": (outputs, 2 * features), "skip.bias": (outputs,),
    }  # fmt: skip
    for block in range(blocks):
        for part in ("wide", "narrow"):
            found[f"blocks.{block}.{part}.weight"] = (width, width)
            found[f"blocks.{block}.{part}.bias"] = (width,)
        found[f"blocks.{block}.norm.weight"] = found[f"blocks.{block}.norm.bias"] = (width,)
    return found


@dataclass(frozen=True, slots=True)
class Seen:
    """Features as a network sees them: zeros where they are missing, and beside each whether it is.

    `known` has shape (rows, features); `gaps` (rows, G) has ones where the features `missing` (G,) are missing, all others are
    missing nowhere: a product with their zeros need not be made.
    """

    known: Floats32
    gaps: Floats32
    missing: NDArray[np.intp]

    @classmethod
    def of(cls, features: Floats32) -> "Seen":
        """Look at features of shape (rows, features), NaN where missing."""
        there = np.isfinite(features)
        missing = np.flatnonzero(~there.all(axis=0))
        gaps: Floats32 = (~there[:, missing]).astype(np.float32)
        return cls(np.where(there, features, np.float32(0.0)), gaps, missing)

    def times(self, weight: Floats32) -> Floats32:
        """Return what a layer makes of them, (outputs, 2 * features) → (rows, outputs)."""
        count = self.known.shape[1]
        product: Floats32 = self.known @ weight[:, :count].T
        if len(self.missing):
            product += self.gaps @ weight[:, count + self.missing].T
        return product


def normalised(hidden: Floats32) -> Floats32:
    """Return rows with mean 0 and deviation 1 (Ba et al. 2016)."""
    centred: Floats32 = hidden - hidden.mean(axis=-1, keepdims=True)
    variance = np.einsum("ri,ri->r", centred, centred) / np.float32(hidden.shape[-1])
    centred /= np.sqrt(variance + np.float32(LAYER_NORM_EPSILON))[:, None]
    return centred


def spread(out: Floats32) -> Floats32:
    """Turn (..., quantiles) outputs into quantiles that cannot cross: the median, and distances from it that are positive."""
    median = out[..., MEDIAN : MEDIAN + 1]
    distances = np.logaddexp(0.0, np.delete(out, MEDIAN, axis=-1) - SOFTPLUS_SHIFT).astype(np.float32)
    lower, upper = median - distances[..., :MEDIAN], median + np.cumsum(distances[..., MEDIAN:], axis=-1)
    return np.concatenate([lower, median, upper], axis=-1)


def facts_of(values: Mapping[str, object]) -> dict[str, str]:
    """Return what a weights file says of itself, as JSON texts."""
    return {name: json.dumps(value) for name, value in values.items()}
