"""Rows in each server's words."""

import json

import numpy as np
import pytest

from modelscaler_benchmarks.http_client import Answer
from modelscaler_benchmarks.server.neighbours import is_right
from modelscaler_benchmarks.server.payloads import BENTOML, LITSERVE, V2, V2_BINARY, Dialect, payload

FEATURES = np.array([0.1, -2.5, 1e-3], dtype=np.float32)
TOKENS = np.array([7, 0, 999], dtype=np.int64)


@pytest.mark.parametrize("row", [FEATURES, TOKENS])
def test_row_arrives_as_it_was_when_sent_in_json(row: np.ndarray) -> None:
    data = json.loads(V2.encode(row)[0])["inputs"][0]["data"]

    assert np.array_equal(np.asarray(data, dtype=row.dtype), row)


@pytest.mark.parametrize(("row", "datatype"), [(FEATURES, "FP32"), (TOKENS, "INT64")])
def test_row_arrives_as_it_was_when_sent_in_binary(row: np.ndarray, datatype: str) -> None:
    body, headers = V2_BINARY.encode(row)
    length = int(headers["Inference-Header-Content-Length"])
    tensor = json.loads(body[:length])["inputs"][0]

    assert (tensor["datatype"], tensor["shape"]) == (datatype, [1, 3])
    assert tensor["parameters"]["binary_data_size"] == len(body) - length
    assert np.array_equal(np.frombuffer(body[length:], dtype=row.dtype), row)


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (LITSERVE, b'{"output":[1.5,2.0]}'),
        (BENTOML, b"[[1.5,2.0]]"),
        (V2, b'{"outputs":[{"name":"output","shape":[1,2],"datatype":"FP32","data":[1.5,2.0]}]}'),
    ],
)
def test_output_is_found_when_a_server_answers_in_its_words(dialect: Dialect, body: bytes) -> None:
    assert dialect.decode({}, body).tolist() == [1.5, 2.0]


def test_output_is_found_behind_the_header_when_the_answer_is_binary() -> None:
    body = b"{}" + np.array([1.5, 2.0], dtype=np.float32).tobytes()

    assert V2_BINARY.decode({"inference-header-content-length": "2"}, body).tolist() == [1.5, 2.0]


def test_path_names_the_network_when_a_payload_is_made() -> None:
    sent = payload(V2, "mlp", np.stack([FEATURES, FEATURES]), np.zeros((2, 2), dtype=np.float32))

    assert sent.path == "/v2/models/mlp/infer"
    assert len(sent.bodies) == 2


def test_payload_is_refused_when_its_bodies_need_different_headers() -> None:
    uneven = Dialect("x", "/", lambda row: (b"", {"Length": str(row[0])}), LITSERVE.decode)

    with pytest.raises(ValueError, match="headers of mlp"):
        payload(uneven, "mlp", np.array([[1.0], [2.0]], dtype=np.float32), np.zeros((2, 1), dtype=np.float32))


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (Answer(200, {}, b'{"output":[1.0,2.0]}'), True),
        (Answer(200, {}, b'{"output":[1.0,2.1]}'), False),
        (Answer(500, {}, b'{"output":[1.0,2.0]}'), False),
        (Answer(0, reason="connection lost"), False),
    ],
)
def test_answer_is_right_only_when_it_is_the_rows_own(answer: Answer, right: bool) -> None:
    sent = payload(LITSERVE, "mlp", FEATURES[None], np.array([[1.0, 2.0]], dtype=np.float32))

    assert is_right(answer, sent, 0) is right
