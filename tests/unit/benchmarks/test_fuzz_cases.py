from random import Random

import numpy as np
import orjson
import pytest

from modelscaler_benchmarks.fuzz.oracle import CONTRACT, Expected, expected, mistake
from modelscaler_benchmarks.fuzz.served import Mixture
from modelscaler_benchmarks.fuzz.sockets import Received
from modelscaler_benchmarks.fuzz.tally import Tally
from modelscaler_benchmarks.fuzz.tensors import Body, Example, right_body, wrong_body
from modelscaler_benchmarks.fuzz.wire_cases import GOOD_BODY, GOOD_SUM, wire_case
from modelserver.model import Model
from modelserver.protocol.answer import encode_answer
from modelserver.protocol.compression import decompress
from modelserver.protocol.request import decode_request
from modelserver.tensors import RequestOptions

EXAMPLE = Example(seed=1, material=bytes(range(256)), wrong=[None, {"a": 1}, 1.5])
LIMIT = 1 << 22


def drawn_from(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - not for secrets


def answered(outputs_from: Body) -> Received:
    right = expected(outputs_from, None, LIMIT)
    assert right.outputs is not None
    answer = encode_answer("mixture", "full", None, right.outputs, RequestOptions(), degraded=False)
    return Received(200, {"content-type": answer.content_type}, answer.body)


def test_right_bodies_keep_the_contract_when_built_from_any_seed() -> None:
    for seed in range(300):
        body = right_body(drawn_from(seed), EXAMPLE)
        content = body.content if body.encoding is None else decompress(body.content, body.encoding, LIMIT)
        request, _ = decode_request(content, body.header_length, CONTRACT)
        assert "x" in request.inputs


def test_wrong_bodies_are_mostly_refused_and_never_raise_anything_else() -> None:
    statuses = [expected(wrong_body(drawn_from(seed), EXAMPLE), None, LIMIT).status for seed in range(300)]
    assert set(statuses) >= {400, 413, 415}
    assert statuses.count(200) < 60


def test_bodies_are_the_same_when_the_seed_is() -> None:
    assert wrong_body(drawn_from(5), EXAMPLE) == wrong_body(drawn_from(5), EXAMPLE)
    assert wire_case(drawn_from(5)) == wire_case(drawn_from(5))


def test_answer_is_found_right_when_it_is_what_the_model_says() -> None:
    right = expected(Body(GOOD_BODY), None, LIMIT)
    assert mistake(right, answered(Body(GOOD_BODY))) is None
    assert right.outputs is not None
    assert right.outputs[0].array.tolist() == [GOOD_SUM]


@pytest.mark.parametrize(
    ("given", "received"),
    [
        (Body(GOOD_BODY), answered(Body(GOOD_BODY.replace(b"4.5", b"4.25")))),
        (Body(GOOD_BODY), Received(500, {}, b'{"error":"no"}')),
        (Body(b"{"), answered(Body(GOOD_BODY))),
        (Body(b"{"), Received(400, {}, b'{"error":"another"}')),
    ],
)
def test_answer_is_found_wrong_when_it_is_not_what_the_model_says(given: Body, received: Received) -> None:
    assert mistake(expected(given, None, LIMIT), received) is not None


def test_error_is_found_right_when_status_and_message_are() -> None:
    received = Received(400, {}, orjson.dumps({"error": "x: 1, expected 2"}))
    assert mistake(Expected(status=400, message="x: 1, expected 2"), received) is None


def test_tally_keeps_the_first_failures_and_counts_all_when_there_are_many() -> None:
    tally = Tally()
    for number in range(80):
        tally.note("kind", 200)
        tally.fail("kind", str(number))
    assert (tally.cases, tally.failed, len(tally.failures)) == (80, 80, 50)
    assert tally.by_kind() == {"kind": {"200": 80}}


def test_rows_are_answered_alike_when_they_share_a_batch() -> None:
    model: Model = Mixture()
    decoded = model.decode(decode_request(GOOD_BODY, None, CONTRACT)[0]).arrays
    alone = model.predict(decoded)
    together = model.predict({name: np.concatenate([array, array]) for name, array in decoded.items()})
    assert together["sum"].tolist() == alone["sum"].tolist() * 2
