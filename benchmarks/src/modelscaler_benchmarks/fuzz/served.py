"""The model that is served to the fuzzer: every datatype, and an answer that depends on every input. No torch."""

from collections.abc import Sequence

import numpy as np

from modelserver.model import Decoded, Model
from modelserver.tensors import Array, Arrays, InferRequest, Tensor, TensorSpec

COLUMNS = 4
MAX_ROWS = 4


class Mixture(Model):
    """Sums its numbers and repeats its text; each row's answer depends on that row alone."""

    inputs = (
        TensorSpec("x", "FP32", (-1, COLUMNS), minimum=-1e6, maximum=1e6),
        TensorSpec("text", "BYTES", (-1,), optional=True, max_bytes=32),
        TensorSpec("ids", "INT64", (-1, 2), optional=True, minimum=0, maximum=10**15),
        TensorSpec("flags", "BOOL", (-1, 3), optional=True),
        TensorSpec("half", "FP16", (-1, 1), optional=True, finite=False),
    )
    outputs = (
        TensorSpec("sum", "FP32", (-1,)),
        TensorSpec("text", "BYTES", (-1,), optional=True),
        TensorSpec("ids", "INT64", (-1,), optional=True),
        TensorSpec("half", "FP16", (-1, 1), optional=True),
    )
    max_rows = MAX_ROWS

    def variants(self) -> tuple[str, ...]:
        """Return two names for the same network."""
        return ("full", "int8")

    def decode(self, request: InferRequest) -> Decoded:
        """Fill in what the request leaves out; the memo is its text."""
        rows = request.rows
        given = {name: tensor.array for name, tensor in request.inputs.items()}
        text = given.pop("text", None)
        whole: dict[str, Array] = {
            "x": given["x"],
            "ids": given.get("ids", np.zeros((rows, 2), np.int64)),
            "flags": given.get("flags", np.zeros((rows, 3), np.bool_)),
            "half": given.get("half", np.zeros((rows, 1), np.float16)),
        }
        return Decoded(whole, memo=np.full(rows, b"none", dtype=np.object_) if text is None else text)

    def predict(self, batch: Arrays) -> Arrays:
        """Sum numbers and flags, and ids; halves pass."""
        total = batch["x"].sum(axis=1) + batch["flags"].sum(axis=1).astype(np.float32)
        return {"sum": total, "ids": batch["ids"].sum(axis=1), "half": batch["half"]}

    def encode(self, answer: Arrays, memo: object, outputs: Sequence[str]) -> list[Tensor]:
        """Return the outputs; text is the memo."""
        datatypes = {spec.name: spec.datatype for spec in self.outputs}
        arrays = {**answer, "text": memo}
        return [Tensor(name, datatypes[name], arrays[name]) for name in outputs]  # type: ignore[arg-type]

    def example(self) -> InferRequest:
        """Return a row of zeros."""
        return InferRequest({"x": Tensor("x", "FP32", np.zeros((1, COLUMNS), np.float32))}, ("sum",))
