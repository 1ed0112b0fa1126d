import json

import pytest

from modelserver.errors import InvalidRequestError
from modelserver.serving.protocol import decode_request, encode_answer
from modelserver.tensors import Tensor, TensorSpec

INPUTS = (TensorSpec("query", "BYTES", (-1,)), TensorSpec("candidates", "INT64", (-1, -1), optional=True))
OUTPUTS = (TensorSpec("items", "INT64", (-1, -1)), TensorSpec("scores", "FP32", (-1, -1)))
QUERY = {"name": "query", "datatype": "BYTES", "shape": [2], "data": ["red sofa", "tent"]}
CANDIDATES = {"name": "candidates", "datatype": "INT64", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]}


def body(*inputs: object, **more: object) -> bytes:
    return json.dumps({"inputs": list(inputs), **more}).encode()


def test_request_is_decoded_when_it_keeps_the_contract() -> None:
    request = decode_request(body(QUERY, CANDIDATES, id="a1", outputs=[{"name": "scores"}]), INPUTS, OUTPUTS)
    assert request.identifier == "a1"
    assert request.outputs == ("scores",)
    assert request.inputs["query"].data == ["red sofa", "tent"]
    assert request.inputs["candidates"].shape == (2, 3)


def test_nested_data_is_flattened_row_major_when_it_nests_as_the_shape_says() -> None:
    nested = {**CANDIDATES, "data": [[1, 2, 3], [4, 5, 6]]}
    assert decode_request(body(QUERY, nested), INPUTS, OUTPUTS).inputs["candidates"].data == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff\xfe\x00", "body"),
        (b"[" * 100_000, "body"),
        (b"[]", "body"),
        (b'{"inputs": [], "x": NaN}', "NaN"),
        (b"{}", "query"),
        (body(QUERY, id=7), "id"),
        (body(QUERY, QUERY), "each name once"),
        (body("query"), "inputs"),
        (body({**QUERY, "name": "quary"}), "quary"),
        (body(QUERY, outputs=[{"name": "rank"}]), "rank"),
        (body(QUERY, outputs="scores"), "outputs"),
        (body({**QUERY, "datatype": "FP32"}), "datatype"),
        (body({**QUERY, "shape": [3]}), "expected 3"),
        (body({**QUERY, "shape": [2, 1]}), "shape"),
        (body({**QUERY, "shape": [-1]}), "shape"),
        (body({**QUERY, "shape": [True]}), "shape"),
        (body({**QUERY, "shape": None}), "shape"),
        (body({**QUERY, "data": "tent"}), "data"),
        (body({**QUERY, "data": ["tent", None]}), "null"),
        (body({**QUERY, "data": ["tent", 3]}), "strings"),
        (body({**QUERY, "data": ["tent", ["sofa"]]}), "strings"),
        (body(QUERY, {**CANDIDATES, "data": [1, 2, 3, 4, 5, 6.5]}), "6.5"),
        (body(QUERY, {**CANDIDATES, "data": [1, 2, 3, 4, 5, True]}), "True"),
        (body(QUERY, {**CANDIDATES, "data": [1, 2, 3, 4, 5, 2**63]}), "64 bits"),
        (body(QUERY, {**CANDIDATES, "data": [[1, 2], [3, 4, 5, 6]]}), "a row of 2"),
        (body(QUERY, {**CANDIDATES, "data": [[1, 2, 3]]}), "1 rows"),
        (body(QUERY, {**CANDIDATES, "data": [[1, 2, 3], 4]}), "data 4"),
        (body(QUERY, {**CANDIDATES, "shape": [10**9, 10**9]}), "expected"),
    ],
)
def test_request_is_refused_with_the_fields_name_when_it_breaks_the_contract(raw: bytes, names: str) -> None:
    with pytest.raises(InvalidRequestError, match="expected") as refused:
        decode_request(raw, INPUTS, OUTPUTS)
    assert names in str(refused.value)


def test_error_message_stays_short_when_the_clients_value_is_long() -> None:
    with pytest.raises(InvalidRequestError) as refused:
        decode_request(body({**QUERY, "data": "x" * 100_000}), INPUTS, OUTPUTS)
    assert len(str(refused.value)) < 300


def test_answer_names_model_variant_and_id_when_encoded() -> None:
    encoded = encode_answer("search-ranker", "int8", "a1", [Tensor("items", "INT64", (1, 2), [7, 8])])
    assert json.loads(encoded) == {
        "model_name": "search-ranker",
        "model_version": "int8",
        "id": "a1",
        "outputs": [{"name": "items", "datatype": "INT64", "shape": [1, 2], "data": [7, 8]}],
    }
