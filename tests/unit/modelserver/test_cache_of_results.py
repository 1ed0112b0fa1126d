from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from modelserver.engine.cache import ResultCache, answer_digest, request_digest
from modelserver.tensors import InferRequest, Tensor
from modelserver_fakes import FakeClock, echo_contract, numbers_request

ANSWER = [Tensor("numbers", "INT64", np.arange(4))]


def texts(*elements: bytes) -> InferRequest:
    return InferRequest({"words": Tensor("words", "BYTES", np.array(elements, dtype=np.object_))}, ("words",))


def test_digests_agree_when_requests_do() -> None:
    assert request_digest(numbers_request(1, 2)) == request_digest(numbers_request(1, 2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (numbers_request(1, 2), numbers_request(2, 1)),
        (numbers_request(1), numbers_request(1, outputs=("words",))),
        (texts(b"ab", b"c"), texts(b"a", b"bc")),
        (texts(b""), texts(b"", b"")),
        (
            InferRequest({"a": Tensor("a", "FP32", np.zeros((1, 4), np.float32))}, ()),
            InferRequest({"a": Tensor("a", "FP32", np.zeros((2, 2), np.float32))}, ()),
        ),
        (
            InferRequest({"a": Tensor("a", "INT32", np.zeros(2, np.int32))}, ()),
            InferRequest({"a": Tensor("a", "UINT32", np.zeros(2, np.uint32))}, ()),
        ),
    ],
)
def test_digests_differ_when_requests_do(one: InferRequest, other: InferRequest) -> None:
    assert request_digest(one) != request_digest(other)


def test_every_datatype_has_a_digest_when_it_is_empty_or_small() -> None:
    for dtype in (np.bool_, np.float16, np.uint8, np.float64):
        tensor = Tensor("a", "X", np.zeros((0, 3), dtype))
        assert len(request_digest(InferRequest({"a": tensor}, ()))) == 16


@pytest.mark.parametrize("change", [{"name": "other"}, {"content_version": "v2"}, {"preprocessing_version": "echo-2"}])
def test_answers_are_not_confused_when_models_differ(change: dict[str, Any]) -> None:
    contract = echo_contract()

    assert answer_digest(contract, "full") != answer_digest(replace(contract, **change), "full")
    assert answer_digest(contract, "full") != answer_digest(contract, "int8")


def test_the_most_wanted_answer_is_found_when_there_are_several() -> None:
    cache = ResultCache(10_000, 60, FakeClock())
    cache.keep(b"int8", ANSWER)

    assert cache.find([b"full", b"int8"]) is not None
    cache.keep(b"full", ANSWER)
    found = cache.find([b"full", b"int8"])

    assert found is not None
    assert found[0] == 0
    assert cache.find([b"bf16"]) is None
    assert (cache.hits, cache.misses) == (2, 1)


def test_answers_are_forgotten_when_their_time_is_over() -> None:
    clock = FakeClock()
    cache = ResultCache(10_000, 60, clock)
    cache.keep(b"key", ANSWER)

    clock.advance(59)
    assert cache.find([b"key"]) is not None
    clock.advance(2)
    assert cache.find([b"key"]) is None


def test_old_answers_make_room_when_the_cache_is_full() -> None:
    cache = ResultCache(4000, 60, FakeClock())
    for key in range(20):
        cache.keep(b"%d" % key, ANSWER)

    assert 0 < cache.held_bytes <= 4000
    assert cache.find([b"0"]) is None
    assert cache.find([b"19"]) is not None


def test_an_answer_is_not_kept_when_it_is_larger_than_the_cache() -> None:
    cache = ResultCache(1000, 60, FakeClock())

    cache.keep(b"key", [Tensor("numbers", "INT64", np.zeros(1000))])

    assert len(cache) == 0


def test_what_is_kept_does_not_change_when_the_batch_it_came_from_does() -> None:
    cache = ResultCache(10_000, 60, FakeClock())
    batch = np.arange(8)
    cache.keep(b"key", [Tensor("numbers", "INT64", batch[:4])])

    batch[:] = 0

    found = cache.find([b"key"])
    assert found is not None
    assert found[1][0].array.tolist() == [0, 1, 2, 3]
    assert found[1][0].array.base is None, "a view would keep the whole batch"
