"""Raw binary requests: the body is the tensor, for models whose only input's shape follows from its size."""

import math

import numpy as np

from modelserver.errors import InvalidRequestError
from modelserver.protocol.checks import check_values, checked_shape
from modelserver.protocol.tensors import tensor_from
from modelserver.tensors import DATATYPES, Contract, Tensor, TensorSpec


def raw_input(body: bytes, contract: Contract) -> Tensor:
    """Return the only input of a request whose body is nothing else; BYTES are then one element, without its length.

    Raises:
        InvalidRequestError: When the model's contract does not allow such requests, or this one.
    """
    if len(contract.inputs) != 1:
        raise InvalidRequestError(
            f"Inference-Header-Content-Length: 0, expected the length of a JSON object: "
            f"{contract.name!r} has {len(contract.inputs)} inputs"
        )
    spec = contract.inputs[0]
    shape = checked_shape(_shape(spec, len(body)), spec, contract.max_rows)
    tensor = (
        _element(spec, shape, body) if spec.datatype == "BYTES" else tensor_from(spec.name, spec.datatype, shape, body)
    )
    check_values(tensor.array, spec, exact=False)
    return tensor


def _shape(spec: TensorSpec, size_bytes: int) -> list[int]:
    if spec.datatype == "BYTES":
        return [1] * len(spec.shape)
    if spec.shape.count(-1) > 1:
        raise InvalidRequestError(
            f"Inference-Header-Content-Length: 0, expected the length of a JSON object: "
            f"input {spec.name!r} has shape {list(spec.shape)}, of which more than one dimension is free"
        )
    fixed = math.prod(size for size in spec.shape if size != -1) * DATATYPES[spec.datatype].itemsize
    return [size_bytes // fixed if size == -1 else size for size in spec.shape]


def _element(spec: TensorSpec, shape: tuple[int, ...], body: bytes) -> Tensor:
    array = np.empty(shape, dtype=np.object_)
    array.fill(body)
    return Tensor(spec.name, spec.datatype, array)
