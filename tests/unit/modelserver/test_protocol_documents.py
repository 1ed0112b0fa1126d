import json
from typing import Any

import jsonschema_rs
import numpy as np
import pytest

from modelserver.protocol.answer import encode_answer
from modelserver.protocol.documents import liveness, model_metadata, readiness, server_metadata
from modelserver.protocol.openapi import openapi_document
from modelserver.protocol.schemas import element_schema
from modelserver.tensors import Contract, RequestOptions, Tensor, TensorSpec

TABLE = Contract(
    "table",
    "c",
    "p",
    (TensorSpec("x", "FP32", (-1, 2), minimum=0), TensorSpec("note", "BYTES", (-1,), optional=True, max_bytes=4)),
    (TensorSpec("y", "FP32", (-1, 3)), TensorSpec("label", "BYTES", (-1,), optional=True)),
    max_rows=3,
)
FREE = Contract("free", "c", "p", (TensorSpec("x", "INT32", (-1, -1), max_length=5),), TABLE.outputs, max_rows=3)
X = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}
NOTE = {"name": "note", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}


def validator(contract: Contract, schema: str) -> jsonschema_rs.Draft202012Validator:
    document = openapi_document(contract, ("full", "int8"), "1")
    assert json.loads(json.dumps(document)) == document
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    )


def test_server_metadata_names_its_extensions_when_asked() -> None:
    assert server_metadata("1.2") == {
        "name": "modelserver",
        "version": "1.2",
        "extensions": ["binary_tensor_data", "schedule_policy"],
    }


def test_model_metadata_has_the_contract_and_the_variants_when_asked() -> None:
    assert model_metadata(TABLE, ("full", "int8")) == {
        "name": "table",
        "versions": ["full", "int8"],
        "platform": "modelserver",
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "note", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
        ],
    }
    validator(TABLE, "ModelMetadata").validate(model_metadata(TABLE, ("full", "int8")))


def test_probe_says_why_when_it_fails() -> None:
    assert (liveness(None), readiness(None)) == ({"live": True}, {"ready": True})
    assert liveness("hung") == {"live": False, "reason": "hung"}
    assert readiness("loading") == {"ready": False, "reason": "loading"}


@pytest.mark.parametrize(
    "request_body",
    [
        {"inputs": [X]},
        {"inputs": [{**X, "data": [[1, 2], [3, 4]]}]},
        {"inputs": [NOTE, X], "id": "a", "outputs": [{"name": "y", "parameters": {"binary_data": True}}]},
        {"inputs": [X], "parameters": {"priority": 1, "timeout": 5, "variant": "int8", "other": 1}},
    ],
)
def test_schema_takes_a_request_when_it_keeps_the_contract(request_body: dict[str, Any]) -> None:
    validator(TABLE, "Request").validate(request_body)


@pytest.mark.parametrize(
    "request_body",
    [
        {},
        {"inputs": []},
        {"inputs": [NOTE]},
        {"inputs": [X, X, X]},
        {"inputs": [{**X, "data": [1, 2, 3]}]},
        {"inputs": [{**X, "data": [[1, 2], [3]]}]},
        {"inputs": [{**X, "data": [1, 2, 3, -4]}]},
        {"inputs": [{**X, "data": [1, 2, 3, 1e39]}]},
        {"inputs": [{**X, "data": [1, 2, 3, True]}]},
        {"inputs": [{**X, "shape": [4, 2], "data": [1] * 8}]},
        {"inputs": [{**X, "datatype": "FP64"}]},
        {"inputs": [X, {**NOTE, "data": ["a", "long text"]}]},
        {"inputs": [X, {**NOTE, "shape": [1], "data": ["a"]}]},
        {"inputs": [X], "parameters": {"variant": "tiny"}},
        {"inputs": [X], "outputs": [{"name": "z"}]},
    ],
)
def test_schema_refuses_a_request_when_it_breaks_the_contract(request_body: dict[str, Any]) -> None:
    assert not validator(TABLE, "Request").is_valid(request_body)


def test_schema_is_loose_about_data_when_more_than_rows_is_free() -> None:
    validate = validator(FREE, "Request")
    x = {"name": "x", "datatype": "INT32"}
    assert validate.is_valid({"inputs": [{**x, "shape": [1, 5], "data": [1, 2, 3, 4, 5]}]})
    assert not validate.is_valid({"inputs": [{**x, "shape": [1, 6], "data": [1]}]})
    assert not validate.is_valid({"inputs": [{**x, "shape": [4, 5], "data": [1]}]})


@pytest.mark.parametrize("options", [RequestOptions("a"), RequestOptions(binary_outputs=None)])
def test_schema_takes_our_answers_when_json_or_binary(options: RequestOptions) -> None:
    outputs = [
        Tensor("y", "FP32", np.ones((1, 3), np.float32)),
        Tensor("label", "BYTES", np.array([b"cat"], dtype=np.object_)),
    ]
    answer = encode_answer("table", "int8", options.identifier, outputs, options, degraded=True)
    validator(TABLE, "Answer").validate(json.loads(answer.body[: answer.header_length]))


@pytest.mark.parametrize(
    ("spec", "right", "wrong"),
    [
        (TensorSpec("x", "UINT8", (-1,)), (0, 255), (-1, 256, 0.5, "1", True)),
        (TensorSpec("x", "INT64", (-1,), minimum=0.5), (1, 2**63 - 1), (0, 2**63)),
        (TensorSpec("x", "FP16", (-1,), maximum=3.5), (-65504, 3.5), (-65505, 3.6)),
        (TensorSpec("x", "BOOL", (-1,)), (True, False), (0, None)),
        (TensorSpec("x", "BYTES", (-1,), max_bytes=2), ("", "ab"), ("abc", 1)),
    ],
)
def test_schema_of_an_element_has_the_bounds_of_its_datatype_and_spec(
    spec: TensorSpec, right: tuple[object, ...], wrong: tuple[object, ...]
) -> None:
    schema = jsonschema_rs.Draft202012Validator(element_schema(spec))
    assert [value for value in right if not schema.is_valid(value)] == []
    assert [value for value in wrong if schema.is_valid(value)] == []


def test_document_has_every_path_with_its_statuses_when_built() -> None:
    paths = openapi_document(TABLE, ("full", "int8"), "1")["paths"]
    assert list(paths) == [
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/table",
        "/v2/models/table/ready",
        "/v2/models/table/infer",
        "/v2/models/table/versions/{version}",
        "/v2/models/table/versions/{version}/ready",
        "/v2/models/table/versions/{version}/infer",
    ]
    infer = paths["/v2/models/table/versions/{version}/infer"]
    assert infer["parameters"][0]["schema"]["enum"] == ["full", "int8"]
    assert {"200", "400", "404", "413", "415", "429", "500", "503", "504"} <= set(infer["post"]["responses"])
