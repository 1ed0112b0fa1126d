"""A model of one's own, in ten lines."""

import numpy as np

from modelserver.model import Model
from modelserver.tensors import Arrays, InferRequest, Tensor, TensorSpec


class Doubler(Model):
    """Doubles numbers."""

    inputs = (TensorSpec("x", "FP32", (-1, 4)),)
    outputs = (TensorSpec("y", "FP32", (-1, 4)),)

    def predict(self, batch: Arrays) -> Arrays:
        """Answer the rows of several requests at once."""
        return {"y": 2 * batch["x"]}

    def example(self) -> InferRequest:
        """Return a request of one row, for warm-up."""
        return InferRequest({"x": Tensor("x", "FP32", np.ones((1, 4), np.float32))}, ("y",))
