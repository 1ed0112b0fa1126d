"""Hypothesis-made requests on connections that are kept alive; every answer is compared with the right one.

Those of one example are sent at once, each on a connection of its own, so that right ones share batches with wrong ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from hypothesis import HealthCheck, Phase, given, seed, settings

from modelscaler_benchmarks.fuzz.oracle import NAME, expected, mistake
from modelscaler_benchmarks.fuzz.sockets import ConnectionEndedError, Wire
from modelscaler_benchmarks.fuzz.tally import NO_ANSWER, Tally
from modelscaler_benchmarks.fuzz.tensors import EXAMPLES, Body, Example, right_body, wrong_body
from modelscaler_benchmarks.serving_process import HOST

PATH = f"/v2/models/{NAME}/infer"
_RIGHT, _WRONG = "right tensors", "wrong tensors"
_OF_EXAMPLE = (_RIGHT, _WRONG, _WRONG, _WRONG) * 4
_EXAMPLES_AT_A_TIME = 100
"""Hypothesis remembers what it has drawn within a run, and gets slower."""


_SHOWN_BYTES = 1500


@dataclass(frozen=True)
class _Sent:
    wire: Wire
    kind: str
    body: Body
    variant: str | None
    request: bytes


def as_request(body: Body, path: str = PATH) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {HOST}", f"Content-Length: {len(body.content)}"]
    if body.header_length is not None:
        lines.append(f"Inference-Header-Content-Length: {body.header_length}")
    if body.encoding is not None:
        lines.append(f"Content-Encoding: {body.encoding}")
    return "\r\n".join([*lines, "", ""]).encode() + body.content


class TensorFuzzer:
    """Sends requests and judges answers.

    Args:
        port: Of the server.
        tally: Told what comes of them.
        limit_bytes: Longest body that the server takes.
        advance: Called with the number of cases done since the last call.
    """

    def __init__(self, port: int, tally: Tally, limit_bytes: int, advance: Callable[[int], object]) -> None:
        self._wires = [Wire(port) for _ in _OF_EXAMPLE]
        self._tally = tally
        self._limit_bytes = limit_bytes
        self._advance = advance

    def run(self, cases: int, first_seed: int) -> None:
        """Run at least so many cases."""
        target = self._tally.cases + cases
        number = 0
        while self._tally.cases < target:
            self._run_some(first_seed + number, -(-(target - self._tally.cases) // len(_OF_EXAMPLE)))
            number += 1

    def _run_some(self, run_seed: int, examples: int) -> None:
        @seed(run_seed)
        @settings(
            max_examples=min(_EXAMPLES_AT_A_TIME, examples),
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(example=EXAMPLES)
        def send(example: Example) -> None:
            random = Random(example.seed)  # noqa: S311 - not for secrets
            sent = [
                self._send(wire, kind, example, random) for wire, kind in zip(self._wires, _OF_EXAMPLE, strict=True)
            ]
            for each in sent:
                self._judge(each)
            self._advance(len(sent))

        send()

    def close(self) -> None:
        """Close all connections."""
        for wire in self._wires:
            wire.close()

    def _send(self, wire: Wire, kind: str, example: Example, random: Random) -> "_Sent":
        body = (right_body if kind == _RIGHT else wrong_body)(random, example)
        variant = random.choice([None, None, None, "full", "int8"])
        path = PATH if variant is None else f"/v2/models/{NAME}/versions/{variant}/infer"
        request = as_request(body, path)
        wire.send(request)
        return _Sent(wire, kind, body, variant, request)

    def _judge(self, sent: "_Sent") -> None:
        try:
            received = sent.wire.receive()
        except ConnectionEndedError as error:
            self._tally.note(sent.kind, NO_ANSWER)
            self._tally.fail(sent.kind, f"{sent.request[:_SHOWN_BYTES]!r}: {error}")
            return
        self._tally.note(sent.kind, received.status)
        wrong = mistake(expected(sent.body, sent.variant, self._limit_bytes), received)
        if wrong is not None:
            self._tally.fail(sent.kind, f"{sent.request[:_SHOWN_BYTES]!r}: {wrong}")
