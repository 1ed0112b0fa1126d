from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from modelserver.recipes.onnx_int8 import export_onnx, quantize
from modelserver.runtimes.onnx_graph import load_onnx
from modelserver.tensors import Arrays

WIDTH = 64
INT7 = 64
"""Two products of a 7-bit weight and an 8-bit activation are at most 2 * 64 * 255, which 16 bits hold."""


def all_at_once(rows: int) -> Arrays:
    """Return rows whose every feature is at the edge of its range, where sums of products are largest."""
    signs = np.where(np.arange(rows) % 2, 1.0, -1.0)[:, None]
    return {"features": np.repeat(signs, WIDTH, axis=1).astype(np.float32)}


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """Return a layer whose weights are all as large as each other: their products add up without cancelling."""
    linear = nn.Linear(WIDTH, WIDTH)
    nn.init.constant_(linear.weight, 0.5)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear, nn.Tanhshrink()).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def graph(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("int8")
    export_onnx(network, all_at_once(4), ("features",), ("scores",), folder / "float.onnx")
    quantize(folder / "float.onnx", folder / "int8.onnx", iter([all_at_once(8)]))
    return folder / "int8.onnx"


def test_weights_take_7_bits_when_quantized_for_any_processor(graph: Path) -> None:
    tensors = [numpy_helper.to_array(each) for each in onnx.load(graph).graph.initializer]
    (weights,) = (each for each in tensors if each.dtype == np.int8 and each.ndim == 2)
    assert 0 < np.abs(weights.astype(np.int64)).max() <= INT7


def test_answers_are_those_of_float_when_products_add_up(graph: Path, network: nn.Module) -> None:
    batch = all_at_once(6)
    expected = network(torch.from_numpy(batch["features"])).numpy()
    np.testing.assert_allclose(load_onnx(graph, "cpu")(batch)["scores"], expected, rtol=0.02)


def test_sums_stay_unrounded_when_what_follows_computes_in_float(graph: Path) -> None:
    nodes = onnx.load(graph).graph.node
    (product,) = (node for node in nodes if node.op_type in ("Gemm", "MatMul"))
    followers = {node.op_type for node in nodes if product.output[0] in node.input}
    assert followers
    assert "QuantizeLinear" not in followers
