"""What a model's code declares, checked before anybody relies on it: a contract, an accuracy. Whole numbers may be numpy's."""

import math
import operator
from collections.abc import Sequence
from dataclasses import replace

from modelserver.errors import LoadError
from modelserver.tensors import DATATYPES, Contract, TensorSpec


def checked_contract(contract: Contract) -> Contract:
    """Return a contract of Python's own numbers.

    Raises:
        LoadError: When no request could agree with it, or no answer; naming the field.
    """
    if not isinstance(contract.preprocessing_version, str):
        raise LoadError(f"preprocessing_version: {contract.preprocessing_version!r}, expected text")
    return replace(
        contract,
        inputs=_specs("inputs", contract.inputs),
        outputs=_specs("outputs", contract.outputs),
        max_rows=_whole("max_rows", contract.max_rows, 1),
    )


def checked_accuracy(variant: str, accuracy: object) -> float | None:
    """Return a variant's accuracy.

    Raises:
        LoadError: When it is not a number from 0 to 1, nor None.
    """
    if accuracy is None:
        return None
    share = _number(accuracy)
    if share is None or not 0.0 <= share <= 1.0:
        raise LoadError(f"accuracy of variant {variant!r}: {accuracy!r}, expected a number from 0 to 1, or None")
    return share


def _specs(side: str, specs: object) -> tuple[TensorSpec, ...]:
    if not isinstance(specs, Sequence) or not specs or not all(isinstance(spec, TensorSpec) for spec in specs):
        raise LoadError(f"{side}: {specs!r}, expected a tuple of TensorSpec, at least one")
    names = [spec.name for spec in specs]
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) != len(names):
        raise LoadError(f"{side}: names {names}, expected text, each once")
    return tuple(_spec(spec) for spec in specs)


def _spec(spec: TensorSpec) -> TensorSpec:
    if spec.datatype not in DATATYPES:
        raise LoadError(f"{spec.name!r}: datatype {spec.datatype!r}, expected one of {', '.join(DATATYPES)}")
    if not isinstance(spec.shape, Sequence) or isinstance(spec.shape, str) or not spec.shape:
        raise LoadError(
            f"{spec.name!r}: shape {spec.shape!r}, expected sizes, -1 for a free one; the first counts rows"
        )
    return replace(
        spec,
        shape=tuple(_whole(f"{spec.name!r}: shape", size, -1) for size in spec.shape),
        minimum=_bound(spec, "minimum", spec.minimum),
        maximum=_bound(spec, "maximum", spec.maximum),
        max_bytes=None if spec.max_bytes is None else _whole(f"{spec.name!r}: max_bytes", spec.max_bytes, 0),
        max_length=None if spec.max_length is None else _whole(f"{spec.name!r}: max_length", spec.max_length, 1),
    )


def _whole(what: str, value: object, least: int) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # that is the question
    except TypeError:
        number = least - 1
    if number < least:
        raise LoadError(f"{what}: {value!r}, expected a whole number, {least} or more")
    return number


def _bound(spec: TensorSpec, what: str, value: object) -> float | None:
    if value is None:
        return None
    number = _number(value)
    if number is None:
        raise LoadError(f"{spec.name!r}: {what} {value!r}, expected a finite number, or None")
    return number


def _number(value: object) -> float | None:
    """Return a finite number; None for anything else."""
    if isinstance(value, str | bytes):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]  # that is the question
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
