"""Tensors as bytes, in v2's binary representation: little-endian, C order; each element of BYTES after its 4-byte length."""

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from modelserver.errors import InferenceFailedError, InvalidRequestError
from modelserver.protocol.shown import shown
from modelserver.tensors import DATATYPES, Array, Tensor

_LENGTH = struct.Struct("<I")
_WIRE: dict[str, np.dtype[Any]] = {name: dtype.newbyteorder("<") for name, dtype in DATATYPES.items()}


def tensor_bytes(tensor: Tensor) -> bytes | memoryview:
    """Return a tensor's elements as bytes; a view of the tensor where that is possible.

    Raises:
        InferenceFailedError: When the array is not of the tensor's datatype. Only a model's own answer can be so.
    """
    array = tensor.array
    dtype = _WIRE[tensor.datatype]
    if array.dtype != dtype:
        raise InferenceFailedError(f"tensor {tensor.name!r}: {array.dtype}, expected {dtype} for {tensor.datatype}")
    if tensor.datatype == "BYTES":
        return _prefixed(tensor.name, array)
    if array.size == 0 or array.ndim == 0:
        return array.tobytes()
    return np.ascontiguousarray(array).data.cast("B")


def _prefixed(name: str, array: Array) -> bytes:
    parts: list[bytes] = []
    for element in array.reshape(-1).tolist():
        if type(element) is not bytes:
            raise InferenceFailedError(f"tensor {name!r}: element {shown(element)}, expected bytes for BYTES")
        parts.append(_LENGTH.pack(len(element)))
        parts.append(element)
    return b"".join(parts)


def tensor_from(name: str, datatype: str, shape: Sequence[int], buffer: bytes | memoryview) -> Tensor:
    """Return the tensor whose elements are in `buffer`; its array is a read-only view of it where that is possible.

    Args:
        name: Its name.
        datatype: One of DATATYPES.
        shape: Size of each dimension, 0 or more; need not be true.
        buffer: The elements, and nothing else.

    Raises:
        InvalidRequestError: When the buffer is longer or shorter than the shape says.
    """
    count = math.prod(shape)
    if datatype == "BYTES":
        return Tensor(name, datatype, _shaped(name, _elements(name, count, buffer), shape))
    dtype = _WIRE[datatype]
    if len(buffer) != count * dtype.itemsize:
        raise InvalidRequestError(
            f"tensor {name!r}: {len(buffer)} bytes, expected {shown(count * dtype.itemsize)} by its shape"
        )
    array: Array = np.frombuffer(buffer, dtype=dtype)
    if datatype == "BOOL" and array.view(np.uint8).max(initial=0) > 1:
        raise InvalidRequestError(f"tensor {name!r}: a byte of {array.view(np.uint8).max()}, expected 0 or 1 for BOOL")
    if not array.flags.aligned:
        array = array.copy()
    return Tensor(name, datatype, _shaped(name, array, shape))


def _shaped(name: str, array: Array, shape: Sequence[int]) -> Array:
    try:
        return array.reshape(shape)
    except (ValueError, OverflowError) as error:  # no elements, and a dimension that numpy has no number for
        raise InvalidRequestError(
            f"tensor {name!r}: shape {shown(shape)}, expected one that memory can hold"
        ) from error


def _elements(name: str, count: int, buffer: bytes | memoryview) -> Array:
    """Split the buffer; it bounds what is allocated, whatever `count` claims."""
    expected = f"expected {shown(count)} elements by its shape, each after its 4-byte length"
    total = len(buffer)
    if count * _LENGTH.size > total:
        raise InvalidRequestError(f"tensor {name!r}: {total} bytes, {expected}")
    elements = np.empty(count, dtype=np.object_)
    position = 0
    for index in range(count):
        start = position + _LENGTH.size
        position = start + _LENGTH.unpack_from(buffer, position)[0] if start <= total else total + 1
        if position > total:
            raise InvalidRequestError(f"tensor {name!r}: {total} bytes end within element {index}, {expected}")
        elements[index] = bytes(buffer[start:position])
    if position != total:
        raise InvalidRequestError(f"tensor {name!r}: {total - position} bytes are left over, {expected}")
    return elements
