"""Tensors as the Open Inference Protocol v2 has them, and the contract that a model states about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = Mapping[str, Array]
"""Named arrays whose first dimensions agree."""

DATATYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}
"""Protocol's name of an element type -> ours. BYTES elements are `bytes`; text is UTF-8."""


@dataclass(frozen=True)
class TensorSpec:
    """What a model takes or gives under one name.

    Attributes:
        name: Name of the tensor.
        datatype: One of DATATYPES.
        shape: Size of each dimension; -1 is free. The first counts rows.
        optional: Whether a request may leave it out; an optional output comes only when asked for.
        minimum: Least value of an element; None for no bound.
        maximum: Greatest value of an element; None for no bound.
        max_bytes: Longest element of BYTES; None for no bound but the body's.
        max_length: Largest size of a free dimension other than the first; None for no bound but the body's.
        finite: Whether NaN and infinity are refused.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False
    minimum: float | None = None
    maximum: float | None = None
    max_bytes: int | None = None
    max_length: int | None = None
    finite: bool = True


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor of a request or an answer.

    Attributes:
        name: Its name.
        datatype: One of DATATYPES.
        array: The elements, C-contiguous, of the datatype's dtype.
    """

    name: str
    datatype: str
    array: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the size of each dimension."""
        return self.array.shape


@dataclass(frozen=True)
class Contract:
    """What requests to a model look like.

    Attributes:
        name: Of the model, as in the paths.
        content_version: Digest of what the model was built from; part of the cache's key.
        preprocessing_version: Digest of what `decode` depends on besides the request; part of the cache's key.
        inputs: What a request carries.
        outputs: What an answer carries.
        max_rows: Most rows of one request.
    """

    name: str
    content_version: str
    preprocessing_version: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_rows: int = 64


@dataclass(frozen=True)
class InferRequest:
    """A request whose names, types, shapes and bounds agree with the model's contract.

    Attributes:
        inputs: By name.
        outputs: Names of the outputs to return; never empty (the contract's non-optional ones when the client named none).
    """

    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Return how many rows it asks for: the first dimension of its first input."""
        return int(next(iter(self.inputs.values())).array.shape[0])


@dataclass(frozen=True)
class RequestOptions:
    """What a client says about a request besides its tensors.

    Attributes:
        identifier: Returned with the answer; None when not given.
        priority: 0 is served first.
        timeout_seconds: From arrival until the answer is worthless; None for never.
        variant: The only variant that may answer; None for whichever the reflex takes.
        binary_outputs: Outputs to return as binary tensor data; None for all of them.
    """

    identifier: str | None = None
    priority: int = 0
    timeout_seconds: float | None = None
    variant: str | None = None
    binary_outputs: frozenset[str] | None = field(default=frozenset())
