"""Open Inference Protocol v2, JSON: bytes to a checked request, tensors to bytes."""

import json
from collections.abc import Sequence
from typing import Any

from modelserver.errors import InvalidRequestError
from modelserver.tensors import Data, InferRequest, Tensor, TensorSpec

_INT64 = range(-(2**63), 2**63)
_MAX_SHOWN = 60
"""Characters of a client's value that an error message repeats."""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."


def _refuse_constant(name: str) -> None:
    raise InvalidRequestError(f"body: {name}, expected JSON, which has no such number")


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"body: expected a JSON object, {error}") from error
    if not isinstance(content, dict):
        raise InvalidRequestError(f"body: {_shown(content)}, expected a JSON object")
    return content


def _flatten(data: object, shape: Sequence[int], name: str) -> Data:
    """Return the elements row-major; nested lists must nest as `shape` says."""
    if not isinstance(data, list):
        raise InvalidRequestError(f"input {name!r}: data {_shown(data)}, expected a list")
    if len(shape) < 2 or not (data and isinstance(data[0], list)):
        return data
    if len(data) != shape[0]:
        raise InvalidRequestError(f"input {name!r}: {len(data)} rows of data, expected {shape[0]} by its shape")
    flat: Data = []
    for row in data:
        elements = _flatten(row, shape[1:], name)
        if len(elements) != _size(shape[1:]):
            raise InvalidRequestError(
                f"input {name!r}: a row of {len(elements)}, expected {_size(shape[1:])} by its shape"
            )
        flat += elements
    return flat


def _size(shape: Sequence[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _shape(given: object, spec: TensorSpec) -> tuple[int, ...]:
    expected = f"expected {list(spec.shape)} (-1 is free)"
    if not isinstance(given, list) or len(given) != len(spec.shape):
        raise InvalidRequestError(f"input {spec.name!r}: shape {_shown(given)}, {expected}")
    for length, wanted in zip(given, spec.shape, strict=True):
        if type(length) is not int or length < 0 or wanted not in (-1, length):
            raise InvalidRequestError(f"input {spec.name!r}: shape {_shown(given)}, {expected}")
    return tuple(given)


def _check_elements(data: Data, spec: TensorSpec) -> None:
    if spec.datatype == "BYTES":
        bad = next((value for value in data if type(value) is not str), None)
        expected = "strings"
    else:
        bad = next((value for value in data if type(value) is not int or value not in _INT64), None)
        expected = "whole numbers of 64 bits"
    if bad is not None:
        raise InvalidRequestError(f"input {spec.name!r}: element {_shown(bad)}, expected {expected}")


def _tensor(given: dict[str, Any], spec: TensorSpec) -> Tensor:
    if given.get("datatype") != spec.datatype:
        raise InvalidRequestError(
            f"input {spec.name!r}: datatype {_shown(given.get('datatype'))}, expected {spec.datatype!r}"
        )
    shape = _shape(given.get("shape"), spec)
    data = _flatten(given.get("data"), shape, spec.name)
    if len(data) != _size(shape):
        raise InvalidRequestError(f"input {spec.name!r}: {len(data)} elements, expected {_size(shape)} by its shape")
    if any(value is None for value in data):
        raise InvalidRequestError(f"input {spec.name!r}: element null, expected values of {spec.datatype}")
    _check_elements(data, spec)
    return Tensor(spec.name, spec.datatype, shape, data)


def _named_list(content: dict[str, Any], field: str) -> list[dict[str, Any]]:
    """Return the list of named objects in `field`; empty when it is absent."""
    given = content.get(field, [])
    if not isinstance(given, list) or not all(
        isinstance(part, dict) and type(part.get("name")) is str for part in given
    ):
        raise InvalidRequestError(f"{field}: {_shown(given)}, expected a list of objects with a name")
    names = [part["name"] for part in given]
    if len(set(names)) != len(names):
        raise InvalidRequestError(f"{field}: {_shown(names)}, expected each name once")
    return given


def _check_names(given: Sequence[str], field: str, known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise InvalidRequestError(f"{field}: {_shown(name)}, expected one of {', '.join(known)}")


def decode_request(body: bytes, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> InferRequest:
    """Return the request in `body`, checked against the model's contract.

    Raises:
        InvalidRequestError: Naming the field, its value and what was expected.
    """
    content = _object(body)
    identifier = content.get("id")
    if identifier is not None and type(identifier) is not str:
        raise InvalidRequestError(f"id: {_shown(identifier)}, expected a string")
    given = {part["name"]: part for part in _named_list(content, "inputs")}
    _check_names(list(given), "inputs", [spec.name for spec in inputs])
    missing = [spec.name for spec in inputs if not spec.optional and spec.name not in given]
    if missing:
        raise InvalidRequestError(f"inputs: {_shown(list(given))}, expected also {', '.join(missing)}")
    asked = tuple(part["name"] for part in _named_list(content, "outputs"))
    _check_names(asked, "outputs", [spec.name for spec in outputs])
    tensors = {spec.name: _tensor(given[spec.name], spec) for spec in inputs if spec.name in given}
    return InferRequest(identifier, tensors, asked)


def encode_answer(model_name: str, variant: str, identifier: str | None, outputs: Sequence[Tensor]) -> bytes:
    """Return the answer's body; `model_version` names the variant that made it."""
    content: dict[str, Any] = {"model_name": model_name, "model_version": variant}
    if identifier is not None:
        content["id"] = identifier
    content["outputs"] = [vars(tensor) for tensor in outputs]
    return json.dumps(content, separators=(",", ":")).encode()


def encode_error(message: str) -> bytes:
    """Return the body of an error."""
    return json.dumps({"error": message}).encode()
