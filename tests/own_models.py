"""Models as a user would bring them."""

import numpy as np

from modelserver.model import Model
from modelserver.tensors import Arrays, InferRequest, Tensor, TensorSpec


class AddOne(Model):
    """Adds one."""

    inputs = (TensorSpec("x", "FP32", (-1, 4)),)
    outputs = (TensorSpec("y", "FP32", (-1, 4)),)
    preprocessing_version = "1"

    def predict(self, batch: Arrays) -> Arrays:
        return {"y": batch["x"] + 1}

    def example(self) -> InferRequest:
        return InferRequest({"x": Tensor("x", "FP32", np.zeros((1, 4), np.float32))}, ("y",))


class NeedsArguments(AddOne):
    """Cannot be made without knowing more."""

    def __init__(self, secret: str) -> None:
        self.secret = secret


class Lengths(Model):
    """Measures texts, as many per row as come."""

    inputs = (TensorSpec("text", "BYTES", (-1, -1)),)
    outputs = (TensorSpec("text", "BYTES", (-1, -1)), TensorSpec("bytes", "INT64", (-1, -1)))

    def predict(self, batch: Arrays) -> Arrays:
        measured = [[len(text) for text in row] for row in batch["text"]]
        return {"text": batch["text"], "bytes": np.array(measured, dtype=np.int64)}

    def example(self) -> InferRequest:
        return InferRequest({"text": Tensor("text", "BYTES", np.array([[b"a"]], dtype=np.object_))}, ("text", "bytes"))
