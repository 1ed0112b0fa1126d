"""The networks' weights, the rows that are sent, and the answers that are right. All from one seed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from modelscaler_benchmarks.server.payloads import Row
from modelscaler_benchmarks.server.served.networks import NETWORKS
from modelscaler_benchmarks.server.served.shapes import ENCODERS, FEATURES

SEED = 20261125
DISTINCT_ROWS = 64
"""More than a batch, so that no server gains by answering the same row twice."""


@dataclass(frozen=True)
class Workload:
    """A network with rows to ask and their answers.

    Attributes:
        network: `mlp`, or an encoder.
        weights: Its safetensors file.
        rows: Inputs, [64, size].
        expected: Outputs in plain torch, fp32, [64, width].
    """

    network: str
    weights: Path
    rows: Row
    expected: Row


def rows_of(network: str, count: int, generator: np.random.Generator) -> Row:
    """Return inputs of a network; features have three decimals, as sensors and prices do."""
    if shape := ENCODERS.get(network):
        return generator.integers(0, shape.vocabulary, size=(count, shape.sequence), dtype=np.int64)
    return generator.normal(size=(count, FEATURES)).round(3).astype(np.float32)


def prepare(network: str, directory: Path) -> Workload:
    """Make a network's weights and answers."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    module = NETWORKS[network]().eval().requires_grad_(False)
    weights = directory / f"{network}.safetensors"
    directory.mkdir(parents=True, exist_ok=True)
    save_file(module.state_dict(), weights)
    rows = rows_of(network, DISTINCT_ROWS, np.random.default_rng(SEED))
    with torch.inference_mode():
        expected = module(torch.from_numpy(rows)).numpy()
    return Workload(network, weights, rows, expected)
