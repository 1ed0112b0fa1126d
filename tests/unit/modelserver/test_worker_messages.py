import math
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver.compute.executor import LoadedVariant
from modelserver.errors import (
    InferenceFailedError,
    InvalidRequestError,
    RequestError,
    WorkerLostError,
)
from modelserver.model import Stage
from modelserver.tensors import DATATYPES, Contract, InferRequest, Tensor, TensorSpec
from modelserver.timing import LinearCost
from modelserver.worker.arena import Arena
from modelserver.worker.messages import (
    MAX_MESSAGE_BYTES,
    Compute,
    Computed,
    ComputedPart,
    ComputePart,
    Failed,
    Framing,
    HandOver,
    Load,
    Message,
    MessageError,
    Opened,
    Ready,
    Unload,
    read_message,
    write_message,
)
from modelserver.worker.orders import Open, Part, Start
from modelserver.worker.transfer import read_outcomes, read_requests, write_outcomes, write_requests

SPEC = TensorSpec("x", "FP32", (-1, 3), optional=True, minimum=0.5, max_bytes=7, finite=False)
CONTRACT = Contract("model", "1", "2", (SPEC,), (TensorSpec("y", "BYTES", (-1,)),), 8)
LOADED = LoadedVariant("full", 0.9, LinearCost(0.1, 0.2, 0.99), 32, 1.0, 2.0, 5)
HANDED = HandOver([["a", "FP32", [2, 3], 0, 24]], [1, 1], [["y"], ["y"]], [None, [["m", "INT8", [1], 64, 1]]])  # type: ignore[list-item]
MESSAGES: list[Message] = [
    Open("builtin://x", "cpu", ["ab"], "stem"),
    Opened(CONTRACT, "cpu", (Stage("stem", (SPEC,), (SPEC,)),)),
    Start(["full", "int8"], 1 << 30, Part(True, None, False), True),
    Start(["full"]),
    Ready((LOADED,), {"int8": "memory"}, 3, [[], ["y"]]),  # type: ignore[arg-type]
    Ready(),
    Failed("no"),
    Compute("full", [[[["x", "FP32", [1, 3], 0, 12]], ["y"]]]),  # type: ignore[list-item]
    Computed([[["y", "INT8", [1], 0, 1]], {"error": "E", "message": "m"}], 0.1, 0.2, 0.3, 4),  # type: ignore[list-item]
    ComputePart("full", 2, [[[], ["y"]]], HANDED),  # type: ignore[list-item]
    ComputePart("full", 0, []),
    ComputedPart({"0": {"error": "E", "message": "m"}}, HANDED, [], 0.1, 0.2, 0.3, 4, {"error": "E", "message": "m"}),
    ComputedPart(outcomes=[]),
    Load("int8"),
    Unload("int8"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.op)
def test_a_message_is_what_it_was_when_it_has_crossed(message: Message) -> None:
    (text,) = Framing().feed(write_message(message))
    assert read_message(text) == message


def test_every_message_is_tried_above() -> None:
    assert {type(message) for message in MESSAGES} == set(Message.__args__)


def test_a_cost_that_is_not_known_stays_so_when_it_has_crossed() -> None:
    cost = LinearCost(0.1, 0.2, math.nan)
    ready = Ready((LoadedVariant("full", None, cost, 1, 0.0, 0.0, 0),))
    (text,) = Framing().feed(write_message(ready))
    crossed = read_message(text)
    assert isinstance(crossed, Ready)
    assert math.isnan(crossed.variants[0].cost.r2)


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b'["nothing", {}]', b'["load", {"no": 1}]', b"\xff", b"7"])
def test_a_message_is_refused_when_it_is_not_one_of_ours(text: bytes) -> None:
    with pytest.raises(MessageError):
        read_message(text)


def test_a_message_is_refused_when_it_claims_to_be_endless() -> None:
    with pytest.raises(MessageError, match="at most"):
        Framing().feed((MAX_MESSAGE_BYTES + 1).to_bytes(4, "little"))


@given(st.lists(st.text(max_size=30), max_size=8), st.integers(1, 40))
def test_messages_arrive_whole_whatever_the_pieces(names: list[str], size: int) -> None:
    sent = [Load(name) for name in names]
    stream = b"".join(map(write_message, sent))
    framing = Framing()
    arrived = [text for at in range(0, len(stream), size) for text in framing.feed(stream[at : at + size])]
    assert [read_message(text) for text in arrived] == sent


def tensor(datatype: str) -> Tensor:
    if datatype == "BYTES":
        words = np.empty((2, 2), dtype=np.object_)
        words[:] = [[b"", b"a"], ["ü".encode(), b"\x00" * 70]]
        return Tensor("t", datatype, words)
    return Tensor("t", datatype, np.arange(4).reshape(2, 2).astype(DATATYPES[datatype]))


@pytest.mark.parametrize("datatype", DATATYPES)
def test_requests_and_answers_are_equal_when_they_have_crossed(datatype: str) -> None:
    writer = Arena.create("test")
    reader = Arena(os.dup(writer.descriptor))
    sent = tensor(datatype)
    (request,) = read_requests(reader, write_requests(writer, [InferRequest({"t": sent}, ("a", "b"))]))
    (outcome,) = read_outcomes(reader, write_outcomes(writer, [[sent]]))
    assert request.outputs == ("a", "b")
    assert isinstance(outcome, list)
    for got in (request.inputs["t"], outcome[0]):
        assert (got.name, got.datatype, got.array.dtype) == ("t", datatype, sent.array.dtype)
        np.testing.assert_array_equal(got.array, sent.array)
    writer.close()
    reader.close()


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (), (1, 1, 1)])
def test_odd_shapes_cross_too(shape: tuple[int, ...]) -> None:
    arena = Arena.create("test")
    (outcome,) = read_outcomes(arena, write_outcomes(arena, [[Tensor("t", "FP32", np.ones(shape, np.float32))]]))
    assert isinstance(outcome, list)
    assert outcome[0].array.shape == shape
    arena.close()


def test_arrays_that_are_not_contiguous_cross_too() -> None:
    arena = Arena.create("test")
    turned = np.arange(6, dtype=np.int32).reshape(2, 3).T
    (outcome,) = read_outcomes(arena, write_outcomes(arena, [[Tensor("t", "INT32", turned)]]))
    assert isinstance(outcome, list)
    np.testing.assert_array_equal(outcome[0].array, turned)
    arena.close()


def test_answers_do_not_change_when_the_arena_is_written_again() -> None:
    arena = Arena.create("test")
    (outcome,) = read_outcomes(arena, write_outcomes(arena, [[tensor("INT8")]]))
    arena.reset()
    arena.write(b"\xff" * 64)
    assert isinstance(outcome, list)
    np.testing.assert_array_equal(outcome[0].array, tensor("INT8").array)
    arena.close()


@pytest.mark.parametrize("error", [InvalidRequestError("no"), WorkerLostError("gone")])
def test_an_error_keeps_its_class_when_it_crosses(error: RequestError) -> None:
    arena = Arena.create("test")
    (crossed,) = read_outcomes(arena, write_outcomes(arena, [error]))
    arena.close()
    assert type(crossed) is type(error)
    assert str(crossed) == str(error)


@pytest.mark.parametrize(
    ("said", "crosses"), [("no \udcff such word", "no \\udcff such word"), (100_000 * "long ", 1024 * "long ")]
)
def test_an_error_crosses_when_its_message_is_not_utf8_or_has_no_end(said: str, crosses: str) -> None:
    arena = Arena.create("test")
    places = write_outcomes(arena, [InvalidRequestError(said)])
    computed = read_message(write_message(Computed(places, 0.0, 0.0, 0.0, 0))[4:])

    assert isinstance(computed, Computed)
    (error,) = read_outcomes(arena, computed.outcomes)
    assert isinstance(error, InvalidRequestError)
    assert str(error).startswith(crosses[:4000])
    assert len(str(error)) <= 4096
    arena.close()


def test_an_error_is_a_failure_when_its_class_is_not_one_of_ours() -> None:
    class OwnError(RequestError):
        pass

    arena = Arena.create("test")
    (crossed,) = read_outcomes(arena, write_outcomes(arena, [OwnError("odd")]))
    arena.close()
    assert type(crossed) is InferenceFailedError


@pytest.mark.parametrize("odd", [Tensor("t", "FP32", np.ones(2)), Tensor("t", "FP32", [1.0]), "text"])  # type: ignore[arg-type]
def test_only_one_request_fails_when_its_answer_is_not_tensors(odd: Tensor) -> None:
    arena = Arena.create("test")
    failed, fine = read_outcomes(arena, write_outcomes(arena, [[odd], [tensor("INT8")]]))
    arena.close()
    assert isinstance(failed, InferenceFailedError)
    assert isinstance(fine, list)


@pytest.mark.parametrize("offset", [-4, 4096 * 4096])
def test_an_answer_is_refused_when_it_is_not_in_the_arena(offset: int) -> None:
    arena = Arena.create("test")
    with pytest.raises(ValueError, match="expected"):
        read_outcomes(arena, [[("t", "FP32", (1,), offset, 4)]])
    arena.close()
