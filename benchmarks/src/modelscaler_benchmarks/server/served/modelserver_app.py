"""Our service: what a user writes to bring a network of their own, with the bounds that every request is checked against."""

import os

import numpy as np

from modelserver.model import Context, Model
from modelserver.tensors import Array, Arrays, InferRequest, Tensor, TensorSpec

FEATURES, CLASSES, SEQUENCE, VOCABULARY, WIDTH = 256, 10, 32, 1000, 128


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
    inputs = (TensorSpec("input", "INT64", (-1, SEQUENCE), minimum=0, maximum=VOCABULARY - 1),)
    outputs = (TensorSpec("output", "FP32", (-1, WIDTH)),)

    def example(self) -> InferRequest:
        """Return a row of the first token."""
        return self._example(np.zeros((1, SEQUENCE), dtype=np.int64))
