"""ONNX graphs, by ONNX Runtime: on the CPU, or by its CUDA provider where that is installed."""

from pathlib import Path

import onnxruntime

from modelserver.errors import LoadError
from modelserver.model import Network
from modelserver.tensors import Arrays, TensorSpec

_DATATYPES: dict[str, str] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
}
"""What ONNX Runtime calls an element type -> what the protocol calls it."""


def _providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    if device == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise LoadError(
            f"device {device!r}: this ONNX Runtime has {', '.join(onnxruntime.get_available_providers())}; "
            "expected CUDAExecutionProvider (package onnxruntime-gpu), or serve this variant with --device cpu"
        )
    return [("CUDAExecutionProvider", {"device_id": device.partition(":")[2] or "0"}), "CPUExecutionProvider"]


def open_session(graph: Path, device: str = "cpu") -> onnxruntime.InferenceSession:
    """Return a session that computes in the caller's thread alone.

    Raises:
        LoadError: When ONNX Runtime refuses the graph or has no such device.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    providers = _providers(device)
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors share no base class but this
        raise LoadError(f"{graph}: ONNX Runtime cannot load it: {error}") from error


def network_of(session: onnxruntime.InferenceSession) -> Network:
    """Return a session as a network; it takes the inputs it knows and ignores others."""
    inputs = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]

    def network(batch: Arrays) -> Arrays:
        answers = session.run(outputs, {name: batch[name] for name in inputs})
        return dict(zip(outputs, answers, strict=True))

    return network


def load_onnx(graph: Path, device: str) -> Network:
    """Load a graph, which knows its own sizes and names.

    Raises:
        LoadError: When ONNX Runtime refuses it or has no such device.
    """
    return network_of(open_session(graph, device))


def _spec(value: onnxruntime.NodeArg, graph: Path) -> TensorSpec:
    if value.type not in _DATATYPES:
        raise LoadError(f"{graph}: {value.name!r} is a {value.type}, expected one of {', '.join(_DATATYPES)}")
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    if not shape or shape[0] != -1:
        raise LoadError(
            f"{graph}: {value.name!r} has shape {list(value.shape)}, expected a free first dimension, which counts rows; "
            "export it with dynamic_shapes"
        )
    return TensorSpec(value.name, _DATATYPES[value.type], shape)


def graph_specs(
    session: onnxruntime.InferenceSession, graph: Path
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return a graph's inputs and outputs as a contract has them.

    Raises:
        LoadError: When one is not a tensor of a type that the protocol has, or its first dimension is fixed.
    """
    inputs = tuple(_spec(value, graph) for value in session.get_inputs())
    return inputs, tuple(_spec(value, graph) for value in session.get_outputs())
