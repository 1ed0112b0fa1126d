"""A request's tensors against the model's contract. Pure; vectorised."""

from collections.abc import Mapping

import numpy as np

from modelserver.errors import InvalidRequestError
from modelserver.protocol.shown import shown
from modelserver.tensors import Array, Tensor, TensorSpec


def checked_shape(given: object, spec: TensorSpec, max_rows: int) -> tuple[int, ...]:
    """Return an input's shape.

    Args:
        given: As it came in the JSON.
        spec: Of the input.
        max_rows: Most rows of a request.

    Raises:
        InvalidRequestError: When it is not one that the contract allows.
    """
    if type(given) is not list or len(given) != len(spec.shape):
        raise _wrong_shape(given, spec)
    for size, wanted in zip(given, spec.shape, strict=True):
        if type(size) is not int or size < 1 or wanted not in (-1, size):
            raise _wrong_shape(given, spec)
    if given[0] > max_rows:
        raise InvalidRequestError(f"input {spec.name!r}: {given[0]} rows, expected 1 to {max_rows}")
    if spec.max_length is not None:
        for size, wanted in zip(given[1:], spec.shape[1:], strict=True):
            if wanted == -1 and size > spec.max_length:
                raise InvalidRequestError(
                    f"input {spec.name!r}: shape {shown(given)}, expected at most {spec.max_length} where it is free"
                )
    return tuple(given)


def _wrong_shape(given: object, spec: TensorSpec) -> InvalidRequestError:
    return InvalidRequestError(
        f"input {spec.name!r}: shape {shown(given)}, expected {list(spec.shape)}, where -1 stands for 1 or more"
    )


def check_rows(tensors: Mapping[str, Tensor]) -> None:
    """Refuse inputs whose numbers of rows differ.

    Raises:
        InvalidRequestError: Naming them all.
    """
    if len(tensors) < 2:
        return
    rows = {name: tensor.array.shape[0] for name, tensor in tensors.items()}
    if len(set(rows.values())) > 1:
        given = ", ".join(f"{name!r} has {count}" for name, count in rows.items())
        raise InvalidRequestError(f"inputs: rows differ, {given}, expected the same first dimension")


def check_values(array: Array, spec: TensorSpec, exact: bool) -> None:
    """Refuse elements out of the contract's bounds.

    Args:
        array: Of the input, of its datatype's dtype.
        spec: Of the input.
        exact: Whether it comes from JSON, which has neither NaN nor infinity.

    Raises:
        InvalidRequestError: Naming the first of them.
    """
    if spec.datatype == "BYTES":
        _check_lengths(array, spec)
        return
    if spec.finite and not exact and array.dtype.kind == "f":
        _require(np.isfinite(array), array, spec, "finite numbers")
    if spec.minimum is None and spec.maximum is None:
        return
    with np.errstate(invalid="ignore"):  # a signalling NaN passes as a quiet one does, without a warning
        _check_bounds(array, spec)


def _check_bounds(array: Array, spec: TensorSpec) -> None:
    if spec.minimum is not None:
        _require(~(array < np.float64(spec.minimum)), array, spec, f"{spec.minimum:g} or more")
    if spec.maximum is not None:
        _require(~(array > np.float64(spec.maximum)), array, spec, f"{spec.maximum:g} or less")


def _require(right: Array, array: Array, spec: TensorSpec, expected: str) -> None:
    if np.count_nonzero(right) != right.size:
        place = np.unravel_index(int(right.argmin()), array.shape)
        raise InvalidRequestError(
            f"input {spec.name!r}: element {array[place]} at {[int(index) for index in place]}, expected {expected}"
        )


def _check_lengths(array: Array, spec: TensorSpec) -> None:
    if spec.max_bytes is None:
        return
    longest = max(map(len, array.flat), default=0)
    if longest > spec.max_bytes:
        raise InvalidRequestError(
            f"input {spec.name!r}: an element of {longest} bytes, expected at most {spec.max_bytes}"
        )
