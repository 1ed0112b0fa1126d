"""Tensors as the Open Inference Protocol v2 has them, and the contract a model states about them."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

Data: TypeAlias = list[Any]
"""Elements of a tensor, flat, row-major: str for BYTES, int for INT64, float for FP32."""


@dataclass(frozen=True)
class TensorSpec:
    """What a model takes or gives under one name.

    Attributes:
        name: Name of the tensor.
        datatype: BYTES, INT64 or FP32.
        shape: Size of each dimension; -1 is free.
        optional: Whether a request may leave it out.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True)
class Tensor:
    """A named tensor of a request or an answer."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Data


@dataclass(frozen=True)
class InferRequest:
    """A request whose names, types and shapes agree with the model's contract.

    Attributes:
        identifier: Given by the client, returned with the answer; None when not given.
        inputs: By name.
        outputs: Names of the outputs asked for; empty for the model's default.
    """

    identifier: str | None
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...] = field(default=())
