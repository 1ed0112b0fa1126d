import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modelserver.errors import InferenceFailedError, InvalidRequestError
from modelserver.protocol.answer import Answer, encode_answer
from modelserver.tensors import DATATYPES, RequestOptions, Tensor

SCORES = Tensor("scores", "FP32", np.array([[0.5, 0.1]], np.float32))
ITEMS = Tensor("items", "INT64", np.array([[7, 8]]))
ALL_BINARY = RequestOptions(binary_outputs=None)


def texts(*elements: bytes) -> Tensor:
    array = np.empty((1, len(elements)), dtype=np.object_)
    array[0, :] = elements
    return Tensor("titles", "BYTES", array)


def encoded(*outputs: Tensor, options: RequestOptions = RequestOptions(), degraded: bool = False) -> Answer:  # noqa: B008
    return encode_answer("search", "int8", options.identifier, outputs, options, degraded)


def test_answer_names_model_variant_and_id_when_it_is_json() -> None:
    answer = encoded(ITEMS, texts("sofa é".encode()), options=RequestOptions(identifier="a1"), degraded=True)
    assert json.loads(answer.body) == {
        "model_name": "search",
        "model_version": "int8",
        "id": "a1",
        "parameters": {"degraded": True},
        "outputs": [
            {"name": "items", "datatype": "INT64", "shape": [1, 2], "data": [7, 8]},
            {"name": "titles", "datatype": "BYTES", "shape": [1, 1], "data": ["sofa é"]},
        ],
    }
    assert (answer.header_length, answer.content_type) == (None, "application/json")


def test_answer_has_no_id_when_the_request_had_none() -> None:
    assert "id" not in json.loads(encoded(ITEMS).body)


def test_answer_is_header_and_bytes_when_all_of_it_is_binary() -> None:
    answer = encoded(ITEMS, texts(b"\xff", b""), options=ALL_BINARY)
    assert answer.header_length is not None
    header = json.loads(answer.body[: answer.header_length])
    assert [output["parameters"] for output in header["outputs"]] == [{"binary_data_size": 16}, {"binary_data_size": 9}]
    assert all("data" not in output for output in header["outputs"])
    assert answer.body[answer.header_length :] == ITEMS.array.tobytes() + b"\1\0\0\0\xff\0\0\0\0"
    assert answer.content_type == "application/octet-stream"


def test_only_the_named_outputs_are_binary_when_the_request_mixes() -> None:
    answer = encoded(ITEMS, SCORES, options=RequestOptions(binary_outputs=frozenset({"scores"})))
    header = json.loads(answer.body[: answer.header_length])
    assert [("data" in output, "parameters" in output) for output in header["outputs"]] == [
        (True, False),
        (False, True),
    ]
    assert answer.body[answer.header_length :] == SCORES.array.tobytes()


@given(st.sampled_from(sorted(set(DATATYPES) - {"BYTES"})), hnp.array_shapes(max_dims=3, max_side=3), st.data())
def test_numbers_are_exact_when_answered_as_json(datatype: str, shape: tuple[int, ...], data: st.DataObject) -> None:
    finite = {"allow_nan": False, "allow_infinity": False} if datatype.startswith("FP") else None
    array = data.draw(hnp.arrays(DATATYPES[datatype], shape, elements=finite))
    (output,) = json.loads(encoded(Tensor("y", datatype, array)).body)["outputs"]
    assert output["shape"] == list(shape)
    np.testing.assert_array_equal(np.array(output["data"], dtype=array.dtype).reshape(shape), array)


def test_elements_are_row_major_when_the_models_array_is_not() -> None:
    (output,) = json.loads(encoded(Tensor("y", "INT8", np.array([[1, 2], [3, 4]], np.int8).T)).body)["outputs"]
    assert output["data"] == [1, 3, 2, 4]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_answer_fails_when_it_is_to_be_json_and_not_finite(datatype: str, value: float) -> None:
    strange = Tensor("y", datatype, np.array([1, value], DATATYPES[datatype]))
    with pytest.raises(InferenceFailedError, match=r"'y'.*binary"):
        encoded(SCORES, strange)
    with pytest.raises(InferenceFailedError, match=r"'y'.*binary"):
        encoded(SCORES, strange, options=RequestOptions(binary_outputs=frozenset({"scores"})))
    binary = encoded(strange, options=ALL_BINARY)
    assert binary.body[binary.header_length :] == strange.array.tobytes()


def test_answer_may_hold_the_word_null_when_it_is_text() -> None:
    assert json.loads(encoded(SCORES, texts(b"null")).body)["outputs"][1]["data"] == ["null"]


def test_bytes_that_are_not_utf8_must_be_asked_for_as_binary_data() -> None:
    with pytest.raises(InvalidRequestError, match=r"'titles': b'\\xff' is not UTF-8.*binary"):
        encoded(texts(b"fine", b"\xff"))


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor("y", "FP32", np.zeros(2)),
        Tensor("y", "INT64", np.zeros(2)),
        Tensor("y", "BYTES", np.array(["text"], dtype=np.object_)),
        Tensor("y", "BYTES", np.array([b"text"])),
    ],
)
def test_answer_fails_when_an_array_is_not_of_its_outputs_datatype(tensor: Tensor) -> None:
    for options in (RequestOptions(), ALL_BINARY):
        with pytest.raises(InferenceFailedError, match="'y'"):
            encoded(tensor, options=options)
