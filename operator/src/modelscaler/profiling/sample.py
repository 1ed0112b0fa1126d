"""Requests to measure with: from a file, or made up from what the server says its inputs are. Pure."""

import json
import random
from typing import Any

_WHOLE = frozenset({"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})
_REAL = frozenset({"FP16", "FP32", "FP64", "BF16"})
_MOST_ELEMENTS = 4_000_000


class SampleError(ValueError):
    """No request can be made of what was given."""


def bodies_in(text: str, where: str) -> list[bytes]:
    """Return the request bodies in a file: one JSON document, or one a line.

    Raises:
        SampleError: it is neither, or a body has no inputs.
    """
    try:
        found = [json.loads(text)]
    except ValueError:
        found = [_parsed(line, f"{where}, line {number}") for number, line in enumerate(text.splitlines(), 1) if line]
    for body in found:
        if not isinstance(body, dict) or not body.get("inputs"):
            raise SampleError(f"{where}: {json.dumps(body)[:80]}: expected an object with inputs, as /infer takes it")
    if not found:
        raise SampleError(f"{where}: empty: expected a request body, as /infer takes it, or one a line")
    return [json.dumps(body).encode() for body in found]


def made_up(metadata: dict[str, Any], count: int, seed: int) -> list[bytes]:
    """Return requests of one row with random content, from a model's metadata (Open Inference Protocol v2).

    Raises:
        SampleError: an input is of a type or size that cannot be made up.
    """
    inputs = metadata.get("inputs") or []
    if not inputs:
        raise SampleError("the server does not say what the model's inputs are: give --request FILE")
    generator = random.Random(seed)  # noqa: S311 - load, no secrets
    return [json.dumps({"inputs": [_tensor(one, generator) for one in inputs]}).encode() for _ in range(count)]


def _tensor(described: dict[str, Any], generator: random.Random) -> dict[str, Any]:
    datatype, shape = described["datatype"], [max(int(size), 1) for size in described["shape"]]
    elements = 1
    for size in shape:
        elements *= size
    if elements > _MOST_ELEMENTS:
        raise SampleError(
            f"input {described['name']!r} has {elements} elements: give a smaller one with --request FILE"
        )
    values = [_value(described["name"], datatype, generator) for _ in range(elements)]
    return {"name": described["name"], "datatype": datatype, "shape": shape, "data": values}


def _value(name: str, datatype: str, generator: random.Random) -> Any:
    if datatype == "BYTES":
        return " ".join("".join(generator.choices("abcdefghijklmnoprstuvw", k=6)) for _ in range(3))
    if datatype == "BOOL":
        return generator.random() < 0.5
    if datatype in _WHOLE:
        return generator.randrange(10)
    if datatype in _REAL:
        return round(generator.random(), 4)
    raise SampleError(f"input {name!r} is of type {datatype!r}: give a request with --request FILE")


def _parsed(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise SampleError(f"{where}: {line[:80]!r}: expected JSON") from None
