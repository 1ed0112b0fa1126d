"""From a trained network to a static int8 ONNX graph."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from modelserver.recipes.quiet import quiet
from modelserver.tensors import Array, Arrays

_LINEAR = ("Gemm", "MatMul", "Conv")
_TABLE_DIMENSIONS = 2


def export_onnx(network: nn.Module, example: Arrays, inputs: Sequence[str], outputs: Sequence[str], path: Path) -> None:
    """Write a network as float32 ONNX whose first dimension is free.

    Args:
        network: In evaluation mode.
        example: A few rows, more than one.
        inputs: Names of its inputs, in the order of `forward`.
        outputs: Names of what it returns.
        path: Where the graph goes.
    """
    rows = torch.export.Dim("rows")
    with quiet():
        program = torch.onnx.export(
            network,
            tuple(torch.from_numpy(example[name]) for name in inputs),
            dynamo=True,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple({0: rows} for _ in inputs),
            verbose=False,
        )
        if program is None:
            raise AssertionError("torch.onnx.export returns a program when dynamo=True")
        program.save(str(path))


class _Calibration(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Feeds calibration batches, one per step."""

    def __init__(self, batches: Iterator[Arrays]) -> None:
        self._batches = batches

    def get_next(self) -> dict[str, Array] | None:
        batch = next(self._batches, None)
        return None if batch is None else dict(batch)


def _nodes_to_quantize(graph: onnx.GraphProto, kept_float: Sequence[str]) -> list[str]:
    """Return the linear layers and convolutions, where the time goes, and the embedding tables, where the bytes are.

    Attention stays float: it multiplies activations by activations, and is small and sensitive. So does a layer with a single
    output: 8 bits would round scores into ties.
    """
    sizes = {weight.name: tuple(weight.dims) for weight in graph.initializer}
    linear = [
        node.name
        for node in graph.node
        if node.op_type in _LINEAR and node.input[1] in sizes and 1 not in sizes[node.input[1]][:_TABLE_DIMENSIONS]
    ]
    tables = [
        node.name
        for node in graph.node
        if node.op_type == "Gather" and len(sizes.get(node.input[0], ())) == _TABLE_DIMENSIONS
    ]
    return [name for name in linear + tables if not any(re.search(pattern, name) for pattern in kept_float)]


def quantize(float_path: Path, int8_path: Path, calibration: Iterator[Arrays], kept_float: Sequence[str] = ()) -> None:
    """Quantize a float32 ONNX graph to static int8 (QDQ, weights per channel and of 7 bits).

    Static ranges make a row's answer independent of its neighbours in the batch, which dynamic ranges per tensor do not.

    Args:
        float_path: The graph that `export_onnx` wrote.
        int8_path: Where the result goes.
        calibration: Batches that activation ranges are found on.
        kept_float: Patterns of node names to leave alone.
    """
    prepared = float_path.with_suffix(".prepared.onnx")
    with quiet():
        quant_pre_process(str(float_path), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(int8_path),
            _Calibration(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # Without VNNI, products of 8-bit numbers are added up in pairs in 16 bits, which overflow (ONNX Runtime's
            # documentation, "Quantize ONNX models"). 7-bit weights do not, whichever processor serves what another built.
            reduce_range=True,
            # What follows computes in float: the product's own sums are nearer to it than their 8-bit rounding, and cost less.
            extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
            nodes_to_quantize=_nodes_to_quantize(onnx.load(str(prepared)).graph, kept_float),
        )
    prepared.unlink()
    onnx.checker.check_model(str(int8_path))
