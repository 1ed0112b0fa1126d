"""A model's answer to a body: JSON, or JSON followed by binary tensor data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from modelserver.errors import InferenceFailedError, InvalidRequestError
from modelserver.protocol.shown import shown
from modelserver.protocol.tensors import tensor_bytes
from modelserver.tensors import DATATYPES, RequestOptions, Tensor

_ASK_BINARY = "ask for it as binary data (parameter binary_data)"


@dataclass(frozen=True, slots=True)
class Answer:
    """A body.

    Attributes:
        body: The bytes.
        header_length: Value of the header Inference-Header-Content-Length; None for JSON alone, without the header.
    """

    body: bytes
    header_length: int | None

    @property
    def content_type(self) -> str:
        """Return the value of the header Content-Type."""
        return "application/json" if self.header_length is None else "application/octet-stream"


def encode_answer(
    contract_name: str,
    variant: str,
    identifier: str | None,
    outputs: Sequence[Tensor],
    options: RequestOptions,
    degraded: bool,
) -> Answer:
    """Return an answer's body.

    Args:
        contract_name: Name of the model.
        variant: Which made the answer: its `model_version`.
        identifier: Of the request; None when it has none.
        outputs: The answer.
        options: Of the request; say which outputs are binary.
        degraded: Whether the variant is not the ladder's first.

    Raises:
        InferenceFailedError: When an array is not of its output's datatype, or is to be JSON and holds NaN or infinity,
            which JSON has not: writing null would change the answer silently.
        InvalidRequestError: When BYTES that are not UTF-8 were asked for as JSON.
    """
    content: dict[str, Any] = {"model_name": contract_name, "model_version": variant}
    if identifier is not None:
        content["id"] = identifier
    content["parameters"] = {"degraded": degraded}
    binary = options.binary_outputs
    if binary is not None and not binary:
        content["outputs"] = [_as_json(tensor) for tensor in outputs]
        return Answer(_dumped(content, outputs), None)
    pieces: list[bytes | memoryview] = []
    content["outputs"] = [
        _as_binary(tensor, pieces) if binary is None or tensor.name in binary else _as_json(tensor)
        for tensor in outputs
    ]
    header = _dumped(content, [tensor for tensor in outputs if binary is not None and tensor.name not in binary])
    return Answer(b"".join((header, *pieces)), len(header))


def _as_binary(tensor: Tensor, pieces: list[bytes | memoryview]) -> dict[str, Any]:
    piece = tensor_bytes(tensor)
    pieces.append(piece)
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": tensor.array.shape,
        "parameters": {"binary_data_size": len(piece)},
    }


def _as_json(tensor: Tensor) -> dict[str, Any]:
    array = tensor.array
    if array.dtype != DATATYPES[tensor.datatype]:
        raise InferenceFailedError(f"output {tensor.name!r}: {array.dtype}, expected that of {tensor.datatype}")
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": array.shape,
        "data": _texts(tensor) if tensor.datatype == "BYTES" else array.reshape(-1),
    }


def _texts(tensor: Tensor) -> list[str]:
    texts = []
    for element in tensor.array.reshape(-1).tolist():
        if type(element) is not bytes:
            raise InferenceFailedError(f"output {tensor.name!r}: element {shown(element)}, expected bytes for BYTES")
        try:
            texts.append(element.decode())
        except UnicodeDecodeError as error:
            raise InvalidRequestError(
                f"output {tensor.name!r}: {shown(element)} is not UTF-8, which JSON needs; {_ASK_BINARY}"
            ) from error
    return texts


def _dumped(content: dict[str, Any], in_json: Sequence[Tensor]) -> bytes:
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    if b"null" in body:
        _check_finite(in_json)
    return body


def _check_finite(in_json: Sequence[Tensor]) -> None:
    for tensor in in_json:
        if tensor.array.dtype.kind != "f" or np.isfinite(tensor.array).all():
            continue
        raise InferenceFailedError(
            f"output {tensor.name!r}: the model answered NaN or infinity, which JSON has not; {_ASK_BINARY}"
        )
