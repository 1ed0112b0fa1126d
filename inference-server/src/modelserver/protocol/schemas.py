"""JSON Schemas of a contract's requests and answers.

A request's shape and the number of its data belong together, which a schema says only by listing the numbers of rows. That is
done where rows are all that is free.
"""

import math
from typing import Any, TypeAlias

import numpy as np

from modelserver.tensors import DATATYPES, Contract, TensorSpec

Schema: TypeAlias = dict[str, Any]

_MAX_LISTED_ROWS = 64
"""Contracts that allow more rows get the loose schema, so that the document stays readable."""
_NO_SHARED_MEMORY = {"shared_memory_region": False}
"""An extension that the server does not have: false is the schema of what must not be there."""
_UINT64_MAX = 2**64 - 1


def request_schema(contract: Contract, variants: tuple[str, ...]) -> Schema:
    """Return the schema of a request in JSON.

    Args:
        contract: Of the model.
        variants: On which it may insist; empty where the path has said so already.
    """
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": _request_parameters(variants),
            "inputs": {"$ref": "#/components/schemas/Inputs"},
            "outputs": _asked_outputs(contract),
        },
    }


def answer_schema(contract: Contract) -> Schema:
    """Return the schema of an answer in JSON."""
    return {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"const": contract.name},
            "model_version": {"type": "string", "description": "The variant that made the answer."},
            "id": {"type": "string"},
            "parameters": {
                "type": "object",
                "properties": {
                    "degraded": {"type": "boolean", "description": "Whether it is not the ladder's first variant."}
                },
            },
            "outputs": {
                "type": "array",
                "minItems": 1,
                "items": {"anyOf": [_output(spec) for spec in contract.outputs]},
            },
        },
    }


def _request_parameters(variants: tuple[str, ...]) -> Schema:
    whole = {"type": "integer", "minimum": 0, "maximum": _UINT64_MAX}
    properties: Schema = {
        "priority": {**whole, "description": "0 is served first."},
        "timeout": {**whole, "description": "Microseconds until the answer is worthless; 0 for never."},
        "binary_data_output": {"type": "boolean"},
    }
    if variants:
        insisting = "The only variant that may answer."
        properties["variant"] = {"type": "string", "enum": list(variants), "description": insisting}
    return {"type": "object", "properties": properties}


def inputs_schema(contract: Contract) -> Schema:
    """Return the schema of a request's list of inputs."""
    rows_alone = all(spec.shape[0] == -1 and -1 not in spec.shape[1:] for spec in contract.inputs)
    if not rows_alone or contract.max_rows > _MAX_LISTED_ROWS:
        return _input_list(contract, [_input(spec, _loose(spec, contract.max_rows)) for spec in contract.inputs])
    listed = [
        _input_list(contract, [_input(spec, _exact(spec, rows)) for spec in contract.inputs])
        for rows in range(1, contract.max_rows + 1)
    ]
    return listed[0] if len(listed) == 1 else {"anyOf": listed}


def _input_list(contract: Contract, inputs: list[Schema]) -> Schema:
    required = [spec for spec in contract.inputs if not spec.optional]
    schema: Schema = {
        "type": "array",
        "items": inputs[0] if len(inputs) == 1 else {"anyOf": inputs},
        "minItems": max(1, len(required)),
        "maxItems": len(inputs),
    }
    if len(inputs) > 1:
        schema["allOf"] = [_once(spec.name, spec.optional) for spec in contract.inputs]
    return schema


def _once(name: str, optional: bool) -> Schema:
    """Return the schema of a list of objects, one of which has the name; or none when it is optional."""
    named = {"type": "object", "required": ["name"], "properties": {"name": {"const": name}}}
    return {"contains": named, "minContains": 0 if optional else 1, "maxContains": 1}


def _input(spec: TensorSpec, shape_and_data: Schema) -> Schema:
    return {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"const": spec.name},
            "datatype": {"const": spec.datatype},
            "parameters": {"type": "object", "properties": {"binary_data_size": False, **_NO_SHARED_MEMORY}},
            **shape_and_data,
        },
    }


def _exact(spec: TensorSpec, rows: int) -> Schema:
    shape = [rows, *spec.shape[1:]]
    size = math.prod(shape)
    flat = {"type": "array", "items": element_schema(spec), "minItems": size, "maxItems": size}
    data = {"anyOf": [flat, _nested(spec, shape)]} if len(shape) > 1 else flat
    return {"shape": {"const": shape}, "data": data}


def _nested(spec: TensorSpec, shape: list[int]) -> Schema:
    if not shape:
        return element_schema(spec)
    return {"type": "array", "items": _nested(spec, shape[1:]), "minItems": shape[0], "maxItems": shape[0]}


def _loose(spec: TensorSpec, max_rows: int) -> Schema:
    limits = [max_rows, *[spec.max_length] * (len(spec.shape) - 1)]
    sizes = [_size(size, limit) for size, limit in zip(spec.shape, limits, strict=True)]
    shape = {"type": "array", "prefixItems": sizes, "minItems": len(sizes), "maxItems": len(sizes)}
    return {
        "shape": shape,
        "data": {
            "type": "array",
            "minItems": 1,
            "items": {"anyOf": [element_schema(spec), {"type": "array"}]},
            "description": "Flat, or nested as the shape says.",
        },
    }


def _size(size: int, limit: int | None) -> Schema:
    if size != -1:
        return {"const": size}
    return {"type": "integer", "minimum": 1, **({} if limit is None else {"maximum": limit})}


def element_schema(spec: TensorSpec) -> Schema:
    """Return the schema of an element in JSON."""
    if spec.datatype == "BYTES":
        if spec.max_bytes is None:
            return {"type": "string"}
        return {
            "type": "string",
            "maxLength": spec.max_bytes,
            "description": f"{spec.max_bytes} bytes of UTF-8 at most.",
        }
    if spec.datatype == "BOOL":
        return {"type": "boolean"}
    dtype = DATATYPES[spec.datatype]
    if dtype.kind == "f":
        low, high = float(np.finfo(dtype).min), float(np.finfo(dtype).max)
        return {"type": "number", "minimum": _at_least(low, spec), "maximum": _at_most(high, spec)}
    limits = np.iinfo(dtype)
    low, high = _at_least(limits.min, spec), _at_most(limits.max, spec)
    return {"type": "integer", "minimum": math.ceil(low), "maximum": math.floor(high)}


def _at_least(low: float, spec: TensorSpec) -> float:
    return low if spec.minimum is None else max(low, spec.minimum)


def _at_most(high: float, spec: TensorSpec) -> float:
    return high if spec.maximum is None else min(high, spec.maximum)


def _asked_outputs(contract: Contract) -> Schema:
    return {
        "type": "array",
        "maxItems": len(contract.outputs),
        "allOf": [_once(spec.name, optional=True) for spec in contract.outputs],
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "enum": [spec.name for spec in contract.outputs]},
                "parameters": {
                    "type": "object",
                    "properties": {"binary_data": {"type": "boolean"}, "classification": False, **_NO_SHARED_MEMORY},
                },
            },
        },
    }


def _output(spec: TensorSpec) -> Schema:
    return {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"const": spec.name},
            "datatype": {"const": spec.datatype},
            "shape": {
                "type": "array",
                "items": {"type": "integer", "minimum": 0},
                "minItems": len(spec.shape),
                "maxItems": len(spec.shape),
            },
            "data": {"type": "array"},
            "parameters": {
                "type": "object",
                "properties": {"binary_data_size": {"type": "integer", "minimum": 0}},
            },
        },
    }
