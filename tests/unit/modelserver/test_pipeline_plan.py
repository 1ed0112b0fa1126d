import numpy as np
import pytest

from modelserver.engine import remote_stage
from modelserver.engine.pipeline_plan import Elsewhere, plan_pipeline
from modelserver.engine.remote_stage import join_pieces, pieces, read_answer, write_request
from modelserver.errors import InferenceFailedError, LoadError
from modelserver.tensors import Arrays
from modelserver.worker.orders import Part


def test_the_ends_decode_and_encode_when_all_stages_run_here() -> None:
    assert plan_pipeline(["a", "b", "c"], {}) == [
        Part(decode=True, stage="a", encode=False),
        Part(decode=False, stage="b", encode=False),
        Part(decode=False, stage="c", encode=True),
    ]


def test_one_worker_does_it_all_when_there_is_one_stage() -> None:
    assert plan_pipeline(["a"], {}) == [Part(decode=True, stage="a", encode=True)]


def test_decoding_and_encoding_stay_here_when_all_stages_are_elsewhere() -> None:
    assert plan_pipeline(["a", "b"], {"a": "http://a:1", "b": "http://b:1"}) == [
        Part(decode=True, stage=None, encode=False),
        Elsewhere("a", "http://a:1"),
        Elsewhere("b", "http://b:1"),
        Part(decode=False, stage=None, encode=True),
    ]


def test_only_the_middle_leaves_when_it_is_elsewhere() -> None:
    planned = plan_pipeline(["a", "b", "c"], {"b": "http://b:1"})
    assert planned[1] == Elsewhere("b", "http://b:1")
    assert [one.stage for one in planned] == ["a", "b", "c"]


def test_the_plan_is_refused_when_an_address_is_of_no_stage() -> None:
    with pytest.raises(LoadError, match="--stage-address x: expected one of a, b"):
        plan_pipeline(["a", "b"], {"x": "http://x:1"})


def test_the_plan_is_refused_when_the_model_is_not_split() -> None:
    with pytest.raises(LoadError, match="no stages"):
        plan_pipeline([], {})


def test_an_answer_is_read_when_it_is_binary() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    body, header_length = write_request({"a": array, "b": array.astype(np.int64)})
    answer = body.replace(b'"inputs"', b'"outputs"')
    read = read_answer(answer, header_length + 1)
    np.testing.assert_array_equal(read["a"], array)
    np.testing.assert_array_equal(read["b"], array.astype(np.int64))


@pytest.mark.parametrize("body", [b"", b"{}", b'{"outputs":[{"name":"a"}]}', b'{"outputs":1}', b"\xff"])
def test_an_answer_is_a_failure_when_it_is_not_v2(body: bytes) -> None:
    with pytest.raises(InferenceFailedError, match="expected v2"):
        read_answer(body, len(body))


def test_an_answer_is_a_failure_when_its_tensor_is_cut_short() -> None:
    body, header_length = write_request({"a": np.ones((2, 3), np.float32)})
    with pytest.raises(InferenceFailedError):
        read_answer(body.replace(b'"inputs"', b'"outputs"')[:-1], header_length + 1)


def test_a_batch_is_cut_into_bounded_pieces_and_put_together_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_stage, "MAX_REQUEST_BYTES", 100)
    arrays: Arrays = {"a": np.arange(44, dtype=np.float32).reshape(11, 4), "b": np.arange(11, dtype=np.int64)}
    cut = pieces(arrays)
    assert len(cut) > 1
    assert all(sum(array.nbytes for array in piece.values()) <= 100 for piece in cut)
    for name, array in join_pieces(cut).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_a_row_goes_alone_when_it_is_larger_than_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_stage, "MAX_REQUEST_BYTES", 3)
    assert [piece["a"].shape for piece in pieces({"a": np.ones((3, 8), np.float32)})] == [(1, 8)] * 3
