"""The OpenAPI document of a served model: what can be asked, and with what it is answered."""

from http import HTTPStatus
from typing import Any

from modelserver.protocol.schemas import Schema, answer_schema, inputs_schema, request_schema
from modelserver.tensors import Contract

_JSON = "application/json"
_BINARY = "application/octet-stream"
_ANSWER = {"$ref": "#/components/schemas/Answer"}
_ANYWHERE = (408, 431, 503)
"""Statuses with which any request may be answered, by a slow or verbose client or a full or stopping server."""
_OF_INFER = (400, 404, 408, 413, 415, 429, 431, 500, 503, 504)
_BINARY_TEXT = (
    "JSON, or with the header Inference-Header-Content-Length that many bytes of JSON and then the binary data of the "
    "inputs that have the parameter binary_data_size. Content-Encoding gzip and deflate are read."
)


def openapi_document(contract: Contract, variants: tuple[str, ...], version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a model.

    Args:
        contract: Of the model.
        variants: That answer requests, most accurate first.
        version: Of the server.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{contract.name}, Open Inference Protocol v2",
            "version": version,
            "description": "Errors are JSON objects whose member error names the field, the value and what was expected.",
        },
        "paths": _paths(contract, variants),
        "components": {
            "schemas": {
                "Inputs": inputs_schema(contract),
                "Request": request_schema(contract, variants),
                "RequestToVariant": request_schema(contract, ()),
                "Answer": answer_schema(contract),
                "Error": _object_with({"error": {"type": "string"}}),
                "ServerMetadata": _object_with(
                    {"name": {"type": "string"}, "version": {"type": "string"}, "extensions": _strings()}
                ),
                "ModelMetadata": _object_with(
                    {
                        "name": {"const": contract.name},
                        "versions": _strings(),
                        "platform": {"type": "string"},
                        "inputs": _tensor_metadata(),
                        "outputs": _tensor_metadata(),
                    }
                ),
                "Live": _probe("live"),
                "Ready": _probe("ready"),
            }
        },
    }


def _paths(contract: Contract, variants: tuple[str, ...]) -> dict[str, Any]:
    model = f"/v2/models/{contract.name}"
    versioned = f"{model}/versions/{{version}}"
    version = {
        "name": "version",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": list(variants)},
    }
    return {
        "/v2": {"get": _get("Metadata of the server", "ServerMetadata")},
        "/v2/health/live": {"get": _get("Whether the process works", "Live", unhealthy="Live")},
        "/v2/health/ready": {"get": _get("Whether requests are welcome", "Ready", unhealthy="Ready")},
        model: {"get": _get("Metadata of the model", "ModelMetadata")},
        f"{model}/ready": {"get": _get("Whether the model is ready", "Ready", unhealthy="Ready")},
        f"{model}/infer": {"post": _infer("Answer a request, by the variant that suits it best", "Request")},
        versioned: {"parameters": [version], "get": _get("Metadata of a variant", "ModelMetadata", also=(404,))},
        f"{versioned}/ready": {
            "parameters": [version],
            "get": _get("Whether a variant is ready", "Ready", also=(404,), unhealthy="Ready"),
        },
        f"{versioned}/infer": {
            "parameters": [version],
            "post": _infer("Answer a request by this variant", "RequestToVariant"),
        },
    }


def _get(summary: str, schema: str, also: tuple[int, ...] = (), unhealthy: str = "Error") -> dict[str, Any]:
    responses = {"200": _response(HTTPStatus.OK, schema)}
    responses |= {str(status): _response(HTTPStatus(status), "Error") for status in (*also, *_ANYWHERE)}
    if unhealthy != "Error":
        either = {"anyOf": [_reference(unhealthy), _reference("Error")]}
        responses["503"] = {"description": "It is not, for the reason given", "content": {_JSON: {"schema": either}}}
    return {"summary": summary, "responses": responses}


def _infer(summary: str, request: str) -> dict[str, Any]:
    answered = {
        "description": "The answer; binary when an output was asked for as binary data",
        "content": {_JSON: {"schema": _ANSWER}, _BINARY: {}},
    }
    errors = {str(status): _response(HTTPStatus(status), "Error") for status in _OF_INFER}
    return {
        "summary": summary,
        "requestBody": {
            "required": True,
            "description": _BINARY_TEXT,
            "content": {_JSON: {"schema": _reference(request)}},
        },
        "responses": {"200": answered, **errors},
    }


def _reference(schema: str) -> Schema:
    return {"$ref": f"#/components/schemas/{schema}"}


def _response(status: HTTPStatus, schema: str) -> dict[str, Any]:
    return {"description": status.phrase, "content": {_JSON: {"schema": _reference(schema)}}}


def _object_with(properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def _probe(what: str) -> Schema:
    return {
        "type": "object",
        "required": [what],
        "properties": {what: {"type": "boolean"}, "reason": {"type": "string"}},
    }


def _strings() -> Schema:
    return {"type": "array", "items": {"type": "string"}}


def _tensor_metadata() -> Schema:
    tensor = {
        "name": {"type": "string"},
        "datatype": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
    }
    return {"type": "array", "items": _object_with(tensor)}
