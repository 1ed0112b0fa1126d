"""What NVIDIA's client writes, we read; what we write, it reads. No network."""

from typing import Any

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

from modelserver.protocol.answer import encode_answer
from modelserver.protocol.request import decode_request
from modelserver.tensors import DATATYPES, Array, Contract, Tensor, TensorSpec

CONTRACT = Contract(
    "everything",
    "c",
    "p",
    tuple(TensorSpec(datatype.lower(), datatype, (-1, 3)) for datatype in DATATYPES),
    tuple(TensorSpec(datatype.lower(), datatype, (-1, 3)) for datatype in DATATYPES),
)


def example(datatype: str) -> Array:
    if datatype == "BYTES":
        return np.array([[b"red sofa", b"", "zelt é".encode()], [b"a", b"b", b"c"]], dtype=np.object_)
    return np.array([[0, 1, 1], [1, 0, 1]], dtype=DATATYPES[datatype])


def client_inputs(binary: bool) -> list[Any]:
    inputs = []
    for spec in CONTRACT.inputs:
        given = InferInput(spec.name, [2, 3], spec.datatype)
        given.set_data_from_numpy(example(spec.datatype), binary_data=binary)
        inputs.append(given)
    return inputs


@pytest.mark.parametrize("binary", [False, True])
def test_clients_request_is_read_when_it_has_every_datatype(binary: bool) -> None:
    raw, header_length = InferenceServerClient.generate_request_body(
        client_inputs(binary), request_id="r1", priority=2, timeout=1500, parameters={"variant": "int8"}
    )
    request, options = decode_request(raw, header_length, CONTRACT)
    assert (header_length is not None) is binary
    for spec in CONTRACT.inputs:
        np.testing.assert_array_equal(request.inputs[spec.name].array, example(spec.datatype))
    assert (options.identifier, options.priority, options.timeout_seconds) == ("r1", 2, 0.0015)
    assert (options.variant, options.binary_outputs) == ("int8", None)


@pytest.mark.parametrize("binary", [False, True])
def test_client_reads_our_answer_when_it_has_every_datatype(binary: bool) -> None:
    asked = [InferRequestedOutput(spec.name, binary_data=binary) for spec in CONTRACT.outputs]
    raw, header_length = InferenceServerClient.generate_request_body(client_inputs(True), outputs=asked)
    request, options = decode_request(raw, header_length, CONTRACT)
    outputs = [request.inputs[name] for name in request.outputs]
    answer = encode_answer("everything", "full", None, outputs, options, degraded=False)
    result = InferenceServerClient.parse_response_body(answer.body, header_length=answer.header_length)
    assert (answer.header_length is not None) is binary
    assert result.get_response()["model_version"] == "full"
    for spec in CONTRACT.outputs:
        received = result.as_numpy(spec.name)
        if spec.datatype == "BYTES" and not binary:
            received = np.array([text.encode() for text in received.flat], dtype=np.object_).reshape(received.shape)
        np.testing.assert_array_equal(received, example(spec.datatype))


def test_client_reads_our_answer_when_only_some_outputs_are_binary() -> None:
    asked = [InferRequestedOutput("fp32", binary_data=True), InferRequestedOutput("int8", binary_data=False)]
    raw, header_length = InferenceServerClient.generate_request_body(client_inputs(False), outputs=asked)
    request, options = decode_request(raw, header_length, CONTRACT)
    assert request.outputs == ("fp32", "int8")
    outputs = [Tensor(name, name.upper(), request.inputs[name].array) for name in request.outputs]
    answer = encode_answer("everything", "full", None, outputs, options, degraded=False)
    result = InferenceServerClient.parse_response_body(answer.body, header_length=answer.header_length)
    for name in request.outputs:
        np.testing.assert_array_equal(result.as_numpy(name), example(name.upper()))
