import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modelserver.errors import InvalidRequestError, RequestError
from modelserver.protocol.request import decode_request, header_length_from
from modelserver.protocol.tensors import tensor_bytes
from modelserver.tensors import DATATYPES, Contract, RequestOptions, Tensor, TensorSpec

SEARCH = Contract(
    "search",
    "c1",
    "p1",
    (
        TensorSpec("query", "BYTES", (-1,), max_bytes=12),
        TensorSpec("candidates", "INT64", (-1, -1), optional=True, minimum=0, max_length=4),
    ),
    (TensorSpec("scores", "FP32", (-1, -1)), TensorSpec("titles", "BYTES", (-1, -1), optional=True)),
    max_rows=3,
)
QUERY = {"name": "query", "datatype": "BYTES", "shape": [2], "data": ["red sofa", "tent"]}
CANDIDATES = {"name": "candidates", "datatype": "INT64", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]}


def body(*inputs: Any, **rest: Any) -> bytes:
    return json.dumps({"inputs": list(inputs), **rest}).encode()


def one_input(datatype: str, shape: tuple[int, ...] = (-1, 2), **bounds: Any) -> Contract:
    return Contract("m", "", "", (TensorSpec("x", datatype, shape, **bounds),), (TensorSpec("y", "FP32", (-1,)),))


def x_body(datatype: str, data: Any, shape: tuple[int, ...] = (1, 2)) -> bytes:
    return body({"name": "x", "datatype": datatype, "shape": list(shape), "data": data})


def binary(*inputs: tuple[dict[str, Any], bytes], **rest: Any) -> tuple[bytes, int]:
    """Return a body with binary data, and its header's length."""
    parts = [{**part, "parameters": {"binary_data_size": len(data)}} for part, data in inputs]
    header = body(*parts, **rest)
    return header + b"".join(data for _, data in inputs), len(header)


def test_request_is_decoded_when_it_keeps_the_contract() -> None:
    request, options = decode_request(body(QUERY, CANDIDATES, id="a1", outputs=[{"name": "titles"}]), None, SEARCH)
    assert options == RequestOptions(identifier="a1")
    assert request.outputs == ("titles",)
    assert request.rows == 2
    assert request.inputs["query"].array.tolist() == [b"red sofa", b"tent"]
    assert request.inputs["candidates"].array.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert request.inputs["candidates"].array.dtype == np.int64


def test_outputs_that_are_not_optional_are_asked_for_when_the_client_names_none() -> None:
    assert decode_request(body(QUERY), None, SEARCH)[0].outputs == ("scores",)
    assert decode_request(body(QUERY, outputs=[]), None, SEARCH)[0].outputs == ("scores",)


def test_inputs_come_in_the_contracts_order_when_the_client_has_another() -> None:
    request, _ = decode_request(body(CANDIDATES, QUERY), None, SEARCH)
    assert list(request.inputs) == ["query", "candidates"]


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]]])
def test_data_mean_the_same_when_they_are_flat_or_nested(data: Any) -> None:
    request, _ = decode_request(x_body("INT32", data, (2, 2)), None, one_input("INT32"))
    assert request.inputs["x"].array.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff\xfe\x00", "body"),
        (b"\xef\xbb\xbf{}", "body"),
        (b"[" * 100_000, "depth limit"),
        (b'{"inputs":' * 100_000, "depth limit"),
        (b'{"inputs": ' + b"[" * 1000 + b"]" * 1000 + b"}", "inputs"),
        (b"[]", "body"),
        (b"null", "body"),
        (b'{"inputs": [], "x": NaN}', "body"),
        (b'{"inputs": [], "x": 1e999}', "infinity"),
        (b'{"inputs": [], "x": ' + b"9" * 5000 + b"}", "infinity"),
        (b'{"id": "\\ud800"}', "surrogate"),
        (b'{"id": "\xed\xa0\x80"}', "surrogate"),
        (b"{}", "query"),
        (b'{"inputs": null}', "query"),
        (body(), "query"),
        (body(CANDIDATES), "query"),
        (body(QUERY, id=7), "id"),
        (body(QUERY, parameters=[]), "parameters"),
        (body(QUERY, parameters={"priority": -1}), "priority"),
        (body(QUERY, parameters={"priority": True}), "priority"),
        (body(QUERY, parameters={"priority": 2**64}), "priority"),
        (body(QUERY, parameters={"timeout": 0.5}), "timeout"),
        (body(QUERY, parameters={"variant": 8}), "variant"),
        (body(QUERY, parameters={"variant": ""}), "variant"),
        (body(QUERY, parameters={"binary_data_output": 1}), "binary_data_output"),
        (body(QUERY, outputs=[{"name": "scores", "parameters": {"binary_data": "yes"}}]), "binary_data"),
        (body(QUERY, outputs=[{"name": "scores", "parameters": {"classification": 3}}]), "classification"),
        (body(QUERY, outputs=[{"name": "scores", "parameters": {"shared_memory_region": "r"}}]), "shared_memory"),
        (body(QUERY, outputs=[{"name": "scores"}, {"name": "scores"}]), "each name once"),
        (body({**QUERY, "parameters": {"shared_memory_region": "r"}}), "shared_memory"),
        (body({**QUERY, "parameters": 3}), "parameters"),
        (body({**QUERY, "parameters": {"binary_data_size": 3}}), "binary_data_size"),
        (body(QUERY, QUERY), "each name once"),
        (body("query"), "inputs"),
        (body({**QUERY, "name": ["query"]}), "name"),
        (body({**QUERY, "name": "quary"}), "quary"),
        (body(QUERY, outputs=[{"name": "rank"}]), "rank"),
        (body(QUERY, outputs="scores"), "outputs"),
        (body({**QUERY, "datatype": "FP32"}), "datatype"),
        (body({**QUERY, "datatype": "BF16"}), "datatype"),
        (body({**QUERY, "shape": [3]}), "expected 3"),
        (body({**QUERY, "shape": [4], "data": ["a"] * 4}), "4 rows, expected 1 to 3"),
        (body({**QUERY, "shape": [0], "data": []}), "shape"),
        (body({**QUERY, "shape": [2, 1]}), "shape"),
        (body({**QUERY, "shape": [-1]}), "shape"),
        (body({**QUERY, "shape": [True]}), "shape"),
        (body({**QUERY, "shape": [2.0]}), "shape"),
        (body({**QUERY, "shape": None}), "shape"),
        (body({**QUERY, "data": "tent"}), "data"),
        (body({**QUERY, "data": None}), "data"),
        (body({**QUERY, "data": ["tent", None]}), "strings"),
        (body({**QUERY, "data": ["tent", 3]}), "strings"),
        (body({**QUERY, "data": ["tent", ["sofa"]]}), "strings"),
        (body({**QUERY, "data": ["tent", "s" * 13]}), "13 bytes"),
        (body({**QUERY, "data": ["tent", "é" * 7]}), "14 bytes"),
        (body(QUERY, {**CANDIDATES, "shape": [2, 5], "data": [1] * 10}), "at most 4"),
        (body(QUERY, {**CANDIDATES, "shape": [1, 3], "data": [1, 2, 3]}), "rows differ"),
        (body(QUERY, {**CANDIDATES, "data": [1, 2, 3, 4, -5, 6]}), "-5 at [1, 1], expected 0 or more"),
        (body(QUERY, {**CANDIDATES, "data": [1, 2, 3, 4, 5, 6.5]}), "6.5"),
        (body(QUERY, {**CANDIDATES, "data": [1, 2, 3, 4, 5, True]}), "True"),
        (body(QUERY, {**CANDIDATES, "data": [1, False, 3, 4, 5, 6]}), "False"),
        (body(QUERY, {**CANDIDATES, "data": [1, "2", 3, 4, 5, 6]}), "'2'"),
        (body(QUERY, {**CANDIDATES, "data": [1, None, 3, 4, 5, 6]}), "None"),
        (body(QUERY, {**CANDIDATES, "data": [1, {}, 3, 4, 5, 6]}), "{}"),
        (body(QUERY, {**CANDIDATES, "data": [1, 2, 3, 4, 5, 2**63]}), "9223372036854775808"),
        (body(QUERY, {**CANDIDATES, "data": [1, 2, 3, 4, 5, 2**70]}), "whole numbers"),
        (body(QUERY, {**CANDIDATES, "data": [[1, 2], [3, 4, 5, 6]]}), "a list of 2, expected 3"),
        (body(QUERY, {**CANDIDATES, "data": [[1, 2, 3]]}), "1 rows"),
        (body(QUERY, {**CANDIDATES, "data": [[1, 2, 3], 4]}), "data 4"),
        (body(QUERY, {**CANDIDATES, "data": [[[1], 2, 3], [4, 5, 6]]}), "[1]"),
        (body({**QUERY, "shape": [10**9]}), "expected 1 to 3"),
    ],
)
def test_request_is_refused_with_the_fields_name_when_it_breaks_the_contract(raw: bytes, names: str) -> None:
    with pytest.raises(InvalidRequestError, match="expected") as refused:
        decode_request(raw, None, SEARCH)
    assert names in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("value", ["x" * 100_000, ["x"] * 100_000, {str(key): key for key in range(100_000)}])
def test_error_message_stays_short_when_the_clients_value_is_long(value: object) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        decode_request(body({**QUERY, "shape": value}), None, SEARCH)
    assert len(str(refused.value)) < 300


def test_last_of_a_doubled_key_counts_when_the_json_has_one() -> None:
    raw = b'{"inputs": 7, "inputs": [{"name": "x", "datatype": "INT8", "shape": [1, 2], "data": [1, 2]}]}'
    assert decode_request(raw, None, one_input("INT8"))[0].inputs["x"].array.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("INT8", [1, 128]),
        ("INT8", [-129, 1]),
        ("UINT8", [1, -1]),
        ("UINT8", [256, 1]),
        ("INT16", [1, 2**15]),
        ("UINT16", [1, 2**16]),
        ("INT32", [1, 2**31]),
        ("UINT32", [1, 2**32]),
        ("INT64", [1, 2**63]),
        ("UINT64", [1, -1]),
        ("UINT64", [1, 2**64]),
        ("FP16", [1, 65520]),
        ("FP32", [1, 1e39]),
        ("FP32", ["1.5", 2]),
        ("FP32", [True, 2.5]),
        ("FP64", [[1.0], 2]),
        ("FP64", [None, 2]),
        ("BOOL", [0, 1]),
        ("BOOL", [True, None]),
        ("BYTES", ["a", 1]),
    ],
)
def test_element_is_refused_when_its_datatype_does_not_hold_it(datatype: str, data: list[Any]) -> None:
    with pytest.raises(InvalidRequestError, match=r"'x'.*expected"):
        decode_request(x_body(datatype, data), None, one_input(datatype))


def test_whole_numbers_may_be_written_as_floats_when_they_are_exact() -> None:
    request, options = decode_request(
        body({**NO_DATA, "data": [3.0, -4]}, parameters={"priority": 2.0, "timeout": 1e6}), None, one_input("INT16")
    )
    assert request.inputs["x"].array.tolist() == [[3, -4]]
    assert (options.priority, options.timeout_seconds) == (2, 1.0)
    with pytest.raises(InvalidRequestError, match=r"1\.8014398509481984e"):
        decode_request(x_body("INT64", [1, 2.0**54]), None, one_input("INT64"))


@given(st.sampled_from(sorted(set(DATATYPES) - {"BYTES"})), st.data())
def test_numbers_are_exact_when_they_come_as_json(datatype: str, data: st.DataObject) -> None:
    finite = {"allow_nan": False, "allow_infinity": False} if datatype.startswith("FP") else None
    array = data.draw(hnp.arrays(DATATYPES[datatype], (3, 2), elements=finite))
    request, _ = decode_request(x_body(datatype, array.tolist(), (3, 2)), None, one_input(datatype))
    np.testing.assert_array_equal(request.inputs["x"].array, array)
    assert request.inputs["x"].array.dtype == DATATYPES[datatype]


@given(st.lists(st.binary(max_size=12), min_size=1, max_size=3), st.data())
def test_tensors_are_exact_when_they_come_as_binary_data(queries: list[bytes], data: st.DataObject) -> None:
    texts = np.empty(len(queries), dtype=np.object_)
    texts[:] = queries
    numbers = data.draw(hnp.arrays(np.int64, (len(queries), 2), elements=st.integers(0, 2**63 - 1)))
    query = ({"name": "query", "datatype": "BYTES", "shape": [len(queries)]}, Tensor("query", "BYTES", texts))
    ids = ({"name": "candidates", "datatype": "INT64", "shape": list(numbers.shape)}, Tensor("c", "INT64", numbers))
    order = data.draw(st.permutations([query, ids]))
    raw, header_length = binary(*((part, bytes(tensor_bytes(tensor))) for part, tensor in order))
    request, _ = decode_request(raw, header_length, SEARCH)
    assert request.inputs["query"].array.tolist() == queries
    np.testing.assert_array_equal(request.inputs["candidates"].array, numbers)


def test_inputs_may_mix_json_and_binary_data_when_a_header_length_is_given() -> None:
    header = body(
        CANDIDATES, {"name": "query", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 10}}
    )
    request, _ = decode_request(header + b"\1\0\0\0a\1\0\0\0b", len(header), SEARCH)
    assert request.inputs["query"].array.tolist() == [b"a", b"b"]
    assert request.inputs["candidates"].array.tolist() == [[1, 2, 3], [4, 5, 6]]


NO_DATA = {"name": "x", "datatype": "INT16", "shape": [1, 2]}


@pytest.mark.parametrize(
    ("raw", "header_length", "message"),
    [
        (b"{}", 3, "expected at most the 2 bytes"),
        (*binary((NO_DATA, b"\0" * 3)), "3 bytes, expected 4"),
        (*binary((NO_DATA, b"\0" * 5)), "5 bytes, expected 4"),
        (body({**NO_DATA, "parameters": {"binary_data_size": 4}}) + b"\0" * 5, -5, "1 bytes after"),
        (body({**NO_DATA, "parameters": {"binary_data_size": 6}}) + b"\0" * 5, -5, "at most the 5 bytes"),
        (body({**NO_DATA, "parameters": {"binary_data_size": 2**63}}) + b"\0" * 5, -5, "at most the 5 bytes"),
        (body({**NO_DATA, "parameters": {"binary_data_size": -4}}) + b"\0" * 4, -4, "binary_data_size -4"),
        (body({**NO_DATA, "parameters": {"binary_data_size": "4"}}) + b"\0" * 4, -4, "binary_data_size '4'"),
        (body({**NO_DATA, "parameters": {"binary_data_size": 4}, "data": [1, 2]}) + b"\0" * 4, -4, "both"),
        (body({**NO_DATA, "parameters": {"binary_data_size": 4}}), None, "Inference-Header-Content-Length"),
        (x_body("INT16", [1, 2]) + b"\0", -1, "1 bytes after"),
        (x_body("INT16", [1, 2]), 5, "body"),
    ],
)
def test_binary_data_are_refused_when_they_are_not_what_the_header_says(
    raw: bytes, header_length: int | None, message: str
) -> None:
    length = len(raw) + header_length if header_length is not None and header_length < 0 else header_length
    with pytest.raises(InvalidRequestError, match="expected") as refused:
        decode_request(raw, length, one_input("INT16"))
    assert message in str(refused.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_numbers_that_are_not_finite_pass_only_when_the_contract_allows_them(datatype: str, value: float) -> None:
    data = np.array([1, value], DATATYPES[datatype]).tobytes()
    raw, length = binary(({"name": "x", "datatype": datatype, "shape": [1, 2]}, data))
    with pytest.raises(InvalidRequestError, match=r"at \[0, 1\], expected finite"):
        decode_request(raw, length, one_input(datatype))
    allowed, _ = decode_request(raw, length, one_input(datatype, finite=False))
    assert allowed.inputs["x"].array.tobytes() == data


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "INT8", "UINT64"])
def test_bounds_are_kept_by_every_element_when_the_contract_has_them(datatype: str) -> None:
    contract = one_input(datatype, minimum=0, maximum=100_000)
    assert decode_request(x_body(datatype, [0, 100]), None, contract)[0].rows == 1
    if datatype != "UINT64":
        with pytest.raises(InvalidRequestError, match=r"-1.* at \[0, 0\], expected 0 or more"):
            decode_request(x_body(datatype, [-1, 5]), None, contract)
    tight = one_input(datatype, maximum=7)
    with pytest.raises(InvalidRequestError, match=r"8.* at \[0, 1\], expected 7 or less"):
        decode_request(x_body(datatype, [7, 8]), None, tight)


def test_bounds_do_not_hide_behind_nan_when_the_contract_allows_it() -> None:
    data = np.array([np.nan, 9], np.float32).tobytes()
    raw, length = binary(({"name": "x", "datatype": "FP32", "shape": [1, 2]}, data))
    with pytest.raises(InvalidRequestError, match="expected 7 or less"):
        decode_request(raw, length, one_input("FP32", finite=False, maximum=7))


def test_nan_of_any_kind_is_within_bounds_when_the_contract_allows_it() -> None:
    signalling = b"\x01\x00\x80\x7f"
    raw, length = binary(({"name": "x", "datatype": "FP32", "shape": [1, 2]}, signalling * 2))
    request, _ = decode_request(raw, length, one_input("FP32", finite=False, minimum=0, maximum=7))
    assert np.isnan(request.inputs["x"].array).all()


def test_options_are_read_when_the_request_has_parameters() -> None:
    parameters = {"priority": 3, "timeout": 250_000, "variant": "int8", "unknown": {"of": "others"}}
    _, options = decode_request(body(QUERY, parameters=parameters), None, SEARCH)
    assert options == RequestOptions(priority=3, timeout_seconds=0.25, variant="int8")
    _, none = decode_request(body(QUERY, parameters={"timeout": 0}), None, SEARCH)
    assert none.timeout_seconds is None


def test_variant_of_the_path_counts_when_no_parameter_contradicts_it() -> None:
    assert decode_request(body(QUERY), None, SEARCH, "int8")[1].variant == "int8"
    assert decode_request(body(QUERY, parameters={"variant": "int8"}), None, SEARCH, "int8")[1].variant == "int8"
    with pytest.raises(InvalidRequestError, match="variant 'full', expected 'int8' as in the path"):
        decode_request(body(QUERY, parameters={"variant": "full"}), None, SEARCH, "int8")


@pytest.mark.parametrize(
    ("everything", "scores", "binary_outputs"),
    [
        (None, None, frozenset()),
        (None, True, frozenset({"scores"})),
        (False, None, frozenset()),
        (True, None, None),
        (True, True, None),
        (True, False, frozenset({"titles"})),
    ],
)
def test_output_is_binary_when_it_or_else_the_request_says_so(
    everything: bool | None, scores: bool | None, binary_outputs: frozenset[str] | None
) -> None:
    of_request = {} if everything is None else {"binary_data_output": everything}
    of_scores = {} if scores is None else {"binary_data": scores}
    outputs = [{"name": "titles"}, {"name": "scores", "parameters": of_scores}]
    _, options = decode_request(body(QUERY, outputs=outputs, parameters=of_request), None, SEARCH)
    assert options.binary_outputs == binary_outputs


def test_all_default_outputs_are_binary_when_only_the_request_says_so() -> None:
    assert decode_request(body(QUERY, parameters={"binary_data_output": True}), None, SEARCH)[1].binary_outputs is None


def test_body_is_the_only_input_when_the_header_length_is_zero() -> None:
    raw = np.arange(6, dtype=np.float32).tobytes()
    request, options = decode_request(raw, 0, one_input("FP32"), "int8")
    assert request.inputs["x"].array.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert options == RequestOptions(variant="int8", binary_outputs=None)
    text, _ = decode_request(b"\xffwhole body", 0, one_input("BYTES", (-1, 1)))
    assert text.inputs["x"].array.tolist() == [[b"\xffwhole body"]]


@pytest.mark.parametrize(
    ("raw", "contract"),
    [
        (b"", one_input("FP32")),
        (b"\0" * 9, one_input("FP32")),
        (np.array([1, np.nan], np.float32).tobytes(), one_input("FP32")),
        (b"\0" * 8, one_input("FP32", (-1, -1))),
        (b"\0" * 8 * 65, one_input("FP32")),
        (b"long", one_input("BYTES", (-1,), max_bytes=3)),
        (b"text", one_input("BYTES", (-1, 2))),
        (b"text", SEARCH),
    ],
)
def test_raw_body_is_refused_when_the_contract_does_not_fit(raw: bytes, contract: Contract) -> None:
    with pytest.raises(InvalidRequestError, match="expected"):
        decode_request(raw, 0, contract)


def test_header_length_is_read_when_it_is_a_whole_number() -> None:
    assert header_length_from(None) is None
    assert header_length_from("0") == 0
    assert header_length_from("120") == 120
    for wrong in ("", "-1", "+1", "1.0", "1_0", "0x10", "\u0661", "9" * 30, " 1"):
        with pytest.raises(InvalidRequestError, match="Inference-Header-Content-Length"):
            header_length_from(wrong)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
DAMAGED = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["x", "y"]) | JSON_VALUES,
        "datatype": st.sampled_from(["FP32", "BYTES", "BF16"]) | JSON_VALUES,
        "shape": st.just([1, 2]) | st.lists(st.integers(-1, 2**64), max_size=3) | JSON_VALUES,
        "data": st.just([1.5, 2]) | JSON_VALUES,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(0, 9) | JSON_VALUES}) | JSON_VALUES,
    },
)
DAMAGED_REQUESTS = st.fixed_dictionaries(
    {"inputs": st.lists(DAMAGED, max_size=2) | JSON_VALUES},
    optional={"id": JSON_VALUES, "outputs": JSON_VALUES, "parameters": JSON_VALUES},
)


@given(
    DAMAGED_REQUESTS.map(lambda content: json.dumps(content).encode()) | st.binary(max_size=60),
    st.binary(max_size=9),
    st.integers(0, 300) | st.none(),
    st.booleans(),
)
def test_nothing_but_a_request_error_is_raised_when_a_body_is_arbitrary(
    text: bytes, binary_data: bytes, header_length: int | None, true_length: bool
) -> None:
    try:
        request, _ = decode_request(text + binary_data, len(text) if true_length else header_length, one_input("FP32"))
    except RequestError:
        return
    assert request.inputs["x"].array.dtype == np.float32
    assert request.inputs["x"].shape[1] == 2
