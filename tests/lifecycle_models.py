"""Models that servers in processes of their own open by `python:lifecycle_models:NAME`."""

import time

import numpy as np

from modelserver.model import Model, Network
from modelserver.tensors import Arrays, InferRequest, Tensor, TensorSpec


class Sleepy(Model):
    """Sleeps for the most milliseconds that a batch asks for, and answers with them. Has a second variant, `quick`."""

    inputs = (TensorSpec("ms", "INT64", (-1,), minimum=0, maximum=60_000),)
    outputs = (TensorSpec("ms", "INT64", (-1,)),)

    def variants(self) -> tuple[str, ...]:
        return ("full", "quick")

    def accuracy(self, variant: str) -> float | None:
        return {"full": 0.99, "quick": 0.95}[variant]

    def load(self, variant: str) -> Network:
        return self.predict if variant == "full" else dict

    def predict(self, batch: Arrays) -> Arrays:
        time.sleep(float(batch["ms"].max()) / 1000)
        return dict(batch)

    def example(self) -> InferRequest:
        return InferRequest({"ms": Tensor("ms", "INT64", np.array([0], dtype=np.int64))}, ("ms",))
