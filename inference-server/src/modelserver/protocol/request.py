"""A request's body to a checked request: JSON, or JSON followed by binary tensor data."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from modelserver.errors import InvalidRequestError
from modelserver.protocol.checks import check_rows, check_values, checked_shape
from modelserver.protocol.elements import array_from_elements
from modelserver.protocol.options import decode_options, parameters_of, whole_number
from modelserver.protocol.raw import raw_input
from modelserver.protocol.shown import shown
from modelserver.protocol.tensors import tensor_from
from modelserver.tensors import Contract, InferRequest, RequestOptions, Tensor, TensorSpec

_MAX_HEADER_DIGITS = 12


@dataclass(frozen=True, slots=True)
class _Names:
    """A contract by names, prepared once."""

    inputs: dict[str, TensorSpec]
    outputs: tuple[str, ...]
    required: frozenset[str]
    default_outputs: tuple[str, ...]


@lru_cache(maxsize=64)
def _names_of(contract: Contract) -> _Names:
    return _Names(
        inputs={spec.name: spec for spec in contract.inputs},
        outputs=tuple(spec.name for spec in contract.outputs),
        required=frozenset(spec.name for spec in contract.inputs if not spec.optional),
        default_outputs=tuple(spec.name for spec in contract.outputs if not spec.optional),
    )


def header_length_from(value: str | None) -> int | None:
    """Read the header Inference-Header-Content-Length.

    Args:
        value: Of the header; None when there is none.

    Raises:
        InvalidRequestError: When it is not a whole number.
    """
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= _MAX_HEADER_DIGITS):
        raise InvalidRequestError(f"Inference-Header-Content-Length: {shown(value)}, expected a whole number")
    return int(value)


def decode_request(
    body: bytes, header_length: int | None, contract: Contract, variant: str | None = None
) -> tuple[InferRequest, RequestOptions]:
    """Return the request in `body`, checked against the model's contract. Its arrays are read-only.

    Of a JSON object with a key twice the last counts.

    Args:
        body: As it came, decompressed.
        header_length: Bytes of JSON at its start, binary tensor data following; None for JSON alone, 0 for a body that is
            the only input's data.
        contract: Of the model.
        variant: The variant in the path, which a parameter must not contradict; None for none.

    Raises:
        InvalidRequestError: Naming the field, its value and what was expected.
    """
    if header_length == 0:
        tensor = raw_input(body, contract)
        request = InferRequest({tensor.name: tensor}, _names_of(contract).default_outputs)
        return request, RequestOptions(variant=variant, binary_outputs=None)
    text, binary = _split(body, header_length)
    content = _object(text)
    names = _names_of(contract)
    outputs = _named(content, "outputs", names.outputs)
    asked = tuple([part["name"] for part in outputs]) if outputs else names.default_outputs
    options = decode_options(content, outputs, asked, variant)
    given = _named(content, "inputs", names.inputs)
    read = _inputs(given, names.inputs, contract.max_rows, binary, _may_hold_booleans(text))
    return InferRequest(_complete(read, names), asked), options


def _split(body: bytes, header_length: int | None) -> tuple[bytes, memoryview | None]:
    if header_length is None:
        return body, None
    if header_length > len(body):
        raise InvalidRequestError(
            f"Inference-Header-Content-Length: {header_length}, expected at most the {len(body)} bytes of the body"
        )
    return body[:header_length], memoryview(body)[header_length:]


def _may_hold_booleans(text: bytes) -> bool:
    """Return whether true or false is in the JSON; a single letter is found much faster than a word, and is seldom there."""
    return b"true" in text[: text.rfind(b"u") + 2] or b"false" in text[: text.rfind(b"l") + 3]


def _object(text: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(text)
    except ValueError as error:
        raise InvalidRequestError(f"body: {shown(text)}, expected a JSON object: {error}") from error
    if type(content) is not dict:
        raise InvalidRequestError(f"body: {shown(content)}, expected a JSON object")
    return content


def _named(content: Mapping[str, Any], field: str, known: Collection[str]) -> list[dict[str, Any]]:
    """Return the list of objects in `field`, which have known names; empty when it is absent."""
    given = content.get(field)
    if given is None:
        return []
    if type(given) is not list:
        raise InvalidRequestError(f"{field}: {shown(given)}, expected a list of objects with a name")
    for part in given:
        name = part.get("name") if type(part) is dict else None
        if type(name) is not str:
            raise InvalidRequestError(f"{field}: {shown(part)}, expected an object with a name")
        if name not in known:
            raise InvalidRequestError(f"{field}: {shown(name)}, expected one of {', '.join(known)}")
    if len(given) > 1 and len({part["name"] for part in given}) != len(given):
        raise InvalidRequestError(f"{field}: {shown([part['name'] for part in given])}, expected each name once")
    return given


def _inputs(
    given: Sequence[dict[str, Any]],
    specs: Mapping[str, TensorSpec],
    max_rows: int,
    binary: memoryview | None,
    mixed: bool,
) -> dict[str, Tensor]:
    """Return the inputs in the request's order, which is that of their binary data."""
    read: dict[str, Tensor] = {}
    position = 0
    for part in given:
        spec = specs[part["name"]]
        shape = _shape_of(part, spec, max_rows)
        length = _binary_length(part, spec) if "parameters" in part else None
        if length is None:
            array = array_from_elements(spec.name, spec.datatype, shape, part.get("data"), mixed)
            tensor = Tensor(spec.name, spec.datatype, array)
        else:
            tensor = tensor_from(spec.name, spec.datatype, shape, _piece(binary, position, length, spec.name))
            position += length
        check_values(tensor.array, spec, exact=length is None)
        read[spec.name] = tensor
    if binary is not None and position != len(binary):
        raise InvalidRequestError(
            f"body: {len(binary) - position} bytes after the binary data of all inputs, expected none"
        )
    return read


def _complete(read: dict[str, Tensor], names: _Names) -> dict[str, Tensor]:
    """Return the inputs in the contract's order, once none is missing and their rows agree."""
    if not read or not names.required <= read.keys():
        expected = ", ".join([name for name in names.inputs if name in names.required - read.keys()] or names.inputs)
        raise InvalidRequestError(f"inputs: {shown(list(read))}, expected also {expected}")
    if len(read) == 1:
        return read
    check_rows(read)
    return {name: read[name] for name in names.inputs if name in read}


def _shape_of(part: Mapping[str, Any], spec: TensorSpec, max_rows: int) -> tuple[int, ...]:
    if part.get("datatype") != spec.datatype:
        raise InvalidRequestError(
            f"input {spec.name!r}: datatype {shown(part.get('datatype'))}, expected {spec.datatype!r}"
        )
    return checked_shape(part.get("shape"), spec, max_rows)


def _binary_length(part: Mapping[str, Any], spec: TensorSpec) -> int | None:
    """Return the size of the input's binary data; None when its data are in the JSON."""
    whose = f"input {spec.name!r}"
    parameters = parameters_of(part, whose)
    if "shared_memory_region" in parameters:
        raise InvalidRequestError(f"{whose}: parameter shared_memory_region, expected the data in the request")
    if "binary_data_size" not in parameters:
        return None
    if "data" in part:
        raise InvalidRequestError(f"{whose}: both data and binary_data_size, expected one of them")
    return whole_number(parameters, "binary_data_size", whose)


def _piece(binary: memoryview | None, position: int, length: int, name: str) -> memoryview:
    if binary is None:
        raise InvalidRequestError(
            f"input {name!r}: binary_data_size {length}, expected the header Inference-Header-Content-Length too"
        )
    if position + length > len(binary):
        raise InvalidRequestError(
            f"input {name!r}: binary_data_size {length}, expected at most the {len(binary) - position} bytes that are left"
        )
    return binary[position : position + length]
