"""Preprocessing as model.json declares it, vectorised over the whole request.

    "preprocessing": {"image": {"resize": [224, 224], "scale": 0.00392156862745098,
                                "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "channels_first": true}}

Steps run in this order; each may be left out. `resize` takes [rows, height, width, channels]; `scale`, `mean` and `std` are one
number, or one for each element of the last dimension as it comes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelserver.errors import LoadError
from modelserver.models.resizing import resized
from modelserver.tensors import Array, TensorSpec

_IMAGE_DIMENSIONS = 4
_STEPS = ("resize", "scale", "mean", "std", "channels_first")


@dataclass(frozen=True)
class Preprocessing:
    """What is done to an input before the network sees it.

    Attributes:
        resize: Height and width to resample to, antialiased bilinear; None to leave the size.
        gain: Multiplied with, float32, a number or one for each element of the last dimension.
        offset: Then added, likewise.
        channels_first: Whether the last dimension is then moved behind the first.
    """

    resize: tuple[int, int] | None
    gain: NDArray[np.float32]
    offset: NDArray[np.float32]
    channels_first: bool

    def __call__(self, values: Array) -> NDArray[np.float32]:
        """Return what the network reads, float32, contiguous."""
        floats = values.astype(np.float32, copy=False) if self.resize is None else resized(values, *self.resize)
        floats = floats * self.gain + self.offset
        return np.ascontiguousarray(np.moveaxis(floats, -1, 1) if self.channels_first else floats)


def _numbers(value: object, step: str, spec: TensorSpec) -> NDArray[np.float32]:
    name, last = spec.name, spec.shape[-1]
    try:
        numbers: NDArray[np.float32] = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise LoadError(f"preprocessing of {name!r}: {step} {value!r}, expected a number or a list of them") from error
    if numbers.ndim > 1 or not np.isfinite(numbers).all():
        raise LoadError(f"preprocessing of {name!r}: {step} {value!r}, expected a finite number or a list of them")
    if numbers.size not in (1, last):
        raise LoadError(f"preprocessing of {name!r}: {numbers.size} numbers of {step}, expected 1 or {last}")
    return numbers


def _size(value: object, name: str, spec: TensorSpec) -> tuple[int, int] | None:
    if value is None:
        return None
    if not isinstance(value, Sequence) or [type(side) for side in value] != [int, int] or min(value) < 1:
        raise LoadError(f"preprocessing of {name!r}: resize {value!r}, expected [height, width], 1 or more")
    if len(spec.shape) != _IMAGE_DIMENSIONS:
        raise LoadError(
            f"preprocessing of {name!r}: shape {list(spec.shape)}, expected [rows, height, width, channels]"
        )
    return value[0], value[1]


def _parse(name: str, steps: object, spec: TensorSpec) -> Preprocessing:
    if not isinstance(steps, Mapping) or not set(steps) <= set(_STEPS):
        raise LoadError(f"preprocessing of {name!r}: {steps!r}, expected an object with steps of {', '.join(_STEPS)}")
    std = _numbers(steps.get("std", 1.0), "std", spec)
    if not (std > 0).all():
        raise LoadError(f"preprocessing of {name!r}: std {steps['std']!r}, expected more than 0")
    first = steps.get("channels_first", False)
    if not isinstance(first, bool):
        raise LoadError(f"preprocessing of {name!r}: channels_first {first!r}, expected true or false")
    return Preprocessing(
        resize=_size(steps.get("resize"), name, spec),
        gain=_numbers(steps.get("scale", 1.0), "scale", spec) / std,
        offset=-_numbers(steps.get("mean", 0.0), "mean", spec) / std,
        channels_first=first,
    )


def parse_preprocessing(declared: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> dict[str, Preprocessing]:
    """Return what is done to each input.

    Args:
        declared: Input name -> steps, as in model.json.
        inputs: Of the contract.

    Raises:
        LoadError: When a step or an input is not known, or a value makes no sense.
    """
    specs = {spec.name: spec for spec in inputs}
    for name in declared:
        if name not in specs:
            raise LoadError(f"preprocessing of {name!r}: expected one of the inputs {', '.join(specs)}")
    return {name: _parse(name, steps, specs[name]) for name, steps in declared.items()}


def version(declared: Mapping[str, Any]) -> str:
    """Return a digest of declared preprocessing; empty when there is none."""
    if not declared:
        return ""
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:16]
