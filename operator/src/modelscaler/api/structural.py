"""Turn a pydantic model's JSON schema into a structural schema, the dialect a CustomResourceDefinition accepts.

The API server refuses `$ref`, `anyOf` with null, `additionalProperties: false` and more. What has an equivalent is
rewritten; anything else stops the generation, so that no rule of a type is lost on the way to the cluster.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, TypeAlias

from pydantic import BaseModel

Schema: TypeAlias = dict[str, Any]

RULES = "x-kubernetes-validations"
RULE_KEYS = ("rule", "message", "messageExpression", "fieldPath")

KEPT_KEYWORDS = (
    "description",
    "type",
    "format",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    RULES,
)
"""Keywords that mean the same in both dialects, in the order in which a reader wants them."""

REWRITTEN_KEYWORDS = ("properties", "items", "patternProperties", "additionalProperties", "default")
DROPPED_KEYWORDS = ("title", "propertyNames")
"""`title` repeats the name. The names of a map's keys cannot be restricted in a structural schema."""


class UnsupportedSchemaError(ValueError):
    """A type says something that a structural schema cannot express."""


def structural_schema(model: type[BaseModel]) -> Schema:
    """Convert a model.

    Args:
        model: the pydantic model; fields appear under their aliases.

    Returns:
        A structural schema, built of fresh dictionaries and lists.

    Raises:
        UnsupportedSchemaError: a field uses a keyword or a union without an equivalent.
    """
    root = model.model_json_schema(by_alias=True)
    return _convert(root, root.get("$defs", {}), model.__name__)


def _convert(node: Mapping[str, Any], definitions: Mapping[str, Schema], path: str) -> Schema:
    flat = _resolve(node, definitions, path)
    _refuse_unknown(flat, path)
    schema: Schema = {key: deepcopy(flat[key]) for key in KEPT_KEYWORDS if key in flat}
    if RULES in schema:
        schema[RULES] = [{key: rule[key] for key in RULE_KEYS if key in rule} for rule in schema[RULES]]
    if schema.get("x-kubernetes-int-or-string"):
        del schema["type"]
        schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    schema.update(_default(flat.get("default")))
    if "properties" in flat:
        schema["properties"] = {
            name: _convert(child, definitions, f"{path}.{name}") for name, child in flat["properties"].items()
        }
    if "items" in flat:
        schema["items"] = _convert(flat["items"], definitions, f"{path}[]")
    values = _map_values(flat, path)
    if values is not None:
        schema["additionalProperties"] = _convert(values, definitions, f"{path}{{}}")
    return schema


def _resolve(node: Mapping[str, Any], definitions: Mapping[str, Schema], path: str) -> Schema:
    """Follow `$ref` and `X | None` to one flat schema; what a field says wins over what its type says."""
    flat = {key: value for key, value in node.items() if key != "$defs"}
    while "$ref" in flat or "anyOf" in flat:
        if "$ref" in flat:
            inner = definitions[flat.pop("$ref").removeprefix("#/$defs/")]
        else:
            inner = _only_option(flat.pop("anyOf"), path)
        flat = {**inner, **flat}
    return flat


def _only_option(options: list[Schema], path: str) -> Schema:
    present = [option for option in options if option != {"type": "null"}]
    if len(present) != 1:
        raise UnsupportedSchemaError(
            f"{path}: a union of {len(present)} types; expected one type, optionally with None"
        )
    return present[0]


def _refuse_unknown(flat: Schema, path: str) -> None:
    unknown = sorted(set(flat) - {*KEPT_KEYWORDS, *REWRITTEN_KEYWORDS, *DROPPED_KEYWORDS})
    if unknown:
        raise UnsupportedSchemaError(
            f"{path}: keyword {', '.join(unknown)} has no equivalent in a structural schema; "
            "express the rule with ge/le, a pattern or CEL (modelscaler.api.v1alpha1.cel)"
        )


def _default(value: Any) -> Schema:
    """Return the default to write, if any.

    Absent parts are left out. The rest is written in full although the fields below have the same defaults, because the
    API server checks a default against CEL rules before it fills those in.
    """
    present = _present(value)
    return {} if present is None or present in ({}, []) else {"default": present}


def _present(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    parts = {key: _present(part) for key, part in value.items()}
    return {key: part for key, part in parts.items() if part is not None and part not in ({}, [])}


def _map_values(flat: Schema, path: str) -> Schema | None:
    """Return the schema of a map's values; None when this is not a map."""
    patterns = flat.get("patternProperties", {})
    if len(patterns) > 1:
        raise UnsupportedSchemaError(f"{path}: {len(patterns)} patterns for the keys of a map; expected one")
    for values in patterns.values():
        return dict(values)
    values = flat.get("additionalProperties", False)
    # False closes an object: the API server already drops or, under strict validation, refuses unknown fields.
    return None if values is False else dict(values)
