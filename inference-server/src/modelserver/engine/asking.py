"""Requests from a program's own values, checked as those from the network are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from modelserver.errors import InvalidRequestError
from modelserver.protocol.checks import check_rows, check_values, checked_shape
from modelserver.tensors import DATATYPES, Array, Contract, InferRequest, Tensor, TensorSpec


def make_request(contract: Contract, inputs: Mapping[str, ArrayLike], outputs: Sequence[str] = ()) -> InferRequest:
    """Return a request to a model.

    Args:
        contract: Of the model.
        inputs: Name -> values: an array, or nested lists; text and bytes for BYTES.
        outputs: Names of the outputs to return; those that are not optional when empty.

    Raises:
        InvalidRequestError: When a name, type, shape or value is not one that the contract allows.
    """
    specs = {spec.name: spec for spec in contract.inputs}
    _check_names("input", inputs, list(specs))
    _check_names("output", outputs, [spec.name for spec in contract.outputs])
    missing = [name for name, spec in specs.items() if not spec.optional and name not in inputs]
    if missing:
        raise InvalidRequestError(f"input {missing[0]!r}: missing, expected {', '.join(specs)}")
    tensors = {name: _tensor(specs[name], value, contract.max_rows) for name, value in inputs.items()}
    check_rows(tensors)
    return InferRequest(tensors, tuple(outputs) or tuple(spec.name for spec in contract.outputs if not spec.optional))


def _check_names(what: str, given: Mapping[str, object] | Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise InvalidRequestError(f"{what} {name!r}: unknown, expected {', '.join(known)}")


def _tensor(spec: TensorSpec, value: ArrayLike, max_rows: int) -> Tensor:
    array = _texts(spec, value) if spec.datatype == "BYTES" else _numbers(spec, value)
    checked_shape(list(array.shape), spec, max_rows)
    check_values(array, spec, False)
    return Tensor(spec.name, spec.datatype, array)


def _numbers(spec: TensorSpec, value: ArrayLike) -> Array:
    wanted = DATATYPES[spec.datatype]
    try:
        given = np.asarray(value)
    except ValueError as error:
        raise InvalidRequestError(f"input {spec.name!r}: {error}, expected an array of {spec.datatype}") from error
    if given.dtype.kind in "iu" and wanted.kind in "iu":
        _check_range(spec, given, wanted)
    elif not np.can_cast(given.dtype, wanted, "same_kind"):
        raise InvalidRequestError(f"input {spec.name!r}: elements of type {given.dtype}, expected {spec.datatype}")
    # A copy: whoever asks may change theirs while the request waits. What becomes infinite is refused by the contract.
    with np.errstate(over="ignore"):
        return np.array(given, dtype=wanted, order="C")


def _check_range(spec: TensorSpec, given: Array, wanted: "np.dtype[Any]") -> None:
    """Refuse whole numbers that a conversion would change."""
    limits = np.iinfo(wanted)
    for element in (given.min(), given.max()) if given.size else ():
        if not limits.min <= int(element) <= limits.max:
            raise InvalidRequestError(
                f"input {spec.name!r}: element {element}, expected whole numbers from {limits.min} to {limits.max}"
            )


def _texts(spec: TensorSpec, value: ArrayLike) -> Array:
    given = np.asarray(value, dtype=np.object_)
    elements = [element.encode() if isinstance(element, str) else element for element in given.reshape(-1).tolist()]
    for element in elements:
        if not isinstance(element, bytes):
            raise InvalidRequestError(f"input {spec.name!r}: {element!r:.60}, expected text or bytes")
    flat = np.empty(len(elements), dtype=np.object_)
    flat[:] = elements
    return flat.reshape(given.shape)
