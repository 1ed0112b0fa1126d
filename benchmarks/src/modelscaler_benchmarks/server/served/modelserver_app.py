"""Our service: what a user writes to bring a network of their own, with the bounds that every request is checked against."""

import os

import numpy as np

from modelscaler_benchmarks.server.served.shapes import CLASSES, ENCODERS, FEATURES, EncoderShape
from modelserver.errors import LoadError
from modelserver.model import Context, Model, Network
from modelserver.tensors import Array, Arrays, InferRequest, Tensor, TensorSpec

HALF = "half"


def _tokens(shape: EncoderShape) -> TensorSpec:
    return TensorSpec("input", "INT64", (-1, shape.sequence), minimum=0, maximum=shape.vocabulary - 1)


class _Served(Model):
    name = ""

    def setup(self, context: Context) -> None:  # noqa: ARG002 - on the CPU alone, as the others
        from modelscaler_benchmarks.server.served.networks import load_network  # noqa: PLC0415 - the front has no torch

        self.network = load_network(self.name, os.environ["BENCHMARK_WEIGHTS"])

    def predict(self, batch: Arrays) -> Arrays:
        import torch  # noqa: PLC0415 - the front has no torch

        with torch.inference_mode():
            return {"output": self.network(torch.from_numpy(batch["input"])).numpy()}

    def _example(self, row: Array) -> InferRequest:
        return InferRequest({"input": Tensor("input", self.inputs[0].datatype, row)}, ("output",))


class Perceptron(_Served):
    """The small network."""

    name = "mlp"
    inputs = (TensorSpec("input", "FP32", (-1, FEATURES)),)
    outputs = (TensorSpec("output", "FP32", (-1, CLASSES)),)

    def example(self) -> InferRequest:
        """Return a row of zeros."""
        return self._example(np.zeros((1, FEATURES), dtype=np.float32))


class Encoder(_Served):
    """The text encoder."""

    name = "encoder"
    shape = ENCODERS["encoder"]
    inputs = (_tokens(shape),)
    outputs = (TensorSpec("output", "FP32", (-1, shape.width)),)

    def example(self) -> InferRequest:
        """Return a row of the first token."""
        return self._example(np.zeros((1, self.shape.sequence), dtype=np.int64))


class MediumEncoder(Encoder):
    """The one between."""

    name = "medium-encoder"
    shape = ENCODERS[name]
    inputs = (_tokens(shape),)
    outputs = (TensorSpec("output", "FP32", (-1, shape.width)),)


class LargeEncoder(Encoder):
    """The larger one, on the device that the server names, in full precision or half."""

    name = "large-encoder"
    shape = ENCODERS[name]
    inputs = (_tokens(shape),)
    outputs = (TensorSpec("output", "FP32", (-1, shape.width)),)
    device = "cpu"

    def setup(self, context: Context) -> None:
        """Remember the device."""
        self.device = context.device

    def variants(self) -> tuple[str, ...]:
        """Return full precision and half."""
        return "full", HALF

    def load(self, variant: str) -> Network:
        """Return the network on its device; see `Model.load`."""
        if variant not in self.variants():
            raise LoadError(f"variant {variant!r}: expected one of {', '.join(self.variants())}")
        import torch  # noqa: PLC0415 - the front has no torch

        from modelscaler_benchmarks.server.served.networks import load_network  # noqa: PLC0415 - as above
        from modelserver.runtimes.torch_module import TorchNetwork  # noqa: PLC0415 - as above

        device, dtype = torch.device(self.device), torch.bfloat16 if variant == HALF else torch.float32
        module = load_network(self.name, os.environ["BENCHMARK_WEIGHTS"]).to(device, dtype)
        return TorchNetwork(module, ("input",), ("output",), device, dtype)
