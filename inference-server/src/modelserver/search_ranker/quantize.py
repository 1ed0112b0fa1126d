"""From the trained network to a static int8 ONNX graph."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from modelserver.search_ranker.features import KIND_COUNT, SEQUENCE_LENGTH, Pairs
from modelserver.search_ranker.network import CrossEncoder


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes on packages that are not installed, and on axis names, out of the build's report."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(before)


def export_onnx(network: CrossEncoder, path: Path) -> None:
    """Write the network as float32 ONNX with a free number of pairs."""
    tokens = torch.ones(4, SEQUENCE_LENGTH, dtype=torch.int64)
    kinds = tokens.remainder(KIND_COUNT)
    pairs = torch.export.Dim("pairs")
    with _quiet():
        program = torch.onnx.export(
            network,
            (tokens, kinds),
            dynamo=True,
            input_names=["tokens", "kinds"],
            output_names=["scores"],
            dynamic_shapes=({0: pairs}, {0: pairs}),
            verbose=False,
        )
        if program is None:
            raise AssertionError("torch.onnx.export returns a program when dynamo=True")
        program.save(str(path))


class _CalibrationPairs(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Feeds calibration searches, one per step."""

    def __init__(self, batches: Iterator[Pairs]) -> None:
        self._batches = batches

    def get_next(self) -> dict[str, NDArray[np.int64]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"tokens": batch.tokens, "kinds": batch.kinds}


def _nodes_to_quantize(graph: onnx.GraphProto) -> list[str]:
    """Return the hidden linear layers, four fifths of the time, and the embedding tables, two thirds of the size.

    Attention stays float: it is small here and sensitive. So does the last layer: 8 bits would round scores into ties.
    """
    sizes = {weight.name: tuple(weight.dims) for weight in graph.initializer}
    linear = [node.name for node in graph.node if node.op_type == "Gemm" and 1 not in sizes[node.input[1]]]
    tables = [node.name for node in graph.node if node.op_type == "Gather" and len(sizes.get(node.input[0], ())) == 2]
    return linear + tables


def quantize(float_path: Path, int8_path: Path, calibration: Iterator[Pairs]) -> None:
    """Quantize a float32 ONNX graph to static int8 (QDQ, weights per channel).

    Static ranges make a row's answer independent of its neighbours in the batch, which dynamic ranges per tensor do not.

    Args:
        float_path: The graph that `export_onnx` wrote.
        int8_path: Where the result goes.
        calibration: Pairs that activation ranges are found on.
    """
    prepared = float_path.with_suffix(".prepared.onnx")
    with _quiet():
        quant_pre_process(str(float_path), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(int8_path),
            _CalibrationPairs(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=_nodes_to_quantize(onnx.load(str(prepared)).graph),
        )
    prepared.unlink()
    onnx.checker.check_model(str(int8_path))
