"""The encoder in static int8 for ONNX Runtime, and whether it is as good as it must be before anyone serves it."""

import logging
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelscaler_benchmarks.machine import measured_machine
from modelscaler_benchmarks.server.measuring import MIN_COSINE, cosine
from modelscaler_benchmarks.server.payloads import Row
from modelscaler_benchmarks.server.served.networks import MAX_BATCH
from modelscaler_benchmarks.server.workloads import SEED, Workload, rows_of

CALIBRATION_ROWS = 256
MAX_BATCH_DIFFERENCE = 1e-4
"""Relative: how much a row's answer may depend on the rows that it is computed with."""


class ParityError(Exception):
    """A quantized network that answers something else."""


@dataclass(frozen=True)
class Parity:
    """How well the quantized network agrees.

    Attributes:
        least_cosine: Of any row with fp32.
        batch_difference: Largest relative difference of a row alone from the same row in a batch of 32.
    """

    least_cosine: float
    batch_difference: float


class _Calibration:
    def __init__(self, rows: Row) -> None:
        self._batches = iter(np.split(rows, len(rows) // MAX_BATCH))

    def get_next(self) -> dict[str, Row] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"input": batch}


def build(workload: Workload, path: Path, max_batch_difference: float = MAX_BATCH_DIFFERENCE) -> Parity:
    """Write the quantized encoder and measure its parity.

    Args:
        workload: The network in full precision.
        path: Of the graph.
        max_batch_difference: Relative: how much a row's answer may depend on its neighbours.

    Raises:
        ParityError: When it does not agree with fp32, or a row's answer depends on its neighbours.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        exported, prepared = Path(folder) / "fp32.onnx", Path(folder) / "prepared.onnx"
        _export(workload, exported)
        _quantize(workload.network, exported, prepared, path)
    parity = _parity(workload, path)
    if parity.least_cosine < MIN_COSINE or parity.batch_difference > max_batch_difference:
        raise ParityError(
            f"static int8 of {workload.network}: {parity}, expected cosine >= {MIN_COSINE}, batch <= {max_batch_difference}"
        )
    return parity


def _export(workload: Workload, path: Path) -> None:
    import torch  # noqa: PLC0415 - seconds to import

    from modelscaler_benchmarks.server.onnx_encoder import OPSET, load_flat_encoder  # noqa: PLC0415 - as above

    for name in (
        "torch.onnx",
        "onnxscript",
    ):  # they miss torchvision, and tell what they do not fold; neither matters here
        logging.getLogger(name).setLevel(logging.ERROR)
    module = load_flat_encoder(workload.network, str(workload.weights))
    rows = torch.from_numpy(workload.rows[:2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        torch.onnx.export(
            module,
            (rows,),
            path,
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=["input"],
            output_names=["output"],
            dynamic_shapes=({0: torch.export.Dim("rows")},),
            opset_version=OPSET,
        )


def _quantize(network: str, exported: Path, prepared: Path, path: Path) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static, shape_inference  # noqa: PLC0415 - as above

    # Symbolic inference takes ONNX's Attention for Microsoft's older operator of that name, and fails.
    shape_inference.quant_pre_process(exported, prepared, skip_symbolic_shape=True)
    rows = rows_of(network, CALIBRATION_ROWS, np.random.default_rng(SEED + 1))
    quantize_static(
        prepared,
        path,
        _Calibration(rows),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        # Without VNNI products of 8-bit numbers are added up in 16 bits, which overflow: weights then get 7 bits
        # (ONNX Runtime's documentation, "Quantize ONNX models", U8S8 on AVX2 and AVX512).
        reduce_range=not has_vnni(),
        op_types_to_quantize=["MatMul", "Gemm"],
        # What follows computes in float: the product's own sums are nearer to it than their 8-bit rounding, and cost less.
        extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]},
        nodes_to_exclude=_products_of_activations(prepared),
    )


def has_vnni() -> bool:
    """Return whether the processor adds up products of 8-bit numbers in 32 bits."""
    return bool({"avx512_vnni", "avx_vnni"} & set(measured_machine(()).instructions))


def _products_of_activations(path: Path) -> list[str]:
    """Return attention's products, which are small: quantizing both sides costs more than it gains."""
    import onnx  # noqa: PLC0415 - seconds to import

    graph = onnx.load(path).graph
    constants = {each.name for each in graph.initializer}
    return [node.name for node in graph.node if node.op_type == "MatMul" and not constants & set(node.input)]


def _parity(workload: Workload, path: Path) -> Parity:
    import onnxruntime  # noqa: PLC0415 - as above

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    batch = session.run(["output"], {"input": workload.rows[:MAX_BATCH]})[0]
    alone = np.concatenate([session.run(["output"], {"input": workload.rows[n : n + 1]})[0] for n in range(MAX_BATCH)])
    cosines = [cosine(row, expected) for row, expected in zip(batch, workload.expected[:MAX_BATCH], strict=True)]
    return Parity(min(cosines), float(np.abs(batch - alone).max() / np.abs(alone).max()))
